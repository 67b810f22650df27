"""`bnlab doctor`, run as a user runs it."""

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from bnlab.cli import app

PATIENTS = """
import torch
from torch import nn

def network():
    return nn.Sequential(nn.Linear(4, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))

def healthy():
    return {"model": network(), "loader": [torch.randn(32, 4) for _ in range(6)]}

def forgotten_eval():
    return healthy() | {"purpose": "inference"}

def list_of_two():
    return [network(), None]

class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x):
        return self.norm(x).view(7, -1)

def raises_in_forward():
    return healthy() | {"model": Broken()}

def raises_a_value_error():
    raise ValueError("no data\\nhere")

def does_not_fit():
    return healthy() | {"model": nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8))}
"""


@pytest.fixture
def doctor(tmp_path, monkeypatch):
    """In this process, which has loaded torch: to load it anew for every command takes most of the time."""
    (tmp_path / "clinic.py").write_text(PATIENTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "clinic", raising=False)  # of the test before

    def run(*arguments):
        done = CliRunner().invoke(app, ["doctor", *arguments], env={"COLUMNS": "80", "NO_COLOR": "1"})
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)

    return run


def test_an_error_is_shown_within_80_columns_and_gives_exit_status_1(doctor):
    done = doctor("clinic:forgotten_eval")
    assert (done.returncode, done.stderr) == (1, "")
    assert "BN002 error  1\n" in done.stdout
    assert "fix: model.eval()" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_it_is_a_program(doctor, tmp_path):
    environment = os.environ | {"COLUMNS": "80", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "bnlab", "doctor", "clinic:forgotten_eval"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (1, "", doctor("clinic:forgotten_eval").stdout)


def test_a_healthy_network_gives_exit_status_0(doctor):
    done = doctor("clinic:healthy")
    assert (done.returncode, done.stderr) == (0, "")
    assert "error" not in done.stdout


def test_the_report_is_printed_as_json(doctor):
    done = doctor("clinic:forgotten_eval", "--json")
    assert done.returncode == 1
    assert "BN002" in {finding["id"] for finding in json.loads(done.stdout)["findings"]}


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("clinic:helthy", "expected a callable of clinic, such as network, healthy, forgotten_eval, got 'helthy'"),
        ("clinik:healthy", "expected a module that can be imported, got 'clinik' (no module 'clinik')"),
        ("clinic.healthy", "expected package.module:callable, got 'clinic.healthy'"),
        (
            "clinic:list_of_two",
            (
                "expected clinic:list_of_two to return a dict with model and any of loader, purpose, optimizer, "
                "train_step, got list"
            ),
        ),
    ],
)
def test_a_wrong_target_gets_one_line(doctor, target, message):
    done = doctor(target)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"bnlab: {message}\n")


@pytest.mark.parametrize(
    ("target", "lines"),
    [
        (
            "clinic:raises_in_forward",
            [
                "bnlab: clinic:raises_in_forward raised RuntimeError: shape '[7, -1]' is invalid for input of size 108",
                "  clinic.py:23 in forward: return self.norm(x).view(7, -1)",
            ],
        ),
        (
            "clinic:raises_a_value_error",
            [
                "bnlab: clinic:raises_a_value_error raised ValueError: no data here",
                '  clinic.py:29 in raises_a_value_error: raise ValueError("no data\\nhere")',
            ],
        ),
        (
            "clinic:does_not_fit",
            [
                (
                    "bnlab: clinic:does_not_fit raised RuntimeError: mat1 and mat2 shapes cannot be multiplied "
                    "(27x4 and 3x8)"
                )
            ],
        ),
    ],
)
def test_what_the_target_raises_is_told_in_its_own_places_alone(doctor, target, lines):
    done = doctor(target)
    assert (done.returncode, done.stdout, done.stderr.splitlines()) == (2, "", lines)
