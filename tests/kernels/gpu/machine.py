"""Where the kernels of these tests run: on a CUDA device if there is one, else under Triton's interpreter on the CPU.

Import this before anything that imports Triton, which decides once, as it is imported, whether it interprets. The
variable is taken back at once: other tests, and the processes that they start, are not to be interpreted.
"""

import inspect
import os
import sys
from functools import cache
from importlib import import_module

import pytest
import torch

if "triton" not in sys.modules and not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
try:
    pytest.importorskip("triton", reason="Triton exists for Linux only")

    import_module("triton.experimental.gluon")  # which a launch would import later, with the variable gone
    from bnlab.kernels.gpu import launch
finally:
    os.environ.pop("TRITON_INTERPRET", None)

if not (launch.INTERPRETED or torch.cuda.is_available()):
    pytest.skip("Triton was imported before, to compile: run these in another process", allow_module_level=True)

DEVICE = torch.device("cpu" if launch.INTERPRETED else "cuda")
interpreted = pytest.mark.skipif(not launch.INTERPRETED, reason="asks the interpreter, and a CUDA device was found")


def _look_for_builtins_once():
    """The interpreter searches the whole language for what to replace, anew at each call of a kernel's function."""
    interpreter, core = map(import_module, ("triton.runtime.interpreter", "triton.language.core"))

    @cache
    def builtins_of(package):
        return [(name, member) for name, member in inspect.getmembers(package) if core.is_builtin(member)]

    def patch_builtin(package, builder, scope):
        for name, member in builtins_of(package):
            if getattr(package, name) is member:  # else it is replaced already
                interpreter._patch_attr(package, name, member, builder, scope)

    interpreter._patch_builtin = patch_builtin


if launch.INTERPRETED:
    _look_for_builtins_once()
