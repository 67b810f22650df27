"""The setting at which an arm is judged: chosen on validation examples, so that the test split is read there only."""

import numpy as np
from jaxtyping import Float

from bnlab.experiments.ensemble import Ensemble


def best(validation: Float[np.ndarray, "settings seeds"]) -> int:
    """The position of the setting with the highest median over the seeds.

    >>> best(np.array([[0.9, 0.9, 0.1], [0.8, 0.8, 0.99]]))
    0
    """
    return int(np.median(validation, axis=1).argmax())


def members_at(setting: int, ensemble: Ensemble, *, seeds: int) -> Ensemble:
    """The networks of one setting, out of an ensemble that holds all seeds of the first, then of the second, and so on.

    Args:
        setting: its position.
        ensemble: the networks of all settings.
        seeds: how many networks there are of each.
    """
    return ensemble.subset(slice(setting * seeds, (setting + 1) * seeds))
