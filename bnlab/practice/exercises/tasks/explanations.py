"""Exercises on why batch norm works: shifts of a gradient, weights whose scale is free, and gradients that grow."""

import numpy as np

from bnlab.practice.exercises.task import Case, Task, mistake
from bnlab.practice.exercises.tasks.data import eighths, scales


def gradient_shift(gradient_at, below, own, new_below, new_own):
    """Two causes that move a layer's gradient in one step of training: the layers below it, and the layer itself.

    gradient_at(below, own) is the gradient of the layer's weights own, where below are the weights of the layers under
    it. The step takes below to new_below and own to new_own. Returns two norms, by_below and by_own: of the change of
    the gradient if only the layers below make their step, and if only the layer does. The first one is internal
    covariate shift by the definition of 2018 (Santurkar et al., definition 2.1).
    """
    before = gradient_at(below, own)
    by_below = np.linalg.norm(gradient_at(new_below, own) - before)
    by_own = np.linalg.norm(gradient_at(below, new_own) - before)
    return by_below, by_own


def rescale_training(weight, learning_rate, decay, factor):
    """Multiply weights that feed a norm by factor, in the middle of training, so that nothing else changes.

    A step is weight - learning_rate * (gradient + decay * weight). Returns the new weight, learning rate and decay:
    from here on the network computes after every step what it would have computed. factor is above 0, epsilon
    negligible.
    """
    return factor * weight, factor**2 * learning_rate, decay / factor**2


def rates_without_decay(learning_rate, decay, steps):
    """Do without weight decay, on weights that feed a norm: the learning rates that give the same network every step.

    With decay a step is weight - learning_rate * (gradient + decay * weight). Without, from the same start, step t is
    weight - rates[t] * gradient. Returns rates, of shape (steps,). learning_rate * decay is below 1, epsilon
    negligible. After Li & Arora 2019.
    """
    kept = 1 - learning_rate * decay
    return learning_rate * kept ** -(2.0 * np.arange(steps) + 1)


def gradient_growth(outputs, slopes):
    """Predict the factor by which the norm of a gradient grows from a layer to the one below it: one number.

    The network is wide and untrained; a layer is linear, then a norm, then an activation. outputs and slopes have shape
    (n, c): the activation f(x_hat) and its derivative f'(x_hat), at the same n examples and c channels. The weights are
    independent, with mean 0; their size cancels, since the norm behind them divides. After Yang et al. 2019.
    """
    variance = outputs.var(axis=0).mean()
    return np.sqrt((slopes**2).mean() / variance)


def shallow(below, own):
    """The gradient of own, for the outputs own @ below on whitened inputs, squared loss and targets of 1."""
    return (own @ below - 1) @ below.T


def normed(below, own):
    """The same where each row of below is brought to length 1, as a norm does on whitened inputs."""
    return shallow(below / (below * below).sum(1)[:, None] ** 0.5, own)


BY_BELOW = "np.linalg.norm(gradient_at(new_below, own) - before)"
BY_OWN = "np.linalg.norm(gradient_at(below, new_own) - before)"
BOTH = "np.linalg.norm(gradient_at(new_below, new_own) - before)"
RATE = "factor**2 * learning_rate"
DECAY = "decay / factor**2"
POWER = "-(2.0 * np.arange(steps) + 1)"
SCHEDULE = f"learning_rate * kept ** {POWER}"
VARIANCE = "outputs.var(axis=0).mean()"
RATIO = "(slopes**2).mean() / variance"
GROWTH = f"np.sqrt({RATIO})"

POINTS = eighths(0, 6, 3) + np.array([0.5, 0, -0.25])  # in front of an activation
PLACES = eighths(1, 8, 4) * [1, 0.5, 2, 1]

TASKS = (
    Task(
        id="gradient_shift",
        chapter="12",
        level="easy",
        solution=gradient_shift,
        returns=("by_below", "by_own"),
        cases=(
            Case(
                "one weight below, one above",
                (shallow, *(np.array([[one]]) for one in (1.0, 2.0, 3.0, 1.5))),
            ),
            Case(
                "three units below",
                (shallow, *(eighths(seed, *shape) for seed, shape in enumerate([(3, 4), (2, 3)] * 2))),
            ),
            Case(
                "a norm, and weights below that only grow longer",
                (normed, eighths(4, 3, 4), eighths(5, 2, 3), 2 * eighths(4, 3, 4), eighths(6, 2, 3)),
            ),
            Case(
                "a norm, and weights below that turn",
                (normed, eighths(7, 3, 4), eighths(8, 2, 3), eighths(9, 3, 4), eighths(10, 2, 3)),
            ),
            Case(
                "layers below that stay",
                (shallow, eighths(11, 2, 3), eighths(12, 1, 2), eighths(11, 2, 3), eighths(13, 1, 2)),
            ),
        ),
        mistakes=(
            mistake("both-moved-at-once", BY_BELOW, BOTH),
            mistake("both-moved-at-once", BY_OWN, BOTH),
            mistake("other-at-its-end", BY_BELOW, BOTH.replace("before", "gradient_at(below, new_own)")),
            mistake("other-at-its-end", BY_OWN, BOTH.replace("before", "gradient_at(new_below, own)")),
            mistake("results-swapped", "return by_below, by_own", "return by_own, by_below"),
            mistake("weights-not-gradient", BY_BELOW, "np.linalg.norm(new_below - below)"),
            mistake(
                "weights-not-gradient",
                *(BY_BELOW, "np.linalg.norm(new_below - below)"),
                *(BY_OWN, "np.linalg.norm(new_own - own)"),
            ),
            mistake(
                "lengths-compared", "np.linalg.norm", "abs(np.linalg.norm", " - before", ") - np.linalg.norm(before)"
            ),
            mistake("change-not-taken", " - before", ""),
            mistake("distance-not-euclidean", " - before)", " - before) ** 2"),
            mistake("distance-not-euclidean", " - before)", " - before, 2)"),
            mistake("distance-not-euclidean", "np.linalg.norm", "np.abs", " - before)", " - before).sum()"),
            mistake("distance-not-euclidean", "np.linalg.norm", "np.abs", " - before)", " - before).mean()"),
            mistake("shift-made-relative", " - before)", " - before) / np.linalg.norm(before)"),
        ),
        hints=(
            "What is the gradient once the layers below have made their step, and this layer has not yet made its own?",
            "Three calls of `gradient_at`: where nothing has moved, where only `below` has, where only `own` has.",
        ),
        after="Weights that only grow longer in front of a norm cause no shift: the layer above does not see it.",
    ),
    Task(
        id="rescale_training",
        chapter="12",
        level="medium",
        solution=rescale_training,
        returns=("weight", "learning_rate", "decay"),
        cases=(
            Case("twice as long", (np.array([[1.0, -2], [0.5, 4]]), 0.5, 0.25, 2.0)),
            Case("a quarter as long", (eighths(0, 3, 2), 0.125, 0.5, 0.25)),
            Case("no decay", (eighths(1, 2, 5), 2.0, 0.0, 4.0)),
            Case("as long as before", (eighths(2, 4), 0.25, 2.0, 1.0)),
        ),
        mistakes=(
            mistake("one-factor-of-two", RATE, "factor * learning_rate"),
            mistake("rate-moved-against", RATE, "learning_rate / factor**2"),
            mistake("rate-moved-against", RATE, "learning_rate / factor"),
            mistake("rate-left", RATE, "learning_rate"),
            mistake("decay-left", DECAY, "decay"),
            mistake("decay-moved-with-the-rate", DECAY, "decay * factor**2"),
            mistake("decay-moved-with-the-rate", DECAY, "decay * factor"),
            mistake("decay-by-one-factor", DECAY, "decay / factor"),
            mistake("weight-left", "factor * weight", "1 * weight"),
        ),
        hints=(
            "How long is the gradient at factor * weight, and how long must the step be there? Two factors, not one.",
            "factor * rate * g = new_rate * g / factor. And the share of itself that a weight loses is rate * decay.",
        ),
        after="So a learning rate says nothing, before a norm, unless the length of the weights is said with it.",
    ),
    Task(
        id="rates_without_decay",
        chapter="12",
        level="stretch",
        solution=rates_without_decay,
        returns=("rates",),
        cases=(
            Case("three steps, a half is kept", (1.0, 0.5, 3)),
            Case("one step", (0.25, 1.0, 1)),
            Case("no decay", (0.5, 0.0, 4)),
            Case("fifty steps, a hundredth is lost", (0.5, 0.02, 50)),
        ),
        mistakes=(
            mistake("power-off-by-one", POWER, "-(2.0 * np.arange(steps))"),
            mistake("power-off-by-one", POWER, "-(2.0 * np.arange(steps) + 2)"),
            mistake("gradient-not-rescaled", POWER, "-(1.0 * np.arange(steps) + 1)"),
            mistake("gradient-not-rescaled", POWER, "-(1.0 * np.arange(steps))"),
            mistake("schedule-falls", POWER, POWER[1:]),
            mistake("rate-not-in-the-loss", "1 - learning_rate * decay", "1 - decay"),
            mistake(
                "growth-not-compounded", SCHEDULE, "learning_rate * (1 + (2.0 * np.arange(steps) + 1) * (1 - kept))"
            ),
            mistake(
                "growth-in-continuous-time",
                SCHEDULE,
                "learning_rate * np.exp((1 - kept) * (2.0 * np.arange(steps) + 1))",
            ),
            mistake(
                "growth-in-continuous-time", SCHEDULE, "learning_rate * np.exp((1 - kept) * 2.0 * np.arange(steps))"
            ),
            mistake("rate-constant", SCHEDULE, "np.full(steps, learning_rate)"),
            mistake("rate-constant", SCHEDULE, "np.full(steps, learning_rate / kept**2)"),
        ),
        hints=(
            "After t steps the weights with decay are to be kept ** t times those without. Look at one step first.",
            "Let w_t = kept**t * v_t. The gradient at w_t is that at v_t, divided by kept**t. Which step does v make?",
            "v_(t+1) = v_t - learning_rate / kept**(t+1) * gradient(w_t); gradient(w_t) = gradient(v_t) / kept**t.",
        ),
        after="The rate grows without bound, and so do the weights: what stays finite is rate over squared length.",
    ),
    Task(
        id="gradient_growth",
        chapter="12",
        level="stretch",
        solution=gradient_growth,
        returns=("growth",),
        cases=(
            Case("ReLU, one channel", (np.array([[0.0], [0], [1], [3]]), np.array([[0.0], [0], [1], [1]]))),
            Case("ReLU", (np.maximum(POINTS, 0), (POINTS > 0) * 1.0)),
            Case("leaky ReLU", (np.where(PLACES > 0, PLACES, PLACES / 4), np.where(PLACES > 0, 1, 0.25))),
            Case("half the square", (PLACES**2 / 2, PLACES)),
            Case("no activation", (scales(2, 2, 4) * 2, np.ones((2, 4)))),
        ),
        mistakes=(
            mistake("mean-square-taken", VARIANCE, "(outputs**2).mean()"),
            mistake("squared-norm-growth", GROWTH, RATIO),
            mistake("slopes-not-squared", "(slopes**2).mean()", "slopes.mean()"),
            mistake("slopes-not-squared", "(slopes**2).mean()", "slopes.mean() ** 2"),
            mistake("slopes-centred", "(slopes**2).mean()", "slopes.var(axis=0).mean()"),
            mistake("slopes-centred", "(slopes**2).mean()", "slopes.var()"),
            mistake("deviation-not-variance", VARIANCE, "outputs.std(axis=0).mean()"),
            mistake("channels-pooled", VARIANCE, "outputs.var()"),
            mistake("variance-of-an-example", VARIANCE, "outputs.var(axis=1).mean()"),
            mistake("growth-downward", RATIO, "variance / (slopes**2).mean()"),
            mistake("growth-downward", RATIO, "(slopes**2).mean() * variance"),
            mistake("unbiased-normalisation", VARIANCE, "outputs.var(axis=0, ddof=1).mean()"),
            mistake(
                "growth-by-channel", VARIANCE, "outputs.var(axis=0)", "(slopes**2).mean()", "(slopes**2).mean(axis=0)"
            ),
        ),
        hints=(
            "A norm subtracts the mean before it divides. What does it then find in a random sum of the outputs?",
            "Back through the activation: the mean squared slope. Through the linear layer and its norm: 1 / variance.",
        ),
        after="For ReLU behind a norm it is √(π / (π - 1)), 1.211; without ReLU's positive mean it would be 1.",
    ),
)
