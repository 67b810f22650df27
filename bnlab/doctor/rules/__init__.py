"""The rules: each a function from what was observed to findings."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from bnlab.doctor.observe import Observation
from bnlab.doctor.report import Finding
from bnlab.doctor.rules import batches, channels, modes, numbers, placement, statistics, training


class Rule(NamedTuple):
    """One rule: what it is about, in a line, and how it is checked."""

    title: str
    check: Callable[[Observation], Iterator[Finding]]


CHECKS: Mapping[str, Rule] = MappingProxyType(
    {
        "BN001": Rule("too few values per channel in training", batches.too_few_values),
        "BN002": Rule("the wrong mode for the purpose", modes.wrong_mode),
        "BN003": Rule("a bias straight before batch norm", placement.redundant_bias),
        "BN004": Rule("running statistics never updated, or stale", statistics.stale_statistics),
        "BN005": Rule("momentum of the other convention, or near 0", training.momentum),
        "BN006": Rule("weight decay on scale and shift", training.weight_decay),
        "BN007": Rule("half frozen", modes.half_frozen),
        "BN008": Rule("dropout before batch norm", placement.dropout_before),
        "BN009": Rule("dead or exploding channels", channels.dead_or_exploding),
        "BN010": Rule("one layer used several times", placement.shared),
        "BN011": Rule("batch norm in half precision", numbers.half_precision),
        "BN012": Rule("small batches in several processes", batches.small_batches_apart),
        "BN013": Rule("batches unlike each other", batches.batches_unlike_each_other),
        "BN014": Rule("checkpointing that updates twice", training.checkpointing),
        "BN015": Rule("layers that could be folded", placement.foldable),
        "BN016": Rule("accumulation taken for a large batch", training.accumulation),
        "BN017": Rule("running statistics that are not finite", numbers.not_finite),
        "BN018": Rule("padding in the statistics", batches.padding),
    }
)
RULES: Mapping[str, str] = MappingProxyType({id: rule.title for id, rule in CHECKS.items()})  # noqa: A001 - that is what it is called everywhere
