import os
import subprocess
import sys

import numba
import pytest
import torch

from bnlab.bench import contenders as who
from bnlab.bench.kernels import RATIOS, growth, measure, using_threads
from bnlab.bench.shapes import Shape
from tests.bench.made_up import measured

TINY = Shape((4, 3, 5, 5))


def test_ratios_are_paired_and_counted_in_copies():
    one = measured()
    assert one.ratio("forward_of_copy") == pytest.approx((0.375, 0.5, 0.75))  # of 1/2, 1/1, 1/4
    assert one.ratio("both_of_copy").median == pytest.approx(0.5)  # 5 accesses of a copy's 2 in 5 of its times
    assert one.ratio("forward_to_torch").median == pytest.approx(2.0)
    assert one.ratio("forward_to_torch_new").median == pytest.approx(2.5)
    assert one.ratio("both_to_torch_new").median == pytest.approx(1.5)
    assert one.ratio("forward_to_numpy_new").median == pytest.approx(20.0)
    assert one.ratio("relu_to_none").median == pytest.approx(1.1)
    assert one.ratio("forward_to_compiled_new") is None
    assert one.megabytes == pytest.approx(4 * 4096 * 512 / 1e6)


def test_every_contender_but_the_skipped_is_timed_in_every_round():
    (one,) = measure([TINY], rounds=2, compiling=False)
    assert {len(seconds) for seconds in one.seconds.values()} == {2}
    named = {name for ratio in RATIOS.values() for name in ratio[:2]}
    assert named - one.seconds.keys() == one.skipped.keys() == {who.COMPILED}
    assert min(min(seconds) for seconds in one.seconds.values()) > 0


def test_torchs_compiler_is_skipped_with_its_reason_where_there_is_none():
    code = (
        "from bnlab.bench.kernels import measure\nfrom bnlab.bench.shapes import Shape\n"
        "(one,) = measure([Shape((4, 3))], rounds=1)\nprint(one.skipped)"
    )
    nowhere = os.environ | {"CXX": "/nowhere/c++", "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=nowhere)
    assert done.stdout.startswith(f"{{'{who.COMPILED}': ")
    assert "/nowhere/c++" in done.stdout


def test_growth_follows_positions_channels_and_threads(monkeypatch):
    monkeypatch.delenv("BNLAB_NUM_THREADS", raising=False)
    grown = list(growth(rounds=1))
    by_what = {what: [one for name, one in grown if name == what] for what, _ in grown}
    assert [one.shape.sizes[0] for one in by_what["N*H*W"]] == [2, 8, 32, 128]
    assert {one.shape.sizes[1:] for one in by_what["N*H*W"]} == {(64, 28, 28)}
    assert [one.shape.channels for one in by_what["C"]] == [4, 16, 64, 256]
    threads = [one.threads for one in by_what["threads"]]
    assert threads == sorted(set(threads))
    assert threads[0] == 1
    assert len({one.shape for one in by_what["threads"]}) == 1


def test_threads_are_those_of_torch_and_numba_and_come_back(monkeypatch):
    monkeypatch.delenv("BNLAB_NUM_THREADS", raising=False)
    before = torch.get_num_threads(), numba.get_num_threads()
    with using_threads(1) as count:
        assert (count, torch.get_num_threads(), numba.get_num_threads()) == (1, 1, 1)
    assert (torch.get_num_threads(), numba.get_num_threads()) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_missing_gpu_is_one_line():
    with pytest.raises(ValueError, match="expected a CUDA device for 'cuda', got none that torch can use here"):
        next(measure([TINY], device="cuda"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "expected device 'cpu' or 'cuda', got 'tpu'"),
        ({"threads": 0}, r"expected from 1 to \d+ threads, got 0"),
        ({"rounds": 0}, "expected at least 1 round, got 0"),
    ],
)
def test_a_bad_option_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        next(measure([TINY], compiling=False, **options))
