"""Batch norm of torch tensors by the kernels: on a CUDA device, or under the interpreter on the CPU.

`TRITON_INTERPRET=1`, set before Triton is imported, makes it interpret. Tensors of `(n, c, *spatial)` are taken as they
are if they are contiguous or channels_last, and copied first if they are neither.
"""
# ruff: noqa: PLR0917 - the formula's operands, in its order
# mypy: disable-error-code="import-untyped,import-not-found"

from typing import Any

import torch
import triton
from jaxtyping import Float
from torch import Tensor

from bnlab.kernels.gpu import backward_pass, forward_pass
from bnlab.kernels.gpu.layout import MERGE_COLUMNS, MERGE_ROWS, Layout, layout_of

Channels = Float[Tensor, " c"]
Elements = Float[Tensor, "n c *spatial"]

INTERPRETED = not isinstance(forward_pass.statistics, triton.JITFunction)
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
LANES = 32 if torch.version.hip is None else 64  # of a warp
MERGE = {"rows": MERGE_ROWS, "columns": MERGE_COLUMNS}


def forward(
    x: Elements,
    weight: Channels | None,
    bias: Channels | None,
    *,
    eps: float,
    residual: Elements | None = None,
    relu: bool = False,
    out: Elements | None = None,
) -> tuple[Elements, Channels, Channels]:
    """Normalise by the batch, then add `residual` and apply ReLU, as asked.

    Args:
        x: float32, float16 or bfloat16.
        weight: gamma; None for 1.
        bias: beta; None for 0.
        eps: floor under the variance.
        residual: what to add before the ReLU.
        relu: whether to apply a ReLU.
        out: where to write the output: of the shape, dtype and strides of `x`.

    Returns:
        The output, in the dtype and strides of `x`; the mean in float64, since float32 would round off up to .004 of a
        mean of 1e5; the biased variance in float32.

    Raises:
        ValueError: a tensor is on another device or has another dtype or shape than the kernels take.
    """
    x, layout = _view(x)
    residual, y = _like(x, residual=residual), _output(x, out)
    weight, bias = _vectors(layout, weight=weight, bias=bias)
    mean = torch.empty(layout.channels, dtype=torch.float64, device=x.device)
    var = torch.empty(layout.channels, dtype=torch.float32, device=x.device)
    if x.numel() == 0:
        return y, mean.zero_(), var.zero_()
    size, how = layout[:3], _how(x, layout)
    if layout.resident:
        _on(x, layout.programs, forward_pass.resident_forward)(
            x, residual, weight, bias, y, mean, var, eps, *size, relu=relu, **how
        )
        return y, mean, var
    partials = torch.empty(3, layout.splits, layout.channels, dtype=torch.float32, device=x.device)
    _on(x, layout.programs, forward_pass.statistics)(x, partials, *size, layout.splits, **how)
    _on(x, layout.merge_programs, forward_pass.merge_statistics)(
        x, partials, mean, var, *size[1:], layout.splits, **MERGE
    )
    _on(x, layout.programs, forward_pass.normalise)(
        x, residual, mean, var, weight, bias, y, eps, *size, relu=relu, **how
    )
    return y, mean, var


def inference(
    x: Elements,
    mean: Channels,
    var: Channels,
    weight: Channels | None,
    bias: Channels | None,
    *,
    eps: float,
    residual: Elements | None = None,
    relu: bool = False,
    out: Elements | None = None,
) -> Elements:
    """Normalise by statistics that are given; the other arguments are those of `forward`."""
    x, layout = _view(x)
    residual, y = _like(x, residual=residual), _output(x, out)
    line = _vectors(layout, mean=mean, var=var, weight=weight, bias=bias)
    if x.numel():
        _on(x, layout.programs, forward_pass.normalise)(
            x, residual, *line, y, eps, *layout[:3], relu=relu, **_how(x, layout)
        )
    return y


def backward(
    grad_y: Elements,
    x: Elements,
    mean: Channels,
    var: Channels,
    weight: Channels | None,
    bias: Channels | None,
    *,
    eps: float,
    relu: bool = False,
    y: Elements | None = None,
    constant: bool = False,
) -> tuple[Tensor, ...]:
    """The gradients of `forward`, or of `inference` where the statistics are `constant`.

    Args:
        grad_y: gradient of the output.
        x: the input.
        mean: as `forward` returned it, or as `inference` was given it.
        var: the same.
        weight: gamma; None for 1.
        bias: beta; None for 0. Only a ReLU's mask depends on it.
        eps: floor under the variance.
        relu: whether there was a ReLU.
        y: the output, needed where a residual was added before the ReLU.
        constant: whether mean and variance do not depend on `x`.

    Returns:
        The gradients of `x`, in its dtype and strides, of `weight` and of `bias`, in float32; with `y`, that of the
        residual too.

    Raises:
        ValueError: as `forward`; or `y` came without `relu`.
    """
    if y is not None and not relu:
        raise ValueError("expected y only with relu, whose mask it is, got y without relu")
    x, layout = _view(x)
    grad_y, y = _like(x, grad_y=grad_y), _like(x, y=y)
    line = _vectors(layout, mean=mean, var=var, weight=weight, bias=bias)
    grad_x, grad_residual = torch.empty_like(x), None if y is None else torch.empty_like(x)
    grad_weight, grad_bias = of_line = torch.empty(2, layout.channels, dtype=torch.float32, device=x.device)
    if x.numel() == 0:
        of_line.zero_()
    else:
        launch = _resident_backward if layout.resident else _streaming_backward
        tensors = grad_y, x, y, *line, grad_residual, grad_x
        launch(layout, tensors, (grad_weight, grad_bias), eps, relu=relu, constant=constant)
    gradients = grad_x, grad_weight, grad_bias
    return gradients if grad_residual is None else (*gradients, grad_residual)


def _resident_backward(
    layout: Layout, tensors: tuple[Any, ...], of_line: tuple[Tensor, Tensor], eps: float, *, relu: bool, constant: bool
) -> None:
    _on(tensors[1], layout.programs, backward_pass.resident_backward)(
        *tensors, *of_line, eps, *layout[:3], relu=relu, constant=constant, **_how(tensors[1], layout)
    )


def _streaming_backward(
    layout: Layout, tensors: tuple[Any, ...], of_line: tuple[Tensor, Tensor], eps: float, *, relu: bool, constant: bool
) -> None:
    """Two sweeps; one where the statistics are constants, since the gradient of `x` need not wait for the sums."""
    grad_y, x, y, mean, var, weight, bias, grad_residual, grad_x = tensors
    size, how, splits = layout[:3], _how(x, layout), layout.splits
    partials = torch.empty(2, splits, layout.channels, dtype=torch.float32, device=x.device)
    at_once = (grad_residual, grad_x if constant else None)
    _on(x, layout.programs, backward_pass.sums)(*tensors[:7], *at_once, partials, eps, *size, splits, relu=relu, **how)
    lines = torch.empty(5, layout.channels, dtype=torch.float32, device=x.device)
    count = float(layout.n * layout.length)
    _on(x, layout.merge_programs, backward_pass.merge_sums)(
        partials, mean, var, weight, bias, *of_line, lines, eps, count, layout.channels, splits, **MERGE
    )
    if not constant:
        gradient = grad_y if y is None else grad_residual  # which is masked already
        _on(x, layout.programs, backward_pass.gradient_of_x)(
            gradient, x, lines, grad_x, *size, relu=relu and y is None, **how
        )


def _on(x: Tensor, programs: int, kernel: Any) -> Any:
    """The kernel, ready to be called; it is launched on the device of `x`, which need not be the current one."""

    def launch(*arguments: Any, **options: Any) -> None:
        with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
            kernel[(programs,)](*arguments, **options)

    return launch


def _how(x: Tensor, layout: Layout) -> dict[str, Any]:
    return {
        "rows": layout.rows,
        "columns": layout.columns,
        "planes": layout.planes,
        "align": layout.align,
        "num_warps": layout.warps(x.element_size(), LANES),
    }


def _view(x: Tensor) -> tuple[Tensor, Layout]:
    """`x` where the kernels can read it, and its layout."""
    if not (x.is_cuda or (INTERPRETED and x.device.type == "cpu")):
        raise ValueError(f"expected x on a CUDA device, which Triton compiles for, got {x.device}")
    if x.dtype not in DTYPES:
        raise ValueError(f"expected x of float32, float16 or bfloat16, got {x.dtype}")
    if x.ndim < 2 or x.shape[1] == 0:
        raise ValueError(f"expected x of shape (n, c, *spatial) with at least one channel, got {tuple(x.shape)}")
    x = x.detach()
    layout = layout_of(x) if x.numel() else Layout(0, x.shape[1], 1, planes=False, rows=1, columns=1)
    if layout is None:
        x = x.contiguous()
        layout = layout_of(x)
    assert layout is not None  # a contiguous tensor has one
    return x, layout


def _like(x: Tensor, **named: Tensor | None) -> Any:
    """A second tensor of the shape of `x`, copied if it has other strides or another dtype."""
    ((name, other),) = named.items()
    if other is None:
        return None
    if other.shape != x.shape or other.device != x.device:
        got = f"{tuple(other.shape)} on {other.device}"
        raise ValueError(f"expected {name} of shape {tuple(x.shape)} on {x.device}, as x, got {got}")
    if other.stride() == x.stride() and other.dtype == x.dtype:
        return other.detach()
    return torch.empty_like(x).copy_(other)


def _output(x: Tensor, out: Tensor | None) -> Tensor:
    if out is None:
        return torch.empty_like(x)
    if (out.shape, out.dtype, out.device, out.stride()) != (x.shape, x.dtype, x.device, x.stride()):
        raise ValueError(
            f"expected out of shape {tuple(x.shape)}, strides {x.stride()} and {x.dtype}, as x on {x.device}, "
            f"got {tuple(out.shape)}, {out.stride()} and {out.dtype} on {out.device}"
        )
    return out


def _vectors(layout: Layout, **named: Tensor | None) -> list[Tensor | None]:
    """Vectors with neighbouring elements next to one another, which an expanded or a sliced one has not."""
    for name, vector in named.items():
        if vector is not None and vector.shape != (layout.channels,):
            got = tuple(vector.shape)
            raise ValueError(f"expected {name} of shape ({layout.channels},), one value per channel, got {got}")
    return [None if vector is None else vector.detach().contiguous() for vector in named.values()]
