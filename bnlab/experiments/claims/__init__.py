"""The claims: declared before they are run, judged by one rule, kept in a ledger."""

from bnlab.experiments.claims import (
    choice,
    convolutional,
    explanations_scale,
    explanations_shift,
    explanations_smoothness,
    faster,
    mistakes,
    production,
    purpose,
    robust,
    sequential,
)
from bnlab.experiments.claims.claim import Claim, Declaration
from bnlab.experiments.claims.ledger import Ledger, ledger, to_json
from bnlab.experiments.names import unknown
from bnlab.experiments.studies import study_of

__all__ = ["DECLARATIONS", "Claim", "Declaration", "Ledger", "declaration_of", "from_stored", "ledger", "to_json"]

EXPLANATIONS = (explanations_shift, explanations_smoothness, explanations_scale)
CHAPTERS = (purpose, faster, robust, convolutional, sequential, mistakes, choice, *EXPLANATIONS, production)
DECLARATIONS: dict[str, Declaration] = {one.id: one for chapter in CHAPTERS for one in chapter.DECLARATIONS}


def declaration_of(id: str) -> Declaration:  # noqa: A002 - that is what it is called everywhere
    """The declaration of this id.

    Raises:
        ValueError: there is none.
    """
    if id not in DECLARATIONS:
        raise unknown("the id of a claim", id, DECLARATIONS)
    return DECLARATIONS[id]


def from_stored() -> Ledger:
    """Every claim, judged anew on the stored results of the studies."""
    names = {one.study for one in DECLARATIONS.values()}
    results = {name: study_of(name).stored() for name in names}
    return Ledger(tuple(one.judge(results[one.study]) for one in DECLARATIONS.values()))
