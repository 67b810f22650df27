import functools
import inspect
import io
import random
import sys
import textwrap

import matplotlib as mpl
import numpy as np
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from matplotlib.figure import Figure
from PIL import Image
from traitlets.config import Config

from bnlab import notebook, runtime
from bnlab.figures import style
from bnlab.layers import BatchNorm1d
from bnlab.notebook import setup, show, takeaway
from bnlab.reference import batch_norm_forward


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """A running IPython without history or personal settings."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    yield InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    InteractiveShell.clear_instance()


@pytest.fixture
def matplotlib_as_it_was():
    with mpl.rc_context():
        yield


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("BNLAB_NUM_THREADS", "1")


@pytest.fixture
def displayed(shell):  # noqa: ARG001 - there must be an IPython to display it
    """Calls a function and returns the Markdown that it displays."""

    def call(function, *arguments):
        with capture_output() as captured:
            function(*arguments)
        assert captured.stdout == ""
        return [output.data["text/markdown"] for output in captured.outputs]

    return call


def titled_figure():
    figure = Figure(figsize=(4.0, 2.0))
    figure.subplots().plot([1, 3, 2])
    figure.suptitle("Spread\nstays")
    return figure


# --- setup


@pytest.mark.usefixtures("matplotlib_as_it_was")
def test_setup_makes_random_numbers_repeatable():
    def draw():
        return random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002 - the legacy generator is meant

    setup(seed=3)
    first = draw()
    assert draw() != first
    setup(seed=3)
    assert draw() == first
    setup(seed=4)
    assert all(a != b for a, b in zip(draw(), first, strict=True))


@pytest.mark.usefixtures("matplotlib_as_it_was")
def test_setup_sets_threads_and_style(monkeypatch):
    called = []
    monkeypatch.setattr(runtime, "set_threads", lambda: called.append("threads"))
    monkeypatch.setattr(style, "apply", lambda: called.append("style"))
    setup()
    assert sorted(called) == ["style", "threads"]


@pytest.mark.usefixtures("matplotlib_as_it_was")
def test_setup_shows_a_figure_as_a_picture_with_its_title_in_words(shell):
    setup()
    data, metadata = shell.display_formatter.format(titled_figure())
    assert data["image/png"].startswith(b"\x89PNG")
    assert data["text/plain"] == "Figure: Spread stays"
    assert set(data) == {"image/png", "text/plain"}
    assert metadata == {"image/png": {"width": 384, "height": 192}}  # 4 x 2 inches of 96 pixels


@pytest.mark.usefixtures("matplotlib_as_it_was")
def test_a_picture_has_the_same_bytes_each_time_and_names_no_version(shell):
    setup()
    first, second = (shell.display_formatter.format(titled_figure())[0]["image/png"] for _ in range(2))
    assert first == second
    assert b"atplotlib" not in first
    width = int.from_bytes(first[16:20], "big")  # of the PNG's header
    assert width == 4 * notebook.PIXELS_PER_INCH
    assert len(first) < 100_000


@pytest.mark.usefixtures("matplotlib_as_it_was")
def test_a_picture_is_stored_in_few_shades_and_looks_the_same_to_its_rarest_dot(shell):
    setup()
    figure = Figure(figsize=(8.0, 8.0))
    axes = figure.subplots()
    for role, colour in enumerate(style.COLOURS.values()):
        for band in range(8):
            x, low = [0, 1, 2], np.array([band, role, band])
            axes.fill_between(x, low, low + np.array([3, 5, 2]), color=colour, alpha=0.2)
    axes.plot([1], [1], "o", color="#FF00FF", markersize=4)
    stored = Image.open(io.BytesIO(shell.display_formatter.format(figure)[0]["image/png"]))
    assert stored.mode == "P"
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=notebook.PIXELS_PER_INCH)
    off = np.subtract(*(np.asarray(image.convert("RGB"), dtype=float) for image in (stored, Image.open(drawn))))
    assert np.abs(off).max() < 24  # of 255


@pytest.mark.usefixtures("matplotlib_as_it_was")
def test_a_figure_without_a_title_is_still_named(shell):
    setup()
    assert shell.display_formatter.format(Figure())[0]["text/plain"] == "Figure:"


# --- show


def test_show_displays_a_function_under_its_path_in_the_package(displayed):
    (text,) = displayed(show, runtime.set_seed)
    assert text == f"`bnlab/runtime.py`\n\n```python\n{inspect.getsource(runtime.set_seed).rstrip()}\n```"


def test_show_displays_a_decorated_function_as_it_was_written(displayed):
    (text,) = displayed(show, batch_norm_forward)  # the shape checker wraps it in this test run
    assert text.startswith("`bnlab/reference/batch_norm.py`\n\n```python\ndef batch_norm_forward(")


@functools.cache
def remembered():
    """A decorated function that is no longer a function."""


def test_show_displays_what_a_decorator_replaced(displayed):
    (text,) = displayed(show, remembered)
    assert "```python\n@functools.cache\ndef remembered():" in text


def test_show_displays_a_class_and_a_method_without_its_indentation(displayed):
    whole, method = displayed(show, BatchNorm1d, BatchNorm1d.__init__)
    assert "```python\nclass BatchNorm1d(" in whole
    assert method.partition("```python\n")[2].startswith("def __init__(")


def test_show_names_a_file_of_any_package_from_the_package_on(displayed):
    texts = displayed(show, torch.nn.BatchNorm1d, textwrap.dedent)
    paths = [text.partition("\n")[0] for text in texts]
    assert paths == ["`torch/nn/modules/batchnorm.py`", "`textwrap.py`"]


def test_show_names_a_package_by_its_init_file(displayed):
    (text,) = displayed(show, torch.typename)
    assert text.startswith("`torch/__init__.py`")


@pytest.mark.parametrize(
    ("thing", "found"), [(3, "int"), (runtime, "module"), ([runtime.set_seed], "list"), (np.sin, "ufunc")]
)
def test_show_refuses_what_is_no_function_or_class(thing, found):
    with pytest.raises(ValueError, match=f"takes functions and classes, got {found}"):
        show(thing)


def test_show_refuses_what_has_no_file():
    for thing in (eval("lambda: 0", {"__name__": "bnlab.runtime"}), int):
        with pytest.raises(ValueError, match="no module's file holds the source of"):
            show(thing)


def test_show_refuses_what_was_defined_in_the_notebook(tmp_path, monkeypatch):
    cell = tmp_path / "cell.py"  # the kernel keeps each cell's source in such a file, so it could be shown
    cell.write_text("def mine(): pass")
    names = {"__name__": "__main__"}
    exec(compile(cell.read_text(), cell, "exec"), names)
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)  # as in a kernel
    with pytest.raises(ValueError, match="no module's file holds the source of mine"):
        show(names["mine"])


@pytest.mark.usefixtures("shell")
def test_show_displays_nothing_if_one_of_its_arguments_is_refused():
    with capture_output() as captured, pytest.raises(ValueError, match="got int"):
        show(runtime.set_seed, 3)
    assert captured.outputs == []


def test_show_prints_outside_ipython(capsys):
    show(runtime.set_seed)
    assert capsys.readouterr().out.startswith("`bnlab/runtime.py`")


# --- takeaway


@pytest.mark.parametrize("holds", [True, np.bool_(True)])
def test_takeaway_displays_a_sentence_that_holds(displayed, holds):
    assert displayed(takeaway, "It *holds*.", holds) == ["> **Takeaway.** It *holds*."]


@pytest.mark.usefixtures("shell")
@pytest.mark.parametrize("holds", [False, np.bool_(False)])
def test_takeaway_raises_and_displays_nothing_if_it_does_not_hold(holds):
    with capture_output() as captured, pytest.raises(AssertionError, match=r"does not hold: It \*holds\*\."):
        takeaway("It *holds*.", holds)
    assert captured.outputs == []


@pytest.mark.parametrize(
    ("holds", "found"),
    [
        (np.array([True, True]), r"ndarray of shape \(2,\)"),
        (torch.tensor([True, True]), r"Tensor of shape \(2,\)"),
        (torch.tensor(True), r"Tensor of shape \(\)"),
        (1, "int"),
        ("yes", "str"),
        (None, "NoneType"),
        ([], "list"),
    ],
)
def test_takeaway_takes_one_truth_value_and_nothing_like_it(holds, found):
    with pytest.raises(ValueError, match=f"holds must be True or False, got {found}; reduce it"):
        takeaway("It holds.", holds)


def test_takeaway_prints_outside_ipython(capsys):
    takeaway("It holds.", True)
    assert capsys.readouterr().out == "> **Takeaway.** It holds.\n"
