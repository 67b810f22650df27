import numpy as np
import pytest

from bnlab.bench import run
from bnlab.bench.machine import KEPT, SYSTEM, Machine, keep_freed_memory
from bnlab.figures.style import COLOURS
from tests.bench.made_up import measured

QUICK = run.Options(rounds=1, compiling=False, memory="system")


def test_a_comparison_says_of_what_where_and_how():
    report = run.comparing("4x3x5x5:channels_last,8x3", QUICK)
    assert [str(one.shape) for one in report.measured] == ["4x3x5x5:channels_last", "8x3"]
    assert report.machine.new_memory == SYSTEM
    assert report.machine.threading in {"omp", "tbb", "workqueue"}
    assert report.machine.versions.keys() >= {"python", "torch", "numpy", "numba"}
    assert report.machine.processor


def test_an_unknown_policy_is_refused_before_anything_runs():
    with pytest.raises(ValueError, match="expected memory 'kept' or 'system', got 'mine'"):
        run.comparing("8x3", QUICK._replace(memory="mine"))


def test_memory_that_is_kept_needs_no_new_pages():
    resource = pytest.importorskip("resource", reason="page faults are counted on Unix only")
    if not keep_freed_memory():
        pytest.skip("the C library is not glibc, which alone can be told to keep memory")
    assert KEPT != SYSTEM

    def faults():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(5):
            np.ones(10_000_000)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    faults()
    assert faults() < 1000  # 80 MB have 20,000 pages, five times over


def test_the_machine_is_told_in_one_line():
    machine = Machine.here("cpu", new_memory=SYSTEM)
    assert "\n" not in str(machine)
    assert machine.processor in str(machine)


@pytest.mark.parametrize(("text", "accesses"), [("4096x512", 3), ("32x64x56x56", 2), ("8x4x9x9:channels_last", 3)])
def test_the_roofline_counts_what_each_moves(text, accesses):
    figure = run.roofline_of(measured(text))
    (ax,) = figure.axes
    dots = {line.get_color(): line for line in ax.lines if line.get_marker() == "o"}
    intensities = {
        role: 7 / (4 * n) for role, n in (("no_norm", 14), ("input", 10), ("output", 3), ("batch_norm", accesses))
    }
    assert dots.keys() == {COLOURS[role] for role in intensities}
    for role, intensity in intensities.items():
        assert dots[COLOURS[role]].get_xdata()[0] == pytest.approx(intensity)
    share = {2: 50, 3: 75}[accesses]  # a copy moves 2 accesses in 1 ms, and ours takes 2 ms
    assert figure.get_suptitle().replace("\n", " ") == (
        f"{text}: ours is at {share}% of memory's roof, torch's batch norm at 38%"
    )


def test_no_picture_without_a_copy():
    one = measured()
    del one.seconds["copy"]
    with pytest.raises(ValueError, match="expected times of copy, got those of ours"):
        run.roofline_of(one)
