"""The ten figures, on the stored results: what each panel draws, and how it names itself."""

import dataclasses

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bnlab.experiments import papers
from bnlab.experiments.studies.signal_propagation import GROWTH_IN_THEORY
from bnlab.figures.papers import PANELS, redrawn_figure, ten_figures
from bnlab.figures.scale_and_depth import OVERFLOW
from bnlab.figures.style import COLOURS


@pytest.fixture(scope="module")
def results():
    return papers.stored_results()


def drawn(name, results, axes=0):
    return redrawn_figure(name, results, title="t").axes[axes]


def named(ax):
    return {line.get_label(): line for line in ax.lines}


def dots_at(ax, x, role):
    """Heights of the dots of this colour that stand at this place."""
    found = [one for one in ax.lines if one.get_marker() == "o" and one.get_color() == COLOURS[role]]
    return [height for one in found for at, height in zip(one.get_xdata(), one.get_ydata(), strict=True) if at == x]


def title_of(ax):
    return ax.get_title() or ax.get_title(loc="left")  # the style moves it to the left


def test_the_sheet_has_a_panel_for_each_with_its_paper_verdict_and_finding(results):
    sheet = ten_figures(results, title="the finding")
    assert sheet.get_suptitle() == "the finding"
    panels = [ax for ax in sheet.axes if ax.get_subplotspec()]
    assert [panel.get_subplotspec().get_geometry()[:2] for panel in panels] == [(5, 2)] * 10
    for number, (panel, row) in enumerate(zip(panels, papers.judge(results), strict=True), start=1):
        first, *rest = title_of(panel).splitlines()
        assert first == f"{number}. {row.redrawn.paper.partition(', arXiv')[0]}: {row.verdict}"
        assert " ".join(rest) == row.headline
        assert max(map(len, rest)) <= 56


@pytest.mark.parametrize("name", PANELS)
def test_a_figure_alone_has_its_axes_named(results, name):
    figure = redrawn_figure(name, results, title="the finding")
    row = papers.redrawn(name).judge(results)
    assert figure.get_suptitle() == "the finding"
    assert title_of(figure.axes[0]).splitlines()[0].endswith(f": {row.verdict}")
    inner = figure.axes[0].child_axes or figure.axes
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in inner)


@pytest.mark.parametrize("name", ["batch-size", "gamma-only"])  # those that say most
def test_the_title_of_a_figure_alone_fits_its_width(results, name):
    figure = redrawn_figure(name, results, title="t")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    ax = figure.axes[0]
    box = (ax.title if ax.title.get_text() else ax._left_title).get_window_extent(canvas.get_renderer())
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width


def test_a_title_follows_the_results(results):
    result = results["affine_only"]
    changed = dataclasses.replace(result, gamma=result.gamma | {"affine": 0 * result.gamma["affine"]})
    assert "same direction" in title_of(drawn("gamma-only", results | {"affine_only": changed}))


def test_a_figure_needs_no_results_but_its_own(results):
    own = {name: results[name] for name in papers.redrawn("noisy-norm").studies}
    assert drawn("noisy-norm", own).lines


def test_every_id_has_a_panel_and_an_unknown_one_is_refused(results):
    assert [*PANELS] == [one.id for one in papers.TEN]
    with pytest.raises(ValueError, match="expected the id of a figure, such as noisy-norm, got 'noisynorm'"):
        redrawn_figure("noisynorm", results, title="t")


def test_sigmoids_have_their_accuracy_and_the_inputs_of_one_unit(results):
    left, right = drawn("sigmoid-inputs", results).child_axes
    steps, drift = results["convergence"], results["input_drift"]
    for arm, place, label in (("no_norm", "no_norm", "no norm"), ("batch_norm", "after_norm", "batch norm")):
        curve = 100 * np.median(steps.curves[arm], axis=1)
        assert named(left)[label].get_ydata() == pytest.approx(curve[~np.isnan(curve)])
        [line] = [one for one in right.lines if one.get_color() == COLOURS[arm]]
        assert list(line.get_ydata()) == list(drift.quantiles[place][0, -1, :, 1, 0])
    heights = right.collections[1].get_paths()[0].vertices[:, 1]
    of_norm = drift.quantiles["after_norm"][0, -1, :, :, 0]
    assert (heights.min(), heights.max()) == (of_norm.min(), of_norm.max())


def test_rates_are_multiples_of_the_plain_networks_best(results):
    ax, result = drawn("steps-by-rate", results), results["convergence_relu"]
    best = result.config.learning_rates[result.best_rate("no_norm")]
    multiples = np.array(result.config.learning_rates) / best
    medians = np.median(result.validation["batch_norm"], axis=1)
    assert list(named(ax)["batch norm"].get_ydata()) == list(medians)
    assert list(named(ax)["batch norm"].get_xdata()) == list(multiples)
    assert sorted(dots_at(ax, 1.0, "no_norm")) == sorted(result.validation["no_norm"][result.best_rate("no_norm")])
    never = 2 * result.config.steps
    assert dots_at(ax, multiples[-1], "no_norm") == [never] * 10
    assert dict(zip(ax.get_yticks(), [text.get_text() for text in ax.get_yticklabels()], strict=True))[never] == "never"


@pytest.mark.parametrize(
    ("arm", "label"),
    [("no_norm", "no norm"), ("batch_norm", "batch norm"), ("batch_norm 0.5", "batch norm, noise 0.5")],
)
def test_noisy_networks_stand_at_their_drift_and_accuracy(results, arm, label):
    ax, result = drawn("noisy-norm", results), results["noisy_norm"]
    drift = result.over_training("drift", arm, result.best_rate(arm))
    assert list(named(ax)[label].get_xdata()) == list(drift)
    assert list(named(ax)[label].get_ydata()) == list(100 * result.test[arm])
    crosses = [(one.get_xdata()[0], one.get_ydata()[0]) for one in ax.lines if one.get_marker() == "+"]
    assert (np.median(drift), np.median(100 * result.test[arm])) in crosses


def test_the_landscape_spans_what_the_loss_takes_on_the_line(results):
    ax, result = drawn("landscape", results), results["landscape"]
    for band, arm in zip(ax.collections, ("no_norm", "batch_norm"), strict=True):
        seeds = [np.vstack([result.loss[arm][None, look], result.loss_along[arm][look]]) for look in range(10)]
        edges = {np.median(one.min(0)) for one in seeds} | {np.median(one.max(0)) for one in seeds}
        assert edges <= set(band.get_paths()[0].vertices[:, 1])
    assert list(named(ax)["no norm"].get_ydata()) == list(np.median(result.loss["no_norm"], axis=1))


def test_activations_stand_at_the_edge_where_they_overflow(results):
    ax, result = drawn("activations", results), results["activation_growth"]
    with_norm = result.mean_square["batch_norm"][-1, result.config.learning_rates.index(1.0)]
    assert list(named(ax)["batch norm"].get_ydata()) == list(np.median(with_norm, axis=1))
    assert named(ax)["no norm"].get_ydata()[-1] == OVERFLOW
    starts = [one for one in ax.lines if one.get_linestyle() == "--"]
    assert list(starts[0].get_ydata()) == list(np.median(result.mean_square["no_norm"][0, 3], axis=1))


def test_the_gradient_is_relative_to_the_last_layers(results):
    ax, result = drawn("gradient-growth", results), results["signal_propagation"]
    at_he = result.gradient["batch_norm"][result.config.scales.index(1.0)]
    assert named(ax)["batch norm"].get_ydata() == pytest.approx(np.median(at_he / at_he[-1], axis=1))
    theory = named(ax)[f"{GROWTH_IN_THEORY:.3f} a layer"].get_ydata()
    assert theory[0] / theory[10] == pytest.approx(GROWTH_IN_THEORY**10)


def test_branches_stand_beside_one_over_l(results):
    ax, result = drawn("residual-branch", results), results["residual_signal"]
    assert list(named(ax)["batch norm"].get_ydata()) == list(np.median(result.ratio("batch_norm"), axis=1))
    assert named(ax)["1 / l"].get_ydata() == pytest.approx(1 / np.arange(1, 65))


@pytest.mark.parametrize(
    ("label", "study", "arm"),
    [
        ("batch norm, MLP", "small_batches", "batch_norm"),
        ("layer norm, MLP", "small_batches", "layer_norm"),
        ("batch norm, CNN", "small_batches_cnn", "batch_norm"),
        ("group norm, CNN", "small_batches_cnn", "group_norm"),
    ],
)
def test_errors_by_batch_size_are_means(results, label, study, arm):
    line = named(drawn("batch-size", results))[label]
    assert line.get_ydata() == pytest.approx(100 - 100 * results[study].test[arm].mean(axis=1))
    assert list(line.get_xdata()) == list(results[study].config.batch_sizes)


def test_what_is_trained_stands_under_its_accuracies(results):
    ax, result = drawn("gamma-only", results), results["affine_only"]
    assert dots_at(ax, 1, "batch_norm") == list(100 * result.test["affine"])
    assert [text.get_text().splitlines()[-1] for text in ax.get_xticklabels()] == [
        "(19,034)",
        "(288)",
        "(170)",
        "(288)",
    ]


def test_the_cost_of_an_average_is_at_the_best_rate(results):
    ax, result = drawn("running-average", results), results["running_statistics"]
    gap = 100 * result.gap(result.best_rate())
    assert list(named(ax)["after 1,000 steps"].get_ydata()) == list(gap[2].mean(axis=1))
    assert dots_at(ax, 0.01, "input") == list(gap[0, 1])
