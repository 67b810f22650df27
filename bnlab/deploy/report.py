"""What a conversion did to a network, layer by layer."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from bnlab.deploy.survey import BUFFERS, OPTIONAL_SETTINGS, PARAMETERS, class_name


@dataclass(frozen=True)
class Replaced:
    """One layer that gave way to another.

    Attributes:
        names: every place where the model holds it; one that is shared has several.
        before: what stood there.
        after: what stands there now.
        kept: parameters and buffers that moved over as the same tensors.
        constants: tensors whose values live on in buffers that nothing changes.
        dropped: tensors and settings that the new layer has no use for.
    """

    names: tuple[str, ...]
    before: str
    after: str
    kept: tuple[str, ...]
    constants: tuple[str, ...]
    dropped: tuple[str, ...]


@dataclass(frozen=True)
class Left:
    """One batch norm layer that stayed as it was: its names, its class, and why."""

    names: tuple[str, ...]
    layer: str
    why: str


@dataclass(frozen=True, repr=False)
class Report:
    """What `convert` did; shows itself as lines in a terminal and as a table in a notebook.

    Attributes:
        model: the converted model: the one that was given, unless that was itself a layer that had to be replaced.
        to: what was asked for.
        replaced: the layers that gave way, in the order of `model.named_modules()`.
        left: the other batch norm layers.
        parameters_kept: values in parameters that moved over as the same `nn.Parameter`.
        parameters_made_constants: values in parameters that no longer are any.
        statistics_dropped: values in running means and variances that are gone.
    """

    model: nn.Module
    to: str
    replaced: tuple[Replaced, ...]
    left: tuple[Left, ...]
    parameters_kept: int
    parameters_made_constants: int
    statistics_dropped: int

    def __repr__(self) -> str:
        lines = (f"  {', '.join(map(_place, names))}: {what}" for names, what in self._rows())
        return "\n".join((self._summary(), *lines))

    def _repr_markdown_(self) -> str:
        rows = [f"| {', '.join(as_code(_place(name)) for name in names)} | {what} |" for names, what in self._rows()]
        table = ("", "| layer | what became of it |", "|---|---|", *rows) if rows else ()
        return "\n".join((self._summary(), *table))

    def _summary(self) -> str:
        if not self.replaced and not self.left:
            return f"to {self.to}: no batch norm layer found, nothing changed"
        values = (
            (self.parameters_kept, "in parameters kept"),
            (self.parameters_made_constants, "in parameters made constants"),
            (self.statistics_dropped, "in running statistics dropped"),
        )
        found = "; ".join(f"{count:,} values {what}" for count, what in values if count)
        counts = f"to {self.to}: {layers_in_words(len(self.replaced))} replaced, {len(self.left)} left"
        return f"{counts}; {found}" if found else counts

    def _rows(self) -> Iterator[tuple[tuple[str, ...], str]]:
        for one in self.replaced:
            parts = (("kept", one.kept), ("made constants", one.constants), ("dropped", one.dropped))
            tensors = "; ".join(f"{what} {', '.join(names)}" for what, names in parts if names)
            yield one.names, f"{one.before} -> {one.after}" + (f"; {tensors}" if tensors else "")
        for other in self.left:
            yield other.names, f"{other.layer} left: {other.why}"


def report_on(
    model: nn.Module,
    to: str,
    names: Mapping[nn.Module, tuple[str, ...]],
    new: Mapping[nn.Module, nn.Module],
    left: Mapping[nn.Module, str],
) -> Report:
    """The report on old layers and their new ones, and on those that were left, each with its reason."""
    replaced = {layer: _replaced(names[layer], layer, new[layer]) for layer in new}
    return Report(
        new.get(model, model),
        to,
        tuple(replaced.values()),
        tuple(Left(names[layer], _described(layer), why) for layer, why in left.items()),
        _values(getattr(layer, name) for layer, one in replaced.items() for name in one.kept if name in PARAMETERS),
        _values(
            getattr(layer, name) for layer, one in replaced.items() for name in one.constants if name in PARAMETERS
        ),
        _values(getattr(layer, name) for layer, one in replaced.items() for name in one.dropped if name in BUFFERS[:2]),
    )


def _replaced(names: tuple[str, ...], layer: nn.Module, new: nn.Module) -> Replaced:
    tensors = [name for name in (*PARAMETERS, *BUFFERS) if getattr(layer, name) is not None]
    kept = tuple(name for name in tensors if getattr(new, name, None) is getattr(layer, name))
    constants = tuple(name for name in tensors if hasattr(new, name) and name not in kept)
    settings = (
        name
        for name, default in OPTIONAL_SETTINGS.items()
        if getattr(layer, name, default) != default and not hasattr(new, name)
    )
    dropped = (*(name for name in tensors if not hasattr(new, name)), *settings)
    return Replaced(names, _described(layer), _described(new), kept, constants, dropped)


def _described(layer: nn.Module) -> str:
    sizes = (layer.num_groups, layer.num_channels) if isinstance(layer, nn.GroupNorm) else (layer.num_features,)
    return f"{class_name(layer)}({', '.join(map(str, sizes))})"


def _values(tensors: Iterable[Tensor]) -> int:
    """How many values they hold together, where one that occurs twice counts once."""
    return sum(tensor.numel() for tensor in {id(tensor): tensor for tensor in tensors}.values())


def layers_in_words(count: int) -> str:
    """So many layers.

    >>> layers_in_words(1), layers_in_words(2)
    ('1 layer', '2 layers')
    """
    return f"{count} layer{'' if count == 1 else 's'}"


def _place(name: str) -> str:
    return name or "(the model itself, so take report.model)"


def as_code(name: str) -> str:
    """A name as code in a cell of a Markdown table, where a bar would end the cell and a backtick the code.

    >>> print(as_code("head.1"))
    `head.1`
    """
    fence = "``" if "`" in name else "`"
    inner = f" {name} " if "`" in name else name
    return fence + inner.replace("|", "\\|") + fence
