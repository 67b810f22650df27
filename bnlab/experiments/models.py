"""The networks of the course's experiments; each takes its normalisation as an argument."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Norm = Callable[[int], nn.Module]  # from a number of channels to the layer that normalises them


def mlp(
    inputs: int,
    outputs: int,
    *,
    depth: int,
    width: int,
    norm: Norm | None = None,
    activation: Callable[[], nn.Module] = nn.ReLU,
    scale: float = 1.0,
    dropout: float = 0.0,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """A plain multilayer perceptron: `depth` hidden layers of linear, norm (if any), activation; then a linear head.

    Weights start as He et al. 2015 (arXiv:1502.01852) prescribe for ReLU, so that without normalisation the signal
    keeps its size from layer to layer at the start. A linear layer before a norm has no bias: the norm would subtract
    it again.

    Args:
        inputs: values per example; images are flattened.
        outputs: classes.
        depth: hidden layers.
        width: units of each hidden layer.
        norm: makes the normalisation of a hidden layer; None for none.
        activation: makes the nonlinearity of a hidden layer; the weights start as for ReLU with any.
        scale: multiplies the initial weights of the hidden layers; the head's stay.
        dropout: the probability that a value is dropped behind an activation; 0 for no such layers.
        generator: draws the weights; one seed gives the same weights with every norm. None for torch's own.

    Returns:
        A module from (n, ...) with `inputs` values per example to (n, outputs).

    Example:
        >>> from bnlab.layers import BatchNorm1d
        >>> [type(layer).__name__ for layer in mlp(64, 10, depth=1, width=32, norm=BatchNorm1d)]
        ['Flatten', 'Linear', 'BatchNorm1d', 'ReLU', 'Linear']
    """
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in in (inputs, *[width] * (depth - 1)):
        layers.append(nn.Linear(fan_in, width, bias=norm is None))
        if norm is not None:
            layers.append(norm(width))
        layers.append(activation())
        if dropout:
            layers.append(nn.Dropout(dropout))
    layers.append(nn.Linear(width, outputs))
    return _he_initialised(nn.Sequential(*layers), generator, scale=scale)


def cnn(
    inputs: int,
    outputs: int,
    *,
    depth: int,
    width: int,
    norm: Norm | None = None,
    norm_after: bool = False,
    stride: int = 1,
    scale: float = 1.0,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """A plain convolutional network: `depth` layers of 3x3 convolution, norm (if any), ReLU; average pooling; a head.

    Args:
        inputs: channels of the image.
        outputs: classes.
        depth: convolutions; each keeps height and width, but for the first one's stride.
        width: channels of each convolution.
        norm: makes the normalisation behind each convolution; None for none.
        norm_after: whether it stands behind the ReLU instead; the convolutions have no bias in either place.
        stride: of the first convolution.
        scale: multiplies the initial weights of the convolutions; the head's stay.
        generator: draws the weights, as in `mlp`.

    Returns:
        A module from (n, inputs, height, width) to (n, outputs).

    Example:
        >>> [type(layer).__name__ for layer in cnn(1, 10, depth=1, width=8)]
        ['Conv2d', 'ReLU', 'AdaptiveAvgPool2d', 'Flatten', 'Linear']
    """
    layers: list[nn.Module] = []
    for fan_in, step in zip((inputs, *[width] * (depth - 1)), (stride, *[1] * (depth - 1)), strict=True):
        convolution, *rest = _convolution(fan_in, width, norm, stride=step)
        layers += [convolution, nn.ReLU(), *rest] if norm_after else [convolution, *rest, nn.ReLU()]
    return _he_initialised(nn.Sequential(*layers, *_head(width, outputs)), generator, scale=scale)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a skip connection (He et al. 2015, arXiv:1512.03385, figure 2), shape kept."""

    def __init__(self, channels: int, norm: Norm | None = None) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *_convolution(channels, channels, norm), nn.ReLU(), *_convolution(channels, channels, norm)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, height, width) in and out."""
        return torch.relu(x + self.branch(x))


class PreactivationBlock(nn.Module):
    """A skip connection that nothing interrupts, beside twice norm (if any), ReLU, layer (arXiv:1603.05027).

    The branch may be multiplied by one number that is trained from 0 on: SkipInit (De & Smith 2020, arXiv:2002.10444).
    """

    def __init__(
        self,
        width: int,
        norm: Norm | None = None,
        *,
        layer: Callable[[int, int, Norm | None], nn.Module],
        skip_init: bool = False,
    ) -> None:
        super().__init__()
        halves = [
            [*([] if norm is None else [norm(width)]), nn.ReLU(), layer(width, width, norm)] for _ in ("first", "last")
        ]
        self.branch = nn.Sequential(*halves[0], *halves[1])
        self.strength = nn.Parameter(torch.zeros(1)) if skip_init else None

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape (n, width, ...) in and out."""
        branch: Tensor = self.branch(x)
        return x + (branch if self.strength is None else self.strength * branch)


def resnet(
    inputs: int,
    outputs: int,
    *,
    blocks: int,
    width: int,
    norm: Norm | None = None,
    zero_gamma: bool = False,
    stride: int = 1,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """A small residual network for small images: a stem, `blocks` residual blocks, global average pooling, a head.

    Args:
        inputs: channels of the image.
        outputs: classes.
        blocks: residual blocks of two convolutions each.
        width: channels of every block.
        norm: makes the normalisation behind each convolution; None for none.
        zero_gamma: whether the last gamma of each branch starts at 0, so that each block starts as the identity (of
            what is not negative; Goyal et al. 2017, arXiv:1706.02677).
        stride: of the stem.
        generator: draws the weights, as in `mlp`.

    Returns:
        A module from (n, inputs, height, width) to (n, outputs).

    Raises:
        ValueError: a gamma should start at 0, and there is no norm.
    """
    if zero_gamma and norm is None:
        raise ValueError("zero_gamma: expected a norm, whose gamma can start at 0, got None")
    body = [ResidualBlock(width, norm) for _ in range(blocks)]
    for block in body if zero_gamma else ():
        nn.init.zeros_(block.branch[-1].get_parameter("weight"))
    stem = (*_convolution(inputs, width, norm, stride=stride), nn.ReLU())
    return _he_initialised(nn.Sequential(*stem, *body, *_head(width, outputs)), generator)


def preactivation_resnet(
    inputs: int,
    outputs: int,
    *,
    blocks: int,
    width: int,
    norm: Norm | None = None,
    skip_init: bool = False,
    stride: int = 1,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """A residual network whose skip connection runs from stem to head untouched (He et al. 2016, arXiv:1603.05027).

    Args:
        inputs: channels of the image.
        outputs: classes.
        blocks: residual blocks of two convolutions each.
        width: channels of every block.
        norm: makes the normalisation that begins each half of a branch, and the one before the head; None for none.
        skip_init: whether a number that starts at 0 multiplies each branch.
        stride: of the stem.
        generator: draws the weights, as in `mlp`.

    Returns:
        A module from (n, inputs, height, width) to (n, outputs).

    Example:
        >>> [type(layer).__name__ for layer in preactivation_resnet(1, 10, blocks=1, width=8)]
        ['Conv2d', 'PreactivationBlock', 'ReLU', 'AdaptiveAvgPool2d', 'Flatten', 'Linear']
    """
    stem = _convolution(inputs, width, norm, stride=stride)[0]
    blocks_and_norm = _preactivated(blocks, width, norm, _one_convolution, skip_init=skip_init)
    return _he_initialised(nn.Sequential(stem, *blocks_and_norm, *_head(width, outputs)), generator)


def residual_mlp(
    inputs: int,
    outputs: int,
    *,
    blocks: int,
    width: int,
    norm: Norm | None = None,
    skip_init: bool = False,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """The same of linear layers: what costs a deep residual network of convolutions minutes costs this one seconds.

    Args:
        inputs: values per example; images are flattened.
        outputs: classes.
        blocks: residual blocks of two linear layers each.
        width: units of every block.
        norm: as in `preactivation_resnet`.
        skip_init: as there.
        generator: draws the weights, as in `mlp`.

    Returns:
        A module from (n, ...) with `inputs` values per example to (n, outputs).
    """
    stem = (nn.Flatten(), _linear(inputs, width, norm))
    blocks_and_norm = _preactivated(blocks, width, norm, _linear, skip_init=skip_init)
    return _he_initialised(nn.Sequential(*stem, *blocks_and_norm, nn.Linear(width, outputs)), generator)


def _preactivated(
    blocks: int, width: int, norm: Norm | None, layer: Callable[[int, int, Norm | None], nn.Module], *, skip_init: bool
) -> list[nn.Module]:
    """Blocks, and what stands between the last of them and the head."""
    body = [PreactivationBlock(width, norm, layer=layer, skip_init=skip_init) for _ in range(blocks)]
    return [*body, *([] if norm is None else [norm(width)]), nn.ReLU()]


def _convolution(inputs: int, outputs: int, norm: Norm | None, *, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=norm is None)
    return [convolution] if norm is None else [convolution, norm(outputs)]


def _one_convolution(inputs: int, outputs: int, norm: Norm | None) -> nn.Module:
    return _convolution(inputs, outputs, norm)[0]


def _linear(inputs: int, outputs: int, norm: Norm | None) -> nn.Module:
    return nn.Linear(inputs, outputs, bias=norm is None)


def _head(width: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, outputs)


def _he_initialised(model: nn.Sequential, generator: torch.Generator | None, *, scale: float = 1.0) -> nn.Sequential:
    """Draws every weight anew; `scale` multiplies all but those of the last layer, the head."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module is not model[-1]:
                module.weight.detach().mul_(scale)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model
