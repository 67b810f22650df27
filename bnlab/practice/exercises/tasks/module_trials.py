"""What exercises on modules go through: training, evaluation, saving and loading; and the recalibration of a model."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bnlab.practice.exercises.running import Fault
from bnlab.practice.exercises.task import Case
from bnlab.practice.exercises.tasks.data import eighths, far_from_zero, scales


def layer_case(name: str, seed: int, *shape: int, eps: float = 1e-5, divide_by: int = 1) -> Case:
    """Two batches of this shape and one that is half as large, to be evaluated on; c, eps and momentum before them."""
    batches = [eighths(seed + i, *shape).astype(np.float32) / divide_by for i in range(2)]
    probe = eighths(seed + 2, -(-shape[0] // 2), *shape[1:]).astype(np.float32) / divide_by
    return Case(name, (shape[1], eps, 0.25, batches, probe))


LAYER_CASES = (
    layer_case("two images, one channel, two pixels", 0, 2, 1, 1, 2),
    layer_case("4 images, 3 channels, 2 x 2", 10, 4, 3, 2, 2),
    layer_case("a variance near eps", 20, 3, 2, 2, 2, divide_by=512),
    layer_case("a larger eps", 30, 2, 4, 1, 3, eps=0.125),
    Case(
        "float32, mean 5000",
        (2, 1e-5, 0.25, [far_from_zero(seed, 3, 2, 2, 2) for seed in (40, 41)], far_from_zero(42, 2, 2, 2, 2)),
        cancels=True,
    ),
)


def try_layer(attempt: Callable[..., nn.Module], case: Case) -> dict[str, Any]:
    """Train an instance for two batches, evaluate it, save it and load it into another."""
    channels, eps, momentum, batches, probe = case.arguments
    layer = attempt(channels, eps, momentum)
    _set_affine(layer, channels)
    results: dict[str, Any] = {}
    for number, batch in enumerate(batches, start=1):
        x = torch.tensor(batch, requires_grad=True)
        y = _called(layer.train(), x)
        (y * torch.tensor(eighths(number, *batch.shape), dtype=torch.float32)).sum().backward()
        results[f"output of training batch {number}"] = y
        results[f"gradient of training batch {number}"] = _gradient(x)
    for name in ("weight", "bias"):
        results[f"gradient of {name}"] = _gradient(getattr(layer, name))
    with torch.no_grad():
        results["output of a training batch under no_grad"] = _called(layer, torch.tensor(batches[0]))
    results["output in evaluation"] = _called(layer.eval(), torch.tensor(probe))
    with torch.no_grad():
        results["output in evaluation under no_grad"] = _called(layer, torch.tensor(probe))
        _called(layer, torch.tensor(batches[1]))
        results["output in evaluation after other data"] = _called(layer, torch.tensor(probe))
        loaded = attempt(channels, eps, momentum)
        loaded.load_state_dict(layer.state_dict())
        results["output after saving and loading"] = _called(loaded.eval(), torch.tensor(probe))
    results["running statistics that keep a graph"] = sum(one.grad_fn is not None for one in _tensors_of(layer))
    return results


def _set_affine(layer: nn.Module, channels: int) -> None:
    if not isinstance(layer, nn.Module):
        raise Fault("raises", f"The class makes a {type(layer).__name__}, which is no `nn.Module`.")
    parameters = dict(layer.named_parameters())
    for name, values in (("weight", scales(50, channels)), ("bias", eighths(51, channels))):
        if name not in parameters or parameters[name].shape != (channels,):
            raise Fault(None, f"The layer has no parameter `{name}` of shape ({channels},), for c = {channels}.")
        with torch.no_grad():
            parameters[name].copy_(torch.tensor(values))


def _called(layer: nn.Module, x: Tensor) -> Tensor:
    before = x.detach().clone()
    y = layer(x)
    if y is None:
        raise Fault("returns-none", "`forward` returned None.")
    if not torch.equal(before, x.detach()):
        raise Fault("mutates-input", "After `forward`, its input holds other values.")
    return y  # type: ignore[no-any-return]


def _gradient(of: Tensor) -> Tensor:
    """Zero where the output does not depend on it."""
    return torch.zeros_like(of) if of.grad is None else of.grad


def _tensors_of(layer: nn.Module) -> list[Tensor]:
    """Its buffers, and the tensors that are plain attributes."""
    return [*layer.buffers(), *(value for value in vars(layer).values() if isinstance(value, Tensor))]


def model_case(name: str, seed: int, *sizes: int, around: float = 0.0, training: bool = True) -> Case:
    """Batches of the given sizes for a model with three hidden units."""
    return Case(name, ([eighths(seed + i, n, 2, around=around) for i, n in enumerate(sizes)], training))


MODEL_CASES = (
    model_case("one batch of two", 0, 2),
    model_case("batches of 4, 4 and 2", 10, 4, 4, 2),
    model_case("a model in evaluation mode", 20, 3, 5, training=False),
    model_case("inputs around 100", 30, 6, 2, 4, around=100),
)


def try_recalibration(attempt: Callable[..., Any], case: Case) -> dict[str, Any]:
    """Let it recalibrate a small model, and look at what it changed."""
    batches, training = case.arguments
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 1)).double().train(training)
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.copy_(torch.tensor(scales(60 + number, *parameter.shape)))
    parameters = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    attempt(model, [torch.tensor(batch) for batch in batches])
    norm = model[1]
    after = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    return {
        "running_mean": norm.running_mean,
        "running_var": norm.running_var,
        "modules in another mode": sum(module.training is not training for module in model.modules()),
        "momentum": np.nan if norm.momentum is None else norm.momentum,
        "parameters that changed": int((parameters != after).sum()),
    }
