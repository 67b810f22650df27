"""How far a residual network comes if nothing but gamma and beta is trained, and every weight stays random.

After Frankle, Schwab & Morcos 2020 (arXiv:2003.00152), whose control trains as many other parameters: two weights of
each channel. Here the head alone is trained as well: it is small too, and reads the same random features.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bnlab.experiments.data import Dataset, for_tuning, load
from bnlab.experiments.models import resnet
from bnlab.experiments.optimisers import AdamW, State, Tensors, cosine
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.selection import best, members_at
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import Ensemble, train_ensemble
from bnlab.layers import BatchNorm2d

ARMS = ("all", "affine", "random", "head")
NEARLY_OFF = 0.05  # a gamma below this, without its sign, counts as switched off


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in all arms.

    Attributes:
        blocks: residual blocks of two convolutions each.
        stride: of the first convolution; with 2, digits become 4x4 maps.
        learning_rates: of Adam, falling along a cosine; the arms that train gamma and beta or as many weights choose
            among them.
        head_rates: those among which the arm that trains the head chooses.
        rate_of_all: where everything is trained, which is but a mark to compare with: one rate, not tuned.
    """

    seeds: tuple[int, ...] = field(default=tuple(range(6)), metadata={"least": 0})

    dataset: str = "digits"
    blocks: int = 4
    width: int = 16
    stride: int = 2
    learning_rates: tuple[float, ...] = (0.1, 0.3, 1.0)
    head_rates: tuple[float, ...] = (0.3, 1.0, 3.0, 10.0)
    rate_of_all: float = 0.01
    batch_size: int = 32
    steps: int = 150

    def rates_of(self, arm: str) -> tuple[float, ...]:
        """The learning rates that an arm chooses among."""
        return {"all": (self.rate_of_all,), "head": self.head_rates}.get(arm, self.learning_rates)


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """By arm, in evaluation mode.

    Attributes:
        validation: accuracy on the validation split, between 0 and 1, at every rate.
        test: accuracy on the test split, at the arm's best rate.
        trained: how many numbers the arm trains.
        gamma: of every channel of every norm, after training at the best rate.
    """

    kind: ClassVar = Config

    config: Config
    validation: dict[str, Float[np.ndarray, "rates seeds"]]
    test: dict[str, Float[np.ndarray, " seeds"]]
    trained: dict[str, Float[np.ndarray, ""]]
    gamma: dict[str, Float[np.ndarray, "seeds channels"]]

    def best_rate(self, arm: str) -> float:
        """The rate with the highest median accuracy in validation."""
        return self.config.rates_of(arm)[best(self.validation[arm])]

    def switched_off(self, arm: str) -> Float[np.ndarray, " seeds"]:
        """The share of gammas whose absolute value is below 0.05."""
        return np.asarray((np.abs(self.gamma[arm]) < NEARLY_OFF).mean(1))


@dataclass(frozen=True)
class AdamOfSome(AdamW):
    """Adam for chosen numbers of each parameter; the others stay as they are.

    Attributes:
        masks: by the parameter's name, 1 where it is trained and 0 elsewhere, in the parameter's shape.
    """

    masks: tuple[tuple[str, Tensor], ...] = ()
    weight_decay: float = 0.0

    def update(self, parameters: Tensors, gradients: Tensors, state: State, rate: Tensor, weight_decay: Tensor) -> None:
        """One step in place; a number whose gradients are all 0 is not moved."""
        masks = dict(self.masks)
        kept = {name: gradient * masks[name] for name, gradient in gradients.items()}
        super().update(parameters, kept, state, rate, weight_decay)


def run(config: Config) -> Result:
    """Trains a network for each arm, learning rate and seed; reads the test split at each arm's best rate only.

    All arms start from the same weights and see the same batches. Which weights the random arm trains is drawn once:
    the weights of a channel are drawn alike, so the seeds choose anew what stands at these places.
    """
    data = load(config.dataset)
    tuning = for_tuning(data)
    found: dict[str, dict[str, Any]] = {name: {} for name in ("validation", "test", "trained", "gamma")}
    for arm in ARMS:
        shape = (len(config.rates_of(arm)), len(config.seeds))
        ensemble, trained = _trained(config, arm, data)
        found["validation"][arm] = ensemble.accuracy(tuning.validation).reshape(shape).numpy()
        chosen = best(found["validation"][arm])
        found["test"][arm] = members_at(chosen, ensemble, seeds=len(config.seeds)).accuracy(data.test).numpy()
        found["trained"][arm] = np.array(trained)
        gammas = [ensemble.parameters[name].reshape(*shape, -1)[chosen] for name in gamma_names(ensemble.architecture)]
        found["gamma"][arm] = torch.cat(gammas, dim=-1).numpy()
    return Result(config=config, provenance=Provenance.of(__name__), **found)


def network(config: Config, arm: str, seed: int) -> nn.Sequential:
    """The untrained network; the seed alone draws its weights, the arm says which parameters require a gradient."""
    generator = torch.Generator().manual_seed(seed)
    channels = load(config.dataset).train.x.shape[1]
    model = resnet(
        channels,
        10,
        blocks=config.blocks,
        width=config.width,
        norm=BatchNorm2d,
        stride=config.stride,
        generator=generator,
    )
    of_a_norm = {name for layer, _ in _norms(model) for name in (f"{layer}.weight", f"{layer}.bias")}
    of_the_head = {f"{len(model) - 1}.weight", f"{len(model) - 1}.bias"}
    for name, parameter in model.named_parameters():
        is_trained = {
            "all": True,
            "affine": name in of_a_norm,
            "random": parameter.ndim == 4,
            "head": name in of_the_head,
        }
        parameter.requires_grad_(is_trained[arm])
    return model


def masks(arm: str, model: nn.Module) -> dict[str, Tensor]:
    """Which numbers of each parameter that requires a gradient the arm trains: two of each filter, or all."""
    generator, made = torch.Generator().manual_seed(0), {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            made[name] = torch.ones_like(parameter)
            if arm == "random":
                filters = made[name].zero_().view(len(parameter), -1)
                chosen = torch.rand(filters.shape, generator=generator).topk(2, dim=1).indices
                filters.scatter_(1, chosen, 1.0)
    return made


def gamma_names(model: nn.Module) -> list[str]:
    """The names of the gammas of all batch norms."""
    return [f"{name}.weight" for name, _ in _norms(model)]


def _norms(model: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(name, module) for name, module in model.named_modules() if isinstance(module, BatchNorm2d)]


def _trained(config: Config, arm: str, data: Dataset) -> tuple[Ensemble, int]:
    """The arm's networks after training, and how many numbers were trained."""
    members = [(rate, seed) for rate in config.rates_of(arm) for seed in config.seeds]
    models = [network(config, arm, seed) for _, seed in members]
    chosen = masks(arm, models[0])
    ensemble = train_ensemble(
        models,
        data.train,
        learning_rates=[rate for rate, _ in members],
        seeds=[seed for _, seed in members],
        steps=config.steps,
        batch_size=config.batch_size,
        optimiser=AdamOfSome(masks=tuple(chosen.items())),
        schedule=cosine,
    )
    return ensemble, int(sum(mask.sum().item() for mask in chosen.values()))
