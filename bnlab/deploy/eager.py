"""Hooks that are heard in compiled networks, too."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch


@contextmanager
def eagerly() -> Iterator[None]:
    """Runs what was compiled, the whole model or a part of it, as it is written: where hooks are to be heard.

    What `torch.compile` compiled before the hooks came would be run again without them.

    Example:
        >>> from torch import nn
        >>> model, heard = torch.compile(nn.Linear(1, 1), backend="eager"), []
        >>> with torch.no_grad(), eagerly():
        ...     handle = model.register_forward_hook(lambda *_: heard.append("a call"))
        ...     y = model(torch.ones(1, 1))
        >>> heard
        ['a call']
    """
    compiled = "torch._dynamo" in sys.modules  # else nothing is, and its import takes seconds
    with torch.compiler.set_stance("force_eager") if compiled else nullcontext():
        yield
