"""How much a badly scaled start costs, with and without batch norm.

With batch norm the output of a layer does not depend on the scale of its weights, so no signal shrinks or grows from
layer to layer (Ioffe & Szegedy 2015, section 3.3, arXiv:1502.03167). Their gradient does depend on it: weights that
start s times too large turn s squared times more slowly at the same learning rate (van Laarhoven 2017,
arXiv:1706.05350). So the study also asks what a start costs at one and the same rate.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from bnlab.experiments.data import for_tuning, load
from bnlab.experiments.models import Norm, mlp
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.selection import best, members_at
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import train_ensemble
from bnlab.layers import BatchNorm1d

ARMS: dict[str, Norm | None] = {"no_norm": None, "batch_norm": BatchNorm1d}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in both arms.

    Attributes:
        scales: multiples of the initial weights of He et al. 2015, which are made for this network.
        learning_rates: both arms choose among them.
        small_rates: the arm without norm may choose these too: where its signals start huge, only they can work.
        common_rate: one of `learning_rates`, at which scales are compared without any choice.
    """

    dataset: str = "digits"
    scales: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0, 10.0)
    learning_rates: tuple[float, ...] = (0.01, 0.1, 1.0)
    small_rates: tuple[float, ...] = (1e-6, 1e-5, 1e-4, 1e-3)
    common_rate: float = 0.1
    depth: int = 6
    width: int = 32
    batch_size: int = 32
    steps: int = 300

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.common_rate not in self.learning_rates:
            raise ValueError(
                f"common_rate: expected one of the learning rates {self.learning_rates}, got {self.common_rate}"
            )

    def rates_of(self, arm: str) -> tuple[float, ...]:
        """The learning rates that an arm chooses among, in rising order."""
        return tuple(sorted({*self.learning_rates, *(self.small_rates if arm == "no_norm" else ())}))


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """Accuracies between 0 and 1, by arm; 0 where training diverged.

    Attributes:
        validation: on the validation split, for each scale and each rate of `config.rates_of(arm)`.
        test: on the test split, for each scale at that scale's best rate.
        test_at_common_rate: on the test split, for each scale at the common rate.
    """

    kind: ClassVar = Config

    config: Config
    validation: dict[str, Float[np.ndarray, "scales rates seeds"]]
    test: dict[str, Float[np.ndarray, "scales seeds"]]
    test_at_common_rate: dict[str, Float[np.ndarray, "scales seeds"]]

    def best_rates(self, arm: str) -> tuple[float, ...]:
        """For each scale, the rate with the highest median accuracy in validation."""
        rates = self.config.rates_of(arm)
        return tuple(rates[position] for position in best_by_scale(self.validation[arm]))

    def at(self, scale: float) -> int:
        """The position of a scale.

        Raises:
            ValueError: it was not run.
        """
        if scale not in self.config.scales:
            raise ValueError(f"expected one of the scales {self.config.scales}, got {scale}")
        return self.config.scales.index(scale)


def run(config: Config) -> Result:
    """Trains an MLP for each arm, scale, learning rate and seed; reads the test split at best and common rates only.

    At each scale both arms start from the same weights (batch norm's own parameters are not random) and see the same
    batches.
    """
    data = load(config.dataset)
    tuning = for_tuning(data)
    validation = {}
    test: dict[str, Float[np.ndarray, "scales seeds"]] = {}
    at_common: dict[str, Float[np.ndarray, "scales seeds"]] = {}
    for arm in ARMS:
        rates = config.rates_of(arm)
        members = [(scale, rate, seed) for scale in config.scales for rate in rates for seed in config.seeds]
        shape = (len(config.scales), len(rates), len(config.seeds))
        ensemble = train_ensemble(
            [network(config, arm, scale=scale, seed=seed) for scale, _, seed in members],
            tuning.train,
            learning_rates=[rate for _, rate, _ in members],
            seeds=[seed for *_, seed in members],
            steps=config.steps,
            batch_size=config.batch_size,
        )
        validation[arm] = ensemble.accuracy(tuning.validation).reshape(shape).numpy()
        common = [rates.index(config.common_rate)] * len(config.scales)
        for chosen, tested in ((best_by_scale(validation[arm]), test), (common, at_common)):
            settings = [scale * len(rates) + rate for scale, rate in enumerate(chosen)]
            networks = [members_at(setting, ensemble, seeds=len(config.seeds)) for setting in settings]
            tested[arm] = torch.stack([one.accuracy(data.test) for one in networks]).numpy()
    provenance = Provenance.of(__name__)
    return Result(config=config, provenance=provenance, validation=validation, test=test, test_at_common_rate=at_common)


def best_by_scale(validation: Float[np.ndarray, "scales rates seeds"]) -> list[int]:
    """For each scale, the position of the rate with the highest median over the seeds."""
    return [best(at_scale) for at_scale in validation]


def network(config: Config, arm: str, *, scale: float, seed: int) -> nn.Module:
    """The untrained network of an arm; the seed alone draws its weights, the scale multiplies them."""
    return mlp(
        load(config.dataset).train.x[0].numel(),
        10,
        depth=config.depth,
        width=config.width,
        norm=ARMS[arm],
        scale=scale,
        generator=torch.Generator().manual_seed(seed),
    )
