"""The module of the capstone, judged aspect by aspect, on features and on maps."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from bnlab.practice.capstone.modules import MODULES
from bnlab.practice.capstone.modules.cases import layout_of
from bnlab.practice.exercises.checking import judged
from bnlab.practice.exercises.misconceptions import MISCONCEPTIONS
from bnlab.practice.exercises.running import Fault
from bnlab.practice.exercises.task import Case, Task
from bnlab.practice.exercises.tasks.data import eighths, scales
from bnlab.practice.exercises.verdict import Verdict
from bnlab.practice.interview.bank import CHAPTERS

LAYOUTS = ("features", "maps")
RESHAPING = re.compile(
    r"(Unsafe)?(View|ReshapeAlias|Permute|Transpose|T|Unsqueeze|Squeeze|Expand|Clone|Alias|ToCopy|AccumulateGrad)"
    r"(Backward)?\d*"
)
TAKEN = re.compile(r"(batch|layer|group|instance)_norm")  # in the names of torch's own functions


class Aspect(NamedTuple):
    """What a module is tried for: a name, the chapter that teaches it, and the trial that gives its results."""

    name: str
    chapter: str
    trial: Callable[[Callable[..., nn.Module], Case], dict[str, Any]]


class Cell(NamedTuple):
    """One aspect in one layout, and the verdict on it."""

    aspect: str
    layout: str
    verdict: Verdict


def judge(module: str, attempt: Callable[..., Any]) -> tuple[Cell, ...]:
    """The verdict on each aspect in each layout.

    One mistake costs the aspects that it spoils, and no others. Once an attempt took too long, what is left of it is
    not run.

    Args:
        module: id of one of `MODULES`.
        attempt: the learner's class.
    """
    cells: list[Cell] = []
    late: Verdict | None = None
    for aspect in ASPECTS:
        for layout in LAYOUTS:
            verdict = late or _verdict(task_of_aspect(module, aspect, layout), attempt)
            late = verdict if verdict.misconception == "too-slow" else None
            cells.append(Cell(aspect, layout, verdict))
    return tuple(cells)


def chapters_of(misconception: str) -> list[str]:
    """The stems of the chapters that explain a mistake; none for one that is not about batch norm.

    Example:
        >>> chapters_of("eps-missing")
        ['03_mechanism_forward']
    """
    numbers = (
        re.findall(r"chapter (\d\d)", MISCONCEPTIONS[misconception].see) if misconception in MISCONCEPTIONS else []
    )
    return [stem for stem in CHAPTERS if stem[:2] in numbers]


def page(module: str) -> str:
    """The blank page: what is to be written, as the file's docstring, and two imports."""
    specification = inspect.cleandoc(MODULES[module].solution.__doc__ or "")
    return f'"""{specification}\n"""\n\nimport torch\nfrom torch import nn\n'


def _verdict(task: Task, attempt: Callable[..., Any]) -> Verdict:
    try:
        return judged(task, attempt)
    except NotImplementedError:
        return Verdict(
            passed=False, attempted=False, misconception=None, message="It is not written yet.", task=task.id
        )


@cache
def task_of_aspect(module: str, aspect: str, layout: str) -> Task:
    """The task of which only this aspect is tried, on batches of this layout."""
    task = MODULES[module]
    cases = tuple(case for case in task.cases if layout_of(case) == layout)
    return replace(task, id=f"{aspect}, {layout}", cases=cases, trial=ASPECTS[aspect].trial)


def _try_forward(attempt: Callable[..., nn.Module], case: Case) -> dict[str, Any]:
    """Two batches in training."""
    layer, (first, second, _) = _made(attempt, case), case.arguments[2]
    return {f"output of training batch {n}": _called(layer, *batch) for n, batch in enumerate((first, second), start=1)}


def _try_backward(attempt: Callable[..., nn.Module], case: Case) -> dict[str, Any]:
    """The gradients of x, weight and bias, in training and in evaluation."""
    layer, (first, _, probe) = _made(attempt, case), case.arguments[2]
    results: dict[str, Any] = {}
    for mode, (x, *others) in (("training", first), ("evaluation", probe)):
        if mode == "evaluation":
            _set_running(layer.eval(), case)
        layer.zero_grad()
        given = torch.tensor(x, requires_grad=True)
        y = _called(layer, given, *others)
        _differentiate((y * torch.tensor(eighths(70, *x.shape), dtype=y.dtype)).sum(), _nodes_behind(y))
        for name, value in (("x", given), ("weight", layer.weight), ("bias", layer.bias)):
            results[f"gradient of {name} in {mode}"] = _gradient(value)
    return results


def _try_running_statistics(attempt: Callable[..., nn.Module], case: Case) -> dict[str, Any]:
    """What is kept after batches in training, with and without gradients, and after one in evaluation."""
    layer, (first, second, probe) = _made(attempt, case), case.arguments[2]
    results: dict[str, Any] = {}
    with torch.no_grad():
        _called(layer, *second)
    results |= {f"{name} after a batch under no_grad": _kept(layer, name).clone() for name in RUNNING}
    _called(layer, *first)
    results |= {f"{name} after a second batch": _kept(layer, name).clone() for name in RUNNING}
    _called(layer.eval(), *probe)
    results |= {f"{name} after evaluation": _kept(layer, name).clone() for name in RUNNING}
    results["running statistics that are saved"] = sum(name in layer.state_dict() for name in RUNNING)
    results["running statistics that keep a graph"] = sum(_kept(layer, name).grad_fn is not None for name in RUNNING)
    return results


def _try_evaluation(attempt: Callable[..., nn.Module], case: Case) -> dict[str, Any]:
    """The output by given running statistics, and for the first example alone."""
    layer, (_, _, probe) = _made(attempt, case).eval(), case.arguments[2]
    _set_running(layer, case)
    results = {"output in evaluation": _called(layer, *probe)}
    with torch.no_grad():
        results["output in evaluation under no_grad"] = _called(layer, *probe)
        results["output for one example alone"] = _called(layer, *(one[:1] for one in probe))
    return results


ASPECTS = {
    aspect.name: aspect
    for aspect in (
        Aspect("forward", "03_mechanism_forward", _try_forward),
        Aspect("backward", "04_mechanism_backward", _try_backward),
        Aspect("running statistics", "05_mechanism_inference", _try_running_statistics),
        Aspect("evaluation", "05_mechanism_inference", _try_evaluation),
    )
}
CHAPTER_OF_MAPS = "01_definition"  # which values of a map share a mean
RUNNING = ("running_mean", "running_var")


class _Unaided(TorchFunctionMode):
    """Refuses torch's own normalisations, by whatever name they are called."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if TAKEN.search(name):
            raise Fault(None, f"It calls torch's `{name}`; this page asks for the layer itself.")
        return func(*args, **(kwargs or {}))


class _ByHand(_Unaided):
    """Refuses autograd, too: in a backward gradients are off, unless somebody turns them on."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.is_grad_enabled():
            raise Fault(None, "Its `backward` leaves the work to autograd; this page asks for the gradients by hand.")
        return super().__torch_function__(func, types, args, kwargs)


def _made(attempt: Callable[..., nn.Module], case: Case) -> nn.Module:
    """A layer in training, with a scale and a shift that are not those of the beginning."""
    channels, settings, *_ = case.arguments
    layer = attempt(channels, **settings)
    if not isinstance(layer, nn.Module):
        raise Fault("raises", f"The class makes a {type(layer).__name__}, which is no `nn.Module`.")
    parameters = dict(layer.named_parameters())
    for name, values in (("weight", scales(80, channels)), ("bias", eighths(81, channels))):
        if name not in parameters or parameters[name].shape != (channels,):
            raise Fault(None, f"The layer has no parameter `{name}` of shape ({channels},), for c = {channels}.")
        with torch.no_grad():
            parameters[name].copy_(torch.tensor(values))
    return layer.train()


def _set_running(layer: nn.Module, case: Case) -> None:
    for name, values in zip(RUNNING, case.arguments[3], strict=True):
        with torch.no_grad():
            _kept(layer, name).copy_(torch.tensor(values))


def _kept(layer: nn.Module, name: str) -> Tensor:
    kept = getattr(layer, name, None)
    if not isinstance(kept, Tensor):
        raise Fault(None, f"The layer has no tensor `{name}` yet.")
    return kept


def _called(layer: nn.Module, x: Any, *others: Any) -> Tensor:
    x = x if isinstance(x, Tensor) else torch.tensor(x)
    before = x.detach().clone()
    with _Unaided():
        y = layer(x, *map(torch.tensor, others))
    if not isinstance(y, Tensor):
        raise Fault("returns-none", f"`forward` returned {'None' if y is None else type(y).__name__}.")
    if not torch.equal(before, x.detach()):
        raise Fault("mutates-input", "After `forward`, its input holds other values.")
    return y


def _gradient(of: Any) -> Tensor:
    """Zero where the output does not depend on it."""
    return torch.zeros_like(of) if of.grad is None else of.grad


def _differentiate(loss: Tensor, nodes: Iterable[Any]) -> None:
    """Go back through a graph in which only the learner's own functions may compute.

    What lies behind an argument whose gradient the learner gives as None gets no gradient, and counts as untouched.

    Args:
        loss: where it begins.
        nodes: those of the graph of the learner's output.

    Raises:
        Fault: a gradient reached a node that computes and is none of a `torch.autograd.Function` of the learner's.
    """
    own, foreign, reached = 0, set[str](), set[str]()
    for node in nodes:
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            own += 1
            _watch(node)
        elif not RESHAPING.fullmatch(node.name().rpartition("::")[2]):
            foreign.add(node.name())
            node.register_prehook(partial(_note, reached, node.name()))
    if own:
        torch.autograd.backward(loss)
    if reached or not own:
        names = sorted(reached if own else foreign)
        listed = f" (by {', '.join(names[:3])}{', ...' if len(names) > 3 else ''})" if names else ""
        raise Fault(
            None,
            f"Autograd finds the gradient here{listed}. The page asks for your own: a `torch.autograd.Function` that "
            "makes the output from x, weight and bias, and whose `backward` returns their gradients.",
        )


def _watch(node: Any) -> None:
    """Have what a node computes done by hand: a mode around the whole way back would not be on inside it."""
    modes = ExitStack()

    def begin(_: Any) -> None:
        modes.enter_context(_ByHand())

    def end(*_: Any) -> None:
        modes.close()

    node.register_prehook(begin)
    node.register_hook(end)


def _note(reached: set[str], name: str, gradients: tuple[Tensor | None, ...]) -> None:
    if any(gradient is not None for gradient in gradients):
        reached.add(name)


def _nodes_behind(value: Tensor) -> Iterator[Any]:
    """Every node of the autograd graph behind a value, once."""
    known, new = set(), [value.grad_fn]
    while new:
        node = new.pop()
        if node is not None and node not in known:
            known.add(node)
            new.extend(one for one, _ in node.next_functions)
            yield node
