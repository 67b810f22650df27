"""What chapter 14 claims: what batch statistics mend when the data shift, and what an average of weights needs."""

from bnlab.experiments.claims.claim import Declaration, Measured, gain_in_points
from bnlab.experiments.studies.served_shift import Result as ServedResult
from bnlab.experiments.studies.weight_averaging import Result as AverageResult

CHAPTER = "14_production"
NADO = "Nado et al. 2020, arXiv:2006.10963"
REPAIR = "this course, after Jordan et al. 2023, arXiv:2211.08403, who match the units first"
FOLKLORE = "common belief"
SERVED = "the same trained networks and images, in random batches of 36, by each batch's statistics or by stored ones."
PATH = "the same pairs of trained networks, with averaged running statistics or those of the training split."
ENDS = "the same pairs of trained networks; half-way and at both ends by the statistics of the training split."
TEST_IMAGES = 360


def _mended(shift: str, result: ServedResult) -> Measured:
    return gain_in_points(result.by_batch[shift], result.stored[shift], TEST_IMAGES)


def _half_way_over_ends(kind: str, result: AverageResult) -> Measured:
    exact = result.exact[kind]
    return gain_in_points(exact[len(exact) // 2], (exact[0] + exact[-1]) / 2, TEST_IMAGES)


def _won_by_exact_statistics(result: AverageResult) -> Measured:
    exact, averaged = (path["independent"] for path in (result.exact, result.averaged))
    return gain_in_points(exact[len(exact) // 2], averaged[len(averaged) // 2], TEST_IMAGES)


DECLARATIONS = (
    Declaration(
        id="batch-statistics-contrast",
        statement="On images with 0.3 of the ink, the statistics of each batch win a trained CNN (digits) 30 points.",
        source=NADO,
        study="served_shift",
        chapter=CHAPTER,
        control=SERVED,
        unit="points",
        margin=30.0,
        measure=lambda result: _mended("contrast", result),
        headline=True,
    ),
    Declaration(
        id="batch-statistics-inverted",
        statement="On inverted images, too, the statistics of each batch win a trained CNN (digits) 5 points.",
        source=FOLKLORE,
        study="served_shift",
        chapter=CHAPTER,
        control=SERVED,
        unit="points",
        margin=5.0,
        measure=lambda result: _mended("inverted", result),
    ),
    Declaration(
        id="batch-statistics-cost-clean",
        statement="On images as in training, the statistics of each batch cost a trained CNN (digits) over 2 points.",
        source=FOLKLORE,
        study="served_shift",
        chapter=CHAPTER,
        control=SERVED,
        unit="points",
        margin=2.0,
        measure=lambda result: gain_in_points(result.stored["clean"], result.by_batch["clean"], TEST_IMAGES),
    ),
    Declaration(
        id="half-way-recalibrated",
        statement="Half-way between the weights of two MLPs of 3 layers (digits) from different starts, statistics "
        "taken anew win 15 points over averaged ones.",
        source=REPAIR,
        study="weight_averaging",
        chapter=CHAPTER,
        control=PATH,
        unit="points",
        margin=15.0,
        measure=_won_by_exact_statistics,
    ),
    Declaration(
        id="half-way-as-good",
        statement="With statistics taken anew the network half-way between two MLPs from different starts (digits) is "
        "better than the two.",
        source=FOLKLORE,
        study="weight_averaging",
        chapter=CHAPTER,
        control=ENDS,
        unit="points",
        margin=0.0,
        measure=lambda result: _half_way_over_ends("independent", result),
    ),
)
