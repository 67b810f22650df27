import numpy as np
import pytest
from matplotlib.colors import same_color
from matplotlib.text import Annotation
from numpy.testing import assert_allclose

from bnlab import figures, reference
from bnlab.figures.gradients import EDGES, NODES, on_paper
from bnlab.figures.style import COLOURS

X_HAT = np.array([3.0, -5.0, 2.0]) / np.sqrt(38 / 3)
GRAD_Y = np.array([1.0, 1.5, -1.0])  # with a part along 1 (its mean is 0.5), one along x_hat and one along the circle
PASSED = GRAD_Y - GRAD_Y.mean() - X_HAT * (GRAD_Y * X_HAT).mean()
COUNTS = [2, 4, 16]
SHARES = np.linspace(0, 1, 33).reshape(3, 11)
STEPS = np.logspace(-9, -1, 9)
ERRORS = STEPS**2 + 1e-14 / STEPS  # least at 1e-5
WRONG = 0.3 + STEPS


def values_of_each_node():
    return [np.array([number + 0.25, -number]) for number in range(7)]


def line(axes, label):
    (found,) = [each for each in axes.get_lines() if str(each.get_label()).startswith(label)]
    return np.transpose(found.get_data())


@pytest.fixture
def circle_and_shares():
    return figures.gradient_on_the_circle(X_HAT, GRAD_Y, PASSED, COUNTS, SHARES).axes


# --- the graph


def test_backward_graph_writes_value_and_gradient_at_their_node():
    values = values_of_each_node()
    gradients = [-2 * value for value in values]
    (axes,) = figures.backward_graph(values, gradients).axes
    for number, (name, (across, up)) in enumerate(NODES.items()):
        here = {
            text.get_text(): text.get_color()
            for text in axes.texts
            if text.get_text() and text.get_position()[0] == across and abs(text.get_position()[1] - up) < 0.5
        }
        assert set(here) == {name, f"{number + 0.25}, {-number}", f"{-2 * number - 0.5}, {2 * number}"}
        assert same_color(here[f"{-2 * number - 0.5}, {2 * number}"], COLOURS["batch_norm"])


def test_backward_graph_writes_no_minus_before_a_zero():
    nodes = [np.array([-0.0, -1e-17, 2.0])] * 7
    (axes,) = figures.backward_graph(nodes, nodes).axes
    assert "0, 0, 2" in {text.get_text() for text in axes.texts}


def test_backward_graph_draws_an_arrow_for_every_use_of_a_node_in_the_forward_pass():
    (axes,) = figures.backward_graph(values_of_each_node(), values_of_each_node()).axes
    arrows = {(each.xyann, each.xy) for each in axes.texts if isinstance(each, Annotation)}
    uses = [
        ("x", "mean"),
        ("x", "centred"),  # x - mean
        ("mean", "centred"),
        ("centred", "var"),
        ("var", "inv_std"),
        ("centred", "x_hat"),  # centred * inv_std
        ("inv_std", "x_hat"),
        ("x_hat", "y"),
    ]
    assert sorted(EDGES) == sorted(uses)
    assert arrows == {(NODES[start], NODES[end]) for start, end in uses}


@pytest.mark.parametrize(("values", "gradients"), [(6, 7), (7, 6), (8, 8)])
def test_backward_graph_refuses_other_than_seven_values_and_gradients(values, gradients):
    arguments = [np.ones(2)] * values, [np.ones(2)] * gradients
    with pytest.raises(ValueError, match=rf"for each of x, mean, .*, y, got {values} values and {gradients} gradients"):
        figures.backward_graph(*arguments)


# --- the circle


def test_on_paper_is_an_orthographic_view_in_which_1_points_upwards():
    view = on_paper(np.eye(3))
    assert_allclose(view.T @ view, np.eye(2), atol=1e-12)
    across, up = on_paper(np.ones(3))
    assert_allclose(across, 0, atol=1e-12)
    assert up > 1


def test_every_normalised_channel_of_three_lies_on_the_drawn_circle(rng, circle_and_shares):
    drawn = np.concatenate([each.get_xydata() for each in circle_and_shares[0].get_lines()[:2]])
    x_hat = reference.batch_norm_forward(rng.normal(size=(3, 50)), np.ones(50), np.zeros(50), eps=1e-12)[1].x_hat
    nearest = np.linalg.norm(on_paper(x_hat.T)[:, None] - drawn, axis=2).min(axis=1)
    assert nearest.max() < 0.04  # the circle is drawn in steps of 0.06


def test_the_near_half_of_the_circle_is_solid_and_the_far_half_dashed(circle_and_shares):
    far, near = circle_and_shares[0].get_lines()[:2]
    assert (far.get_linestyle(), near.get_linestyle()) == ("--", "-")
    assert near.get_ydata().max() <= far.get_ydata().min() + 0.05  # seen from above, what is near is lower


def test_the_arrows_lead_from_x_hat_to_what_arrives_and_to_what_passes(circle_and_shares):
    arrows = [each for each in circle_and_shares[0].texts if isinstance(each, Annotation) and each.arrow_patch]
    assert_allclose([each.xyann for each in arrows], [on_paper(X_HAT)] * 2)
    tips = {each.arrow_patch.get_facecolor(): each.xy for each in arrows}
    for role, vector in (("theory", GRAD_Y), ("batch_norm", PASSED)):
        (tip,) = [tip for colour, tip in tips.items() if same_color(colour, COLOURS[role])]
        assert_allclose(tip, on_paper(X_HAT + vector))


def test_the_two_parts_taken_out_lead_from_what_passes_to_what_arrives(circle_and_shares):
    along_x_hat, along_one = (line(circle_and_shares[0], f"taken out, along {name}") for name in ("x_hat", "1"))
    assert_allclose(along_x_hat[0], on_paper(X_HAT + PASSED))
    assert_allclose(along_x_hat[1] - along_x_hat[0], on_paper(X_HAT * (GRAD_Y * X_HAT).mean()))
    assert_allclose(along_one[0], along_x_hat[1])
    assert_allclose(along_one[1] - along_one[0], on_paper(np.full(3, 0.5)), atol=1e-12)


def test_the_shares_are_drawn_as_means_and_ranges_beside_the_theory(circle_and_shares):
    axes = circle_and_shares[1]
    assert_allclose(line(axes, "their mean"), np.stack([COUNTS, SHARES.mean(axis=1)], axis=1))
    (ranges,) = axes.collections
    expected = [[(m, row[1]), (m, row[-2])] for m, row in zip(COUNTS, SHARES, strict=True)]  # 11 draws: 10% and 90%
    assert_allclose(ranges.get_segments(), expected)
    m, share = line(axes, "(m - 2) / m").T
    assert_allclose(share, 1 - 2 / m, atol=1e-12)
    assert_allclose([m[0], m[-1]], [2, 16])


@pytest.mark.usefixtures("no_shape_checker")
@pytest.mark.parametrize("which", [0, 1, 2])
def test_gradient_on_the_circle_refuses_vectors_of_other_than_three_elements(which):
    vectors = [X_HAT, GRAD_Y, PASSED]
    vectors[which] = vectors[which][:2]
    with pytest.raises(ValueError, match=r"expected x_hat, grad_y and passed of shape \(3,\), got .*\(2,\)"):
        figures.gradient_on_the_circle(*vectors, COUNTS, SHARES)


@pytest.mark.usefixtures("no_shape_checker")
@pytest.mark.parametrize("shares", [SHARES[:2], SHARES[:, 0]])
def test_gradient_on_the_circle_refuses_shares_without_a_row_for_each_count(shares):
    with pytest.raises(ValueError, match=r"expected shares of shape \(3, draws\), got"):
        figures.gradient_on_the_circle(X_HAT, GRAD_Y, PASSED, COUNTS, shares)


# --- finite differences


def test_finite_difference_errors_draws_both_gradients_and_marks_the_best_step_of_the_right_one():
    (axes,) = figures.finite_difference_errors(STEPS, ERRORS, WRONG).axes
    assert_allclose(line(axes, "the right gradient"), np.stack([STEPS, ERRORS], axis=1))
    assert_allclose(line(axes, "a wrong gradient"), np.stack([STEPS, WRONG], axis=1))
    assert_allclose(line(axes, "its best step, 1e-05"), [(STEPS[4], ERRORS[4])])
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


@pytest.mark.parametrize("order", [1, -1])  # steps may rise or fall
@pytest.mark.parametrize(("label", "at", "slope"), [("rounding", 0, -1), ("truncation", -1, 2)])
def test_finite_difference_errors_draws_both_slopes_through_the_outermost_errors(label, at, slope, order):
    (axes,) = figures.finite_difference_errors(STEPS[::order], ERRORS[::order], WRONG).axes
    guide = line(axes, label)[::order]
    assert_allclose(guide[at], (STEPS[at], ERRORS[at]))
    assert_allclose(np.diff(np.log(guide[:, 1])) / np.diff(np.log(guide[:, 0])), slope)
    assert 2 < len(guide) < len(STEPS)  # cut off where it would leave the picture


@pytest.mark.parametrize(
    ("errors", "wrong", "message"),
    [
        (ERRORS[1:], WRONG, r"got shapes \(9,\), \(8,\), \(9,\)"),
        (ERRORS, WRONG[1:], r"got shapes \(9,\), \(9,\), \(8,\)"),
        (ERRORS - ERRORS.min(), WRONG, "errors must be above 0 .* got 0.0"),
        (ERRORS, WRONG - WRONG.min(), "errors must be above 0 .* got 0.0"),
    ],
)
def test_finite_difference_errors_refuses(errors, wrong, message):
    with pytest.raises(ValueError, match=message):
        figures.finite_difference_errors(STEPS, errors, wrong)
