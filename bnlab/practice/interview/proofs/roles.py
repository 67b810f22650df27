"""Proofs of answers that are asked of one role, or about one's own work."""

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from bnlab.experiments.studies import STUDIES


def one_outlier(
    *, rows: int = 32, largest: float = 5.57, others_below_0: float = 0.18, closer: int = 174, outlier: int = 1000,
    variance: int = 31_251, running_variance: int = 3126, its_root: int = 56, others_move_in_evaluation: bool = False,
) -> bool:  # fmt: skip
    """A row of 1000 among 31 rows of mean 0 and variance 1, in either mode, and the running variance behind it."""
    rest = torch.randn(rows - 1, 1, dtype=torch.float64)
    rest = (rest - rest.mean()) / rest.std(correction=0)
    x = torch.cat([rest, torch.tensor([[float(outlier)]])])
    layer = nn.BatchNorm1d(1, dtype=torch.float64)
    alone = layer.eval()(rest)
    moves = not torch.allclose(layer(x)[:-1], alone)
    at_inference = layer(x)[-1].item()
    y = layer.train()(x)
    return (
        round(y[-1].item(), 2) == largest
        and round(-y[:-1].mean().item(), 2) == others_below_0
        and round(rest.std(correction=0).item() / y[:-1].std(correction=0).item()) == closer
        and round(x.var().item()) == variance
        and math.isclose(at_inference, 1000, rel_tol=1e-4)
        and round(layer.get_buffer("running_var").item()) == running_variance
        and round(layer.get_buffer("running_var").sqrt().item()) == its_root
        and moves == others_move_in_evaluation
    )


def sorted_and_shuffled(*, stored: int = 97, shuffled: int = 97, sorted_by_class: int = 16, batch: int = 36) -> bool:
    """A CNN's accuracy in percent by stored statistics, and by those of each batch, mixed or of one class."""
    study: Any = STUDIES["served_shift"].stored()
    found = [study.stored["clean"], study.by_batch["clean"], study.by_class["clean"]]
    return [round(100 * float(np.mean(one))) for one in found] == [
        stored,
        shuffled,
        sorted_by_class,
    ] and study.config.served == batch
