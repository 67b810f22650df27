"""The rules: each a function from what was observed to findings."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from bnlab.doctor.observe import Observation
from bnlab.doctor.report import Finding
from bnlab.doctor.rules.batches import too_few_values
from bnlab.doctor.rules.modes import wrong_mode
from bnlab.doctor.rules.statistics import stale_statistics


class Rule(NamedTuple):
    """One rule: what it is about, in a line, and how it is checked."""

    title: str
    check: Callable[[Observation], Iterator[Finding]]


CHECKS: Mapping[str, Rule] = MappingProxyType(
    {
        "BN001": Rule("too few values per channel in training", too_few_values),
        "BN002": Rule("the wrong mode for the purpose", wrong_mode),
        "BN004": Rule("running statistics never updated, or stale", stale_statistics),
    }
)
RULES: Mapping[str, str] = MappingProxyType({id: rule.title for id, rule in CHECKS.items()})  # noqa: A001 - that is what it is called everywhere
