"""One training step of many networks: as many at once as a processor's cache holds."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.func import functional_call, vmap

from bnlab.experiments.ensemble import Ensemble
from bnlab.experiments.optimisers import Optimiser

AT_ONCE = 2**20  # bytes of a group's largest activation: with more, every operation waits for the main memory


class Group:
    """Consecutive members of an ensemble that are computed by the same operations; it holds views of their tensors."""

    def __init__(self, ensemble: Ensemble, members: slice, optimiser: Optimiser, rates: Tensor, decay: Tensor) -> None:
        self.architecture = ensemble.architecture
        trained = trainable(self.architecture)
        self.parameters = {name: p[members] for name, p in ensemble.parameters.items()}
        self.trained = {name: self.parameters[name].requires_grad_() for name in trained}
        self.buffers = {name: buffer[members] for name, buffer in ensemble.buffers.items()}
        self.diverged_at = ensemble.diverged_at[members]
        self.optimiser, self.rates, self.decay = optimiser, rates[members], decay[members]
        with torch.no_grad():
            self.state = optimiser.start(self.trained)
        self.losses = vmap(self._loss, randomness="different")

    def step(self, number: int, x: Tensor, y: Tensor, multiple: float) -> None:
        """Moves every member that has not diverged by one step, on batches `x` and `y`, one a member.

        A member whose loss or gradient is not finite is frozen, with its buffers as they were before this step.
        """
        if self.diverged_at.all():
            return
        before = {name: buffer.clone() for name, buffer in self.buffers.items()}
        losses = self.losses(self.parameters, self.buffers, x, y)
        # Differentiated outside of vmap, where the backward pass is ordinary and has half the overhead. No member's
        # loss depends on another's parameters, so the gradient of the sum holds the gradient of each.
        gradients = torch.autograd.grad(losses.sum(), list(self.trained.values()), materialize_grads=True)
        going = self.diverged_at == 0
        finite = _finite(losses.detach(), gradients)
        self.diverged_at[going & ~finite] = number
        frozen = (~(going & finite)).nonzero()[:, 0]
        with torch.no_grad():
            held = {name: parameter[frozen] for name, parameter in self.trained.items()} if len(frozen) else {}
            named = dict(zip(self.trained, gradients, strict=True))
            self.optimiser.update(self.trained, named, self.state, self.rates * multiple, self.decay)
            for name, values in held.items():
                self.trained[name][frozen] = values
            for name, buffer in self.buffers.items() if len(frozen) else ():
                buffer[frozen] = before[name][frozen]

    def _loss(self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return nn.functional.cross_entropy(functional_call(self.architecture, (parameters, buffers), (x,)), y)


def groups_of(ensemble: Ensemble, x: Tensor) -> list[slice]:
    """Cuts the members into groups of about equal size, each small enough to stay in the cache on a batch `x`."""
    members = len(ensemble)
    groups = min(members, -(-members * _largest_activation(ensemble.member(0), x) // AT_ONCE))
    bounds = [members * group // groups for group in range(groups + 1)]
    return [slice(start, end) for start, end in itertools.pairwise(bounds)]


def trainable(model: nn.Module) -> list[str]:
    """The names of the parameters that require a gradient; the others stay as they are.

    Raises:
        ValueError: there are none.
    """
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not names:
        raise ValueError("expected a model with a parameter that requires a gradient, got none")
    return names


class Draws:
    """The random numbers that layers draw in training, such as dropout masks: they follow from the seeds alone.

    Layers draw from torch's global generator; the caller's state of it comes back after each step.

    >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
    <torch._C.Generator object at ...>
    >>> draws, before = Draws([1, 2]), torch.get_rng_state()
    >>> with draws.own():
    ...     _ = torch.rand(3)
    >>> torch.equal(torch.get_rng_state(), before)
    True
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        mixed = np.random.SeedSequence([seed % 2**64 for seed in seeds]).generate_state(1, np.uint64)
        self._state = torch.Generator().manual_seed(int(mixed[0])).get_state()

    @contextmanager
    def own(self) -> Iterator[None]:
        """Within it the global generator is this one."""
        before = torch.get_rng_state()
        torch.set_rng_state(self._state)
        try:
            yield
        finally:
            self._state = torch.get_rng_state()
            torch.set_rng_state(before)


def _finite(losses: Float[Tensor, " members"], gradients: Sequence[Tensor]) -> Bool[Tensor, " members"]:
    """Which members have a finite loss and nothing but finite numbers in their gradients."""
    tensors = [losses[:, None], *(gradient.flatten(1) for gradient in gradients)]
    sums = torch.stack([tensor.sum(1) for tensor in tensors])
    if sums.isfinite().all():  # a sum with NaN or infinity in it is not finite, and sums are quick
        return torch.ones_like(losses, dtype=torch.bool)
    return torch.stack([tensor.isfinite().all(1) for tensor in tensors]).all(0)  # a sum may also have overflowed


def _largest_activation(model: nn.Module, x: Tensor) -> int:
    """Bytes of the largest tensor that a module of the model gives out for a batch."""
    sizes = [x.nbytes]

    def note(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.nbytes)

    for module in model.eval().modules():
        module.register_forward_hook(note)
    with torch.no_grad():
        model(x)
    return max(sizes)
