import numpy as np
import pytest
from matplotlib.collections import LineCollection
from numpy.testing import assert_allclose

from bnlab import figures
from bnlab.figures.calibration import wilson_interval

# Four groups: 25 and 35, 50 alone, 60 and 74 (a group's first and nearly its last), and 100; 80 to 89 stays empty.
CONFIDENCE = np.array([25, 35, 50, 60, 74, 100, 100, 100])
RIGHT = np.array([False, True, True, False, False, True, True, False])


@pytest.fixture
def axes():
    return figures.calibration_curve(CONFIDENCE, RIGHT).axes[0]


def points(axes):
    (found,) = [line for line in axes.get_lines() if line.get_marker() == "o"]
    return np.transpose(found.get_data())


def test_each_group_stands_at_its_mean_confidence_and_its_share_of_right_answers(axes):
    assert_allclose(points(axes), [[30, 50], [50, 100], [67, 0], [100, 200 / 3]])


def test_a_group_begins_with_its_edge():
    confidence = np.array([39, 40, 59, 60, 74, 75, 89, 90, 100])
    axes = figures.calibration_curve(confidence, np.ones(9, dtype=bool)).axes[0]
    assert_allclose(points(axes)[:, 0], [39, 49.5, 67, 82, 95])


def test_each_group_has_its_count(axes):
    assert [text.get_text() for text in axes.texts] == ["1 of 2", "1 of 1", "0 of 2", "2 of 3"]


def test_each_group_has_its_interval(axes):
    (bars,) = [each for each in axes.collections if isinstance(each, LineCollection)]
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    assert_allclose(ends, 100 * np.array([wilson_interval(*pair) for pair in ((1, 2), (1, 1), (0, 2), (2, 3))]))


def test_the_diagonal_is_drawn(axes):
    assert any(np.array_equal(line.get_xydata(), [[0, 0], [100, 100]]) for line in axes.get_lines())


def test_both_axes_are_named_with_their_unit(axes):
    assert axes.get_xlabel().startswith("how sure, %")
    assert axes.get_ylabel() == "right, %"


@pytest.mark.parametrize(
    ("confidence", "hits", "count", "finding"),
    [
        (90, 10, 20, "More sure than right: 90% sure on average, and right in 10 of 20 answers"),
        (30, 14, 20, "Less sure than right: 30% sure on average, and right in 14 of 20 answers"),
        (60, 10, 20, "No gap to be seen yet: 60% sure on average, and right in 10 of 20 answers"),
        (70, 10, 20, "No gap to be seen yet"),  # just inside the interval, which ends at 70.1%
        (71, 10, 20, "More sure than right"),  # just outside
        (100, 3, 4, "More sure than right"),  # certainty is refuted by one wrong answer
        (90, 0, 1, "More sure than right: 90% sure on average, and right in 0 of 1 answer"),
    ],
)
def test_the_title_claims_a_gap_only_if_the_interval_leaves_the_confidence_out(confidence, hits, count, finding):
    figure = figures.calibration_curve(np.full(count, confidence), np.arange(count) < hits)
    assert " ".join(figure.get_suptitle().split()).startswith(finding)


@pytest.mark.parametrize(
    ("successes", "count", "expected"),
    [  # solutions of (share - p)^2 = z^2 p (1 - p) / count for p, by numpy.roots
        (10, 20, (0.299295, 0.700705)),
        (2, 3, (0.207655, 0.938510)),
        (1, 10, (0.017876, 0.404156)),
    ],
)
def test_the_interval_holds_every_share_that_the_answers_do_not_refute(successes, count, expected):
    assert_allclose(wilson_interval(successes, count), expected, atol=1e-6)


@pytest.mark.parametrize(("successes", "bounds"), [(0, (0.0, 0.7935)), (1, (0.2065, 1.0))])
def test_the_interval_of_one_answer_stays_within_0_and_1(successes, bounds):
    assert_allclose(wilson_interval(successes, 1), bounds, atol=1e-4)


@pytest.mark.usefixtures("no_shape_checker")
@pytest.mark.parametrize(
    ("confidence", "right", "message"),
    [
        ([], [], r"got shapes \(0,\) and \(0,\)"),
        ([50, 60], [True], r"got shapes \(2,\) and \(1,\)"),
        ([[50]], [[True]], r"got shapes \(1, 1\) and \(1, 1\)"),
        ([50, 101], [True, True], "got 50 to 101"),
        ([-1, 50], [True, True], "got -1 to 50"),
    ],
)
def test_answers_without_a_fitting_confidence_are_refused(confidence, right, message):
    with pytest.raises(ValueError, match=message):
        figures.calibration_curve(np.array(confidence), np.array(right, dtype=bool))
