"""What a chapter needs from Jupyter: one set-up line, tested source on show, takeaways that prove themselves."""

import inspect
import io
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from IPython.core.getipython import get_ipython
from IPython.display import Markdown, display
from matplotlib.figure import Figure
from PIL import Image

from bnlab import runtime
from bnlab.figures import style

PIXELS_PER_INCH = 144  # half as many again as a screen shows at the figure's nominal size: crisp, and tens of kilobytes
SHADES = 256  # of a picture: three times as small as with all of them, where bands overlap, and as good to look at


def setup(seed: int = 0) -> None:
    """Makes a notebook repeatable: threads, seeds, the figure style, and figures shown as pictures without pyplot.

    Warnings stay as Python has them, since a learner's own experiment may warn; the tool that stores the notebooks
    accepts none.

    Args:
        seed: for Python, NumPy and torch.
    """
    runtime.set_threads()
    runtime.set_seed(seed)
    style.apply()
    shell = get_ipython()
    if shell is not None and shell.display_formatter is not None:
        formatters = shell.display_formatter.formatters
        formatters["image/png"].for_type(Figure, _png)
        formatters["text/plain"].for_type(Figure, _title)


def show(*objects: Any) -> None:
    """Displays the source of functions or classes as it stands in their package, each under the path of its file.

    Args:
        *objects: functions or classes of an imported module; decorated ones are shown as they were written.

    Raises:
        ValueError: one of them is neither a function nor a class, or no file holds its source.
    """
    for text in [_source(thing) for thing in objects]:
        _display(text)


def takeaway(text: str, holds: bool | np.bool_) -> None:  # noqa: FBT001 - the evidence reads best bare, after its sentence
    """Displays a takeaway, provided that the evidence above it holds.

    Args:
        text: the sentence, in Markdown.
        holds: the evidence, as one truth value.

    Raises:
        ValueError: `holds` is not one truth value.
        AssertionError: the evidence does not hold.

    Example:
        >>> takeaway("A mean of two values lies between them.", 1 < (1 + 2) / 2 < 2)
        > **Takeaway.** A mean of two values lies between them.
    """
    if type(holds) not in (bool, np.bool_):
        shape = f" of shape {tuple(holds.shape)}" if hasattr(holds, "shape") else ""
        found = f"{type(holds).__name__}{shape}"
        raise ValueError(f"holds must be True or False, got {found}; reduce it, as in bool((...).all())")
    if not holds:
        raise AssertionError(f"this takeaway does not hold: {text}")
    _display(f"> **Takeaway.** {text}")


def _display(text: str) -> None:
    if get_ipython() is None:
        print(text)  # noqa: T201 - plain Python has no other display
    else:
        display(Markdown(text))


def _source(thing: Any) -> str:
    original = inspect.unwrap(thing) if callable(thing) else thing
    if not (inspect.isfunction(original) or inspect.isclass(original)):
        raise ValueError(f"show() takes functions and classes, got {type(thing).__name__}")
    try:
        source = textwrap.dedent(inspect.getsource(original))
        path = _path_from_package(original.__module__)
    except (OSError, TypeError):  # of a vanished file, a built-in, or a notebook, which has no file
        raise ValueError(f"no module's file holds the source of {original.__qualname__}") from None
    return f"`{path}`\n\n```python\n{source.rstrip()}\n```"


def _path_from_package(module_name: str) -> str:
    """`bnlab/reference/batch_norm.py` for `bnlab.reference.batch_norm`, wherever the package is installed."""
    depth = module_name.count(".") + 1
    file = Path(str(inspect.getfile(sys.modules[module_name])))
    parts = depth + 1 if file.name == "__init__.py" else depth
    return Path(*file.parts[-parts:]).as_posix()


def _png(figure: Figure) -> tuple[bytes, dict[str, int]]:
    """The picture, without matplotlib's version in it, and the width and height at which a browser should show it."""
    drawn, stored = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=PIXELS_PER_INCH)
    rare_ones_too = Image.Quantize.MAXCOVERAGE  # others make a few pink dots grey
    picture = Image.open(drawn).convert("RGB").quantize(SHADES, rare_ones_too, kmeans=1, dither=Image.Dither.NONE)
    picture.save(stored, format="png", optimize=True)
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    return stored.getvalue(), {"width": width, "height": height}


def _title(figure: Figure, printer: Any, cycle: bool) -> None:  # noqa: ARG001, FBT001 - IPython's signature
    """In place of matplotlib's size in pixels: what the figure says, which a reader without the picture can use."""
    printer.text(" ".join(["Figure:", *figure.get_suptitle().split()]))
