"""Optimisers and schedules, for one network's tensors or for those of many networks, stacked along a first axis."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

Tensors: TypeAlias = Mapping[str, Tensor]
Schedule: TypeAlias = Callable[[float], float]  # from the share of training done (0 <= s < 1) to a multiple of the rate


@dataclass
class State:
    """What an optimiser remembers from step to step: its averages by their name and the parameter's; steps done."""

    averages: dict[str, dict[str, Tensor]]
    steps: int = field(default=0)


class Optimiser(Protocol):
    """What the training loops ask of an optimiser."""

    @property
    def weight_decay(self) -> float | tuple[float, ...]:
        """One for all members or one a member."""

    def start(self, parameters: Tensors) -> State:
        """The state before the first step."""

    def update(self, parameters: Tensors, gradients: Tensors, state: State, rate: Tensor, weight_decay: Tensor) -> None:
        """Moves the parameters and the state by one step, in place.

        Args:
            parameters: of one network, or of many, stacked along a first axis.
            gradients: by the same names, in the same shapes.
            state: from `start` or the last step.
            rate: the learning rate, shape () for one network, (members,) for many.
            weight_decay: in the same shape.
        """


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum and L2 regularisation, computed as `torch.optim.SGD` does.

    The penalty is added to the gradient and the rate multiplies the sum: `v = momentum * v + g + weight_decay * p`,
    `p = p - rate * v`.

    Args:
        momentum: the share of the last step's direction that is kept, at least 0 and below 1.
        weight_decay: of every parameter; one number, or one a member of an ensemble.

    Raises:
        ValueError: a number is out of its range.

    Example:
        >>> optimiser, p = SGD(momentum=0.5), {"w": torch.tensor([1.0])}
        >>> state = optimiser.start(p)
        >>> for _ in range(2):
        ...     optimiser.update(p, {"w": torch.tensor([1.0])}, state, torch.tensor(0.1), torch.tensor(0.0))
        >>> p["w"]  # 1 - 0.1 * 1 - 0.1 * (0.5 + 1)
        tensor([0.7500])
    """

    momentum: float = 0.0
    weight_decay: float | tuple[float, ...] = 0.0

    def __post_init__(self) -> None:
        _check_share("momentum", self.momentum)
        _check_decay(self.weight_decay)

    def start(self, parameters: Tensors) -> State:
        """A direction of zero for each parameter, if there is momentum."""
        return State({"direction": _zeros(parameters)} if self.momentum else {})

    def update(self, parameters: Tensors, gradients: Tensors, state: State, rate: Tensor, weight_decay: Tensor) -> None:
        """One step in place, for all parameters."""
        decays = _is_used(self.weight_decay)
        for name, parameter in parameters.items():
            direction = gradients[name]
            if decays:
                direction = torch.addcmul(direction, _aligned(weight_decay, parameter), parameter)
            if self.momentum:
                direction = state.averages["direction"][name].mul_(self.momentum).add_(direction)
            parameter.addcmul_(_aligned(-rate, parameter), direction)
        state.steps += 1


@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101), as `torch.optim.AdamW` does it.

    Args:
        betas: shares of the old average that are kept, of the gradient and of its square, at least 0 and below 1.
        eps: added to the root of the averaged square.
        weight_decay: of every parameter; a step multiplies it by `1 - rate * weight_decay`. One number, or one a member
            of an ensemble.

    Raises:
        ValueError: a number is out of its range.

    Example:
        >>> optimiser, p = AdamW(weight_decay=0.0), {"w": torch.tensor([1.0, 1.0])}
        >>> rate, decay, gradients = torch.tensor(0.1), torch.tensor(0.0), {"w": torch.tensor([5.0, -0.01])}
        >>> optimiser.update(p, gradients, optimiser.start(p), rate, decay)
        >>> p["w"]  # the first step is of the rate's size, whatever the gradient's
        tensor([0.9000, 1.1000])
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float | tuple[float, ...] = 0.01

    def __post_init__(self) -> None:
        for beta in self.betas:
            _check_share("each of betas", beta)
        if not self.eps > 0:
            raise ValueError(f"expected eps above 0, got {self.eps}")
        _check_decay(self.weight_decay)

    def start(self, parameters: Tensors) -> State:
        """Averages of zero."""
        return State({"mean": _zeros(parameters), "square": _zeros(parameters)})

    def update(self, parameters: Tensors, gradients: Tensors, state: State, rate: Tensor, weight_decay: Tensor) -> None:
        """One step in place, for all parameters."""
        state.steps += 1
        of_mean, of_square = (1 - beta**state.steps for beta in self.betas)  # the start's zeros taken out
        for name, parameter in parameters.items():
            gradient, mean, square = gradients[name], state.averages["mean"][name], state.averages["square"][name]
            mean.lerp_(gradient, 1 - self.betas[0])
            square.mul_(self.betas[1]).addcmul_(gradient, gradient, value=1 - self.betas[1])
            direction = mean / (square.sqrt().div_(math.sqrt(of_square)).add_(self.eps))
            if _is_used(self.weight_decay):
                parameter.mul_(_aligned(1 - rate * weight_decay, parameter))
            parameter.addcmul_(_aligned(-rate / of_mean, parameter), direction)


def constant(share: float) -> float:  # noqa: ARG001 - a schedule takes the share of training done
    """The rate as it is, throughout."""
    return 1.0


def cosine(share: float) -> float:
    """Half a wave from 1 down to 0 (Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts).

    >>> [round(cosine(share), 3) for share in (0.0, 0.5, 0.9)]
    [1.0, 0.5, 0.024]
    """
    return 0.5 * (1 + math.cos(math.pi * share))


def warmup(length: float, then: Schedule = constant) -> Schedule:
    """A straight rise from 0 over the first share of training, and another schedule over the rest.

    Args:
        length: of the rise, a share of the training between 0 and 1.
        then: the schedule of the rest.

    Raises:
        ValueError: the length is not between 0 and 1.

    Example:
        >>> [round(warmup(0.2, cosine)(share), 3) for share in (0.0, 0.1, 0.2, 0.6)]
        [0.0, 0.5, 1.0, 0.5]
    """
    if not 0 < length < 1:
        raise ValueError(f"expected the length of the warm-up between 0 and 1, got {length}")

    def schedule(share: float) -> float:
        return share / length if share < length else then((share - length) / (1 - length))

    return schedule


def _zeros(parameters: Tensors) -> dict[str, Tensor]:
    return {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}


def _is_used(weight_decay: float | tuple[float, ...]) -> bool:
    return any(weight_decay) if isinstance(weight_decay, tuple) else weight_decay != 0


def _aligned(values: Tensor, parameter: Tensor) -> Tensor:
    """One number, or one a member, lined up with the first axis of the parameter and in its dtype."""
    return values.to(parameter.dtype).view(*values.shape, *[1] * (parameter.ndim - values.ndim))


def _check_share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"expected {name} of at least 0 and below 1, got {value}")


def _check_decay(weight_decay: float | tuple[float, ...]) -> None:
    for value in weight_decay if isinstance(weight_decay, tuple) else (weight_decay,):
        if not 0 <= value < math.inf:
            raise ValueError(f"expected a weight_decay of at least 0, got {value}")
