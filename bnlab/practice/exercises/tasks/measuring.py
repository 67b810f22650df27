"""Exercises on comparing two networks: by the clock, by steps to a target, and as a ratio with its interval."""

import math

import numpy as np
from scipy.special import stdtrit

from bnlab.practice.exercises.task import Case, Task, mistake


def wall_clock_speedup(steps_without, steps_with, seconds_without, seconds_with):
    """How many times sooner, by the clock, the network with batch norm gets to the same accuracy.

    Without and with batch norm: the steps it takes to get there, and the seconds that one step takes.
    """
    return (steps_without * seconds_without) / (steps_with * seconds_with)


def steps_to_reach(accuracy, steps, target):
    """The first recorded step at which the accuracy is at least the target; math.inf if it never is.

    accuracy and steps have shape (records,): each accuracy and the step after which it was measured, in order.
    """
    reached = np.flatnonzero(accuracy >= target)
    return steps[reached[0]] if len(reached) else math.inf


def paired_ratio(without, with_norm):
    """How many times larger a quantity is without batch norm than with it: the ratio, and its 95% interval.

    without and with_norm have shape (n,): the quantity, always positive, in the two runs of each of n seeds. The
    interval is Student's, for the mean of the logarithms of the n ratios. Returns ratio, low and high.
    """
    logs = np.log(without / with_norm)
    mean = logs.mean()
    half = stdtrit(len(logs) - 1, 0.975) * logs.std(ddof=1) / np.sqrt(len(logs))
    return np.exp(mean), np.exp(mean - half), np.exp(mean + half)


SPEEDUP = "(steps_without * seconds_without) / (steps_with * seconds_with)"
REACHED = "steps[reached[0]] if len(reached) else math.inf"
FROM_HERE_ON = "np.minimum.accumulate(accuracy[::-1])[::-1]"
AROUND = "max(reached[0] - 1, 0) : reached[0] + 1"
INTERVAL = "np.exp(mean), np.exp(mean - half), np.exp(mean + half)"
PAIRED = "stdtrit(len(logs) - 1, 0.975) * logs.std(ddof=1)"
UNPAIRED = "np.sqrt(np.log(without).var(ddof=1) + np.log(with_norm).var(ddof=1))"
HALVES_OF_PLAIN_RATIOS = [
    f"{z} * logs.std(ddof={ddof}){over}"
    for z in ("1.96", "2")
    for ddof in (0, 1)
    for over in ("", " / np.sqrt(len(logs))")
]


def plain_ratios(half: str) -> tuple[str, ...]:
    """The interval around the mean of the ratios themselves that reaches this far to either side."""
    old_half = f"{PAIRED} / np.sqrt(len(logs))"
    return (
        "np.log(without / with_norm)",
        "without / with_norm",
        INTERVAL,
        "mean, mean - half, mean + half",
        old_half,
        half,
    )


TASKS = (
    Task(
        id="wall_clock_speedup",
        chapter="06",
        level="easy",
        solution=wall_clock_speedup,
        returns=("speedup",),
        cases=(
            Case("half the steps, each twice as dear", (100, 50, 0.25, 0.5)),
            Case("a third of the steps, each half again as dear", (600, 200, 0.5, 0.75)),
            Case("as many steps, each half again as dear", (400, 400, 0.25, 0.375)),
            Case("a nineteenth of the steps", (1140, 60, 0.125, 0.25)),
        ),
        mistakes=(
            mistake("half-of-the-time", SPEEDUP, "steps_without / steps_with"),
            mistake("half-of-the-time", SPEEDUP, "seconds_without / seconds_with"),
            mistake("cost-multiplied", SPEEDUP, "(steps_without / steps_with) * (seconds_with / seconds_without)"),
            mistake("ratio-inverted", SPEEDUP, "(steps_with * seconds_with) / (steps_without * seconds_without)"),
            mistake("difference-not-ratio", ") / (", ") - ("),
            mistake("share-not-factor", SPEEDUP, "1 - steps_with * seconds_with / (steps_without * seconds_without)"),
            mistake("share-not-factor", SPEEDUP, f"{SPEEDUP} - 1"),
        ),
        hints=(
            "How long does each of the two train, in seconds?",
            "Steps times seconds per step, once without and once with; then the first divided by the second.",
        ),
        after="Where a step costs half as much again, a third of the steps is half of the hours.",
    ),
    Task(
        id="steps_to_reach",
        chapter="06",
        level="medium",
        solution=steps_to_reach,
        returns=("step",),
        cases=(
            Case("four records", (np.array([0.25, 0.75, 0.5, 0.875]), np.array([10, 20, 30, 40]), 0.75)),
            Case("a run that never arrives", (np.array([0.25, 0.625, 0.5]), np.array([100, 200, 300]), 0.875)),
            Case(
                "reached between two records",
                (
                    np.array([0.125, 0.25, 0.5, 0.875, 0.625, 0.9375, 0.875]),
                    np.array([0, 5, 20, 60, 90, 120, 150]),
                    0.75,
                ),
            ),
            Case("there at the first record", (np.array([0.9375, 0.5, 0.96875]), np.array([50, 70, 95]), 0.625)),
            Case("once there, it stays", (np.array([0.5, 0.625, 0.875, 0.9375]), np.array([7, 14, 21, 28]), 0.875)),
        ),
        mistakes=(
            mistake("strictly-above", "accuracy >= target", "accuracy > target"),
            mistake("censored-as-reached", "else math.inf", "else steps[-1]"),
            mistake("censored-as-reached", "else math.inf", "else steps[-1] + 1"),
            mistake("never-as-first", REACHED, "steps[np.argmax(accuracy >= target)]"),
            *(mistake("never-not-infinite", "else math.inf", f"else {other}") for other in ("math.nan", "-1", "0")),
            mistake("index-not-step", "steps[reached[0]]", "reached[0]"),
            mistake("index-not-step", "steps[reached[0]]", "reached[0] + 1"),
            mistake("last-not-first", "reached[0]", "reached[-1]"),
            mistake("last-not-first", "(accuracy >= target)", f"({FROM_HERE_ON} >= target)"),
            mistake("best-not-first", REACHED, "steps[np.argmax(accuracy)]"),
            mistake("best-not-first", "steps[reached[0]]", "steps[np.argmax(accuracy)]"),
            mistake("record-before", "reached[0]", "max(reached[0] - 1, 0)"),
            mistake("interpolated", "steps[reached[0]]", f"np.interp(target, accuracy[{AROUND}], steps[{AROUND}])"),
        ),
        hints=(
            "Which records are at or above the target? There may be none.",
            "`np.flatnonzero(accuracy >= target)` holds their positions, the first one first.",
            "Look up the step at that position; return `math.inf` where there is no position.",
        ),
        after="Infinity sorts behind every number, so a median is right as long as more than half of the runs arrive.",
    ),
    Task(
        id="paired_ratio",
        chapter="06",
        level="hard",
        solution=paired_ratio,
        returns=("ratio", "low", "high"),
        cases=(
            Case("ratios of 2, 4 and 8", (np.array([2.0, 8, 32]), np.array([1.0, 2, 4]))),
            Case("two seeds", (np.array([4.0, 5]), np.array([2.0, 2]))),
            Case("more on some seeds, less on others", (np.array([3.0, 2, 5, 1.5]), np.array([2.0, 4, 4, 2.5]))),
            Case(
                "steps of six seeds",
                (np.array([640.0, 780, 1140, 560, 900, 720]), np.array([40.0, 60, 40, 80, 20, 60])),
            ),
        ),
        mistakes=(
            mistake("ratio-of-means", "logs.mean()", "np.log(without.mean() / with_norm.mean())"),
            mistake(
                "ratios-averaged",
                "np.log(without / with_norm)",
                "without / with_norm",
                INTERVAL,
                "mean, mean - half, mean + half",
            ),
            mistake("ratios-averaged", "logs.mean()", "np.log((without / with_norm).mean())"),
            *(mistake("interval-of-plain-ratios", *plain_ratios(half)) for half in HALVES_OF_PLAIN_RATIOS),
            mistake("unpaired-interval", PAIRED, f"stdtrit(2 * len(logs) - 2, 0.975) * {UNPAIRED}"),
            mistake("unpaired-interval", "logs.std(ddof=1)", UNPAIRED),
            *(
                mistake("normal-quantile", "stdtrit(len(logs) - 1, 0.975)", z)
                for z in ("1.96", "1.959963984540054", "2")
            ),
            mistake("one-sided-quantile", "0.975", "0.95"),
            mistake("degrees-of-freedom", "stdtrit(len(logs) - 1", "stdtrit(len(logs)"),
            mistake("biased-spread", "ddof=1", "ddof=0"),
            mistake("sqrt-n-missing", " / np.sqrt(len(logs))", ""),
            mistake("sqrt-n-missing", "np.sqrt(len(logs))", "len(logs)"),
            mistake(
                "symmetric-interval", INTERVAL, "np.exp(mean), np.exp(mean) * (1 - half), np.exp(mean) * (1 + half)"
            ),
            mistake("log-not-undone", INTERVAL, "mean, mean - half, mean + half"),
            mistake("ratio-inverted", "without / with_norm", "with_norm / without"),
            mistake("ratio-inverted", INTERVAL, "np.exp(-mean), np.exp(half - mean), np.exp(-mean - half)"),
        ),
        hints=(
            "Take the logarithm of each seed's ratio; from there on it is the interval of an ordinary mean.",
            "Half of the interval is the t quantile at 0.975 with n - 1 degrees, times the spread over the root of n.",
            "The spread is `logs.std(ddof=1)`, the quantile `scipy.stats.t.ppf(0.975, n - 1)`; `np.exp` comes last.",
        ),
        after="For other confidences than 95% there is `bnlab.experiments.intervals.ratio_interval`.",
    ),
)
