"""How a line of code reaches a module of a network, or several of them."""

import json
from collections.abc import Sequence
from keyword import iskeyword
from typing import Any

from torch import nn

from bnlab import layers

HOMES = (("torch.nn", nn), ("bnlab.layers", layers))  # of classes that a line can name
FEW = 3  # modules that a line lists as they are reached


def expression(model: nn.Module, name: str) -> str:
    """What stands in a line of code for the module of that name in `model.named_modules()`.

    Example:
        >>> model = nn.Sequential(nn.ModuleDict({"p1": nn.BatchNorm2d(4)}))
        >>> model.add_module("a-head", nn.Linear(4, 2))
        >>> expression(model, "0.p1"), expression(model, "a-head")
        ('model[0]["p1"]', 'model.get_submodule("a-head")')
    """
    text, module = "model", model
    for part in name.split(".") if name else ():
        inner = module.get_submodule(part)
        if isinstance(module, nn.ModuleDict):
            text += f"[{json.dumps(part)}]"
        elif part.isdecimal() and _at(module, int(part)) is inner:
            text += f"[{int(part)}]"
        elif part.isidentifier() and not iskeyword(part):
            text += f".{part}"
        else:
            text += f".get_submodule({json.dumps(part)})"
        module = inner
    return text


def for_each(model: nn.Module, names: Sequence[str], line: str) -> str:
    """Code that runs a line for each of some modules: the line alone for one, a loop of two lines for more.

    The loop goes over the modules themselves if they are few, over all of their classes if there are no others of
    these, and else over their names.

    Args:
        model: the network.
        names: of the modules, as in `model.named_modules()`.
        line: with `{}` wherever the module stands.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.BatchNorm1d(2))
        >>> print(for_each(model, ["1"], "{}.eval()"))
        model[1].eval()
        >>> print(for_each(model, ["1", "2"], "{}.eval()"))
        for layer in (model[1], model[2]):
            layer.eval()
    """
    if len(names) == 1:
        return line.format(expression(model, names[0]))
    if len(names) <= FEW:
        places = ", ".join(expression(model, name) for name in names)
        return f"for layer in ({places}):\n    {line.format('layer')}"
    classes = _classes_of_all(model, names)
    if classes:
        return f"for layer in model.modules():\n    if isinstance(layer, {classes}):\n        {line.format('layer')}"
    quoted = ", ".join(json.dumps(name) for name in names)
    return f"for layer in map(model.get_submodule, ({quoted})):\n    {line.format('layer')}"


def listed(model: nn.Module, names: Sequence[str]) -> str:
    """Modules as a sentence names them: the first few, and how many more."""
    places = [expression(model, name) for name in names]
    if len(places) > FEW:
        places = [", ".join(places[:FEW]), f"{len(places) - FEW} more"]
    return " and ".join(filter(None, (", ".join(places[:-1]), places[-1])))


def _classes_of_all(model: nn.Module, names: Sequence[str]) -> str:
    """The classes of some modules, as code, if the model has no other modules of these; else nothing."""
    modules = [model.get_submodule(name) for name in names]
    kinds = {type(module) for module in modules}
    known = {kind: f"{of}.{kind.__name__}" for kind in kinds for of, where in HOMES if _holds(where, kind)}
    others = [one for one in model.modules() if isinstance(one, tuple(kinds)) and one not in modules]
    return "" if others or len(known) < len(kinds) else " | ".join(sorted(known.values()))


def _holds(where: Any, kind: type) -> bool:
    return getattr(where, kind.__name__, None) is kind


def _at(module: Any, index: int) -> Any:
    listed = isinstance(module, nn.Sequential | nn.ModuleList) and index < len(module)
    return module[index] if listed else None
