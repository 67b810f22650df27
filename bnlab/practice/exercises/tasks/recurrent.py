"""An exercise on batch norm in an LSTM: one step of it."""

import numpy as np

from bnlab.practice.exercises.task import Case, Task, mistake
from bnlab.practice.exercises.tasks.data import eighths, scales
from bnlab.practice.exercises.tasks.sequence_layers import normalise


def recurrent_step(from_x, from_h, bias, cell, gamma_x, gamma_h, gamma_c, beta_c, normalise):
    """One step of an LSTM with batch norm: the new hidden state and the new cell, both (n, c).

    from_x and from_h are W_x x and W_h h, of shape (n, 4 * c), for the gates forget, input, output and candidate side
    by side; bias, gamma_x and gamma_h have shape (4 * c,), cell has (n, c), gamma_c and beta_c have (c,).
    normalise(z) gives every column of z mean 0 and variance 1. Three things are normalised: W_x x and W_h h, each by
    itself and without a beta, and the new cell, on its way to the hidden state only. After Cooijmans et al. 2016.
    """
    gates = gamma_x * normalise(from_x) + gamma_h * normalise(from_h) + bias
    forget, enter, leave, candidate = np.split(gates, 4, axis=1)
    forget, enter, leave = (1 / (1 + np.exp(-gate)) for gate in (forget, enter, leave))
    new_cell = forget * cell + enter * np.tanh(candidate)
    shown = gamma_c * normalise(new_cell) + beta_c
    return leave * np.tanh(shown), new_cell


GATES = "gamma_x * normalise(from_x) + gamma_h * normalise(from_h) + bias"
SHOWN = "gamma_c * normalise(new_cell) + beta_c"
ORDER = "forget, enter, leave, candidate ="


def step_case(name: str, seed: int, n: int, c: int) -> Case:
    """What an LSTM with batch norm is given at one step, for n sequences and c features."""
    inputs = (eighths(seed, n, 4 * c), eighths(seed + 1, n, 4 * c) * 2 + 1, eighths(seed + 2, 4 * c))
    gammas = (scales(seed + 4, 4) / 2, scales(seed + 5, 4), scales(seed + 6, c))
    wide = tuple(np.repeat(one, c) for one in gammas[:2])
    return Case(name, (*inputs, eighths(seed + 3, n, c), *wide, gammas[2], eighths(seed + 7, c) + 0.25, normalise))


TASKS = (
    Task(
        id="recurrent_step",
        chapter="09",
        level="hard",
        solution=recurrent_step,
        returns=("hidden", "new_cell"),
        cases=(
            step_case("three sequences, one feature", 0, 3, 1),
            step_case("four sequences, two features", 20, 4, 2),
            step_case("six sequences, three features", 40, 6, 3),
        ),
        mistakes=(
            mistake("sum-normalised", GATES, "gamma_x * normalise(from_x + from_h) + bias"),
            mistake("sum-normalised", GATES, "gamma_h * normalise(from_x + from_h) + bias"),
            mistake("sum-normalised", GATES, "normalise(gamma_x * from_x + gamma_h * from_h) + bias"),
            mistake("sum-normalised", GATES, "(gamma_x + gamma_h) * normalise(from_x + from_h) + bias"),
            mistake("bias-normalised-away", GATES, "gamma_x * normalise(from_x + bias) + gamma_h * normalise(from_h)"),
            mistake("bias-normalised-away", GATES, "gamma_x * normalise(from_x) + gamma_h * normalise(from_h + bias)"),
            mistake(
                "bias-counted-twice", GATES, "gamma_x * normalise(from_x) + gamma_h * normalise(from_h) + 2 * bias"
            ),
            mistake("one-sum-not-normalised", "gamma_h * normalise(from_h)", "from_h"),
            mistake("one-sum-not-normalised", "gamma_h * normalise(from_h)", "gamma_h * from_h"),
            mistake("one-sum-not-normalised", "gamma_x * normalise(from_x)", "gamma_x * from_x"),
            mistake("one-sum-not-normalised", GATES, "gamma_x * from_x + gamma_h * from_h + bias"),
            mistake("one-sum-not-normalised", GATES, "from_x + from_h + bias"),
            mistake("cell-normalised-and-kept", "tanh(shown), new_cell", "tanh(shown), shown"),
            mistake("cell-normalised-and-kept", "tanh(shown), new_cell", "tanh(shown), normalise(new_cell)"),
            mistake("cell-not-normalised", SHOWN, "new_cell"),
            mistake("cell-not-normalised", SHOWN, "gamma_c * new_cell + beta_c"),
            mistake("norm-behind-the-tanh", "np.tanh(shown)", "(gamma_c * normalise(np.tanh(new_cell)) + beta_c)"),
            mistake("last-tanh-missing", "np.tanh(shown)", "shown"),
            mistake(
                "results-swapped", "return leave * np.tanh(shown), new_cell", "return new_cell, leave * np.tanh(shown)"
            ),
            mistake("old-cell-shown", SHOWN, "gamma_c * normalise(cell) + beta_c"),
            mistake("gammas-swapped", GATES, "gamma_h * normalise(from_x) + gamma_x * normalise(from_h) + bias"),
            mistake("gates-in-another-order", ORDER, "enter, forget, candidate, leave ="),
            mistake("gates-in-another-order", ORDER, "enter, forget, leave, candidate ="),
            mistake("gates-interleaved", "np.split(gates, 4, axis=1)", "(gates[:, start::4] for start in range(4))"),
            mistake("candidate-through-sigmoid", "np.tanh(candidate)", "1 / (1 + np.exp(-candidate))"),
            mistake("candidate-through-sigmoid", "np.tanh(candidate)", "candidate"),
            mistake("affine-ignored", SHOWN, "normalise(new_cell)"),
            mistake("affine-ignored", SHOWN, "gamma_c * normalise(new_cell)"),
            mistake("affine-ignored", GATES, "normalise(from_x) + normalise(from_h) + bias"),
            mistake("affine-ignored", SHOWN, "normalise(gamma_c * new_cell + beta_c)"),
            mistake("affine-ignored", GATES, "normalise(gamma_x * from_x) + normalise(gamma_h * from_h) + bias"),
            mistake("affine-swapped", SHOWN, "gamma_c * (normalise(new_cell) + beta_c)"),
        ),
        hints=(
            "Leave the norms out first: split the gates, forget, add, show. Then ask of each norm where it stands.",
            "The gates are `gamma_x * normalise(from_x) + gamma_h * normalise(from_h) + bias`, split into four.",
            "The new cell is handed on as it is; `gamma_c * normalise(new_cell) + beta_c` goes into the last tanh.",
        ),
        after="Cooijmans et al. start gamma at 0.1, so that sigmoid and tanh begin where they are nearly straight.",
    ),
)
