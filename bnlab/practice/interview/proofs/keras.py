"""Proofs of answers on Keras, run by Keras itself on whatever backend it has; torch, if nobody chose one."""

import os
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn


def keras_defaults(
    *, of_the_old: float = 0.99, in_torch: float = 0.01, eps: float = 0.001, eps_of_torch: float = 1e-5,
    spread: float = 0.707, spread_in_torch: float = 0.995, unbiased: bool = False, unbiased_in_torch: bool = True,
) -> bool:  # fmt: skip
    """Momentum, eps and the stored variance in both libraries, and what a channel of variance 0.001 comes out as."""
    layer, torch_layer = _layer(), nn.BatchNorm1d(1, momentum=in_torch)
    x = np.array([[-1.0], [1.0]], dtype=np.float32)
    layer(x + 1, training=True)
    torch_layer(torch.from_numpy(x) + 1)
    means = [_value(layer.moving_mean), torch_layer.get_buffer("running_mean").item()]
    variances = [_value(layer.moving_variance), torch_layer.get_buffer("running_var").item()]
    small = x * np.float32(np.sqrt(0.001))
    spreads = [_value(_keras().ops.std(_layer()(small, training=True))), _spread_in_torch(small)]
    return (
        (layer.momentum, layer.epsilon, torch_layer.eps) == (of_the_old, eps, eps_of_torch)
        and [round(mean, 6) for mean in means] == [round(1 - of_the_old, 6), in_torch]
        and [round(one, 3) for one in spreads] == [spread, spread_in_torch]
        and [round(variance, 4) == 1.01 for variance in variances] == [unbiased, unbiased_in_torch]
    )


def keras_frozen(
    *, trainable_uses_the_batch: bool = True, frozen_uses_the_batch: bool = False, frozen_statistics_move: bool = False,
    frozen_dropout_drops: bool = True,
) -> bool:  # fmt: skip
    """What `trainable = False` does to a batch norm, and does not do to dropout, in a call with `training=True`."""
    x = np.array([[4.0], [6.0]], dtype=np.float32)
    layer = _layer()
    uses = [abs(_value(layer(x, training=True))) < 0.1]
    layer.trainable = False
    before = _value(layer.moving_mean)
    uses.append(abs(_value(layer(x, training=True))) < 0.1)
    moves = _value(layer.moving_mean) != before
    dropout = _keras().layers.Dropout(0.5)
    dropout.trainable = False
    drops = _value(_keras().ops.min(dropout(np.ones((1000, 1), dtype=np.float32), training=True))) == 0
    return (*uses, moves, drops) == (
        trainable_uses_the_batch, frozen_uses_the_batch, frozen_statistics_move, frozen_dropout_drops,
    )  # fmt: skip


def keras_one_row(
    *,
    output_is_beta: bool = True,
    raises: bool = False,
    raises_in_torch: bool = True,
    steps: int = 100,
    left: float = 0.366,
) -> bool:
    """A single row in training mode in both libraries, and what is left of the moving variance after 100 such steps."""
    row = np.array([[7.0]], dtype=np.float32)
    layer = _layer()
    layer(row)
    layer.beta.assign([0.25])
    outputs = [_value(layer(row, training=True)) for _ in range(steps)]
    refuses = [
        _refuses(lambda: _layer()(row, training=True)),
        _refuses(lambda: nn.BatchNorm1d(1)(torch.from_numpy(row))),
    ]
    return (
        (set(outputs) == {0.25}) == output_is_beta
        and refuses == [raises, raises_in_torch]
        and round(_value(layer.moving_variance), 3) == left
    )


@cache
def _keras() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras  # noqa: PLC0415 - an extra, and seconds to import

    return keras


def _layer() -> Any:
    return _keras().layers.BatchNormalization()


def _value(tensor: Any) -> float:
    """Its mean; `convert_to_numpy` would do, if it did not raise a warning of numpy's for a tensor of torch."""
    ops = _keras().ops
    return float(ops.stop_gradient(ops.mean(tensor)))


def _refuses(call: Callable[[], Any]) -> bool:
    try:
        call()
    except ValueError:
        return True
    return False


def _spread_in_torch(x: Any) -> float:
    return float(nn.BatchNorm1d(x.shape[1])(torch.from_numpy(x)).detach().std(correction=0))
