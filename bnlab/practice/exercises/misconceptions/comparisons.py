"""Mistakes in comparing two networks: factors, steps to a target, hours, and intervals."""

from bnlab.practice.exercises.misconceptions.misconception import Misconception

TOLERANCE = "chapter 06, “How large a step still trains”"
STEPS = "chapter 06, “Steps to a given accuracy”"
HOURS = "chapter 06, “Steps are not hours”"

OF_COMPARISONS = {
    "ratio-inverted": Misconception(
        "The quotient is upside down. Try it on two numbers whose answer you know, and see whether it comes out above "
        "or below 1.",
        "",
    ),
    "difference-not-ratio": Misconception(
        "A difference is taken where a factor was asked for. From 1 to 10 and from 91 to 100 the difference is 9, but "
        "one is a growth to ten times as much, the other by a tenth.",
        "",
    ),
    "log-not-undone": Misconception(
        "The logarithm is not undone. What came is the logarithm of the factor, 0 where nothing changes; the factor "
        "itself, 1 where nothing changes, is `np.exp` of it.",
        "",
    ),
    "ratios-averaged": Misconception(
        "Ratios are added up and divided by their number. Twice as much and half as much undo each other, yet the mean "
        "of 2 and 0.5 is 1.25. Factors multiply, so their mean is the geometric one: that of their logarithms.",
        "",
    ),
    "half-of-the-time": Misconception(
        "Only the steps are compared, or only what a step costs. Hours are the product of the two: batch norm needs "
        "fewer steps, and each of them takes longer.",
        HOURS,
    ),
    "cost-multiplied": Misconception(
        "The dearer step is counted in batch norm's favour: the factor in steps is multiplied by how much more a step "
        "costs with it. A dearer step makes the gain smaller, so divide.",
        HOURS,
    ),
    "share-not-factor": Misconception(
        "This is a share of the time, saved or gained. A network that is 4 times as fast saves 75% of the time, and "
        "gains 300%; asked for is the 4.",
        HOURS,
    ),
    "strictly-above": Misconception(
        "A record exactly at the target is passed over. “At least” is `>=`. Accuracies are fractions of a whole number "
        "of examples, so a record exactly at the target is nothing rare.",
        STEPS,
    ),
    "censored-as-reached": Misconception(
        "A run that never gets there is written down as if it had arrived at the end. How long it would have taken is "
        "not known, only that it is longer (such a value is called censored). Counted as the last step, the worst runs "
        "make the average look good, and more so the earlier you stop.",
        STEPS,
    ),
    "never-as-first": Misconception(
        "A run that never gets there is given the first step: `argmax` of an array without any True is 0. The worst "
        "run comes out as the fastest. Ask first whether there is any.",
        STEPS,
    ),
    "never-not-infinite": Misconception(
        "A run that never gets there should be infinite, since infinity sorts behind every number and a median over "
        "seeds stays right. NaN spoils it, and 0 or -1 pass for a very fast run.",
        STEPS,
    ),
    "index-not-step": Misconception(
        "This is the number of the record, not the step at which it was made. Two runs that are recorded at different "
        "intervals could not be compared. Look it up in `steps`.",
        STEPS,
    ),
    "last-not-first": Misconception(
        "The step is a later one: the last record at the target, or the one from which the run never falls below it "
        "again. Asked for is the first. Staying above is a fair question, too, but a different one, and one late dip "
        "decides it.",
        STEPS,
    ),
    "best-not-first": Misconception(
        "This is the step of the best accuracy. A run may pass the target early and creep upwards for a long time: how "
        "soon it arrives and where it ends are two things.",
        STEPS,
    ),
    "record-before": Misconception(
        "This is the last record below the target. When it was made, the run had not arrived yet.",
        STEPS,
    ),
    "interpolated": Misconception(
        "The step lies between two records, where nothing was measured: accuracy need not grow along a straight line. "
        "Give the first record at which the target was seen, and record more often if that is too coarse.",
        STEPS,
    ),
    "ratio-of-means": Misconception(
        "The means are divided. The seed with the largest values then decides almost alone. Divide within each seed "
        "first: what the two runs of a seed share, such as their start and the order of their data, cancels there.",
        TOLERANCE,
    ),
    "interval-of-plain-ratios": Misconception(
        "The ratios are taken as they are, with 1.96 or 2 of their standard deviations to either side. Ratios "
        "multiply, so take their logarithms. A few seeds need Student's quantile. And the mean of n ratios is surer "
        "than one of them: its interval has the spread, with n - 1 below, over the root of n.",
        TOLERANCE,
    ),
    "unpaired-interval": Misconception(
        "The two samples are treated as independent. They are paired: where the start of a seed is a bad one it is so "
        "in both runs, and in the ratio that cancels. Take the spread of the n logarithms of ratios.",
        TOLERANCE,
    ),
    "normal-quantile": Misconception(
        "The quantile is the normal distribution's, 1.96 or about 2, which holds where the spread is known. Here it is "
        "estimated from a few seeds. Student's is 2.26 for 10 of them and 4.30 for 3: with 1.96, an interval from 3 "
        "seeds has the truth 81% of the time.",
        TOLERANCE,
    ),
    "one-sided-quantile": Misconception(
        "The quantile at 0.95 leaves 5% on either side: a 90% interval. For 95% between the bounds, 2.5% stay outside "
        "on each side, so it is 0.975.",
        TOLERANCE,
    ),
    "degrees-of-freedom": Misconception(
        "The degrees of freedom are n - 1, not n: one is used up by the mean, from which the spread is measured.",
        TOLERANCE,
    ),
    "biased-spread": Misconception(
        "The spread is divided by n, NumPy's default. Student's interval takes the one divided by n - 1 (`ddof=1`), "
        "since it estimates the spread of all possible seeds from a few. With 3 seeds yours is too narrow by 18%.",
        TOLERANCE,
    ),
    "sqrt-n-missing": Misconception(
        "The spread is not divided by the root of n. Undivided it says how far one more seed may fall from the mean; "
        "the mean of n seeds is surer by that root, and not by n.",
        TOLERANCE,
    ),
    "symmetric-interval": Misconception(
        "The interval reaches as far below the ratio as above. In logarithms it does; undone, it is longer above, and "
        "never gets below 0. Apply `np.exp` to the two bounds.",
        TOLERANCE,
    ),
}
