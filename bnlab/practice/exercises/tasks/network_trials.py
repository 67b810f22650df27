"""What exercises on whole networks go through: which parameters they list, and how they leave a network to start."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from bnlab.practice.exercises.running import Fault
from bnlab.practice.exercises.task import Case
from bnlab.practice.exercises.tasks.data import eighths, scales


def small() -> nn.Module:
    """One norm between two linear layers."""
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 1))


def convolutional() -> nn.Module:
    """Norms of images and of a table, in containers within containers."""
    features = [nn.Sequential(nn.Conv2d(1, c, 3), nn.BatchNorm2d(c), nn.ReLU()) for c in (1, 2)]
    return nn.Sequential(nn.Sequential(*features), nn.Flatten(), nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))


def named() -> nn.Module:
    """Names that say norm where there is none, and the other way round."""
    modules = {"subnet": nn.Linear(2, 2), "norm": nn.Linear(2, 2), "bn": nn.BatchNorm1d(2), "second": nn.BatchNorm2d(2)}
    return nn.ModuleDict(modules)


def without_affine() -> nn.Module:
    """One norm has gamma and beta, the other has not."""
    return nn.Sequential(nn.BatchNorm1d(2, affine=False), nn.Linear(2, 2, bias=False), nn.BatchNorm1d(2))


def shared() -> nn.Module:
    """One norm stands in two places."""
    norm = nn.BatchNorm1d(2)
    return nn.Sequential(nn.Linear(2, 2), norm, nn.ReLU(), nn.Linear(2, 2), norm)


PARAMETER_CASES = (
    Case("one norm between two linear layers", (small,)),
    Case("containers within containers", (convolutional,)),
    Case("names that mislead", (named,)),
    Case("a norm without gamma and beta", (without_affine,)),
    Case("one norm in two places", (shared,)),
)


def try_list(attempt: Callable[..., Any], case: Case) -> dict[str, Any]:
    """How often its list holds each parameter of the model, and what else it holds."""
    model = case.arguments[0]()
    given = attempt(model)
    if given is None:
        raise Fault("returns-none", "It returned None where a list of parameters was expected.")
    if not isinstance(given, Iterable):
        raise Fault("raises", f"It returned {type(given).__name__} where a list of parameters was expected.")
    listed = list(given)
    for one in listed:
        if not isinstance(one, Tensor | None):
            raise Fault(None, f"Its list holds a {type(one).__name__}, where parameters were expected.")
    results = {
        f"times that {name} is listed": sum(one is parameter for one in listed)
        for name, parameter in model.named_parameters()
    }
    return {**results, "entries that are no parameter of the model": len(listed) - sum(results.values())}


class Block(nn.Module):
    """A residual block whose branch has this many convolutions; its skip is a convolution where `inputs` differ."""

    def __init__(self, inputs: int, channels: int, convolutions: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for fan_in in (inputs, *[channels] * (convolutions - 1)):
            layers += [nn.Conv2d(fan_in, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
        self.branch = nn.Sequential(*layers[:-1])
        projection = nn.Sequential(nn.Conv2d(inputs, channels, 1, bias=False), nn.BatchNorm2d(channels))
        self.skip: nn.Module = nn.Identity() if inputs == channels else projection

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, height, width) in, (n, channels, height, width) out."""
        return torch.relu(self.skip(x) + self.branch(x))


class Network(nn.Module):
    """A stem, residual blocks with these numbers of channels, and a head."""

    def __init__(self, *channels: int, convolutions: int = 2) -> None:
        super().__init__()
        first, *_, last = channels
        self.stem = nn.Sequential(nn.Conv2d(1, first, 1, bias=False), nn.BatchNorm2d(first), nn.ReLU())
        widths = zip((first, *channels), channels, strict=False)
        self.blocks = nn.Sequential(*(Block(inputs, outputs, convolutions) for inputs, outputs in widths))
        self.head = nn.Linear(last, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, height, width) in, two numbers for each image out."""
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))  # type: ignore[no-any-return]


NETWORK_CASES = (
    Case("two blocks of two convolutions", ((2, 2), 2)),
    Case("branches of three convolutions", ((3, 3), 3)),
    Case("a skip that changes the shape", ((1, 2, 2), 2)),
)


def try_start(attempt: Callable[..., Any], case: Case) -> dict[str, Any]:
    """Let it change a new network; then all its parameters, whether they are trained, and the network's mode."""
    channels, convolutions = case.arguments
    network = Network(*channels, convolutions=convolutions)
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters()):
            if parameter.ndim > 1:
                parameter.copy_(torch.tensor(scales(70 + number, parameter.numel())).reshape(parameter.shape))
    network.head.bias.data.zero_()
    names = [name for name, _ in network.named_parameters()]
    attempt(network)
    after = dict(network.named_parameters())
    for name in names:
        if name not in after:
            raise Fault(None, f"Afterwards the network has no parameter `{name}` any more. Change its values only.")
    return {
        **{name: after[name].detach() for name in names},
        "parameters that are not trained": sum(not after[name].requires_grad for name in names),
        "modules in evaluation mode": sum(not module.training for module in network.modules()),
    }


def with_dropout() -> nn.Module:
    """A dropout behind the norm, which is to go on dropping."""
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Dropout(0.5), nn.Linear(3, 1))


FREEZING_CASES = (
    Case("dropout behind the norm", (with_dropout,)),
    Case("containers within containers", (convolutional,)),
    Case("names that mislead", (named,)),
    Case("one norm in two places", (shared,)),
)


def try_freezing(attempt: Callable[..., Any], case: Case) -> dict[str, Any]:
    """Let it freeze the norms of a network in training mode; then what they make of a batch, and what else changed."""
    network = case.arguments[0]().train()
    norms = {name: one for name, one in network.named_modules() if isinstance(one, nn.BatchNorm1d | nn.BatchNorm2d)}
    for number, norm in enumerate(norms.values()):
        norm.get_buffer("running_mean").copy_(torch.tensor(eighths(80 + number, norm.num_features)))
        norm.get_buffer("running_var").copy_(torch.tensor(scales(90 + number, norm.num_features)))
    others = [one for name, one in network.named_modules() if name not in norms]
    parameters = list(network.parameters())
    attempt(network)
    results: dict[str, Any] = {}
    for number, name in enumerate(norms):
        norm = network.get_submodule(name)
        shape = (5, norm.num_features, 2, 2) if isinstance(norm, nn.BatchNorm2d) else (5, norm.num_features)
        results[f"output of {name}"] = norm(torch.tensor(eighths(100 + number, *shape)).float() + 2)
        results[f"running mean of {name} afterwards"] = _held(norm, "running_mean")
        results[f"running variance of {name} afterwards"] = _held(norm, "running_var")
    return {
        **results,
        "other modules in evaluation mode": sum(not one.training for one in others),
        "parameters that are not trained": sum(not one.requires_grad for one in parameters),
    }


def _held(norm: nn.Module, name: str) -> Tensor:
    """A buffer; NaN where there is none any more."""
    buffer = getattr(norm, name)
    return torch.tensor(torch.nan) if buffer is None else buffer.clone()
