"""What the interview room shows of a learner: topics, calibration, past mocks, and the test before and after."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bnlab.experiments.intervals import t_interval
from bnlab.figures.style import COLOURS, new_figure

GROUPS = (20, 40, 60, 80)  # expected shares that begin a new group, in percent
MOST_MOCKS = 12  # that stand side by side with their dates legible
OUTCOMES = {  # of one answer to a test: marker, role of its colour, name
    True: ("o", "output", "right"),
    False: ("X", "wrong", "wrong"),
    None: ("_", "theory", "not answered"),
}


class Known(NamedTuple):
    """How far somebody is with a topic.

    Attributes:
        questions: how many it has.
        answered: how many of them were answered at least once.
        score: mean of the latest scores of these, from 0 to 1; None where none was answered.
    """

    questions: int
    answered: int
    score: float | None


class Mock(NamedTuple):
    """One finished mock interview: its date, its score from 0 to 1, and the verdict on it."""

    date: str
    score: float
    verdict: str


def progress_by_topic(topics: Mapping[str, Known], roles: Mapping[str, Known], *, title: str) -> Figure:
    """A bar for each topic and each role: its questions, those answered in colour, and the mean of the latest scores.

    Args:
        topics: how far the learner is with each, in the order of the rows.
        roles: the same for the questions that each role is asked.
        title: what is drawn.

    Returns:
        Two panels, topics above roles.

    Raises:
        ValueError: there are no topics or no roles, or more answers than questions in one.

    Example:
        >>> known = {"definition": Known(9, 3, 0.75)}
        >>> figure = progress_by_topic(known, {"manager": Known(4, 0, None)}, title="So far")
        >>> [[text.get_text() for text in ax.texts] for ax in figure.axes]
        [['score 75%'], []]
    """
    for kind, groups in (("topic", topics), ("role", roles)):
        if not groups:
            raise ValueError(f"expected at least one {kind}, got none")
        for name, known in groups.items():
            if not 0 <= known.answered <= known.questions:
                expected = f"expected from 0 to {known.questions} answered questions"
                raise ValueError(f"{name}: {expected}, got {known.answered}")
    rows = [len(topics), len(roles)]
    figure, axes = new_figure(2, 1, title=title, height=1.9 + 0.27 * sum(rows), height_ratios=rows)
    for ax, groups in zip(axes.flat, (topics, roles), strict=True):
        _draw_known(ax, groups)
    axes.flat[1].set(xlabel="questions, and the mean of the latest scores of those answered")
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _draw_known(ax: Axes, groups: Mapping[str, Known]) -> None:
    rows = np.arange(len(groups))
    ax.barh(rows, [known.questions for known in groups.values()], color=COLOURS["other"], label="in the bank")
    ax.barh(rows, [known.answered for known in groups.values()], color=COLOURS["batch_norm"], label="answered")
    for row, known in zip(rows, groups.values(), strict=True):
        if known.score is not None:
            text = f"score {100 * known.score:.0f}%"
            ax.annotate(text, (known.questions, row), xytext=(4, 0), textcoords="offset points", va="center")
    ax.set_yticks(rows, [name.replace("-", " ") for name in groups])
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.margins(x=0.2, y=0.02)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def confidence_against_score(
    confidence: Num[np.ndarray, " n"], score: Float[np.ndarray, " n"], *, who: str = "your answers"
) -> Figure:
    """Share of a full answer that was given, against the share that was expected, an open circle for each answer.

    Filled circles are the means of up to five groups of expectation. The title claims a gap only if the 95% interval
    of the mean difference leaves out zero.

    Args:
        confidence: the share of the rubric's weight that was expected before each answer, in percent.
        score: the share that was then marked, from 0 to 1.
        who: whose answers these are, as the legend calls them.

    Returns:
        One panel.

    Raises:
        ValueError: the two differ in shape, are empty, or hold values out of their range.

    Example:
        >>> confidence_against_score(np.array([80, 90]), np.array([0.5, 0.3])).get_suptitle().split(":")[0]
        'No gap to be seen yet'
    """
    if confidence.ndim != 1 or confidence.shape != score.shape or confidence.size == 0:
        raise ValueError(f"expected one confidence for each score, got shapes {confidence.shape} and {score.shape}")
    for name, values, highest in (("confidences", confidence, 100), ("scores", score, 1)):
        if not ((values >= 0) & (values <= highest)).all():
            raise ValueError(f"expected {name} from 0 to {highest}, got {values.min()} to {values.max()}")
    percent = 100 * score
    figure, axes = new_figure(title=_gap(confidence, percent), width=5.6, height=4.8)
    ax = axes.item()
    ax.plot([0, 100], [0, 100], ":", color=COLOURS["theory"], linewidth=1.2, label="as expected")
    ax.plot(confidence, percent, "o", color=COLOURS["input"], fillstyle="none", label=who)
    group_of = np.digitize(confidence, GROUPS)
    groups = [group_of == group for group in np.unique(group_of)]
    means = [(confidence[group].mean(), percent[group].mean()) for group in groups]
    ax.plot(*np.transpose(means), "o", color=COLOURS["batch_norm"], markersize=9, label="mean of a group")
    ax.set(
        xlabel="expected share of a full answer, %", ylabel="marked by the rubric, %", xlim=(-4, 104), ylim=(-4, 104)
    )
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def past_mocks(mocks: Sequence[Mock]) -> Figure:
    """The scores of mock interviews in the order in which they were held, the latest ones if there are many.

    Args:
        mocks: the finished ones, the oldest first.

    Returns:
        One panel, whose title says the latest score.

    Raises:
        ValueError: there are none.

    Example:
        >>> past_mocks([Mock("2026-03-01", 0.55, "lean")]).get_suptitle()
        'The latest of 1 mock: 55% of the full answers'
    """
    if not mocks:
        raise ValueError("expected at least one mock, got none")
    shown = mocks[-MOST_MOCKS:]
    many = "1 mock" if len(mocks) == 1 else f"{len(mocks)} mocks"
    figure, axes = new_figure(
        title=f"The latest of {many}: {100 * mocks[-1].score:.0f}% of the full answers", height=3.4
    )
    ax, places = axes.item(), np.arange(len(shown))
    ax.plot(places, [100 * mock.score for mock in shown], "o-", color=COLOURS["batch_norm"], clip_on=False)
    for place, mock in zip(places, shown, strict=True):
        at, above = (place, 100 * mock.score), (0, 8)
        ax.annotate(mock.verdict, at, xytext=above, textcoords="offset points", ha="center", fontsize=9)
    ax.set_xticks(places, [mock.date for mock in shown], rotation=30 if len(shown) > 6 else 0)
    ax.set(xlabel="date", ylabel="score, %", ylim=(0, 108), xlim=(-0.5, len(shown) - 0.5))
    return figure


def before_and_after_the_course(before: Mapping[str, bool | None], after: Mapping[str, bool | None]) -> Figure:
    """Which topics' items were right before the course and after it.

    Args:
        before: topic -> whether its item was right; None where it was not answered.
        after: the same topics.

    Returns:
        One panel with a row for each topic, whose title counts the right ones.

    Raises:
        ValueError: the two have different topics, or none.
    """
    if not before or before.keys() != after.keys():
        raise ValueError(f"expected the same topics before and after, got {list(before)} and {list(after)}")
    right = [sum(outcome is True for outcome in test.values()) for test in (before, after)]
    title = f"{right[0]} of {len(before)} right before, {right[1]} after"
    figure, axes = new_figure(title=title, width=5.6, height=1.5 + 0.27 * len(before))
    ax = axes.item()
    for outcome, (marker, role, name) in OUTCOMES.items():
        places = [
            (column, row)
            for column, test in enumerate((before, after))
            for row, topic in enumerate(before)
            if test[topic] is outcome
        ]
        ax.plot(
            *np.reshape(places, (-1, 2)).T, marker, color=COLOURS[role], markersize=9, markeredgewidth=2, label=name
        )
    ax.set_yticks(range(len(before)), [topic.replace("-", " ") for topic in before])
    ax.set_xticks([0, 1], ["before", "after"])
    ax.set(xlim=(-0.5, 1.5), ylim=(len(before) - 0.5, -0.5), xlabel="test", ylabel="topic")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _gap(confidence: Num[np.ndarray, " n"], percent: Float[np.ndarray, " n"]) -> str:
    difference = confidence - percent
    word = "No gap to be seen yet"
    if difference.size > 1:
        interval = t_interval(difference)
        if interval.low > 0:
            word = "More expected than given"
        elif interval.high < 0:
            word = "Less expected than given"
    return f"{word}: {confidence.mean():.0f}% of a full answer on average, and {percent.mean():.0f}% by the rubric"
