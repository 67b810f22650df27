import numpy as np
import pytest
from numpy.testing import assert_allclose

from bnlab import figures

EPS = 1e-5
VAR = np.logspace(-12, 2, 15)  # far below eps to far above it


@pytest.fixture
def axes():
    std = np.sqrt(VAR)
    return figures.epsilon_placement(VAR, std / np.sqrt(VAR + EPS), std / (std + EPS), eps=EPS).axes[0]


def line(axes, label_start):
    (found,) = [each for each in axes.get_lines() if str(each.get_label()).startswith(label_start)]
    return found


def test_epsilon_placement_draws_each_measured_curve_under_its_own_label(axes):
    std = np.sqrt(VAR)
    for label, expected in (("inside", std / np.sqrt(VAR + EPS)), ("outside", std / (std + EPS))):
        assert_allclose(line(axes, label).get_xdata(), VAR)
        assert_allclose(line(axes, label).get_ydata(), expected)


def test_epsilon_placement_draws_the_largest_gain_up_to_a_variance_of_eps(axes):
    dashed = line(axes, "a gain of")
    assert dashed.get_label().endswith("316")
    assert_allclose(dashed.get_ydata() / np.sqrt(dashed.get_xdata()), 1 / np.sqrt(EPS))
    assert_allclose(dashed.get_xdata(), [VAR[0], EPS])


def test_epsilon_placement_marks_where_the_variance_equals_eps(axes):
    assert any(np.array_equal(each.get_xdata(), [EPS, EPS]) for each in axes.get_lines())


def test_epsilon_placement_has_logarithmic_axes_named_in_words(axes):
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert "variance" in axes.get_xlabel()
    assert "standard deviation" in axes.get_ylabel()


def test_epsilon_placement_refuses_arrays_of_different_lengths():
    with pytest.raises(ValueError, match=r"got shapes \(15,\), \(15,\), \(14,\)"):
        figures.epsilon_placement(VAR, VAR, VAR[1:], eps=EPS)
