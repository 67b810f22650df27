"""Batch norm of NumPy arrays by compiled code, on all cores: the operators of `bnlab.reference`, made fast.

Each takes float32 or float64, in the layout that its shape suggests or in channels_last, and returns what it was given.
Results are written into `out` where one is given, since a large new array costs more time than the work: the operating
system has to provide its pages. ReLU, and a residual that is added before it, are fused: they cost no pass of their
own. The first call for a dtype and a layout compiles for some seconds, and a terminal is told so. The result is kept on
disk: beside this file, or in the user's cache where that folder is read-only, or where `NUMBA_CACHE_DIR` says.

The number of threads is numba's: `numba.set_num_threads`. The same input gives the same bits, whatever that number is.
"""

import math
import threading
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float64
from numba import get_num_threads

from bnlab.kernels import columns, first_call, maps, planes

SMALL = 256  # positions of a map, at most, for which `maps` is faster than `planes`
MAPS = 2048  # columns of a block of small maps, at most
VECTORS = 512  # columns to which short vectors are joined, at most
LAUNCH = threading.Lock()  # where neither OpenMP nor TBB is there, numba's threads abort if two launch at once

first_call.announce(columns, maps, planes)


class Gradients(NamedTuple):
    """What `backward` returns.

    Attributes:
        x: gradient of the input, in its shape, dtype and layout.
        weight: gradient of the scale, float64.
        bias: gradient of the shift, float64.
        residual: gradient of what was added before the ReLU; None unless the output was given.
    """

    x: Float[np.ndarray, "n c *spatial"]
    weight: Float64[np.ndarray, " c"]
    bias: Float64[np.ndarray, " c"]
    residual: Float[np.ndarray, "n c *spatial"] | None


def forward(
    x: Float[np.ndarray, "n c *spatial"],
    weight: Float[np.ndarray, " c"],
    bias: Float[np.ndarray, " c"],
    *,
    eps: float = 1e-5,
    residual: Float[np.ndarray, "n c *spatial"] | None = None,
    relu: bool = False,
    out: Float[np.ndarray, "n c *spatial"] | None = None,
) -> tuple[Float[np.ndarray, "n c *spatial"], Float64[np.ndarray, " c"], Float64[np.ndarray, " c"]]:
    """Normalise each channel by its batch, scale and shift (Ioffe & Szegedy 2015, algorithm 1, arXiv:1502.03167).

    Args:
        x: activations with at least one value per channel.
        weight: scale of each channel.
        bias: shift of each channel.
        eps: added to the variance, under the root.
        residual: added to the result, before the ReLU.
        relu: whether negative values become 0.
        out: where to write; it may be `x` or `residual` itself, but must not overlap them otherwise.

    Returns:
        The output, and mean and biased variance of each channel in float64. In float32 that holds for channels whose
        values lie within 1e17 of their mean, in float64 within 1e150. Further out squares may overflow; the variance is
        infinite then and the output the shift, or, where sums overflow too, both are NaN.

    Raises:
        ValueError: an argument has another dtype, shape or layout than `x` asks for, or `x` is empty.

    Example:
        >>> x = np.array([[1.0, 10.0], [3.0, 30.0]])
        >>> y, mean, var = forward(x, np.ones(2), np.zeros(2))
        >>> y.round(3), mean, var
        (array([[-1., -1.],
               [ 1.,  1.]]), array([ 2., 20.]), array([  1., 100.]))
    """
    view = _layout(x)
    weight, bias = _per_channel(x, weight=weight, bias=bias)
    y = np.empty_like(x) if out is None else _alike(x, out=out)
    added, adding = view(x if residual is None else _alike(x, residual=residual)), residual is not None
    mean, var = np.empty(x.shape[1]), np.empty(x.shape[1])
    with LAUNCH:
        view.kernel.forward(view(x), added, adding, weight, bias, eps, relu, *view.slab(1), view(y), mean, var)
    return y, mean, var


def inference(
    x: Float[np.ndarray, "n c *spatial"],
    mean: Float[np.ndarray, " c"],
    var: Float[np.ndarray, " c"],
    weight: Float[np.ndarray, " c"],
    bias: Float[np.ndarray, " c"],
    *,
    eps: float = 1e-5,
    residual: Float[np.ndarray, "n c *spatial"] | None = None,
    relu: bool = False,
    out: Float[np.ndarray, "n c *spatial"] | None = None,
) -> Float[np.ndarray, "n c *spatial"]:
    """Normalise by statistics that are given (algorithm 2, line 11); arguments as for `forward`.

    Example:
        >>> inference(np.array([[6.0]]), np.array([2.0]), np.array([4.0]), np.ones(1), np.zeros(1)).round(3)
        array([[2.]])
    """
    view = _layout(x)
    mean, var, weight, bias = _per_channel(x, mean=mean, var=var, weight=weight, bias=bias)
    y = np.empty_like(x) if out is None else _alike(x, out=out)
    added, adding = view(x if residual is None else _alike(x, residual=residual)), residual is not None
    with LAUNCH:
        view.kernel.inference(view(x), added, adding, mean, var, weight, bias, eps, relu, view(y))
    return y


def backward(  # noqa: PLR0917 - what forward took and returned, in its order
    grad_y: Float[np.ndarray, "n c *spatial"],
    x: Float[np.ndarray, "n c *spatial"],
    mean: Float[np.ndarray, " c"],
    var: Float[np.ndarray, " c"],
    weight: Float[np.ndarray, " c"],
    bias: Float[np.ndarray, " c"],
    *,
    eps: float = 1e-5,
    relu: bool = False,
    y: Float[np.ndarray, "n c *spatial"] | None = None,
    constant: bool = False,
    out: Float[np.ndarray, "n c *spatial"] | None = None,
) -> Gradients:
    """Gradients of `forward`, in the closed form of `bnlab.reference.batch_norm_backward`.

    Args:
        grad_y: gradient of the output.
        x: what `forward` was given.
        mean: what `forward` returned.
        var: what `forward` returned.
        weight: what `forward` was given.
        bias: the same; only the ReLU's mask depends on it.
        eps: the same.
        relu: the same. The mask is computed again from `x`, unless `y` is given.
        y: the output, where a residual was added before the ReLU: the mask is read from it.
        constant: whether the statistics are constants, as in `inference`.
        out: where to write the gradient of `x`; it may be any of `grad_y`, `x` and `y` itself.

    Returns:
        The gradients, of the residual too where `y` is given.

    Raises:
        ValueError: as for `forward`; or `y` is given without `relu`, where a residual's gradient is `grad_y` itself.

    Example:
        A gradient that is the same everywhere moves the bias, and nothing else:

        >>> x = np.array([[1.0], [2.0], [6.0]])
        >>> _, mean, var = forward(x, np.ones(1), np.zeros(1))
        >>> grads = backward(np.ones((3, 1)), x, mean, var, np.ones(1), np.zeros(1))
        >>> np.abs(grads.x).max() < 1e-12, grads.weight.round(12) + 0, grads.bias
        (np.True_, array([0.]), array([3.]))
    """
    if y is not None and not relu:
        raise ValueError(
            "expected y only with relu=True: without a ReLU the residual's gradient is grad_y, got relu=False"
        )
    view = _layout(x)
    mean, var, weight, bias = _per_channel(x, mean=mean, var=var, weight=weight, bias=bias)
    grad_x = np.empty_like(x) if out is None else _alike(x, out=out)
    adding = y is not None
    grad_residual = np.empty_like(x) if adding else grad_x
    grad_weight, grad_bias = np.empty(x.shape[1]), np.empty(x.shape[1])
    masked = view(x if y is None else _alike(x, y=y))
    given = (view(_alike(x, grad_y=grad_y)), view(x), masked, adding, mean, var, weight, bias, eps, relu, constant)
    with LAUNCH:
        view.kernel.backward(*given, *view.slab(2), view(grad_x), view(grad_residual), grad_weight, grad_bias)
    return Gradients(grad_x, grad_weight, grad_bias, grad_residual if adding else None)


class _View(NamedTuple):
    """How arrays of one shape and layout are seen by the kernels that are fastest for them; never a copy."""

    kernel: ModuleType
    shape: tuple[int, ...]
    channels_last: bool = False

    def __call__(self, array: np.ndarray) -> np.ndarray:
        return (_channels_to_the_end(array) if self.channels_last else array).reshape(self.shape)

    def slab(self, arrays: int) -> tuple[int, ...]:
        """What `planes` is told of the work's division; the others find it in the shape."""
        if self.kernel is not planes:
            return ()
        return (planes.channels_of_a_slab(self.shape, arrays=arrays, threads=get_num_threads()),)


def _layout(x: Any) -> _View:
    if not (isinstance(x, np.ndarray) and x.dtype in {np.dtype(np.float32), np.dtype(np.float64)}):
        got = getattr(x, "dtype", type(x).__name__)
        raise ValueError(f"expected x as a NumPy array of float32 or float64, got {got}")
    if x.ndim < 2 or x.size == 0:
        raise ValueError(f"expected x of shape (n, c, *spatial) with at least one value per channel, got {x.shape}")
    n, c, *spatial = x.shape
    length = math.prod(spatial)
    order = _order(x)
    if order == "contiguous" and length > SMALL:
        return _View(planes, (n, c, length))
    if order == "contiguous" and length > 1:
        together = _divisor(c, at_most=min(MAPS // length, c // (2 * get_num_threads())))
        return _View(maps, (n, c // together, together * length))
    if order:
        joined = math.gcd(n * length, 1 << max(VECTORS // c, 1).bit_length() - 1)
        return _View(columns, (n * length // joined, joined * c), channels_last=order == "channels_last")
    raise ValueError(f"expected x contiguous or channels_last, got shape {x.shape} with strides {x.strides}")


def _order(x: np.ndarray) -> str:
    """How its values lie in memory; empty if neither of the two layouts fits."""
    if x.flags.c_contiguous:
        return "contiguous"
    return "channels_last" if _channels_to_the_end(x).flags.c_contiguous else ""


def _channels_to_the_end(x: np.ndarray) -> np.ndarray:
    return x.transpose(0, *range(2, x.ndim), 1)  # np.moveaxis takes as long as the kernel of a small layer


def _divisor(number: int, at_most: int) -> int:
    """The largest divisor within the limit."""
    return next((d for d in range(at_most, 1, -1) if number % d == 0), 1)


def _alike(x: np.ndarray, **named: Any) -> np.ndarray:
    """The one array that is named, if it has the shape, dtype and layout of `x`."""
    ((name, array),) = named.items()
    if not isinstance(array, np.ndarray):
        raise ValueError(f"expected {name} as a NumPy array, got {type(array).__name__}")  # noqa: TRY004 - a wrong argument is a ValueError in this package
    if (array.shape, array.dtype) != (x.shape, x.dtype) or _order(array) != _order(x):
        like, got = (f"shape {one.shape}, {one.dtype}, strides {one.strides}" for one in (x, array))
        raise ValueError(f"expected {name} like x, of {like}, got {got}")
    if name == "out" and not array.flags.writeable:
        raise ValueError("expected out to be writeable, got a read-only array")
    return array


def _per_channel(x: np.ndarray, **named: Any) -> list[np.ndarray]:
    for name, array in named.items():
        if np.shape(array) != (x.shape[1],):
            raise ValueError(f"expected {name} of shape ({x.shape[1]},), one value per channel, got {np.shape(array)}")
    # Copies, since numba would compile anew for a strided vector and for a read-only one.
    return [np.array(array, dtype=np.float64) for array in named.values()]
