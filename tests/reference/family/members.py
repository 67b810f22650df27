"""Every member of the family beside a formulation in torch that shares no code with it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from bnlab.reference import family

EPS = 1e-5

# The shape of x, all sizes different, so that a wrong axis cannot pass by chance, and the affine's, unless per channel.
PER_CHANNEL = {
    "image": ((4, 6, 3, 7), None),
    "sequence": ((6, 4, 5), None),
    "volume": ((2, 4, 3, 5, 7), None),
    "one_channel": ((6, 1, 2, 3), None),
    "one_example": ((1, 4, 3, 5), None),
}
TRAILING = {
    "table": ((5, 3), (3,)),
    "sequence": ((4, 7, 3), (3,)),
    "image": ((2, 5, 3, 7), (5, 3, 7)),
    "no_batch": ((6,), (6,)),
    "two_features": ((4, 2), (2,)),  # x_hat and 1 span everything: only eps lets a gradient through
}


@dataclass(frozen=True)
class Member:
    """One norm: its pair of functions, the torch formulation, and what it takes beside x."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    in_torch: Callable[..., Any]
    parameters: tuple[str, ...]
    cases: dict[str, Any]
    options: Callable[[tuple[int, ...]], dict[str, Any]] = field(default=lambda _: {})
    eps: float | None = EPS  # the default

    def gradients(self, grad_y, cache):
        gradients = self.backward(grad_y, cache)
        return gradients if isinstance(gradients, tuple) else (gradients,)


def batch_renorm_in_torch(x, gamma, beta, running_mean, running_std, *, r_max, d_max, eps):
    axes = [0, *range(2, x.ndim)]
    gamma, beta, running_mean, running_std = (wide(v, x) for v in (gamma, beta, running_mean, running_std))
    var, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    std = (var + eps).sqrt()
    r = (std / running_std).clamp(1 / r_max, r_max).detach()
    d = ((mean - running_mean) / running_std).clamp(-d_max, d_max).detach()
    return gamma * ((x - mean) / std * r + d) + beta


def ghost_batch_norm_in_torch(x, gamma, beta, *, ghost_size, eps):
    parts = x.split(ghost_size)
    return torch.cat([functional.batch_norm(part, None, None, gamma, beta, training=True, eps=eps) for part in parts])


def filter_response_norm_in_torch(x, gamma, beta, tau, *, eps):
    mean_square = x.reshape(*x.shape[:2], -1).square().mean(2).reshape(*x.shape[:2], *[1] * (x.ndim - 2))
    y = wide(gamma, x) * x / (mean_square + eps).sqrt() + wide(beta, x)
    return functional.relu(y - wide(tau, x)) + wide(tau, x)


def weight_standardise_in_torch(weight, *, eps):
    var, mean = torch.var_mean(weight, list(range(1, weight.ndim)), correction=0, keepdim=True)
    return (weight - mean) / (var + eps).sqrt()


def wide(values, x):
    return values.reshape(1, -1, *[1] * (x.ndim - 2))


def groups_of(shape):
    return {"groups": shape[1] // 2 or 1}  # neither 1 nor all, where the channels allow it


MEMBERS = {
    "layer_norm": Member(
        family.layer_norm_forward,
        family.layer_norm_backward,
        lambda x, gamma, beta, eps: functional.layer_norm(x, gamma.shape, gamma, beta, eps),
        ("gamma", "beta"),
        TRAILING,
    ),
    "rms_norm": Member(
        family.rms_norm_forward,
        family.rms_norm_backward,
        lambda x, gamma, eps: functional.rms_norm(x, gamma.shape, gamma, eps),
        ("gamma",),
        TRAILING,
    ),
    "instance_norm": Member(
        family.instance_norm_forward,
        family.instance_norm_backward,
        lambda x, gamma, beta, eps: functional.instance_norm(x, weight=gamma, bias=beta, eps=eps),
        ("gamma", "beta"),
        PER_CHANNEL,
    ),
    "group_norm": Member(
        family.group_norm_forward,
        family.group_norm_backward,
        lambda x, gamma, beta, groups, eps: functional.group_norm(x, groups, gamma, beta, eps),
        ("gamma", "beta"),
        PER_CHANNEL | {"table": ((5, 6), None)},
        groups_of,
    ),
    "batch_renorm": Member(
        family.batch_renorm_forward,
        family.batch_renorm_backward,
        batch_renorm_in_torch,
        ("gamma", "beta"),
        PER_CHANNEL | {"table": ((5, 6), None)},
        lambda shape: {
            "running_mean": np.linspace(-1.0, 2.0, shape[1]),  # so that limits are reached by some channels
            "running_std": np.linspace(1.0, 4.0, shape[1]),
            "r_max": 1.5,
            "d_max": 0.3,
        },
    ),
    "ghost_batch_norm": Member(
        family.ghost_batch_norm_forward,
        family.ghost_batch_norm_backward,
        ghost_batch_norm_in_torch,
        ("gamma", "beta"),
        PER_CHANNEL | {"table": ((6, 4), None)},
        lambda shape: {"ghost_size": shape[0] // 2 or 1},
    ),
    "filter_response_norm": Member(
        family.filter_response_norm_forward,
        family.filter_response_norm_backward,
        filter_response_norm_in_torch,
        ("gamma", "beta", "tau"),
        PER_CHANNEL | {"table": ((5, 6), None)},
        eps=1e-6,
    ),
    "weight_standardise": Member(
        family.weight_standardise_forward,
        family.weight_standardise_backward,
        weight_standardise_in_torch,
        (),
        {"linear": ((4, 3), None), "convolution": ((4, 2, 3, 5), None), "one_filter": ((1, 2, 3), None)},
    ),
    "dynamic_tanh": Member(
        family.dynamic_tanh_forward,
        family.dynamic_tanh_backward,
        lambda x, alpha, gamma, beta: gamma * torch.tanh(alpha * x) + beta,
        ("alpha", "gamma", "beta"),
        TRAILING,
        eps=None,
    ),
    "dynamic_erf": Member(
        family.dynamic_erf_forward,
        family.dynamic_erf_backward,
        lambda x, alpha, shift, gamma, beta: gamma * torch.erf(alpha * x + shift) + beta,
        ("alpha", "shift", "gamma", "beta"),
        TRAILING,
        eps=None,
    ),
}


def draw(rng, member, case, offset=0.0, spread=2.0):
    """Draws x and the parameters, none of them like another, and the options that go with the shape."""
    shape, affine = member.cases[case]
    affine = affine or shape[1:2]
    x = rng.normal(offset, spread, size=shape)
    size = max(1.0, abs(offset))
    drawn = {
        "alpha": rng.uniform(0.2, 0.6) / size,  # neither a straight line nor saturated
        "shift": rng.uniform(0.2, 0.6),
        "gamma": rng.normal(2.0, 1.0, affine),
        "beta": rng.normal(-3.0, 1.0, affine),
        "tau": rng.normal(-3.0, 1.0, affine),  # between the outputs: some pass
    }
    return [x, *[drawn[name] for name in member.parameters]], member.options(shape)


def run_torch(member, arguments, options, grad_y=None, **eps):
    """The output of the torch formulation in float64, and its gradients if `grad_y` is given."""
    tensors = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in arguments]
    options = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    if member.eps is not None:
        eps = {"eps": member.eps} | eps
    y = member.in_torch(*tensors, **options, **eps)
    if grad_y is None:
        return y.detach().numpy()
    return [gradient.numpy() for gradient in torch.autograd.grad(y, tensors, torch.tensor(grad_y))]
