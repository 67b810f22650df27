import numpy as np
import pytest
from numpy.testing import assert_allclose

from bnlab import figures
from bnlab.figures.interview import MOST_MOCKS, Known, Mock
from bnlab.figures.style import COLOURS

TOPICS = {"definition": Known(9, 3, 0.75), "batch-size": Known(4, 0, None), "gpu": Known(5, 5, 0.0)}
ROLES = {"ml-engineer": Known(11, 7, 0.5), "manager": Known(2, 0, None)}
# Three groups: 10 alone, 60 (a group's first) and 79, and 80 to 100.
CONFIDENCE = np.array([10, 60, 79, 80, 100])
SCORE = np.array([0.5, 0.1, 0.3, 0.0, 1.0])


def in_one_line(figure):
    return " ".join(figure.get_suptitle().split())


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def bars(axes, role):
    return [bar.get_width() for bars in axes.containers for bar in bars if to_hex(bar) == COLOURS[role]]


def to_hex(bar):
    return "#" + "".join(f"{round(255 * channel):02X}" for channel in bar.get_facecolor()[:3])


# --- by topic


def test_each_topic_has_its_questions_and_those_answered_among_them():
    axes = figures.progress_by_topic(TOPICS, ROLES, title="t").axes[0]
    assert bars(axes, "other") == [9, 4, 5]
    assert bars(axes, "batch_norm") == [3, 0, 5]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["definition", "batch size", "gpu"]
    assert axes.yaxis_inverted()  # the first topic stands on top


def test_a_topic_has_its_score_only_where_a_question_was_answered():
    texts = figures.progress_by_topic(TOPICS, ROLES, title="t").axes[0].texts
    assert [(text.get_text(), *text.xy) for text in texts] == [("score 75%", 9, 0), ("score 0%", 5, 2)]


def test_each_role_has_a_bar_below_the_topics():
    axes = figures.progress_by_topic(TOPICS, ROLES, title="t").axes[1]
    assert (bars(axes, "other"), bars(axes, "batch_norm")) == ([11, 2], [7, 0])
    assert [text.get_text() for text in axes.get_yticklabels()] == ["ml engineer", "manager"]
    assert [(text.get_text(), *text.xy) for text in axes.texts] == [("score 50%", 11, 0)]


@pytest.mark.parametrize(
    ("topics", "roles", "message"),
    [
        ({}, {"manager": Known(2, 0, None)}, "expected at least one topic, got none"),
        ({"gpu": Known(2, 0, None)}, {}, "expected at least one role, got none"),
        ({"gpu": Known(2, 3, 1.0)}, {"manager": Known(2, 0, None)}, "gpu: expected from 0 to 2 .*, got 3"),
        ({"gpu": Known(2, 1, 1.0)}, {"manager": Known(2, -1, None)}, "manager: expected from 0 to 2 .*, got -1"),
    ],
)
def test_what_does_not_add_up_is_refused(topics, roles, message):
    with pytest.raises(ValueError, match=message):
        figures.progress_by_topic(topics, roles, title="t")


# --- confidence


def test_every_answer_is_a_circle_and_every_group_its_mean():
    axes = figures.confidence_against_score(CONFIDENCE, SCORE).axes[0]
    diagonal, answers, means = axes.get_lines()
    assert_allclose(diagonal.get_xydata(), [[0, 0], [100, 100]])
    assert_allclose(answers.get_xydata(), np.transpose([CONFIDENCE, 100 * SCORE]))
    assert_allclose(means.get_xydata(), [[10, 50], [69.5, 20], [90, 50]])


def test_the_legend_says_whose_answers_they_are():
    assert legend(figures.confidence_against_score(CONFIDENCE, SCORE, who="a candidate's answers")) == [
        "as expected",
        "a candidate's answers",
        "mean of a group",
    ]


@pytest.mark.parametrize(
    ("confidence", "score", "finding"),
    [
        ([80, 90], [0.3, 0.2], "No gap to be seen yet"),  # 50 and 70: the interval is 60 +- 127
        ([80, 90, 70], [0.3, 0.3, 0.3], "More expected than given: 80% of a full answer on average, and 30%"),
        ([10, 20, 30], [0.6, 0.8, 0.7], "Less expected than given: 20% of a full answer on average, and 70%"),
        ([80], [0.0], "No gap to be seen yet"),  # one answer shows no gap
    ],
)
def test_the_title_claims_a_gap_only_if_the_interval_leaves_out_zero(confidence, score, finding):
    figure = figures.confidence_against_score(np.array(confidence), np.array(score))
    assert in_one_line(figure).startswith(finding)


@pytest.mark.usefixtures("no_shape_checker")
@pytest.mark.parametrize(
    ("confidence", "score", "message"),
    [
        ([], [], r"got shapes \(0,\) and \(0,\)"),
        ([50, 60], [0.5], r"got shapes \(2,\) and \(1,\)"),
        ([50, 101], [0.5, 0.5], "expected confidences from 0 to 100, got 50 to 101"),
        ([50, 60], [0.5, 1.5], "expected scores from 0 to 1, got 0.5 to 1.5"),
    ],
)
def test_answers_out_of_range_are_refused(confidence, score, message):
    with pytest.raises(ValueError, match=message):
        figures.confidence_against_score(np.array(confidence), np.array(score))


# --- mocks


def test_mocks_stand_in_their_order_with_date_and_verdict():
    figure = figures.past_mocks([Mock("2026-03-01", 0.42, "no hire"), Mock("2026-03-08", 0.8, "strong")])
    axes = figure.axes[0]
    assert_allclose(axes.get_lines()[0].get_xydata(), [[0, 42], [1, 80]])
    assert [text.get_text() for text in axes.get_xticklabels()] == ["2026-03-01", "2026-03-08"]
    assert [text.get_text() for text in axes.texts] == ["no hire", "strong"]
    assert in_one_line(figure) == "The latest of 2 mocks: 80% of the full answers"


def test_of_many_mocks_the_latest_are_shown():
    mocks = [Mock(str(number), number / 100, "lean") for number in range(MOST_MOCKS + 3)]
    axes = figures.past_mocks(mocks).axes[0]
    assert_allclose(axes.get_lines()[0].get_ydata(), np.arange(3, MOST_MOCKS + 3))


def test_no_mock_is_no_picture():
    with pytest.raises(ValueError, match="expected at least one mock, got none"):
        figures.past_mocks([])


# --- before and after


def test_each_outcome_has_its_mark_in_the_row_of_its_topic():
    figure = figures.before_and_after_the_course(
        {"definition": True, "batch-size": None, "cnn": False}, {"definition": True, "batch-size": True, "cnn": False}
    )
    axes = figure.axes[0]
    drawn = {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}
    assert drawn == {"right": [[0, 0], [1, 0], [1, 1]], "wrong": [[0, 2], [1, 2]], "not answered": [[0, 1]]}
    assert len({line.get_marker() for line in axes.get_lines()}) == 3  # told apart without colours
    assert [text.get_text() for text in axes.get_yticklabels()] == ["definition", "batch size", "cnn"]
    assert in_one_line(figure) == "1 of 3 right before, 2 after"


def test_the_two_tests_must_have_the_same_topics():
    with pytest.raises(ValueError, match=r"expected the same topics before and after, got \['cnn'\] and \['rnn'\]"):
        figures.before_and_after_the_course({"cnn": True}, {"rnn": True})
