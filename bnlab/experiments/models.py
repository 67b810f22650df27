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
    scale: float = 1.0,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """A plain convolutional network: `depth` layers of 3x3 convolution, norm (if any), ReLU; average pooling; a head.

    Args:
        inputs: channels of the image.
        outputs: classes.
        depth: convolutions; each keeps height and width.
        width: channels of each convolution.
        norm: makes the normalisation behind each convolution; None for none.
        scale: multiplies the initial weights of the convolutions; the head's stay.
        generator: draws the weights, as in `mlp`.

    Returns:
        A module from (n, inputs, height, width) to (n, outputs).

    Example:
        >>> [type(layer).__name__ for layer in cnn(1, 10, depth=1, width=8)]
        ['Conv2d', 'ReLU', 'AdaptiveAvgPool2d', 'Flatten', 'Linear']
    """
    layers: list[nn.Module] = []
    for fan_in in (inputs, *[width] * (depth - 1)):
        layers += [*_convolution(fan_in, width, norm), nn.ReLU()]
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, outputs))
    return _he_initialised(nn.Sequential(*layers, *head), generator, scale=scale)


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


def resnet(
    inputs: int,
    outputs: int,
    *,
    blocks: int,
    width: int,
    norm: Norm | None = None,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """A small residual network for small images: a stem, `blocks` residual blocks, global average pooling, a head.

    Args:
        inputs: channels of the image.
        outputs: classes.
        blocks: residual blocks of two convolutions each.
        width: channels of every block.
        norm: makes the normalisation behind each convolution; None for none.
        generator: draws the weights, as in `mlp`.

    Returns:
        A module from (n, inputs, height, width) to (n, outputs).
    """
    return _he_initialised(
        nn.Sequential(
            *_convolution(inputs, width, norm),
            nn.ReLU(),
            *(ResidualBlock(width, norm) for _ in range(blocks)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, outputs),
        ),
        generator,
    )


def _convolution(inputs: int, outputs: int, norm: Norm | None) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=norm is None)
    return [convolution] if norm is None else [convolution, norm(outputs)]


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
