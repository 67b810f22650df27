"""Whether a channel's gamma says how much the network needs the channel, by optimiser and with a penalty on gamma.

Network Slimming (Liu et al. 2017, arXiv:1708.06519) trains with an L1 penalty on the gammas, removes the channels that
have the smallest, over all layers, and trains on. Here the same number goes from each norm, and nothing is trained on.
The controls: networks without the penalty, random channels, those with the largest gammas, and those whose removal,
each alone, was measured to do the least harm. SGD moves a gamma by its gradient, and what is not needed gets little;
Adam moves all by about as much. So gammas are looked at after both.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.stats import rankdata
from torch import Tensor, nn

from bnlab.deploy import recalibrate
from bnlab.experiments.data import Dataset, Split, load
from bnlab.experiments.models import cnn
from bnlab.experiments.optimisers import SGD, AdamW, Optimiser, State, Tensors, cosine
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import Ensemble, train_ensemble
from bnlab.layers import BatchNorm2d

ARMS = ("sgd", "adam", "adam_penalised")
REMOVED = ("none", "measured", "lowest", "random", "highest")


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in all arms.

    Attributes:
        depth: convolutions, each with a norm.
        stride: of the first convolution; with 2, digits become 4x4 maps.
        penalty: the weight of the sum of |gamma| in the loss, in the penalised arm.
        sgd_rate: of SGD; both rates fall to 0 along a cosine, and neither is tuned.
        momentum: of SGD.
        adam_rate: of Adam.
        removed: channels that are taken out of each norm.
        draws: of random channels, of which the mean accuracy is reported.
        probed: training images on which the harm of removing one channel is measured, the first so many.
    """

    dataset: str = "digits"
    depth: int = 3
    width: int = 16
    stride: int = 2
    penalty: float = 0.01
    sgd_rate: float = 0.1
    momentum: float = field(default=0.9, metadata={"least": 0})
    adam_rate: float = 0.01
    batch_size: int = 16
    steps: int = 250
    removed: int = 6
    draws: int = 3
    probed: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.removed >= self.width:
            raise ValueError(f"removed: expected less than the {self.width} channels of a norm, got {self.removed}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """By arm, in evaluation mode, with running statistics recomputed after channels were removed.

    Attributes:
        test: accuracy on the test split, for each of `REMOVED`.
        gamma: of every channel, norm by norm.
        harm: by how much the training loss rises if the channel is removed alone, in nats.
    """

    kind: ClassVar = Config

    config: Config
    test: dict[str, Float[np.ndarray, "removed seeds"]]
    gamma: dict[str, Float[np.ndarray, "seeds norms channels"]]
    harm: dict[str, Float[np.ndarray, "seeds norms channels"]]

    def accuracy(self, arm: str, removed: str) -> Float[np.ndarray, " seeds"]:
        """On the test split, after the removal of these channels.

        Raises:
            ValueError: the study removes no such channels.
        """
        if removed not in REMOVED:
            raise ValueError(f"removed: expected one of {', '.join(REMOVED)}, got {removed!r}")
        return np.asarray(self.test[arm][REMOVED.index(removed)])

    def correlation(self, arm: str) -> Float[np.ndarray, " seeds"]:
        """Spearman's correlation of |gamma| and harm over the channels of a norm, mean over the norms."""
        ranks = [rankdata(values, axis=-1) for values in (np.abs(self.gamma[arm]), self.harm[arm])]
        centred = [rank - rank.mean(-1, keepdims=True) for rank in ranks]
        sizes = [np.sqrt((rank**2).sum(-1)) for rank in centred]
        return np.asarray(((centred[0] * centred[1]).sum(-1) / (sizes[0] * sizes[1])).mean(-1))


@dataclass(frozen=True)
class AdamWithL1(AdamW):
    """Adam on a loss that has an L1 penalty on some parameters.

    Attributes:
        penalty: the weight of the sum of their absolute values.
        names: of these parameters.
    """

    weight_decay: float = 0.0
    penalty: float = 0.0
    names: frozenset[str] = field(default_factory=frozenset)

    def update(self, parameters: Tensors, gradients: Tensors, state: State, rate: Tensor, weight_decay: Tensor) -> None:
        """One step in place, for all parameters."""
        penalised = {
            name: gradient + self.penalty * parameters[name].sign() if name in self.names else gradient
            for name, gradient in gradients.items()
        }
        super().update(parameters, penalised, state, rate, weight_decay)


def run(config: Config) -> Result:
    """Trains a network for each arm and seed, and removes channels from it by each rule, the same number in each norm.

    All arms start from the same weights and see the same batches. No setting is chosen here; the test split is read
    once for each rule.
    """
    data = load(config.dataset)
    probe = Split(*(part[: config.probed] for part in data.train))
    found: dict[str, dict[str, Any]] = {"test": {}, "gamma": {}, "harm": {}}
    for arm in ARMS:
        ensemble = _trained(config, arm, data.train)
        models = [ensemble.member(index) for index in range(len(config.seeds))]
        found["gamma"][arm] = np.array([gammas_of(model) for model in models])
        found["harm"][arm] = np.array([harms(model, probe) for model in models])
        members = zip(models, found["harm"][arm], config.seeds, strict=True)
        found["test"][arm] = np.array([_tested(config, model, harm, seed, data) for model, harm, seed in members]).T
    return Result(config=config, provenance=Provenance.of(__name__), **found)


def network(config: Config, seed: int) -> nn.Sequential:
    """The untrained network of all arms; the seed alone draws its weights."""
    return cnn(
        load(config.dataset).train.x.shape[1],
        10,
        depth=config.depth,
        width=config.width,
        norm=BatchNorm2d,
        stride=config.stride,
        generator=torch.Generator().manual_seed(seed),
    )


def optimiser(config: Config, arm: str, model: nn.Module) -> Optimiser:
    """SGD with momentum, or Adam, in the penalised arm with the penalty on every gamma."""
    if arm == "sgd":
        return SGD(momentum=config.momentum)
    gammas = {f"{name}.weight" for name, layer in model.named_modules() if isinstance(layer, BatchNorm2d)}
    return AdamWithL1(penalty=config.penalty if arm == "adam_penalised" else 0.0, names=frozenset(gammas))


def gammas_of(model: nn.Module) -> Float[np.ndarray, "norms channels"]:
    """The gammas, norm by norm."""
    return np.array([norm.get_parameter("weight").detach().numpy() for norm in norms(model)])


def norms(model: nn.Module) -> list[BatchNorm2d]:
    """The batch norms of a model, in their order."""
    return [module for module in model.modules() if isinstance(module, BatchNorm2d)]


@torch.no_grad()
def without(model: nn.Module, removed: Bool[np.ndarray, "norms channels"], x: Float[Tensor, "n c *rest"]) -> nn.Module:
    """A copy whose removed channels give 0, and whose running statistics are those of `x`: nothing else is retrained.

    A channel that gave a constant leaves no trace behind then, since the next norm subtracts the constant.
    """
    pruned = deepcopy(model)
    for norm, channels in zip(norms(pruned), torch.from_numpy(removed), strict=True):
        norm.get_parameter("weight")[channels] = 0.0
        norm.get_parameter("bias")[channels] = 0.0
    recalibrate(pruned, [x])
    return pruned.eval()


@torch.no_grad()
def harms(model: nn.Module, probe: Split) -> Float[np.ndarray, "norms channels"]:
    """By how much the loss on these examples rises if one channel is removed, for each channel of each norm.

    The norms normalise by these examples themselves, as after a recalibration.
    """
    copy = deepcopy(model).train()
    whole = _loss(copy, probe)
    rises = np.zeros((len(norms(copy)), norms(copy)[0].num_features))
    for place, norm in enumerate(norms(copy)):
        for channel in range(norm.num_features):
            parameters = [norm.get_parameter(name) for name in ("weight", "bias")]
            before = [parameter[channel].item() for parameter in parameters]
            for parameter in parameters:
                parameter[channel] = 0.0
            rises[place, channel] = _loss(copy, probe) - whole
            for parameter, value in zip(parameters, before, strict=True):
                parameter[channel] = value
    return rises


def smallest(scores: Float[np.ndarray, "norms channels"], count: int) -> Bool[np.ndarray, "norms channels"]:
    """The channels of the smallest scores, so many in each norm."""
    return np.asarray(rankdata(scores, method="ordinal", axis=-1) <= count)


def _trained(config: Config, arm: str, split: Split) -> Ensemble:
    models = [network(config, seed) for seed in config.seeds]
    rate = config.sgd_rate if arm == "sgd" else config.adam_rate
    return train_ensemble(
        models,
        split,
        learning_rates=[rate] * len(models),
        seeds=config.seeds,
        steps=config.steps,
        batch_size=config.batch_size,
        optimiser=optimiser(config, arm, models[0]),
        schedule=cosine,
    )


def _tested(
    config: Config, model: nn.Module, harm: Float[np.ndarray, "norms channels"], seed: int, data: Dataset
) -> list[float]:
    """Accuracy on the test split after each removal of `REMOVED`."""
    gamma = np.abs(gammas_of(model))
    rng = np.random.default_rng(seed)
    chosen = {
        "none": [smallest(gamma, 0)],
        "measured": [smallest(harm, config.removed)],
        "lowest": [smallest(gamma, config.removed)],
        "random": [smallest(rng.random(gamma.shape), config.removed) for _ in range(config.draws)],
        "highest": [smallest(-gamma, config.removed)],
    }
    pruned = {rule: [without(model, removed, data.train.x) for removed in chosen[rule]] for rule in REMOVED}
    return [float(np.mean([_accuracy(one, data.test) for one in pruned[rule]])) for rule in REMOVED]


@torch.no_grad()
def _loss(model: nn.Module, split: Split) -> float:
    return nn.functional.cross_entropy(model(split.x), split.y).item()


@torch.no_grad()
def _accuracy(model: nn.Module, split: Split) -> float:
    right = model(split.x).argmax(1) == split.y
    return float(right.double().mean())
