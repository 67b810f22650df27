"""What questions point to: proofs, claims, exercises, plots. To look them up takes torch; reading the bank does not."""

from collections.abc import Collection, Mapping

from bnlab.experiments.claims import DECLARATIONS
from bnlab.practice.exercises.tasks import TASKS
from bnlab.practice.interview.bank import Question
from bnlab.practice.interview.plots import PLOTS
from bnlab.practice.interview.proofs import PROOFS

LINKS: dict[str, tuple[Collection[str], str]] = {  # what a question may name, and in which words it is asked for
    "proof": (PROOFS, "the name of a function in proofs"),
    "claim": (DECLARATIONS, "the id of a claim"),
    "exercise": (TASKS, "the id of an exercise"),
    "plot": (PLOTS, "the name of a plot in plots"),
}


def check_links(bank: Mapping[str, Question]) -> None:
    """Refuse a bank in which a question names a proof, a claim, an exercise or a plot that there is not.

    Raises:
        ValueError: one line that names the file, the question, what was expected and what came.
    """
    for question in bank.values():
        for name, (known, what) in LINKS.items():
            got = getattr(question, name)
            if got is not None and got not in known:
                raise ValueError(f"{question.topic}.yaml: {question.id}: {name}: expected {what}, got {got!r}")
