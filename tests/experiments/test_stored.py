import json
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version

import pytest

from bnlab.experiments import stored


@dataclass(frozen=True)
class Config:
    rates: tuple[float, ...] = (0.1, 1.0)
    steps: int = 7


NUMBERS = {"accuracy": [[0.5, 0.25], [1.0, 0.0]]}


def test_what_is_written_is_read(tmp_path):
    stored.write(tmp_path / "study.json", Config(), NUMBERS)
    assert stored.read(tmp_path / "study.json", Config()) == NUMBERS


@pytest.mark.parametrize("config", [Config(rates=(0.1, 1.1)), Config(steps=8)])
def test_numbers_of_other_settings_are_refused(tmp_path, config):
    stored.write(tmp_path / "study.json", Config(), NUMBERS)
    with pytest.raises(ValueError, match=r"expected numbers computed with \{.*\}, got \{.*'steps': 7\} in study\.json"):
        stored.read(tmp_path / "study.json", config)


def test_the_file_says_when_and_on_what_it_was_computed(tmp_path):
    stored.write(tmp_path / "study.json", Config(), NUMBERS)
    record = json.loads((tmp_path / "study.json").read_text())
    assert record["versions"]["torch"] == version("torch")
    date.fromisoformat(record["computed"])
