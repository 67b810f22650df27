"""Every proof holds, and fails as soon as one of the constants that it states is changed."""

import inspect
import re
from importlib.util import find_spec

import pytest

from bnlab.practice.interview.bank import questions
from bnlab.practice.interview.proofs import PROOFS

WITHOUT_KERAS = pytest.mark.skipif(find_spec("keras") is None, reason="keras, of the extra dev, is not installed")
CONSTANTS = {
    name: {key: one.default for key, one in inspect.signature(proof).parameters.items()}
    for name, proof in PROOFS.items()
}
YEAR = re.compile(r"\b(?:19|20)\d\d\b")
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")


def marks(name):
    """The proofs on Keras run where it is installed; it takes seconds to import, once in a process."""
    return WITHOUT_KERAS if PROOFS[name].__module__.endswith(".keras") else ()


def others(value):
    """Constants that a wrong answer might have in place of this one."""
    match value:
        case bool():
            return [not value]
        case int():
            return [value - 1, value + 1]
        case float():
            return [value * 0.8, value * 1.25]
        case tuple():
            return [value[:-1], (*value, 1)]
    raise TypeError(f"no other value for {value!r}")


CHANGES = [
    pytest.param(name, {key: other}, id=f"{name}-{key}={other}", marks=marks(name))
    for name, constants in CONSTANTS.items()
    for key, value in constants.items()
    for other in others(value)
]


def numbers(text):
    return {float(found.replace(",", "")) for found in NUMBER.findall(text)}


def digits(number):
    """How many of its digits a misprint could change unnoticed: 3 in 0.707 and 316, 1 in 1e-5 and 0.1."""
    return len(re.sub(r"e.*|\D", "", number).lstrip("0"))


def said(question):
    answers = question.answers
    return f"{answers.short}\n{answers.two_minutes}\n{answers.whiteboard}"


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in PROOFS])
def test_a_proof_holds(name):
    assert PROOFS[name]() is True


@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_a_proof_fails_with_another_constant(name, change):
    assert PROOFS[name](**change) is False


@pytest.mark.parametrize("name", PROOFS)
def test_a_proof_states_constants_by_keyword(name):
    kinds = {one.kind for one in inspect.signature(PROOFS[name]).parameters.values()}
    assert kinds == {inspect.Parameter.KEYWORD_ONLY}


def test_every_proof_proves_an_answer():
    assert set(PROOFS) == {question.proof for question in questions().values()} - {None}


@pytest.mark.parametrize("question", [one for one in questions().values() if one.proof], ids=lambda one: one.id)
def test_the_numbers_that_a_proof_states_are_those_that_the_answer_says(question):
    stated = {value for value in CONSTANTS[question.proof].values() if type(value) in {int, float} and value >= 2}
    stated |= {value for value in CONSTANTS[question.proof].values() if type(value) is float}
    assert stated - numbers(said(question)) == set()


@pytest.mark.parametrize("question", [one for one in questions().values() if one.proof], ids=lambda one: one.id)
def test_a_long_number_in_an_answer_is_one_that_its_proof_states_or_its_prompt_gives(question):
    long = [found for found in NUMBER.findall(YEAR.sub("", said(question))) if digits(found) >= 3]
    known = {float(value) for value in CONSTANTS[question.proof].values() if type(value) in {int, float}}
    assert {number for found in long for number in numbers(found)} - known - numbers(question.prompt) == set()


@pytest.mark.parametrize("question", [one for one in questions().values() if not one.proof], ids=lambda one: one.id)
def test_an_answer_without_a_proof_states_no_formula_and_no_number(question):
    text = YEAR.sub("", said(question))
    assert re.findall(r"[^\s]*\d[^\s]*| [=≈<>] ", text) == []


def test_an_unknown_kind_of_constant_is_not_passed_over():
    with pytest.raises(TypeError, match="no other value"):
        others("text")
