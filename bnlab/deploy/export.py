"""A trained network for other runtimes: `torch.export`, ONNX, and how far either is from the original."""

import inspect
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.utils import _pytree as pytree

from bnlab.deploy.batches import tensors_in
from bnlab.deploy.fold import fold
from bnlab.deploy.pairs import NORMS
from bnlab.deploy.parity import Example, arguments, in_short, largest_difference, outputs_of
from bnlab.deploy.survey import batch_norm_layers
from bnlab.deploy.targets import TORCH
from bnlab.deploy.untouched import check_module, working_copy
from bnlab.layers.batch_norm import BatchNorm
from bnlab.layers.frozen import FrozenBatchNorm
from bnlab.layers.sync import SyncBatchNorm

EXTRA = ("onnx", "onnxruntime", "onnxscript")


def as_torch(model: nn.Module) -> nn.Module:
    """A copy in which `torch.nn` normalises: what evaluation gives, in layers that every exporter knows.

    Our layers are written out in elementary operations, which an exporter would carry over one by one: a runtime knows
    batch norm as one operation, and exporters fold it. Frozen, ghost and renormalising layers become plain batch norm,
    as they are in evaluation. Unlike `convert(model, to="torch")` it is for a network that nobody will train again.

    Args:
        model: any module, in evaluation.

    Raises:
        ValueError: a part of the model is in training mode, or it cannot be copied.

    Example:
        >>> from bnlab.layers import FrozenBatchNorm2d
        >>> as_torch(nn.Sequential(FrozenBatchNorm2d(3)).eval())[0]
        BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
    """
    check_module(model)
    training = next((name for name, module in model.named_modules() if module.training), None)
    if training is not None:
        raise ValueError(
            f"expected a model in evaluation, got {training or 'it'!r} in training mode; call eval() first"
        )
    result = nn.Sequential(working_copy(model))  # so that the model itself has a parent
    for layer, places in batch_norm_layers(result).items():
        if type(layer) in NORMS and isinstance(layer, BatchNorm | FrozenBatchNorm):
            new = _torch_layer(layer)
            for place in places:
                setattr(place.parent, place.key, new)
    return result[0]


def to_program(model: nn.Module, example: Example) -> ExportedProgram:
    """The network as `torch.export` stores it: a graph without Python, for batches of any size.

    Args:
        model: any module, in evaluation; batch norm is torch's in the program (see `as_torch`).
        example: what the model is called with: a tensor, or a tuple of all arguments. Tensors as long as the first one
            have the batch on axis 0; their other axes are fixed. A batch of one will do where no other tensor has
            length 1.

    Returns:
        The program: run it by `program.module()(x)`, save it by `torch.export.save`.

    Raises:
        ValueError: the model is in training mode, or torch cannot export it.

    Example:
        >>> model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).eval()
        >>> to_program(model, torch.zeros(1, 3)).module()(torch.zeros(5, 3)).shape
        torch.Size([5, 2])
    """
    plain = as_torch(model).cpu()
    args, shapes = _with_any_batch(model, arguments(example))
    with _exporting(example):
        return torch.export.export(plain, args, dynamic_shapes=shapes)


def to_onnx(model: nn.Module, example: Example, path: str | Path) -> None:
    """Write the network into one ONNX file, for batches of any size.

    The exporter folds torch's batch norm by itself, so the file is the same network as after `fold`. It leaves in the
    file, for each node, the lines of Python that made it, with their paths on the disk: these are taken out.

    Args:
        model: any module, in evaluation, of at most 2 GB.
        example: as for `to_program`.
        path: where the file goes.

    Raises:
        ModuleNotFoundError: the packages of the `deploy` extra are missing.
        ValueError: the model is in training mode, torch cannot export it, or the path is in no folder.
    """
    check_extra()
    if not Path(path).parent.is_dir():
        raise ValueError(f"expected path to be in a folder that exists, got {path}")
    plain = as_torch(model).cpu()
    args, shapes = _with_any_batch(model, arguments(example))
    with _exporting(example):
        program: Any = torch.onnx.export(plain, args, dynamic_shapes=shapes, verbose=False)
        for node in program.model.graph.all_nodes():
            node.metadata_props.clear()
    program.save(path, external_data=False)


def run_onnx(path: str | Path, example: Example) -> list[Tensor]:
    """What onnxruntime makes of the tensors of an example, on the CPU.

    Raises:
        ModuleNotFoundError: the packages of the `deploy` extra are missing.
    """
    check_extra()
    import onnxruntime  # noqa: PLC0415 - an extra

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    values = [tensor.detach().cpu().numpy() for tensor in tensors_in(arguments(example))]
    return [torch.from_numpy(output) for output in session.run(None, dict(zip(names, values, strict=True)))]


def compare(model: nn.Module, example: Example) -> dict[str, float]:
    """How far the network's output moves on its way out: folded, exported by `torch.export` and to ONNX, and both.

    Args:
        model: any module, in evaluation.
        example: what to compare on, with values as they will come; see `to_program`.

    Returns:
        For each of the five the largest difference from the model's own output, in units of the largest output.

    Raises:
        ModuleNotFoundError: the packages of the `deploy` extra are missing.
        ValueError: the model cannot be folded or exported.
    """
    check_extra()
    args = arguments(example)
    expected = outputs_of(model, args)
    versions = {"": model, "folded, ": fold(model, example).model}
    found = {"folded": outputs_of(versions["folded, "], args)}
    for name, version in versions.items():
        found[f"{name}torch.export"] = outputs_of(to_program(version, example).module(), args)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            to_onnx(version, example, path)
            found[f"{name}ONNX"] = run_onnx(path, example)
    return {name: largest_difference(expected, outputs) for name, outputs in found.items()}


def check_extra() -> None:
    """Say what to install where ONNX is missing.

    Raises:
        ModuleNotFoundError: one of the packages is not there.
    """
    missing = [name for name in EXTRA if find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(f"ONNX needs {', '.join(missing)}: pip install -c constraints.txt -e '.[deploy]'")


def _torch_layer(layer: Any) -> nn.Module:
    synchronised = isinstance(layer, SyncBatchNorm)  # takes input of any shape, and in evaluation sends nothing
    kind: Any = nn.SyncBatchNorm if synchronised else TORCH[max(layer.layouts) - 3]  # the most axes that it takes
    new: nn.Module = kind(
        layer.num_features,
        layer.eps,
        affine=layer.weight is not None,
        track_running_stats=layer.running_mean is not None,
        bias=layer.bias is not None,
    )
    state = layer.state_dict()
    new.load_state_dict(state, strict=False)  # a frozen layer has counted no batches
    return new.to(next(iter(state.values()), torch.zeros(()))).eval()


def _with_any_batch(model: nn.Module, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments on the CPU without gradients, and by their names, which axis of each may have any length.

    A batch of one is doubled: of a length of 1 torch.export concludes that it will always be 1.
    """
    size = next(iter(_lengths(args)), 0)

    def has_batch(leaf: Any) -> bool:
        return isinstance(leaf, Tensor) and leaf.ndim > 0 and len(leaf) == size

    def prepare(leaf: Any) -> Any:
        leaf = leaf.detach().cpu() if isinstance(leaf, Tensor) else leaf
        return torch.cat([leaf, leaf]) if size == 1 and has_batch(leaf) else leaf

    batch = Dim("batch")
    shapes = pytree.tree_map(lambda leaf: {0: batch} if has_batch(leaf) else None, args)
    return tuple(pytree.tree_map(prepare, args)), dict(inspect.signature(model.forward).bind(*shapes).arguments)


def _lengths(args: tuple[Any, ...]) -> list[int]:
    return [len(tensor) for tensor in tensors_in(args) if tensor.ndim]


@contextmanager
def _exporting(example: Example) -> Iterator[None]:
    """Without what torch 2.13 warns of in its own code, and with one line where it fails."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it misses torchvision, which nothing here needs
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.filterwarnings("ignore", "# The axis name", UserWarning)  # the same for two inputs, as it should
            yield
    except Exception as error:  # the model's own code runs here, and may raise anything
        first, *others = _lengths(arguments(example)) or [0]
        expected = "a model that torch can export"
        if first == 1 and 1 in others:
            expected = "an example of two images or more, since several tensors of length 1 may not all be batches"
        raise ValueError(f"expected {expected}, got {in_short(error)}") from error
    finally:
        logger.setLevel(level)
