"""Which batch norm layers stand behind a convolution or a linear layer, so that the two are one: found by tracing."""

import inspect
from collections.abc import Iterator
from operator import attrgetter
from typing import Any, NamedTuple

from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from bnlab.deploy.parity import in_short
from bnlab.deploy.survey import DIMENSIONS, batch_norm_layers, class_name, held_outside, is_batch_norm
from bnlab.deploy.untouched import working_copy
from bnlab.layers.batch_renorm import BatchRenorm1d, BatchRenorm2d
from bnlab.layers.frozen import FrozenBatchNorm, FrozenBatchNorm1d, FrozenBatchNorm2d, FrozenBatchNorm3d

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)
LINEAR_MAPS = (nn.Linear, *CONVOLUTIONS)
NORMS = (  # in evaluation a scale and a shift per channel, and no more
    *DIMENSIONS,
    BatchRenorm1d,
    BatchRenorm2d,
    FrozenBatchNorm1d,
    FrozenBatchNorm2d,
    FrozenBatchNorm3d,
)


class Pair(NamedTuple):
    """A batch norm layer, and the layer that can take it in, by their names; or None, and why there is none."""

    norm: str
    into: str | None
    why: str


def pairs(model: nn.Module, args: tuple[Any, ...]) -> list[Pair]:
    """Every batch norm layer of a model, with the layer before it that can take it in, or what is in the way.

    `torch.fx` follows the forward pass. Of `args` only what is not a tensor matters: such an argument decides, with
    the defaults of those that are not given, which path is followed. Layers of `torch.nn` and of `bnlab.layers`, and
    what inherits from batch norm, a convolution or a linear layer, are followed no further. It is a copy that is
    traced, and hooks are not called, so nothing that a pass writes down ends up in the model or elsewhere.

    Raises:
        ValueError: the forward pass cannot be followed, as where its path depends on the data, or the model not copied.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.BatchNorm2d(8)).eval()
        >>> for pair in pairs(model, (Tensor(),)):
        ...     print(pair)
        Pair(norm='1', into='0', why='')
        Pair(norm='3', into=None, why='it follows 2 (torch.nn.ReLU), which is no convolution or linear layer')
    """
    if hasattr(model, "_orig_mod"):
        raise ValueError(
            "expected a model before torch.compile, got a compiled one; "
            "give model._orig_mod, and compile what comes of it"
        )
    copied = working_copy(model)
    try:
        trace = _Trace(copied, args)
    except Exception as error:  # the model's own code runs here, and may raise anything
        raise ValueError(
            f"expected a model whose forward pass torch.fx can follow, got {in_short(error)}; "
            "fold the parts that it can follow one by one"
        ) from error
    found = []
    for layer, places in batch_norm_layers(copied).items():
        why = next(trace.obstacles(layer), "")
        found.append(Pair(places[0].name, None if why else str(trace.source(layer).target), why))
    return found


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        ours = type(m).__module__.startswith("bnlab.layers.")
        known = is_batch_norm(m) or isinstance(m, LINEAR_MAPS)
        return ours or known or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = self.path_of_module(m)
        if self.is_leaf_module(m, name) or not _has_hooks(m):
            return super().call_module(m, forward, args, kwargs)
        # Hooks would write down proxies. What they may do to a tensor is a node of its own, on both sides of the part.
        args, kwargs = self._through_hooks((args, kwargs), name)
        return self._through_hooks(super().call_module(m, m.forward, args, kwargs), name)

    def _through_hooks(self, values: Any, name: str) -> Any:
        def through(value: Any) -> Any:
            if not isinstance(value, fx.Proxy):
                return value
            return self.create_proxy("call_function", _hooks_of, (value, name), {})

        return pytree.tree_map(through, values)


def _hooks_of(value: Any, _name: str) -> Any:
    return value


def _has_hooks(module: nn.Module) -> bool:
    return any(value for key, value in vars(module).items() if key.endswith("_hooks"))


class _Trace:
    """A forward pass as a graph, and the questions that folding asks of it."""

    def __init__(self, model: nn.Module, args: tuple[Any, ...]) -> None:
        self.model = model
        self.outside = dict(held_outside(model))
        self.calls: dict[nn.Module, list[fx.Node]] = {}
        self.read: set[int] = set()
        for node in _graph(model, args).nodes if not is_batch_norm(model) else ():  # which calls nothing
            if node.op == "call_module":
                self.calls.setdefault(model.get_submodule(node.target), []).append(node)
            elif node.op == "get_attr":
                self.read.add(id(attrgetter(node.target)(model)))
        self.kept = dict(_kept(model))

    def source(self, norm: nn.Module) -> fx.Node:
        """What gives a layer that is called once its input."""
        return self.calls[norm][0].all_input_nodes[0]

    def obstacles(self, norm: Any) -> Iterator[str]:
        """All that keeps a batch norm layer from being folded; nothing if it can be."""
        if type(norm) not in NORMS:
            yield "it is of a subclass that may do more than batch norm"
        elif not isinstance(norm, FrozenBatchNorm) and norm.training:
            yield "it is in training mode, where it normalises by the batch; call eval() first"
        elif norm.running_mean is None:
            yield "it keeps no running statistics"
        if norm in self.outside:
            yield f"it is also held by {self.outside[norm]!r}, which is not registered and would keep it"
        yield from self._obstacles_of_either(norm, "it")
        calls = len(self.calls.get(norm, ()))
        if calls != 1:
            yield f"it is called {calls} times in one pass" if calls else "it is not called in the pass that was traced"
        elif self.calls[norm][0].kwargs:
            yield "it gets its input by keyword"
        else:
            yield from self._obstacles_before(norm)

    def _obstacles_before(self, norm: nn.Module) -> Iterator[str]:
        node = self.source(norm)
        module = self.model.get_submodule(str(node.target)) if node.op == "call_module" else None
        if not isinstance(module, LINEAR_MAPS):
            name = f"{node.target} ({class_name(module)})" if module is not None else node.name
            name = f"the hooks of {node.args[1]}" if node.target is _hooks_of else name
            what = "the input" if node.op == "placeholder" else name
            yield f"it follows {what}, which is no convolution or linear layer{self._padding_after(norm)}"
            return
        name = f"{node.target} before it"
        if type(module) not in LINEAR_MAPS:
            yield f"{name} is of a subclass ({class_name(module)}) that may do more"
        if node in self.kept:
            yield f"its input is also kept as {self.kept[node]!r}"
        if len(node.users) > 1:
            yield f"the output of {name} has a second user"
        if len(self.calls[module]) > 1:
            yield f"{name} is called {len(self.calls[module])} times in one pass"
        yield from self._obstacles_of_either(module, name)

    def _obstacles_of_either(self, module: nn.Module, name: str) -> Iterator[str]:
        if _has_hooks(module):
            yield f"{name} has hooks"
        if "forward" in vars(module):
            yield f"{name} has a forward of its own"
        if self.read & {id(tensor) for tensor in (*module.parameters(), *module.buffers())}:
            yield f"{name} has a tensor that is also read elsewhere"

    def _padding_after(self, norm: nn.Module) -> str:
        """Why the layer cannot be folded forwards either, where somebody might think so."""
        for node in self.calls[norm][0].users:
            module = self.model.get_submodule(str(node.target)) if node.op == "call_module" else None
            if isinstance(module, CONVOLUTIONS) and any(module.padding):
                return (
                    f"; nor can it be folded into {node.target} after it, which pads its input with zeros: "
                    "the shift would then act on the padding, too"
                )
        return ""


def _graph(model: nn.Module, args: tuple[Any, ...]) -> fx.Graph:
    given = inspect.signature(model.forward).bind(*args)
    given.apply_defaults()
    fixed = {
        name: value
        for name, value in given.arguments.items()
        if not _holds_tensors(value) and given.signature.parameters[name].kind in _NAMED
    }
    return _Tracer().trace(model, concrete_args=fixed)


def _kept(traced: nn.Module) -> Iterator[tuple[fx.Node, str]]:
    """What the pass that was traced left in attributes, each with the attribute's name."""
    for prefix, module in traced.named_modules():
        for attribute, value in (*vars(module).items(), *module._buffers.items()):  # noqa: SLF001 - the name comes last
            name = f"{prefix}.{attribute}" if prefix else attribute
            yield from ((leaf.node, name) for leaf in pytree.tree_leaves(value) if isinstance(leaf, fx.Proxy))


_NAMED = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, Tensor | tuple | list | dict)
