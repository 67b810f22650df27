import io

import pytest
import torch
from rich.console import Console

from bnlab.bench.training import Comparison, Work, ensemble_against_loop

TINY = {
    "mlp": Work("mlp", depth=2, width=8, batch_size=16, members=3, steps=4, dtype=torch.float64),
    "cnn": Work("cnn", depth=2, width=4, batch_size=8, members=3, steps=4, dtype=torch.float64),
}


@pytest.mark.parametrize("work", TINY.values(), ids=TINY)
def test_both_do_the_same_work(work):
    assert ensemble_against_loop(work, rounds=1, threads=(1,)).difference < 1e-12


def test_both_are_timed_in_every_round_and_the_threads_come_back(monkeypatch):
    monkeypatch.delenv("BNLAB_NUM_THREADS", raising=False)
    comparison = ensemble_against_loop(TINY["mlp"], rounds=3, threads=(1, 2))
    assert {count: len(seconds) for count, seconds in comparison.loop.items()} == {1: 3, 2: 3}
    assert {count: len(seconds) for count, seconds in comparison.ensemble.items()} == {1: 3, 2: 3}
    assert torch.get_num_threads() == 1


COMPARISON = Comparison(TINY["mlp"], {1: [4.0, 9.0, 5.0], 2: [6.0, 6.0, 6.0]}, {1: [3.0, 3.0, 3.0], 2: [2.0]}, 1e-6)


def test_the_ratio_is_that_of_the_best_medians():
    assert COMPARISON.ratio == 2.5  # 5 s with one thread against 2 s with two


def test_it_shows_every_median_and_the_ratio():
    stream = io.StringIO()
    Console(file=stream, width=140).print(COMPARISON)
    for shown in (str(COMPARISON), stream.getvalue()):
        assert all(number in shown for number in ("5.000", "6.000", "3.000", "2.000", "2.50 times as fast"))


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="expected kind 'mlp' or 'cnn', got 'rnn'"):
        ensemble_against_loop("rnn")


def test_no_rounds_are_refused():
    with pytest.raises(ValueError, match="expected at least 1 round, got 0"):
        ensemble_against_loop("mlp", rounds=0)
