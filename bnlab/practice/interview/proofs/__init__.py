"""What the answers state, run.

A proof is a function whose keyword defaults are the constants that an answer states: numbers, axes, and yes or no. It
returns whether the facts, computed by torch or by `bnlab.reference`, are those; with any one constant changed it
returns False, and a test changes each.
"""

import inspect
from collections.abc import Callable

from bnlab.practice.interview.proofs import (
    alternatives,
    backward,
    batch_size,
    clinic,
    cnn,
    coding,
    comparisons,
    definition,
    devices,
    explanations,
    fine_tuning,
    history,
    inference,
    keras,
    kernels,
    mathematics,
    optimisation,
    production,
    quantisation,
    regularisation,
    roles,
    scenarios,
    sequences,
    signals,
    theory,
)

MODULES = (
    alternatives,
    backward,
    batch_size,
    clinic,
    cnn,
    coding,
    comparisons,
    definition,
    devices,
    explanations,
    fine_tuning,
    history,
    inference,
    keras,
    kernels,
    mathematics,
    optimisation,
    production,
    quantisation,
    regularisation,
    roles,
    scenarios,
    sequences,
    signals,
    theory,
)
PROOFS: dict[str, Callable[..., bool]] = {
    name: function
    for module in MODULES
    for name, function in vars(module).items()
    if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_")
}
