"""Batch normalisation of a tensor: the computation that the modules of `bnlab.layers` stand on."""

from importlib import import_module
from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor

from bnlab.layers import elementary, manual
from bnlab.layers.elementary import batch_statistics

__all__ = ["BACKENDS", "backend_named", "batch_norm", "batch_statistics", "update_running_stats"]

# Who computes the output and its gradient: a module with `normalise_by_batch` and `normalise_by`, as in `elementary`.
# Compiled ones stand here by name, since numba and Triton are loaded only for those who ask for them.
BACKENDS: dict[str, ModuleType | str] = {
    "torch": elementary,
    "manual": manual,
    "numba": "bnlab.layers.compiled_cpu",
    "triton": "bnlab.layers.compiled_gpu",
    "auto": "bnlab.layers.compiled_auto",
}


def batch_norm(
    x: Float[Tensor, "n c *spatial"],
    running_mean: Float[Tensor, " c"] | None,
    running_var: Float[Tensor, " c"] | None,
    weight: Float[Tensor, " c"] | None = None,
    bias: Float[Tensor, " c"] | None = None,
    *,
    training: bool,
    momentum: float | Float[Tensor, ""] = 0.1,
    eps: float = 1e-5,
    backend: str = "torch",
) -> Float[Tensor, "n c *spatial"]:
    """Normalise every channel, then scale and shift it (Ioffe & Szegedy 2015, algorithms 1 and 2, arXiv:1502.03167).

    In training each channel is normalised by the mean and the biased variance of this batch, and the running
    statistics move towards the batch's; in evaluation the running statistics normalise. Statistics are computed in
    float32, and in float64 for float64 input; the output has the input's dtype. NaN passes through: one NaN makes
    its whole channel NaN in training, and its running statistics too. An empty batch gives an empty output and
    leaves the running statistics as they were.

    Args:
        x: the input; floating-point, channels on axis 1.
        running_mean: one value per channel, updated in place in training; None to keep no running statistics.
        running_var: the same for the variance, kept unbiased.
        weight: gamma, the scale of each channel; None for 1.
        bias: beta, the shift of each channel; None for 0.
        training: whether to use (and track) this batch's statistics, or the running ones.
        momentum: weight of the new batch, `running = (1 - momentum) * running + momentum * batch`.
        eps: added to the variance, under the root.
        backend: "torch" leaves the derivative to autograd; "manual" has it written by hand, and keeps less memory for
            the backward pass (see `bnlab.layers.manual`). "numba" and "triton" are compiled, for the CPU and for a
            CUDA device, and have no second derivative; "auto" takes the one of the two that fits `x`, or "torch".

    Returns:
        The normalised tensor, of the shape, dtype and memory format of `x`.

    Raises:
        ValueError: an argument does not fit the others, or training was asked for with one value per channel, which
            has no variance. Nothing is changed then.

    Example:
        >>> x = torch.tensor([[1.0, 10.0], [3.0, 30.0]])
        >>> batch_norm(x, None, None, training=True).round(decimals=4)
        tensor([[-1., -1.],
                [ 1.,  1.]])
    """
    check_input(x, training=training, eps=eps)
    check_per_channel(x, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    chosen = backend_named(backend)
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("evaluation needs running_mean and running_var, got None")
        evaluated: Tensor = chosen.normalise_by(x, running_mean, running_var, weight, bias, eps)
        return evaluated

    y: Tensor
    y, mean, var = chosen.normalise_by_batch(x, weight, bias, eps)
    if running_mean is not None and running_var is not None:
        update_running_stats(running_mean, running_var, mean, var, count=values_per_channel(x), momentum=momentum)
    return y


def backend_named(name: str) -> ModuleType:
    """The backend of that name.

    Raises:
        ValueError: there is none.

    Example:
        >>> backend_named("numpy")
        Traceback (most recent call last):
        ValueError: expected backend 'torch', 'manual', 'numba', 'triton' or 'auto', got 'numpy'
    """
    if name not in BACKENDS:
        *others, last = map(repr, BACKENDS)
        raise ValueError(f"expected backend {', '.join(others)} or {last}, got {name!r}")
    backend = BACKENDS[name]
    return import_module(backend) if isinstance(backend, str) else backend


@torch.no_grad()  # a buffer that kept its graph would keep every batch it has seen
def update_running_stats(
    running_mean: Float[Tensor, " c"],
    running_var: Float[Tensor, " c"],
    batch_mean: Float[Tensor, " c"],
    batch_var: Float[Tensor, " c"],
    *,
    count: int,
    momentum: float | Float[Tensor, ""] = 0.1,
) -> None:
    """Move the running statistics towards the batch's, in place; computed in the batch statistics' dtype.

    Args:
        running_mean: moved to `(1 - momentum) * running_mean + momentum * batch_mean`.
        running_var: the same, towards the unbiased variance, `count / (count - 1)` times the biased one.
        batch_mean: mean of each channel.
        batch_var: biased variance of each channel.
        count: values per channel, at least 2, or 0 for an empty batch, which moves nothing.
        momentum: weight of the new batch.

    Raises:
        ValueError: `count` is 1 or negative; nothing is changed then.

    Example:
        >>> running_mean, running_var = torch.zeros(1), torch.ones(1)
        >>> update_running_stats(running_mean, running_var, torch.tensor([5.0]), torch.tensor([2.0]), count=2)
        >>> running_mean, running_var
        (tensor([0.5000]), tensor([1.3000]))
    """
    if count == 0:
        return
    if count < 2:
        raise ValueError(
            f"expected a count of at least 2, which a variance needs, or 0 for an empty batch, got {count}"
        )
    unbiased_var = batch_var * (count / (count - 1))
    running_mean.copy_((1 - momentum) * running_mean.to(batch_mean.dtype) + momentum * batch_mean)
    running_var.copy_((1 - momentum) * running_var.to(batch_var.dtype) + momentum * unbiased_var)


def values_per_channel(x: Tensor) -> int:
    """Values per channel."""
    return x.numel() // x.shape[1]


def check_input(x: Tensor, *, training: bool, eps: float) -> None:
    """Refuse an input, or an eps, that batch norm cannot take, with a ValueError of one line."""
    shape = tuple(x.shape)
    if x.ndim < 2 or x.shape[1] == 0:
        raise ValueError(f"expected x of shape (n, c, *spatial) with at least one channel, got {shape}")
    if not x.is_floating_point():
        raise ValueError(f"expected x of a floating-point dtype, got {x.dtype}")
    if training and values_per_channel(x) == 1:
        raise ValueError(f"expected more than one value per channel in training, got x of shape {shape}")
    if eps < 0 or (training and eps == 0):
        raise ValueError(f"expected eps {'above 0 in training' if training else 'of at least 0'}, got {eps}")


def check_per_channel(x: Tensor, **per_channel: Tensor | None) -> None:
    """Refuse parameters and statistics that are not one value per channel, with a ValueError that names the one."""
    channels = x.shape[1]
    for name, values in per_channel.items():
        if values is not None and values.shape != (channels,):
            got = tuple(values.shape)
            raise ValueError(f"expected {name} of shape ({channels},), one value per channel of x, got {got}")
    if (per_channel["running_mean"] is None) != (per_channel["running_var"] is None):
        raise ValueError("expected both of running_mean and running_var or neither, got one")
