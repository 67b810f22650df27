import json
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import pytest

from bnlab.experiments.provenance import Provenance
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings, seeds_from

PROVENANCE = Provenance("2026-01-31", {"torch": "2.13.0"}, "0123456789ab")


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    dataset: str = "digits"
    rates: tuple[float, ...] = (0.1, 1.0)
    decay: float = field(default=0.0, metadata={"least": 0.0})
    steps: int = 7


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    kind: ClassVar = Config

    config: Config
    steps_to_reach: np.ndarray
    accuracy: dict[str, np.ndarray]
    diverged: dict[str, np.ndarray]


def a_result():
    return Result(
        config=Config(seeds=(3, 5), rates=(0.25, 4.0)),
        provenance=PROVENANCE,
        steps_to_reach=np.array([20.0, np.inf]),
        accuracy={"one": np.array([[0.5, 1 / 3], [np.nan, 1.0]]), "other": np.array([[0.0, 1.0], [1.0, 0.0]])},
        diverged={"one": np.array([True, False])},
    )


# --- settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rates": (0.1, -0.1)}, r"^rates: expected more than 0, got -0\.1$"),
        ({"rates": (0.0,)}, r"^rates: expected more than 0, got 0\.0$"),
        ({"rates": ()}, r"^rates: expected at least 1, got none$"),
        ({"rates": (float("nan"),)}, r"^rates: expected a finite number, got nan$"),
        ({"rates": (float("inf"),)}, r"^rates: expected a finite number, got inf$"),
        ({"decay": -1e-9}, r"^decay: expected at least 0, got -1e-09$"),
        ({"steps": 0}, r"^steps: expected at least 1, got 0$"),
        ({"seeds": ()}, r"^seeds: expected at least 1, got none$"),
        ({"seeds": (1, 2, 1)}, r"^seeds: expected different ones, got \[1, 2, 1\]$"),
        ({"seeds": (-1,)}, r"^seeds: expected at least 0, got -1$"),
        ({"dataset": "imagenet"}, r"^dataset: expected one of digits, mnist1d, got 'imagenet'$"),
    ],
)
def test_a_setting_that_no_study_can_run_with_is_refused_in_one_line(changes, message):
    with pytest.raises(ValueError, match=message):
        Config(**changes)


def test_settings_at_their_least_are_accepted():
    assert Config(seeds=(0,), rates=(1e-9,), decay=0.0, steps=1).seeds == (0,)


def test_settings_are_read_from_text_by_their_kind():
    read = Config.read(["rates=0.5, 2", "steps=9", "dataset=mnist1d", "seeds=4", "decay=1e-3"])
    assert read == {"rates": (0.5, 2.0), "steps": 9, "dataset": "mnist1d", "seeds": (4,), "decay": 0.001}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps=1.5", r"^steps: expected a whole number, got '1\.5'$"),
        ("rates=0.1,fast", r"^rates: expected a number, got 'fast'$"),
        ("pace=1", r"^expected the name of a setting \(seeds, dataset, rates, decay, steps\), got 'pace'$"),
        ("steps", r"^expected name=value with a name of .*, got 'steps'$"),
    ],
)
def test_text_that_is_no_setting_is_refused_in_one_line(text, message):
    with pytest.raises(ValueError, match=message):
        Config.read([text])


def test_runs_of_different_numbers_share_no_seed():
    runs = [seeds_from(number, 1000) for number in range(3)]
    assert len({seed for run in runs for seed in run}) == 3000


@pytest.mark.parametrize(
    ("first", "count", "message"),
    [
        (-1, 10, r"^seed: expected at least 0, got -1$"),
        (10**9 + 1, 10, r"^seed: expected at most 1000000000, got 1000000001$"),
        (0, 0, r"^seeds: expected from 1 to 1000 of them, got 0$"),
        (0, 1001, r"^seeds: expected from 1 to 1000 of them, got 1001$"),
    ],
)
def test_no_seeds_or_too_many_are_refused(first, count, message):
    with pytest.raises(ValueError, match=message):
        seeds_from(first, count)


# --- results


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_what_is_saved_is_loaded(tmp_path, suffix):
    result = a_result()
    result.save(tmp_path / f"result{suffix}")
    loaded = Result.load(tmp_path / f"result{suffix}")
    assert (loaded.config, loaded.provenance) == (result.config, result.provenance)
    assert loaded.numbers().keys() == result.numbers().keys()
    for name, array in result.numbers().items():
        assert loaded.numbers()[name].dtype == array.dtype
        np.testing.assert_allclose(loaded.numbers()[name], array, rtol=1e-5)  # JSON keeps six digits


def test_a_json_file_is_strict_json(tmp_path):
    a_result().save(tmp_path / "result.json")

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    record = json.loads((tmp_path / "result.json").read_text(), parse_constant=refuse)
    assert record["numbers"]["steps_to_reach"] == [20.0, "inf"]
    assert record["numbers"]["accuracy/one"][1][0] is None


@pytest.mark.parametrize("way", ["save", "load"])
def test_a_file_of_another_format_is_refused(tmp_path, way):
    with pytest.raises(ValueError, match=r"expected a file that ends in \.json or \.npz, got result\.csv"):
        getattr(a_result(), way)(tmp_path / "result.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["{}", "[", '{"numbers": {}, "provenance": {}, "config": {"pace": 1}}'])
def test_a_file_that_is_no_result_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(ValueError, match=r"^result\.json: expected a saved .*\.Result, got [^\n]*$"):
        Result.load(tmp_path / "result.json")


def test_settings_that_were_saved_are_checked_again(tmp_path):
    a_result().save(tmp_path / "result.json")
    text = (tmp_path / "result.json").read_text()
    (tmp_path / "result.json").write_text(text.replace('"steps": 7', '"steps": 0'))
    with pytest.raises(ValueError, match="steps: expected at least 1, got 0"):
        Result.load(tmp_path / "result.json")


def test_settings_differ_where_one_does():
    assert replace(Config(), steps=8) != Config()
