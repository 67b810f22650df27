"""How a line of code reaches a module of a network."""

import json
from keyword import iskeyword
from typing import Any

from torch import nn


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


def _at(module: Any, index: int) -> Any:
    listed = isinstance(module, nn.Sequential | nn.ModuleList) and index < len(module)
    return module[index] if listed else None
