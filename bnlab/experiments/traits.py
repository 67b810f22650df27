"""What kind of norm a layer is, found out by feeding it: nothing here is known beforehand of any layer."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

EQUAL = 1e-3  # of the larger output; eps moves it by less
INPUTS = 20  # that one example of one position takes in turn
SEVERAL = 3  # different values, from which on more than a sign goes out


class Traits(NamedTuple):
    """What a norm, behind a linear layer or convolution, was seen to do.

    Attributes:
        mates: what another example of the batch moves in training: an example's "output", only its "gradient", or "no".
        state: how many numbers, beside the parameters, a training pass changes.
        evaluated: what evaluation gives, for the same batch, after the training pass: "as trained", or "another".
        alone: what becomes of one example of one position in training: "works"; "refused", by an error; "constant" or
            "sign", where nothing, or no more than the sign of what came in, goes out.
        shift: which numbers, added to the norm's input, leave its output as it was: "each channel its own", "one for
            all", or "no".
        scale: whether weights three times as large leave it as it was.
    """

    mates: str
    state: int
    evaluated: str
    alone: str
    shift: str
    scale: bool


@dataclass(frozen=True, repr=False)
class Table:
    """Traits of several norms, by name; shows itself as a table."""

    rows: Mapping[str, Traits]

    def __getitem__(self, name: str) -> Traits:
        return self.rows[name]

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {one}" for name, one in self.rows.items())

    def _repr_markdown_(self) -> str:
        head = ("norm", "batch-mates move", "state", "evaluation", "one value alone", "forgets a shift", "a scale")
        lines = [head, ("---",) * len(head)]
        for name, one in self.rows.items():
            scale = "yes" if one.scale else "no"
            lines.append((name, one.mates, str(one.state), one.evaluated, one.alone, one.shift, scale))
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def traits(first: nn.Linear | nn.Conv2d, norm: nn.Module, x: Tensor) -> Traits:
    """Finds out what a norm does, by changing one thing at a time.

    Args:
        first: gives the norm its input; it has a bias.
        norm: any module; `nn.Identity()` behind a layer that normalises its own weights. Both are left as they were.
        x: at least two examples for `first`, such as (n, c, height, width) or (n, length, c).

    Returns:
        What was seen.

    Raises:
        ValueError: `first` has no bias.

    Example:
        >>> found = traits(nn.Linear(3, 4), nn.BatchNorm1d(4), torch.randn(8, 3))
        >>> found.mates, found.state, found.evaluated, found.alone, found.shift
        ('output', 9, 'another', 'refused', 'each channel its own')
    """
    if first.bias is None:
        raise ValueError("expected a first layer with a bias, got none")
    block = nn.Sequential(first, norm)
    return Traits(
        mates=_mates(block, x),
        state=_state(block, x),
        evaluated="as trained" if _equal(_evaluated(block, x), _trained(block, x)) else "another",
        alone=_alone(norm, first(x)[:1]),
        shift=_shift(first, norm, x),
        scale=_equal(_trained(_block(first, norm, scale=3.0), x), _trained(_block(first, norm), x)),
    )


def kept_for_backward(layer: nn.Module, x: Tensor) -> float:
    """What a layer keeps in training for its backward pass, parameters aside, over the size of its output.

    Example:
        >>> kept_for_backward(nn.Tanh(), torch.randn(4, 3))
        1.0
    """
    copy = deepcopy(layer).train()
    own = {parameter.data_ptr() for parameter in copy.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in own:
            kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        y: Tensor = copy(x.detach().requires_grad_())
    return sum(kept.values()) / y.nbytes


def _mates(block: nn.Sequential, x: Tensor) -> str:
    outputs, gradients = [], []
    for batch in (x, torch.cat([x[:1], -2 * x[1:]])):
        into = batch.detach().requires_grad_()
        y = deepcopy(block).train()(into)[0]
        weights = torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view_as(y)  # uneven, or a norm's gradient vanishes
        (gradient,) = torch.autograd.grad((weights * y).sum(), into)
        outputs.append(y.detach())
        gradients.append(gradient[0])
    return "no" if _equal(*outputs) and _equal(*gradients) else "gradient" if _equal(*outputs) else "output"


def _state(block: nn.Sequential, x: Tensor) -> int:
    copy = deepcopy(block).train()
    before = [buffer.clone() for buffer in copy.buffers()]
    copy(x)
    return sum(int((old != new).sum()) for old, new in zip(before, copy.buffers(), strict=True))


@torch.no_grad()
def _trained(block: nn.Sequential, x: Tensor) -> Tensor:
    y: Tensor = deepcopy(block).train()(x)
    return y


@torch.no_grad()
def _evaluated(block: nn.Sequential, x: Tensor) -> Tensor:
    copy = deepcopy(block).train()
    copy(x)
    y: Tensor = copy.eval()(x)
    return y


def _alone(norm: nn.Module, like: Tensor) -> str:
    """By inputs of one position, channels on axis 1 of an image and on the last axis elsewhere."""
    shape = (1, like.shape[1], 1, 1) if like.ndim == 4 else (*(1,) * (like.ndim - 1), like.shape[-1])
    draws = torch.rand(INPUTS, *shape, generator=torch.Generator().manual_seed(0), dtype=like.dtype) - 0.5
    try:
        outputs = [_trained(nn.Sequential(norm), 100 * draw) for draw in draws]  # so large that eps does not count
    except ValueError:
        return "refused"
    values = {round(value, 2) for output in outputs for value in output.flatten().tolist()}
    return "works" if len(values) >= SEVERAL else "sign" if len(values) > 1 else "constant"


def _shift(first: nn.Linear | nn.Conv2d, norm: nn.Module, x: Tensor) -> str:
    plain = _trained(_block(first, norm), x)
    own = torch.linspace(-2, 3, len(first.weight), dtype=x.dtype)
    for name, added in (("each channel its own", own), ("one for all", torch.ones_like(own))):
        if _equal(_trained(_block(first, norm, bias=added), x), plain):
            return name
    return "no"


@torch.no_grad()
def _block(
    first: nn.Linear | nn.Conv2d, norm: nn.Module, *, scale: float = 1.0, bias: Tensor | None = None
) -> nn.Sequential:
    """Both, with larger weights and this bias, or none."""
    copy = deepcopy(first)
    copy.weight.mul_(scale)
    assert copy.bias is not None
    copy.bias.zero_() if bias is None else copy.bias.copy_(bias)
    return nn.Sequential(copy, norm)


def _equal(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= EQUAL * torch.maximum(one.abs(), other.abs()).max())
