"""Who is compared: batch norm of one tensor by our kernels, by torch, by torch's compiler and by NumPy, and a copy.

A contender without "new" in its name writes into memory that is there already; with it, each call asks for new memory.
"Both" is a forward and a backward pass.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bnlab.bench.rounds import Call
from bnlab.bench.shapes import Shape
from bnlab.layers import elementary
from bnlab.layers.functional import batch_norm

EPS = 1e-5
COPY, OURS, RELU, BOTH = "copy", "ours", "ours, ReLU", "ours, both"
OURS_NEW, BOTH_NEW = "ours, new", "ours, both, new"
TORCH, TORCH_NEW, TORCH_BOTH = "torch", "torch, new", "torch, both, new"
COMPILED, NUMPY = "torch.compile, new", "NumPy, new"
ELEMENTARY = "torch by hand, new"


class Operands(NamedTuple):
    """What every contender is given, and where those write that do not ask for memory."""

    x: Tensor
    grad_y: Tensor
    weight: Tensor
    bias: Tensor
    y: Tensor
    grad_x: Tensor

    @classmethod
    def random(cls, shape: Shape, device: torch.device) -> "Operands":
        """Numbers of a fixed seed."""
        generator = torch.Generator().manual_seed(0)
        x, grad_y = shape.random(generator, device), shape.random(generator, device)
        weight, bias = (torch.rand(shape.channels, generator=generator).to(device) + 0.5 for _ in range(2))
        return cls(x, grad_y, weight, bias, torch.empty_like(x), torch.empty_like(x))


def contenders(given: Operands) -> dict[str, Call]:
    """Every contender but `compiled`, by name; NumPy on the CPU only."""
    calls: dict[str, Call] = {COPY: lambda: given.y.copy_(given.x)}
    if given.x.device.type == "cpu":
        calls |= _by_numba(given)
        numbers = given.x.numpy(), given.weight.numpy(), given.bias.numpy()
        calls[NUMPY] = lambda: textbook(*numbers)
    else:
        calls |= _by_triton(given)
    return calls | _by_torch(given)


def textbook(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Batch norm as the paper writes it down, an array operation for each of its own.

    >>> textbook(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1)).round(3).tolist()
    [[-1.0], [1.0]]
    """
    axes, shape = (0, *range(2, x.ndim)), (1, -1, *(1,) * (x.ndim - 2))
    mean = x.mean(axis=axes, keepdims=True)
    var = ((x - mean) ** 2).mean(axis=axes, keepdims=True)
    x_hat = (x - mean) / np.sqrt(var + EPS)
    y: np.ndarray = gamma.reshape(shape) * x_hat + beta.reshape(shape)
    return y


def compiled(given: Operands) -> Call:
    """Batch norm of elementary operations, which torch's compiler has fused; it compiles at once.

    Raises:
        RuntimeError: torch's compiler cannot work here.
    """
    fused = torch.compile(by_hand, dynamic=False)
    call = torch.no_grad()(partial(fused, given.x, given.weight, given.bias))
    call()  # compiles
    return call


def by_hand(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Batch norm of elementary operations of torch."""
    y, _, _ = elementary.normalise_by_batch(x, weight, bias, EPS)
    return y


def _by_numba(given: Operands) -> dict[str, Call]:
    from bnlab.kernels import cpu  # noqa: PLC0415 - loads numba

    x, grad_y, weight, bias, y, grad_x = (tensor.numpy() for tensor in given)

    def both() -> None:
        _, mean, var = cpu.forward(x, weight, bias, eps=EPS, out=y)
        cpu.backward(grad_y, x, mean, var, weight, bias, eps=EPS, out=grad_x)

    return {
        OURS: lambda: cpu.forward(x, weight, bias, eps=EPS, out=y),
        RELU: lambda: cpu.forward(x, weight, bias, eps=EPS, relu=True, out=y),
        BOTH: both,
        OURS_NEW: lambda: cpu.forward(x, weight, bias, eps=EPS),
        BOTH_NEW: _differentiated(given, partial(_layer, backend="numba")),
    }


def _by_triton(given: Operands) -> dict[str, Call]:
    from bnlab.kernels.gpu import launch  # noqa: PLC0415 - loads Triton, which exists for Linux only

    x, grad_y, weight, bias, y, _ = given

    def both() -> None:  # the backward pass asks for memory, which torch keeps at hand on a GPU
        _, mean, var = launch.forward(x, weight, bias, eps=EPS, out=y)
        launch.backward(grad_y, x, mean, var, weight, bias, eps=EPS)

    return {
        OURS: lambda: launch.forward(x, weight, bias, eps=EPS, out=y),
        RELU: lambda: launch.forward(x, weight, bias, eps=EPS, relu=True, out=y),
        BOTH: both,
        OURS_NEW: lambda: launch.forward(x, weight, bias, eps=EPS),
        BOTH_NEW: _differentiated(given, partial(_layer, backend="triton")),
    }


def _by_torch(given: Operands) -> dict[str, Call]:
    x, _, weight, bias, y, _ = given
    statistics = torch.empty(2, len(weight), device=x.device)
    # what `functional.batch_norm` comes to, with an output
    into = {"training": True, "momentum": 0.1, "eps": EPS, "running_mean": None, "running_var": None, "out": y}
    function = partial(torch.ops.aten.native_batch_norm.out, x, weight=weight, bias=bias, **into)
    return {
        TORCH: partial(function, save_mean=statistics[0], save_invstd=statistics[1]),
        TORCH_NEW: lambda: functional.batch_norm(x, None, None, weight, bias, training=True, eps=EPS),
        ELEMENTARY: partial(by_hand, x, weight, bias),
        TORCH_BOTH: _differentiated(given, partial(functional.batch_norm, running_mean=None, running_var=None)),
    }


def _layer(x: Tensor, *, weight: Tensor, bias: Tensor, training: bool, eps: float, backend: str) -> Tensor:
    return batch_norm(x, None, None, weight, bias, training=training, eps=eps, backend=backend)


def _differentiated(given: Operands, function: Callable[..., Tensor]) -> Call:
    """A forward pass and a backward pass by autograd."""
    leaves = [tensor.detach().requires_grad_() for tensor in (given.x, given.weight, given.bias)]

    def call() -> tuple[Tensor, ...]:
        x, weight, bias = leaves
        y = function(x, weight=weight, bias=bias, training=True, eps=EPS)
        return torch.autograd.grad(y, leaves, given.grad_y)

    return call
