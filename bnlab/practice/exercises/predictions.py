"""Predictions that the learner commits to before the code runs, their answers, and how sure the learner was."""

import functools
import re
from collections.abc import Iterable
from importlib.resources import files
from importlib.resources.abc import Traversable
from string import ascii_lowercase
from typing import Any, NamedTuple

import numpy as np
import yaml
from matplotlib.figure import Figure

from bnlab import figures
from bnlab.practice.exercises.verdict import Note, code
from bnlab.practice.progress import Progress

LONGEST_CHOICE = 72  # columns, so that it fits a terminal's line


class Prediction(NamedTuple):
    """A question with choices, one of which is right."""

    id: str
    question: str
    choices: dict[str, str]
    answer: str
    why: str

    @property
    def guess(self) -> int:
        """The confidence of somebody who has no idea, in percent, rounded down."""
        return 100 // len(self.choices)


def predict(id: str, choice: str | None = None, confidence: int | None = None) -> Note:  # noqa: A002 - as it is called
    """Ask a question before the code answers it; with a choice and a confidence, commit to an answer.

    Args:
        id: of the prediction.
        choice: the letter of a choice. The first commitment to a prediction is kept, later ones are not.
        confidence: how sure you are, in whole percent: from 100 divided by the number of choices, a guess, to 100.

    Returns:
        The question and how to commit, or, with a choice, what you are committed to. Never the answer.

    Raises:
        ValueError: there is no such prediction or choice, the confidence is not in its range, or one of the two is
            missing.

    Example:
        >>> predict("variance-equal-to-eps")
        Predict before you run.
        <BLANKLINE>
        A channel hardly varies: its variance is exactly 1e-5, as large as `eps`. With
        what standard deviation does it come out of batch norm, which divides by
        `sqrt(var + eps)`?
        <BLANKLINE>
            a  about 1
            b  about 0.7
            c  about 0.5
            d  about 0
        <BLANKLINE>
        Commit with `predict("variance-equal-to-eps", choice, confidence)`: a letter in
        quotes, and how sure you are in percent, from 25 (a guess) to 100.
    """
    prediction = _prediction(id)
    if choice is None and confidence is None:
        return _asked(prediction)
    if choice not in list(prediction.choices):
        raise ValueError(f"choice must be one of {', '.join(prediction.choices)}, got {choice!r}")
    if type(confidence) is not int or not prediction.guess <= confidence <= 100:
        raise ValueError(f"confidence must be a whole percentage from {prediction.guess} to 100, got {confidence!r}")
    progress = Progress()
    progress.record_prediction(id, choice, confidence)
    kept = progress.predictions().get(id)
    if kept is None:
        return _with_notice(f"You said {choice}, {confidence}% sure, but it could not be kept.", progress)
    if (kept.choice, kept.confidence) == (choice, confidence):
        return _with_notice(f"You said {choice}, {confidence}% sure.", progress, f'`reveal("{id}")` shows the answer.')
    return _with_notice(
        f"Your first answer counts: {kept.choice}, {kept.confidence}% sure.", progress, f'`reveal("{id}")` shows more.'
    )


def reveal(id: str) -> Note:  # noqa: A002 - as it is called
    """The answer to a prediction and its reason, and whether yours was right if you committed to one.

    Raises:
        ValueError: there is no such prediction.

    Example:
        >>> reveal("eps-outside-the-root")
        The answer is a: about 1.
        <BLANKLINE>
        The standard deviation is the root of 1e-5, about 0.003. Beside it an `eps` of
        0.00001 hardly counts, so the channel comes out at 0.997.
    """
    prediction, progress = _prediction(id), Progress()
    kept = progress.predictions().get(id)
    paragraphs = [prediction.why]
    if kept is not None:
        outcome = "right" if kept.choice == prediction.answer else f"not {kept.choice}, but {prediction.answer}"
        paragraphs.insert(0, f"You said {kept.choice}, {kept.confidence}% sure: {outcome}.")
    return _with_notice(
        f"The answer is {prediction.answer}: {prediction.choices[prediction.answer]}.", progress, *paragraphs
    )


def calibration() -> Figure | Note:
    """How often you are right, against how sure you said you were; a note as long as there is nothing to draw."""
    known, progress = package_predictions(), Progress()
    kept = [commitment for commitment in progress.predictions().values() if commitment.id in known]
    if not kept:
        return _with_notice(
            "No predictions yet.",
            progress,
            "Commit to some with `predict`, and see here how well you know what you know.",
        )
    confidence = np.array([commitment.confidence for commitment in kept])
    right = np.array([commitment.choice == known[commitment.id].answer for commitment in kept])
    return figures.calibration_curve(confidence, right)


@functools.cache
def package_predictions() -> dict[str, Prediction]:
    """Every prediction of the course, by id."""
    folder = files("bnlab.practice").joinpath("predictions")
    return read_predictions(file for file in folder.iterdir() if file.name.endswith(".yaml"))


def read_predictions(sources: Iterable[Traversable]) -> dict[str, Prediction]:
    """Read predictions from YAML files, each a list of records with the fields of `Prediction`.

    Raises:
        ValueError: a record lacks a field, has one too many or an unfit one, or an id stands twice.
    """
    found: dict[str, Prediction] = {}
    for file in sorted(sources, key=lambda file: file.name):
        records = yaml.safe_load(file.read_text(encoding="utf-8"))
        if not isinstance(records, list):
            raise ValueError(f"{file.name}: expected a list of predictions, got {type(records).__name__}")  # noqa: TRY004 - the file is unfit
        for record in records:
            prediction = _checked(file.name, record)
            if prediction.id in found:
                raise ValueError(f"{file.name}: expected an id of its own, got {prediction.id!r} again")
            found[prediction.id] = prediction
    return found


def _checked(name: str, record: Any) -> Prediction:
    if not isinstance(record, dict) or set(record) != set(Prediction._fields):
        found = ", ".join(map(str, record)) if isinstance(record, dict) else type(record).__name__
        raise ValueError(f"{name}: expected the fields {', '.join(Prediction._fields)}, got {found}")
    prediction, choices = Prediction(**record), record["choices"]
    if not (isinstance(prediction.id, str) and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", prediction.id)):
        raise ValueError(f"{name}: expected an id in lower case with hyphens, got {prediction.id!r}")
    where = f"{name}, {prediction.id}"
    for field in ("question", "why"):
        if not (isinstance(record[field], str) and record[field].strip()):
            raise ValueError(f"{where}: expected text as {field}, got {record[field]!r}")
    letters = list(choices) if isinstance(choices, dict) else []
    if len(letters) < 2 or letters != list(ascii_lowercase[: len(letters)]):
        raise ValueError(f"{where}: expected two or more choices a, b, ..., got {choices!r}")
    for letter, text in choices.items():
        if not (isinstance(text, str) and 0 < len(text) <= LONGEST_CHOICE and text.isprintable()):
            raise ValueError(f"{where}: expected a line of at most {LONGEST_CHOICE} letters as {letter}, got {text!r}")
    if prediction.answer not in letters:
        raise ValueError(f"{where}: expected one of the choices as answer, got {prediction.answer!r}")
    return prediction


def _prediction(id: str) -> Prediction:  # noqa: A002 - as above
    known = package_predictions()
    if id not in known:
        raise ValueError(f"expected the id of a prediction, one of {', '.join(known)}, got {id!r}")
    return known[id]


def _asked(prediction: Prediction) -> Note:
    choices = code("\n".join(f"{letter}  {text}" for letter, text in prediction.choices.items()))
    commit = (
        f'Commit with `predict("{prediction.id}", choice, confidence)`: a letter in quotes, and how sure you are in '
        f"percent, from {prediction.guess} (a guess) to 100."
    )
    return Note("Predict before you run.", f"{prediction.question}\n\n{choices}\n\n{commit}")


def _with_notice(headline: str, progress: Progress, *paragraphs: str) -> Note:
    return Note(headline, "\n\n".join([*paragraphs, *([progress.notice] if progress.notice else [])]))
