"""Which parameters set the limit of the learning rate: one group's rate is raised, all others keep theirs.

The output of a batch norm does not change with the scale of the weights that feed it, so a step that is far too large
for them makes them long, and the next one turns them less (Arora, Li & Lyu 2018, arXiv:1812.03981). Gamma, beta and the
head have no such protection, nor have weights without a norm behind them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bnlab.experiments.data import for_tuning, load
from bnlab.experiments.models import Norm, mlp
from bnlab.experiments.optimisers import SGD, State, Tensors
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import train_ensemble
from bnlab.layers import BatchNorm1d

GROUPS: dict[str, tuple[str, Norm | None]] = {  # what is raised, and in which network
    "hidden": ("hidden", BatchNorm1d),
    "gamma_beta": ("gamma_beta", BatchNorm1d),
    "head": ("head", BatchNorm1d),
    "all_but_hidden": ("all_but_hidden", BatchNorm1d),
    "hidden_no_norm": ("hidden", None),
}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; `learning_rates` are those of the raised group, `base_rate` that of all others."""

    dataset: str = "digits"
    learning_rates: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0, 1000.0)
    base_rate: float = 0.1
    depth: int = 4
    width: int = 64
    batch_size: int = 64
    steps: int = 150


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """One number for each group, learning rate and seed.

    Attributes:
        validation: by group, accuracy on the validation split, between 0 and 1; 0 where training diverged.
    """

    kind: ClassVar = Config

    config: Config
    validation: dict[str, Float[np.ndarray, "rates seeds"]]

    def largest_rates(self, group: str, accuracy: float) -> Float[np.ndarray, " seeds"]:
        """For each seed, the largest rate of the group at which the network reaches the accuracy in validation.

        Infinity where that is the largest rate of the grid: what would happen beyond was not watched. 0 where it does
        so at no rate.
        """
        reached = self.validation[group] >= accuracy
        rates = np.array(self.config.learning_rates)
        rates[rates.argmax()] = np.inf
        return np.asarray(np.where(reached, rates[:, None], 0.0).max(axis=0))


@dataclass(frozen=True)
class Raised(SGD):
    """Plain gradient descent in which some parameters have a rate of their own, and all others the base rate.

    Args:
        names: of the parameters that follow the rate that training is given.
        base_rate: of all others.

    Example:
        >>> optimiser, p = Raised(names=("a",), base_rate=0.1), {"a": torch.ones(1), "b": torch.ones(1)}
        >>> gradients = {"a": torch.ones(1), "b": torch.ones(1)}
        >>> optimiser.update(p, gradients, optimiser.start(p), torch.tensor(0.5), torch.tensor(0.0))
        >>> p
        {'a': tensor([0.5000]), 'b': tensor([0.9000])}
    """

    names: tuple[str, ...] = ()
    base_rate: float = 0.1

    def update(self, parameters: Tensors, gradients: Tensors, state: State, rate: Tensor, weight_decay: Tensor) -> None:
        """One step in place, for all parameters."""
        raised = {name: parameter for name, parameter in parameters.items() if name in self.names}
        others = {name: parameter for name, parameter in parameters.items() if name not in self.names}
        super().update(raised, gradients, state, rate, weight_decay)
        super().update(others, gradients, state, torch.full_like(rate, self.base_rate), weight_decay)


def run(config: Config) -> Result:
    """Trains an MLP for each group, learning rate and seed; networks of one seed share weights and batches."""
    tuning = for_tuning(load(config.dataset))
    members = [(rate, seed) for rate in config.learning_rates for seed in config.seeds]
    inputs = tuning.train.x[0].numel()
    validation = {}
    for name, (group, norm) in GROUPS.items():
        models = [_network(config, inputs, norm, seed) for _, seed in members]
        ensemble = train_ensemble(
            models,
            tuning.train,
            learning_rates=[rate for rate, _ in members],
            seeds=[seed for _, seed in members],
            steps=config.steps,
            batch_size=config.batch_size,
            optimiser=Raised(names=tuple(names_of(models[0])[group]), base_rate=config.base_rate),
        )
        accuracy: Tensor = ensemble.accuracy(tuning.validation)
        validation[name] = accuracy.reshape(len(config.learning_rates), -1).numpy()
    return Result(config=config, provenance=Provenance.of(__name__), validation=validation)


def names_of(model: nn.Sequential) -> dict[str, list[str]]:
    """The names of an MLP's parameters by group: the weights of hidden layers, gamma and beta, the head.

    Example:
        >>> names_of(mlp(4, 2, depth=1, width=3, norm=BatchNorm1d))["hidden"]
        ['1.weight']
    """
    *body, (last, _) = model.named_children()

    def named(kind: type[nn.Module], what: Iterable[str]) -> list[str]:
        return [f"{name}.{one}" for name, module in body if isinstance(module, kind) for one in what]

    gamma_beta, head = named(BatchNorm1d, ["weight", "bias"]), [f"{last}.weight", f"{last}.bias"]
    return {
        "hidden": named(nn.Linear, ["weight"]),
        "gamma_beta": gamma_beta,
        "head": head,
        "all_but_hidden": gamma_beta + head,
    }


def _network(config: Config, inputs: int, norm: Norm | None, seed: int) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    return mlp(inputs, 10, depth=config.depth, width=config.width, norm=norm, generator=generator)
