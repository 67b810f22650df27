"""What chapter 12's claims of smoothness read off a result, on results made up so that the answer is known."""

import numpy as np
import pytest

from bnlab.experiments.claims import explanations_smoothness
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import study_of
from bnlab.experiments.studies.landscape import Config, Result

DECLARATIONS = {one.id: one for one in explanations_smoothness.DECLARATIONS}
SEEDS, LOOKS = 10, 10
SIZES, SHARES = Config().step_sizes, Config().shares


def measured(id, **numbers):  # noqa: A002 - that is what it is called everywhere
    """What a claim reads off a result in which these arms have these values at every look and all others 7."""
    shapes = dict.fromkeys(("loss", "gradient", "predicted"), (LOOKS, SEEDS))
    shapes |= dict.fromkeys(("loss_along", "change"), (LOOKS, len(SIZES), SEEDS))
    shapes |= dict.fromkeys(("loss_at_share", "change_at_share"), (LOOKS, len(SHARES), SEEDS))
    arms = ("no_norm", "batch_norm", "rescaled")
    filled = {name: {arm: np.full(shape, 7.0) for arm in arms} for name, shape in shapes.items()}
    for name, values in numbers.items():
        for arm, value in values.items():
            filled[name][arm] = np.broadcast_to(np.asarray(value, dtype=float), shapes[name]).copy()
            filled[name][arm][-1] *= 100  # one look of ten that is far off
    return DECLARATIONS[id].measure(Result(config=Config(), provenance=Provenance("2026-01-31", {}, "0"), **filled))


def constant(value):
    return pytest.approx(np.full(SEEDS, value))


def column(*values):
    """One value a step, for all looks and seeds."""
    return np.array(values)[:, None]


@pytest.mark.parametrize("id", ["norm-flattens-loss", "flatter-at-a-higher-rate"])
def test_the_range_of_the_loss_is_that_without_norm_over_that_with_it(id):  # noqa: A002
    along = {"no_norm": column(7, 6, 4, 8), "batch_norm": column(7, 6, 6, 7)}
    assert measured(id, loss_along=along).values == constant(4.0)


def test_the_changes_of_the_gradient_are_the_largest_ones():
    change = {"no_norm": column(1, 2, 9, 3), "batch_norm": column(3, 2, 2, 1)}
    assert measured("norm-steadies-gradient", change=change).values == constant(3.0)


@pytest.mark.parametrize(
    ("id", "more", "less"),
    [
        ("norm-smooths-loss", "no_norm", "batch_norm"),
        ("smoother-untrained", "no_norm", "batch_norm"),
        ("smoothness-has-a-unit", "rescaled", "batch_norm"),
        ("rescaled-norm-rougher", "rescaled", "no_norm"),
    ],
)
def test_smoothness_is_compared_for_the_distance_moved(id, more, less):  # noqa: A002
    change = {more: np.full((len(SIZES), 1), 6.0), less: np.full((len(SIZES), 1), 2.0)}
    assert measured(id, change=change, gradient={more: 2.0, less: 1.0}).values == constant(1.5)


def test_the_untrained_networks_are_those_at_the_first_look():
    change = np.full((LOOKS, len(SIZES), SEEDS), 2.0)
    change[0] = 8.0
    assert measured("smoother-untrained", change={"no_norm": change, "batch_norm": 2.0}).values == constant(4.0)
    assert measured("norm-smooths-loss", change={"no_norm": change, "batch_norm": 2.0}).values == constant(1.0)


@pytest.mark.parametrize(
    ("id", "expected"),
    [
        ("norm-predicts-farther", 10.0),
        ("norm-predicts-farther-at-a-higher-rate", 10.0),
        ("norm-promises-more", 30.0),
        ("norm-promises-more-on-digits", 30.0),
    ],
)
def test_the_gradient_is_trusted_as_far_as_half_of_the_decrease_comes(id, expected):  # noqa: A002
    def losses(last, slope):
        """From 7 down a line of this slope, and back at 7 behind the share `last`, which half is then at."""
        return column(*(7 - slope * share * (0.5 if share == last else 1.0) * (share <= last) for share in SHARES))

    at_share = {"no_norm": losses(0.002, 1.0), "batch_norm": losses(0.02, 3.0)}
    found = measured(id, loss_at_share=at_share, predicted={"no_norm": 1.0, "batch_norm": 3.0})
    assert found.values == constant(expected)


def test_the_relative_change_of_the_gradient_is_that_of_a_step_of_a_hundredth():
    heights = {"no_norm": 1.5, "batch_norm": 0.6}
    change = {arm: column(*(height if share == 0.01 else 7 for share in SHARES)) for arm, height in heights.items()}
    assert measured("norm-steadies-relative-gradient", change_at_share=change).values == constant(2.5)


def test_every_claim_is_of_the_chapter_and_says_what_it_holds_fast():
    assert len(DECLARATIONS) == len(explanations_smoothness.DECLARATIONS) == 12
    assert {one.chapter for one in DECLARATIONS.values()} == {"12_why_it_works"}
    for one in DECLARATIONS.values():
        rate = study_of(one.study).config().learning_rate
        assert (rate == 0.2) == ("rate of 0.2" in one.statement)
        assert (study_of(one.study).config().dataset == "digits") == ("digits" in one.statement)
        assert f"rate {rate:g}" in one.control or "rate" not in one.control
        assert one.control.endswith(".")
        assert 20 < len(one.statement) <= 220
