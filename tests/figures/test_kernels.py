import numpy as np
import pytest
from numpy.testing import assert_allclose

from bnlab.figures.kernels import LEAST, ROLES, error_by_offset
from bnlab.reference.variance import ALGORITHMS

OFFSETS = np.array([1.0, 100.0, 10_000.0])
ERRORS = {
    "raw_moments": np.array([[1e-6, 1e-2, 3.0], [2e-6, 4e-2, 5.0], [9e-6, 9e-2, 9.0]]),
    "shifted": np.array([[0.0, 1e-7, 1e-7], [0.0, 1e-7, 2e-7], [1e-7, 1e-7, 3e-7]]),
}


@pytest.fixture
def axes():
    return error_by_offset(ERRORS, OFFSETS, broken=0.01, title="One breaks").axes[0]


def test_error_by_offset_draws_the_median_of_each_algorithm_under_its_name(axes):
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert_allclose(lines["raw moments"].get_ydata(), [2e-6, 4e-2, 5.0])
    assert_allclose(lines["raw moments"].get_xdata(), OFFSETS)


def test_error_by_offset_draws_every_seed_and_an_error_of_0_at_the_least(axes):
    dots = [line for line in axes.get_lines() if line.get_marker() == "o"]
    assert_allclose(dots[1].get_ydata(), np.maximum(ERRORS["shifted"], LEAST).ravel())
    assert_allclose(dots[1].get_xdata(), [*OFFSETS, *OFFSETS, *OFFSETS])


def test_error_by_offset_marks_where_a_variance_is_lost(axes):
    dashed = [line for line in axes.get_lines() if line.get_linestyle() == "--"]
    assert [list(line.get_ydata()) for line in dashed] == [[0.01, 0.01]]
    assert any("1%" in text.get_text() for text in axes.texts)


def test_error_by_offset_has_a_colour_for_each_algorithm():
    assert set(ROLES) == set(ALGORITHMS)
    assert len(set(ROLES.values())) == len(ROLES)


@pytest.mark.parametrize("errors", [{"shifted": np.ones((2, 4))}, {"kahan": np.ones((2, 3))}, {"chan": np.ones(3)}])
def test_error_by_offset_refuses_other_shapes_and_names(errors):
    with pytest.raises(ValueError, match=r"expected errors of .* of shape \(seeds, 3\), got"):
        error_by_offset(errors, OFFSETS, broken=0.01, title="Refused")
