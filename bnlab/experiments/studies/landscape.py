"""Is the loss smoother with batch norm? Measured as it was first, and by steps that two networks can be compared by.

Santurkar, Tsipras, Ilyas & Madry (2018, arXiv:1805.11604, figure 4) walk along the negative gradient and record how
much the loss varies, how far the gradient changes, and how far it changes for the distance moved ("effective"
smoothness). They do it with VGG on CIFAR-10; here it is a small MLP, and one fixed probe batch in training mode takes
the place of the training batches.

These three have the unit of the weights in them. Multiply the weights in front of a norm by a: the function stays, the
gradient is divided by a, the smoothness by a squared. So the line is walked a second time with steps that have no unit:
each weight matrix moves against its gradient by the same share of its own norm, as in LARS (You et al. 2017,
arXiv:1708.03888) and, for pictures of the loss, Li et al. (2018, arXiv:1712.09913). Biases, gamma and beta, whose norm
may be 0, stay. There the loss is compared with what the gradient at the start predicts, and the gradient's change, each
matrix's multiplied by that matrix's norm, with the gradient's own size. Neither knows the scale of a matrix, be it in
front of a norm or made good by its neighbour behind a ReLU, nor that of the loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, vmap

from bnlab.experiments.data import Split, for_tuning, load
from bnlab.experiments.ensemble import Ensemble
from bnlab.experiments.models import Norm, mlp
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import training_steps
from bnlab.layers import BatchNorm1d

ARMS: dict[str, Norm | None] = {"no_norm": None, "batch_norm": BatchNorm1d}
KEPT = 0.5  # share of the predicted decrease below which a prediction has failed


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in both arms.

    Attributes:
        step_sizes: of the steps along the negative gradient, as learning rates.
        shares: of a weight matrix's norm, of the steps without a unit; ascending.
        factor: of the hidden weights in front of norms, with which the same networks are looked at once more.
        every: steps of training from one look to the next.
        probe_size: training examples, the first ones, on which the loss is taken; as many as in a batch of training,
            because with batch norm the loss, and how smooth it is, depend on how many there are.
    """

    dataset: str = "mnist1d"
    step_sizes: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)
    shares: tuple[float, ...] = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
    factor: float = 0.25
    learning_rate: float = 0.1
    depth: int = 8
    width: int = 48
    batch_size: int = 64
    steps: int = 300
    every: int = 30
    probe_size: int = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """By arm, and as "rescaled" of the networks with batch norm once their hidden weights are multiplied.

    Attributes:
        loss: mean cross-entropy of the probe, in nats.
        gradient: norm of the gradient of all parameters.
        loss_along: the loss after a step of each size.
        change: norm of the change of the gradient by it.
        predicted: decrease of the loss that the gradient predicts for a step of one whole norm of each weight matrix;
            that of a share is this share of it.
        loss_at_share: the loss after each share of such a step.
        change_at_share: norm of the change of the gradient by it, relative to that of the gradient, in units in which
            each weight matrix has the norm 1.
    """

    kind: ClassVar = Config

    config: Config
    loss: dict[str, Float[np.ndarray, "looks seeds"]]
    gradient: dict[str, Float[np.ndarray, "looks seeds"]]
    loss_along: dict[str, Float[np.ndarray, "looks sizes seeds"]]
    change: dict[str, Float[np.ndarray, "looks sizes seeds"]]
    predicted: dict[str, Float[np.ndarray, "looks seeds"]]
    loss_at_share: dict[str, Float[np.ndarray, "looks shares seeds"]]
    change_at_share: dict[str, Float[np.ndarray, "looks shares seeds"]]

    def looks(self) -> Float[np.ndarray, " looks"]:
        """The steps before which the network was looked at."""
        return np.arange(0.0, self.config.steps, self.config.every)

    def loss_range(self, arm: str) -> Float[np.ndarray, "looks seeds"]:
        """Largest less smallest loss on the line along the gradient, its start included."""
        on_line = np.concatenate([self.loss[arm][:, None], self.loss_along[arm]], axis=1)
        return np.asarray(np.ptp(on_line, axis=1))

    def gradient_change(self, arm: str) -> Float[np.ndarray, "looks seeds"]:
        """Largest change of the gradient on that line."""
        return np.asarray(self.change[arm].max(axis=1))

    def smoothness(self, arm: str) -> Float[np.ndarray, "looks seeds"]:
        """Largest change of the gradient for the distance moved: "effective" beta-smoothness; smaller is smoother."""
        sizes = np.array(self.config.step_sizes)[:, None]
        return np.asarray((self.change[arm] / (sizes * self.gradient[arm][:, None])).max(axis=1))

    def kept(self, arm: str) -> Float[np.ndarray, "looks shares seeds"]:
        """Decrease of the loss at each share over the predicted one: 1 on a straight line, negative where it rises."""
        shares = np.array(self.config.shares)[:, None]
        return np.asarray((self.loss[arm][:, None] - self.loss_at_share[arm]) / (shares * self.predicted[arm][:, None]))

    def reach(self, arm: str) -> Float[np.ndarray, "looks seeds"]:
        """The share up to which at least half of the predicted decrease comes, between shares by logarithms.

        The first share if it fails there already, the last one if it never fails.
        """
        kept, shares = self.kept(arm), np.array(self.config.shares)
        return np.asarray(np.apply_along_axis(lambda along: crossing(shares, along, KEPT), 1, kept))

    def promised(self, arm: str) -> Float[np.ndarray, "looks seeds"]:
        """The decrease that is predicted for a step as far as `reach`, of which half comes, as a share of the loss."""
        return np.asarray(self.reach(arm) * self.predicted[arm] / self.loss[arm])

    def change_at(self, arm: str, share: float) -> Float[np.ndarray, "looks seeds"]:
        """Relative change of the gradient by a step of this share.

        Raises:
            ValueError: it was not walked.
        """
        if share not in self.config.shares:
            raise ValueError(f"share: expected one of {', '.join(map(str, self.config.shares))}, got {share}")
        return self.change_at_share[arm][:, self.config.shares.index(share)]


class Look(NamedTuple):
    """What `Result` names, of every member of an ensemble."""

    loss: Float[Tensor, " members"]
    gradient: Float[Tensor, " members"]
    loss_along: Float[Tensor, "sizes members"]
    change: Float[Tensor, "sizes members"]
    predicted: Float[Tensor, " members"]
    loss_at_share: Float[Tensor, "shares members"]
    change_at_share: Float[Tensor, "shares members"]


def run(config: Config) -> Result:
    """Trains an MLP for each arm and seed, and walks from it along both lines every few steps.

    Both arms start from the same weights and see the same batches.

    Raises:
        ValueError: training ends between two looks, or there are too few training examples for the probe.
    """
    train = for_tuning(load(config.dataset)).train
    if config.steps % config.every:
        raise ValueError(f"steps: expected a multiple of every, {config.every}, got {config.steps}")
    if config.probe_size > len(train.y):
        raise ValueError(f"probe_size: expected at most {len(train.y)}, got {config.probe_size}")
    found: dict[str, dict[str, np.ndarray]] = {name: {} for name in Look._fields}
    for arm in ARMS:
        for label, seen in _watched(config, train, arm).items():
            for name, numbers in seen._asdict().items():
                found[name][label] = numbers.numpy()
    return Result(config=config, provenance=Provenance.of(__name__), **found)


def _watched(config: Config, train: Split, arm: str) -> dict[str, Look]:
    """What was seen of an arm, and of its rescaled networks if it has norms, one look behind the other."""
    members = len(config.seeds)
    ensemble = Ensemble.of([network(config, train.x[0].numel(), arm, seed) for seed in config.seeds])
    probe = Split(train.x[: config.probe_size], train.y[: config.probe_size])
    factors = {arm: 1.0} if ARMS[arm] is None else {arm: 1.0, "rescaled": config.factor}
    steps = training_steps(
        ensemble,
        train,
        learning_rates=[config.learning_rate] * members,
        seeds=config.seeds,
        steps=config.steps,
        batch_size=config.batch_size,
    )
    looks: dict[str, list[Look]] = {label: [] for label in factors}
    for _ in range(0, config.steps, config.every):
        for label, factor in factors.items():
            looks[label].append(look(config, rescaled(ensemble, factor), probe))
        for _ in range(config.every):
            next(steps)
    return {label: Look(*map(torch.stack, zip(*seen, strict=True))) for label, seen in looks.items()}


def look(config: Config, ensemble: Ensemble, probe: Split) -> Look:
    """Walks from every member along both lines; the ensemble is left as it was."""
    start = {name: parameter.detach() for name, parameter in ensemble.parameters.items()}
    loss, gradient = loss_and_gradient(ensemble, start, probe)
    everywhere = dict.fromkeys(start, torch.ones_like(loss))
    walk = partial(_walk, ensemble, probe, start, gradient)
    loss_along, change = walk(along=gradient, sizes=config.step_sizes, units=everywhere)

    matrices = {name: _norm([start[name]]) for name in weights(ensemble.architecture)}
    sizes = {name: _norm([gradient[name]]) for name in matrices}
    relative = {name: gradient[name] * _like(matrices[name] / sizes[name], gradient[name]) for name in matrices}
    loss_at_share, change_at_share = walk(along=relative, sizes=config.shares, units=matrices)
    own = _norm([_like(norm, gradient[name]) * gradient[name] for name, norm in matrices.items()])
    return Look(
        loss=loss,
        gradient=_norm(list(gradient.values())),
        loss_along=loss_along,
        change=change,
        predicted=torch.stack([matrices[name] * sizes[name] for name in matrices]).sum(0),
        loss_at_share=loss_at_share,
        change_at_share=change_at_share / own,
    )


def _walk(
    ensemble: Ensemble,
    probe: Split,
    start: dict[str, Tensor],
    before: dict[str, Tensor],
    *,
    along: dict[str, Tensor],
    sizes: Sequence[float],
    units: dict[str, Tensor],
) -> tuple[Float[Tensor, "sizes members"], Float[Tensor, "sizes members"]]:
    """The loss after each size of step against a direction, and the norm of the change of the gradient `before` it.

    A tensor's part in that norm is multiplied by its unit.
    """
    losses, changes = [], []
    for size in sizes:
        moved = start | {name: start[name] - size * ahead for name, ahead in along.items()}
        loss, after = loss_and_gradient(ensemble, moved, probe)
        losses.append(loss)
        changes.append(_norm([_like(unit, after[name]) * (after[name] - before[name]) for name, unit in units.items()]))
    return torch.stack(losses), torch.stack(changes)


def loss_and_gradient(
    ensemble: Ensemble, parameters: dict[str, Tensor], split: Split
) -> tuple[Float[Tensor, " members"], dict[str, Tensor]]:
    """Mean cross-entropy of each member with these parameters, in training mode, and the gradient of all of them."""
    leaves = {name: parameter.detach().clone().requires_grad_() for name, parameter in parameters.items()}
    buffers = {name: buffer.clone() for name, buffer in ensemble.buffers.items()}
    ensemble.architecture.train()

    def loss(own: dict[str, Tensor], own_buffers: dict[str, Tensor]) -> Tensor:
        logits = functional_call(ensemble.architecture, (own, own_buffers), (split.x,))
        return nn.functional.cross_entropy(logits, split.y)

    losses = vmap(loss)(leaves, buffers)
    gradients = torch.autograd.grad(losses.sum(), list(leaves.values()))
    return losses.detach().double(), dict(zip(leaves, gradients, strict=True))


def rescaled(ensemble: Ensemble, factor: float) -> Ensemble:
    """The ensemble with the weights of all layers but the head multiplied; with norms it computes the same."""
    hidden = weights(ensemble.architecture)[:-1]
    multiplied = {name: factor * ensemble.parameters[name].detach() for name in hidden}
    return Ensemble(ensemble.architecture, ensemble.parameters | multiplied, ensemble.buffers, ensemble.diverged_at)


def weights(model: nn.Module) -> list[str]:
    """The names of the weight matrices, the head's last."""
    return [f"{name}.weight" for name, layer in model.named_modules() if isinstance(layer, nn.Linear)]


def network(config: Config, inputs: int, arm: str, seed: int) -> nn.Sequential:
    """The untrained network of an arm; the seed alone draws its weights."""
    generator = torch.Generator().manual_seed(seed)
    return mlp(inputs, 10, depth=config.depth, width=config.width, norm=ARMS[arm], generator=generator)


def crossing(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], level: float) -> float:
    """Where y first falls below a level, between two x by their logarithms; the last x if it never does.

    >>> round(crossing(np.array([1.0, 10.0, 100.0]), np.array([1.0, 0.8, 0.2]), 0.5), 1)
    31.6
    """
    below = np.flatnonzero(~(y >= level))
    if len(below) == 0 or below[0] == 0:
        return float(x[-1] if len(below) == 0 else x[0])
    after = below[0]
    way = (y[after - 1] - level) / (y[after - 1] - y[after])
    return float(x[after - 1] * (x[after] / x[after - 1]) ** way)


def _norm(tensors: Sequence[Tensor]) -> Float[Tensor, " members"]:
    """Of all tensors of a member together."""
    squares: list[Tensor] = [tensor.flatten(1).double().square().sum(1) for tensor in tensors]
    return torch.stack(squares).sum(0).sqrt()


def _like(numbers: Float[Tensor, " members"], tensor: Tensor) -> Tensor:
    """One number a member, in the tensor's type and with as many axes."""
    return numbers.to(tensor.dtype).view(-1, *(1,) * (tensor.dim() - 1))
