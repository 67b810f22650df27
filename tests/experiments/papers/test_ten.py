"""The ten figures: each verdict comes out all three ways when results are changed, and none says more than it may."""

import dataclasses

import numpy as np
import pytest

from bnlab.experiments import papers
from bnlab.experiments.claims import ledger
from bnlab.experiments.claims.claim import Declaration
from bnlab.experiments.papers import findings
from bnlab.experiments.studies import STUDIES

OWN = [one for one in vars(findings).values() if isinstance(one, Declaration)]


@pytest.fixture(scope="module")
def stored():
    return papers.stored_results()


def changed(result, **fields):
    """A copy of a result in which arms of dictionaries, or whole arrays, are replaced."""
    return dataclasses.replace(
        result, **{name: getattr(result, name) | new if isinstance(new, dict) else new for name, new in fields.items()}
    )


def flat(result, *names):
    """A copy in which all numbers of these fields, or of all, are 0.5, so that no arm differs from another."""

    def half(value):
        if isinstance(value, dict):
            return {key: np.full_like(array, 0.5, dtype=float) for key, array in value.items()}
        return np.full_like(value, 0.5, dtype=float)

    chosen = names or [f.name for f in dataclasses.fields(result) if f.name not in {"config", "provenance"}]
    return dataclasses.replace(result, **{name: half(getattr(result, name)) for name in chosen})


def nothing_differs(results):
    return {name: flat(result) for name, result in results.items()}


def dearer_noise(results):
    alike = flat(results["noisy_norm"])
    return {"noisy_norm": changed(alike, train_loss={"batch_norm 0.5": 9 * alike.train_loss["batch_norm"]})}


def free_noise(results):
    result = results["noisy_norm"]
    return {"noisy_norm": changed(result, train_loss={"batch_norm 0.5": flat(result).train_loss["batch_norm"] / 1e3})}


def plain_like_norm(results):
    result = results["convergence_relu"]
    return {"convergence_relu": changed(result, validation={"no_norm": result.validation["batch_norm"]})}


def rough_without_norm(results):
    made = {}
    for name in ("landscape", "landscape_higher_rate"):
        result = results[name]
        along, change = 2 + 9 * result.loss_along["no_norm"], 9 * result.change["no_norm"]
        made[name] = changed(result, loss_along={"no_norm": along}, change={"no_norm": change})
    return made


def one_landscape(results):
    made = {}
    for name in ("landscape", "landscape_higher_rate"):
        result = results[name]
        alike = {field: {"no_norm": getattr(result, field)["batch_norm"]} for field in ("loss", "loss_along", "change")}
        made[name] = changed(result, **alike, gradient={"no_norm": result.gradient["batch_norm"]})
    return made


def slight_growth(results):
    result = results["activation_growth"]
    grown = result.mean_square["no_norm"].copy()
    grown[-1] = 50 * grown[0]
    return {"activation_growth": changed(result, mean_square={"no_norm": grown})}


def small_everywhere(results):
    result = results["residual_signal"]
    return {"residual_signal": changed(result, branch={"batch_norm": 0.01 * result.skip["batch_norm"]})}


def norm_fails_on_maps(results):
    result = results["small_batches_cnn"]
    return {"small_batches_cnn": changed(result, test={"batch_norm": flat(result).test["batch_norm"]})}


def gammas_off(results):
    result = results["affine_only"]
    return {"affine_only": changed(result, gamma={"affine": 0 * result.gamma["affine"]})}


def free_last_batch(results):
    result = results["running_statistics"]
    running = result.running.copy()
    running[:, :, -1] = result.recalibrated
    return {"running_statistics": changed(result, running=running)}


CHANGES = {  # the verdict on the stored results, and changes that lead to the others
    "sigmoid-inputs": {
        "same direction": None,
        "partly": lambda results: {"input_drift": flat(results["input_drift"])},
        "not here": nothing_differs,
    },
    "steps-by-rate": {"same direction": None, "partly": plain_like_norm, "not here": nothing_differs},
    "noisy-norm": {"same direction": free_noise, "partly": None, "not here": dearer_noise},
    "landscape": {"same direction": rough_without_norm, "partly": None, "not here": one_landscape},
    "activations": {"same direction": None, "partly": slight_growth, "not here": nothing_differs},
    "gradient-growth": {
        "same direction": None,
        "partly": lambda results: {"signal_propagation": flat(results["signal_propagation"])},
        "not here": nothing_differs,
    },
    "residual-branch": {"same direction": None, "partly": small_everywhere, "not here": nothing_differs},
    "batch-size": {"same direction": norm_fails_on_maps, "partly": None, "not here": nothing_differs},
    "gamma-only": {"same direction": gammas_off, "partly": None, "not here": nothing_differs},
    "running-average": {"same direction": None, "partly": free_last_batch, "not here": nothing_differs},
}


@pytest.mark.parametrize(
    ("name", "verdict", "change"),
    [(name, verdict, change) for name, ways in CHANGES.items() for verdict, change in ways.items()],
)
def test_a_verdict_follows_the_results(stored, name, verdict, change):
    results = stored | (change(stored) if change else {})
    assert papers.redrawn(name).judge(results).verdict == verdict


def test_there_are_ten_and_each_is_tried_all_three_ways():
    assert [one.id for one in papers.TEN] == [*CHANGES]
    assert len(papers.TEN) == 10


def test_a_finding_of_the_ledger_has_the_ledgers_verdict(stored):
    judged = {claim.id: claim.verdict for row in papers.judge(stored) for claim in row.claims}
    known = {claim.id: claim.verdict for claim in ledger()}
    common = judged.keys() & known.keys()
    assert len(common) >= 10
    assert [judged[name] for name in common] == [known[name] for name in common]


def test_what_is_declared_beside_the_ledger_is_needed_and_says_no_claim_again():
    used = {finding.declaration.id for one in papers.TEN for finding in one.findings}
    assert used >= {one.id for one in OWN}
    assert not {one.id for one in OWN} & {claim.id for claim in ledger()}


@pytest.mark.parametrize("one", OWN, ids=lambda one: one.id)
def test_a_declaration_is_a_sentence_with_its_control(one):
    assert one.statement.endswith(".")
    assert one.control.endswith(".")
    assert "arXiv:" in one.source


@pytest.mark.parametrize("one", papers.TEN, ids=lambda one: one.id)
def test_a_figure_says_where_it_is_from_and_what_differs(one):
    assert ", arXiv:" in one.paper
    assert one.reports.endswith(".")
    assert one.differs.endswith(".")
    assert not ("Direction only" in one.reports and "%" in one.reports)
    assert set(one.studies) <= set(STUDIES)
    assert len({finding.label for finding in one.findings}) == len(one.findings)


def test_no_number_of_the_paper_that_must_not_be_quoted():
    reports = papers.redrawn("running-average").reports
    assert not any(letter.isdigit() for letter in reports)


def test_steps_at_the_next_rate_need_one(stored):
    result = stored["convergence_relu"]
    falling = np.arange(len(result.config.learning_rates), 0, -1.0)[:, None].repeat(10, axis=1)
    with pytest.raises(ValueError, match="expected rates beyond the plain network's best, got"):
        findings.plain_and_next(changed(result, validation={"no_norm": falling}))


def test_two_runs_that_were_given_up_are_equal(stored):
    result = stored["convergence_relu"]
    steps = np.full_like(result.validation["no_norm"], np.inf)
    steps[2], steps[3:, :4] = 30.0, 60.0
    steps[2, 9] = np.inf
    values = findings.LARGER_RATE_HURTS.measure(changed(result, validation={"no_norm": steps})).values
    assert list(values) == [2.0] * 4 + [np.inf] * 5 + [1.0]


def test_what_an_average_costs_is_read_at_its_step_and_momentum(stored):
    result = stored["running_statistics"]
    running = np.repeat(result.recalibrated[:, :, None], len(result.config.momenta), axis=2).copy()
    running[:, 0, 1] -= 0.2
    running[:, 2, 3] -= 0.03
    running[:, 2, 1] -= 0.05
    made = changed(result, running=running)
    measured = [one.measure(made).values for one in (findings.LAG_COSTS, findings.LAST_BATCH_COSTS, findings.LAG_FADES)]
    assert [values.tolist() for values in measured] == [pytest.approx([cost] * 10) for cost in (20.0, 3.0, 15.0)]
