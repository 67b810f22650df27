"""One training pass, forward and back, of a copy on a few images: who comes before whom, and what moves."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bnlab.deploy.batches import feed, mapped, tensors_in
from bnlab.deploy.per_image import by_image, image_moments
from bnlab.doctor.padding import padded_share

PROBE_IMAGES = 32  # a bound on the seconds that a large network takes


@dataclass
class Probe:
    """What the pass showed; layers are given by name.

    Attributes:
        feeds: for a batch norm layer, the convolution or linear layer whose very output it is given.
        cancelled: of such a feeding layer's bias, the gradient over the sum of the magnitudes that it is the sum of.
        forward: how often the running statistics of a batch norm layer moved on the way forward.
        backward: and how often again on the way back.
        quiet: each image's mean square at the layer's input, in units of the variance there and averaged over channels,
            with everything but batch norm in evaluation mode.
        noisy: the same in the same units, with everything in training mode.
        variances: of each channel of a layer's input, over images and positions, in the same quiet pass.
        padded: the share of a layer's input that is padding and enters its statistics.
        random: modules that ran before a layer and are only active in training, the nearest last.
    """

    feeds: dict[str, str] = field(default_factory=dict)
    cancelled: dict[str, float] = field(default_factory=dict)
    forward: Counter[str] = field(default_factory=Counter)
    backward: Counter[str] = field(default_factory=Counter)
    quiet: dict[str, Float[Tensor, " n"]] = field(default_factory=dict)
    noisy: dict[str, Float[Tensor, " n"]] = field(default_factory=dict)
    variances: dict[str, Float[Tensor, " c"]] = field(default_factory=dict)
    padded: dict[str, float] = field(default_factory=dict)
    random: dict[str, str] = field(default_factory=dict)


DROPOUT = nn.modules.dropout._DropoutNd  # noqa: SLF001 - what torch's dropout layers have in common


class Prober:
    """Runs the pass; see `probe`."""

    def __init__(self, model: nn.Module, norms: Collection[str], batch: Any) -> None:
        self.model, self.norms, self.batch, self.found = model, norms, batch, Probe()
        self.outputs: list[tuple[int, int, str, Tensor]] = []  # held, so that no memory is used twice
        self.sums: dict[str, float] = {}
        self.scales: dict[str, Tensor] = {}
        self.last_random = ""
        self.before: dict[str, Tensor | None] = {}  # running means
        self.on_the_way_back = False

    def run(self) -> Probe:
        """The quiet pass, then the noisy one and its way back."""
        self._quiet_pass()
        output = self._noisy_pass()
        leaves = [y for y in tensors_in(output) if y.requires_grad and y.is_floating_point()]
        if leaves:
            # An uneven gradient: that of a plain sum is cancelled by batch norm for every layer, not for biases only.
            self.on_the_way_back = True
            torch.autograd.backward(leaves, [torch.randn_like(y) for y in leaves])
        for name, total in self.sums.items():
            bias = self.model.get_submodule(name).bias
            if isinstance(bias, Tensor) and bias.grad is not None and total > 0:
                self.found.cancelled[name] = bias.grad.abs().max().item() / total
        return self.found

    def _quiet_pass(self) -> None:
        modes = {module: module.training for module in self.model.modules()}
        hooks = []
        for name, module in self.model.named_modules():
            module.training = modes[module] and name in self.norms
            if name in self.norms:
                hooks.append(module.register_forward_pre_hook(partial(self._see_quiet, name), with_kwargs=True))
        with torch.no_grad():
            feed(self.model, self.batch)
        for hook in hooks:
            hook.remove()
        for module, mode in modes.items():
            module.training = mode

    def _noisy_pass(self) -> Any:
        """The hooks stay, to see the way back, too: the copy is thrown away with them."""
        for name, module in self.model.named_modules():
            if name in self.norms:
                module.register_forward_pre_hook(partial(self._see, name), with_kwargs=True)
                module.register_forward_hook(partial(self._ran, name))
            elif isinstance(getattr(module, "bias", None), Tensor):
                module.register_forward_hook(partial(self._made, name))
            elif isinstance(module, DROPOUT) and module.p > 0:
                module.register_forward_hook(partial(self._dropped, name))
        with torch.enable_grad():
            # A checkpoint of the older kind runs again only where its input asks for a gradient.
            return feed(
                self.model, mapped(self.batch, lambda x: x.detach().clone().requires_grad_(x.is_floating_point()))
            )

    def _see_quiet(self, name: str, layer: nn.Module, args: Any, kwargs: Any) -> None:
        moments = image_moments(layer, args, kwargs)
        if moments is not None and layer.training and name not in self.found.quiet:
            means, variances, _ = moments
            var = variances.mean(0) + means.var(0, correction=0)
            self.found.variances[name] = var.cpu()
            self.scales[name] = var.clamp(min=torch.finfo(var.dtype).tiny)
            self.found.quiet[name] = self._mean_squares(name, means, variances)
            x = args[0] if args else None
            if isinstance(x, Tensor) and x.ndim == 3 and not kwargs:
                rows = by_image(layer, x)
                share = 0.0 if rows is None else padded_share(rows.detach().cpu().double(), self.batch)
                self.found.padded |= {name: share} if share else {}

    def _see(self, name: str, layer: nn.Module, args: Any, kwargs: Any) -> None:
        held = getattr(layer, "running_mean", None)
        self.before[name] = held.detach().clone() if isinstance(held, Tensor) else None
        if self.on_the_way_back or name in self.found.random:
            return
        moments = image_moments(layer, args, kwargs)
        if moments is not None and name in self.scales:
            self.found.noisy[name] = self._mean_squares(name, *moments[:2])
        self.found.random[name] = self.last_random
        given = next(iter(tensors_in((args, kwargs))), None)
        for pointer, version, maker, y in reversed(self.outputs):
            if given is not None and (given.untyped_storage().data_ptr(), given._version) == (pointer, version):  # noqa: SLF001 - tells a value from one changed in place
                self.found.feeds[name] = maker
                if y.requires_grad:
                    y.register_hook(partial(self._arrived, maker))  # type: ignore[no-untyped-call]
                break

    def _ran(self, name: str, layer: nn.Module, _args: Any, _y: Any) -> None:
        before = self.before.get(name)
        if before is not None and not torch.equal(before, layer.running_mean):  # type: ignore[arg-type]  # it has one
            (self.found.backward if self.on_the_way_back else self.found.forward)[name] += 1

    def _mean_squares(self, name: str, means: Tensor, variances: Tensor) -> Float[Tensor, " n"]:
        return ((variances + (means - means.mean(0)).square()) / self.scales[name]).mean(1)

    def _made(self, name: str, _module: nn.Module, _args: Any, y: Any) -> None:
        if isinstance(y, Tensor) and not self.on_the_way_back:
            self.outputs.append((y.untyped_storage().data_ptr(), y._version, name, y))  # noqa: SLF001 - as above

    def _dropped(self, name: str, module: nn.Module, _args: Any, _y: Any) -> None:
        if module.training:
            self.last_random = name

    def _arrived(self, name: str, gradient: Tensor) -> None:
        rest = [axis for axis in range(gradient.ndim) if axis != 1]
        self.sums[name] = max(self.sums.get(name, 0.0), gradient.detach().abs().sum(rest).max().item())


def probe(model: nn.Module, norms: Collection[str], batch: Any) -> Probe:
    """Run a copy of a model, in the modes in which it is, on a batch, with and without what is random in training.

    Args:
        model: a copy, to be thrown away.
        norms: names of the batch norm layers to watch.
        batch: as a loader yields it.

    Example:
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        >>> found = probe(model, ["1"], torch.randn(8, 3))
        >>> found.feeds, found.cancelled["0"] < 1e-5
        ({'1': '0'}, True)
    """
    return Prober(model, norms, batch).run()
