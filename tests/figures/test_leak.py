import numpy as np
import pytest

from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import future_leak
from bnlab.figures.leak import ROLES, edited_future, loss_by_mode

SEEDS = (0, 1, 2)


@pytest.fixture
def result(rng):
    config = future_leak.Config(seeds=SEEDS, tosses=5, batch_sizes=(1, 4), edited=3)
    moved = {"batch_norm": rng.random((2, 5, 3)), "layer_norm": np.zeros((2, 5, 3))}
    moved["layer_norm"][:, 3:] = rng.random((2, 2, 3))
    elsewhere = {"batch_norm": rng.random((2, 5, 3)), "layer_norm": np.zeros((2, 5, 3))}
    for arm in elsewhere.values():
        arm[0] = np.nan
    losses = {mode: {arm: 0.4 + rng.random((2, 3)) for arm in ROLES} for mode in ("training_mode", "evaluation_mode")}
    return future_leak.Result(
        config=config,
        provenance=Provenance("2026-01-31", {}, "0123456789ab"),
        moved=moved,
        moved_elsewhere=elsewhere,
        **losses,
    )


def curves(ax):
    """The lines through medians, by label."""
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


def test_medians_are_drawn_by_step_for_every_batch_and_layer_norm_once(result):
    left, right = edited_future(result, title="t").axes
    assert list(curves(left)) == ["batch norm, 1 sequence", "batch norm, 4 sequences", "layer norm"]
    for label, numbers in (
        ("batch norm, 1 sequence", result.moved["batch_norm"][0]),
        ("batch norm, 4 sequences", result.moved["batch_norm"][1]),
        ("layer norm", result.moved["layer_norm"][1]),
    ):
        assert list(curves(left)[label].get_xdata()) == [0, 1, 2, 3, 4]
        assert curves(left)[label].get_ydata() == pytest.approx(np.median(numbers, 1))
    assert list(curves(right)) == ["batch norm, 4 sequences", "layer norm"]
    assert curves(right)["batch norm, 4 sequences"].get_ydata() == pytest.approx(
        np.median(result.moved_elsewhere["batch_norm"][1], 1)
    )


def test_every_seed_is_a_dot_at_its_step(result):
    left = edited_future(result, title="t").axes[0]
    dots = [line for line in left.lines if line.get_marker() == "o" and line.get_color() == ROLES["batch_norm"]]
    assert len(dots) == 10
    for step, line in enumerate(dots[5:]):
        assert line.get_ydata() == pytest.approx(result.moved["batch_norm"][1, step])
        assert np.asarray(line.get_xdata()) == pytest.approx(step, abs=0.2)


def test_zero_is_on_the_axis_and_the_changed_token_is_marked(result):
    figure = edited_future(result, title="t")
    for ax in figure.axes:
        low, high = ax.get_ylim()
        assert low < 0
        assert high > 1
        assert next(iter(ax.get_yticks())) == 0
        assert [list(line.get_xdata()) for line in ax.lines if line.get_linestyle() == "--"] == [[3, 3]]
    assert "step 3 was changed" in figure.get_supxlabel()


def test_losses_are_open_in_training_mode_and_filled_in_evaluation_mode(result):
    ax = loss_by_mode(result, title="t").axes[0]
    dots = iter(line for line in ax.lines if line.get_marker() == "o")
    for place in range(2):
        for arm in ROLES:
            for mode in ("training_mode", "evaluation_mode"):
                line = next(dots)
                assert line.get_ydata() == pytest.approx(getattr(result, mode)[arm][place])
                assert (line.get_markerfacecolor() == "white") == (mode == "training_mode")
                assert line.get_color() == ROLES[arm]
                assert np.asarray(line.get_xdata()) == pytest.approx(place, abs=0.4)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1 sequence", "4 sequences"]


def test_no_loss_lies_outside_and_the_floor_is_log_2(result):
    ax = loss_by_mode(result, title="t").axes[0]
    low, high = ax.get_ylim()
    for arms in (result.training_mode, result.evaluation_mode):
        assert all(((losses > low) & (losses < high)).all() for losses in arms.values())
    floor = next(line for line in ax.lines if line.get_linestyle() == "--")
    assert floor.get_ydata() == pytest.approx([np.log(2)] * 2)
