import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from bnlab.experiments import distributed
from bnlab.experiments.data import Split, digits
from bnlab.experiments.models import cnn
from bnlab.experiments.training import train
from bnlab.layers import BatchNorm2d, SyncBatchNorm
from tests.experiments import collaborators
from tests.layers.processes import Processes

ROOT = Path(__file__).resolve().parent.parent.parent
SECONDS = 300  # for a run that takes ten on an idle machine


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    processes = Processes(4, tmp_path_factory.mktemp("rendezvous") / "file")
    yield processes
    processes.stop()


@pytest.fixture
def torchrun():
    """Starts the experiment in two processes, its output one stream; ends it after the test if it has not ended."""
    started = []

    def start(*arguments, launcher=(), script=("-m", distributed.__name__)):
        command = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", *launcher]
        run = subprocess.Popen(
            [sys.executable, "-m", *command, *script, *arguments],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(run)
        return run

    yield start
    for run in started:
        run.terminate()  # and with it its processes
        run.wait(SECONDS)
        run.stdout.close()


def children_of(run):
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return [int(pid) for pid, parent in map(str.split, listed.splitlines()) if int(parent) == run.pid]


def test_two_processes_of_torchrun_print_one_table_and_are_not_taken_apart_while_threads_may_hold_tensors(
    torchrun, tmp_path
):
    watched = tmp_path / "watched.py"
    watched.write_text(
        "import atexit, runpy\n"
        "atexit.register(print, 'taken apart')\n"
        f"runpy.run_module('{distributed.__name__}', run_name='__main__')\n"
    )
    run = torchrun("--batch", "3", "--steps", "2", "--seed", "5", script=[str(watched)])
    output, _ = run.communicate(timeout=SECONDS)
    assert run.returncode == 0, output
    lines = output.splitlines()
    assert lines[:2] == ["2 processes, 3 images each, 2 steps, seed 5", distributed.HEAD]
    row = r"(\S+) +(\d+) +[\d.]+% +[\d.]+"
    assert [re.fullmatch(row, line).groups() for line in lines[2:]] == [("BatchNorm2d", "48"), ("SyncBatchNorm", "96")]
    assert max(map(len, lines)) <= 80


def test_a_process_that_is_killed_ends_the_run_with_its_cause(torchrun):
    run = torchrun("--steps", "200", launcher=["--monitor-interval", "3"])  # time for the other to speak first
    while not run.stdout.readline().startswith("BatchNorm2d"):  # from then on they train the second network
        assert run.poll() is None
    ours = children_of(run)
    assert len(ours) == 2
    os.kill(ours[1], signal.SIGKILL)
    output, _ = run.communicate(timeout=SECONDS)
    assert run.returncode == 1
    assert re.search(r"^process [01]: another process has ended or did not answer within 60 s", output, re.MULTILINE)
    assert f"Signal 9 (SIGKILL) received by PID {ours[1]}" in output


def test_without_torchrun_one_line_says_how_to_start():
    with pytest.raises(SystemExit) as stop:
        distributed.main()
    assert stop.value.code == "start it with: torchrun --nproc-per-node 2 -m bnlab.experiments.distributed"


def test_accuracy_is_measured_in_evaluation_mode():
    answers = torch.tensor([2, 0, 1, 1])
    split = Split(nn.functional.one_hot(answers).float(), torch.tensor([2, 0, 1, 2]))
    assert distributed._accuracy(nn.Dropout(1.0), split) == 0.75  # in training mode it drops every answer


def test_an_error_that_is_not_of_the_others_is_not_put_down_to_them(monkeypatch):
    for name in ("init_process_group", "get_rank", "destroy_process_group"):
        monkeypatch.setattr(dist, name, lambda *_, **__: 0)
    with pytest.raises(RuntimeError, match="a mistake of its own"), distributed._together(60):
        raise RuntimeError("a mistake of its own")


def test_four_processes_normalise_their_own_values_or_those_of_all(four):
    outcomes = four.call(collaborators.compare, digits(), each=[{"batch": 2, "steps": 2, "seed": 0}] * 4)
    for own, synchronised in outcomes:
        assert (own[:2], synchronised[:2]) == (("BatchNorm2d", 32), ("SyncBatchNorm", 128))
        assert 0 <= own[2] < 1
        assert synchronised == outcomes[0][1]  # statistics and weights are the same everywhere


@pytest.mark.parametrize(("norm", "as_one"), [(SyncBatchNorm, True), (BatchNorm2d, False)], ids=["sync", "own"])
def test_four_processes_train_as_one_if_they_share_statistics(four, norm, as_one):
    split = Split(digits().train.x.double(), digits().train.y)
    network, alone = (
        cnn(1, 10, depth=2, width=4, norm=kind, generator=torch.Generator().manual_seed(0)).double()
        for kind in (norm, BatchNorm2d)
    )
    options = {"steps": 4, "seed": 3}
    states = four.call(collaborators.train, network, split, each=[options | {"batch": 2}] * 4)
    train(alone, split, learning_rate=distributed.LEARNING_RATE, batch_size=8, **options)
    for state in states:
        apart = max((state[name] - tensor).abs().max().item() for name, tensor in alone.state_dict().items())
        assert apart < 1e-10 if as_one else apart > 1e-3
