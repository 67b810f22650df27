import pytest

from bnlab.bench.rounds import FEWEST, Spread, paired, ratio


class Clock:
    """A timer that takes what a call says it lasts, and keeps who was called, timed or not."""

    def __init__(self):
        self.called = []
        self.timed = []

    def call(self, name, *seconds):
        durations = iter(seconds)

        def called():
            self.called.append(name)
            self.durations = durations

        return called

    def __call__(self, call):
        before = len(self.called)
        call()
        self.timed.append(before)
        return next(self.durations)


def test_each_timed_call_follows_an_untimed_one_of_its_own():
    clock = Clock()
    paired({"a": clock.call("a", 1, 2), "b": clock.call("b", 3, 4)}, rounds=2, timer=clock)
    assert clock.called[:2] == ["a", "b"]  # before the first round
    assert len(clock.timed) == 4
    assert all(clock.called[at - 1] == clock.called[at] for at in clock.timed)
    assert len(clock.called) == 2 + 2 * 4


def test_the_order_changes_from_round_to_round():
    clock = Clock()
    paired({name: clock.call(name, *[1] * 12) for name in "abc"}, rounds=12, timer=clock)
    timed = [clock.called[at] for at in clock.timed]
    rounds = ["".join(timed[start : start + 3]) for start in range(0, 36, 3)]
    assert {"".join(sorted(order)) for order in rounds} == {"abc"}
    followers = {pair for order in rounds for pair in (order[:2], order[1:])}
    assert followers == {"ab", "ac", "ba", "bc", "ca", "cb"}  # nobody always stands behind the same


def test_seconds_stand_with_their_caller_and_round():
    clock = Clock()
    calls = {"a": clock.call("a", 1, 2, 3), "b": clock.call("b", 10, 20, 30)}
    assert paired(calls, rounds=3, timer=clock) == {"a": [1, 2, 3], "b": [10, 20, 30]}


def test_a_slow_call_drops_out_when_its_budget_is_spent_but_not_early():
    clock = Clock()
    calls = {"slow": clock.call("slow", *[2.0] * 20), "fast": clock.call("fast", *[0.1] * 20)}
    taken = paired(calls, rounds=20, budget=4.0, timer=clock)
    assert (len(taken["slow"]), len(taken["fast"])) == (FEWEST, 20)
    taken = paired({"slow": clock.call("slow", *[2.0] * 20)}, rounds=20, budget=13.0, timer=clock)
    assert len(taken["slow"]) == 7  # the seventh went beyond the budget


def test_ratios_are_paired_round_by_round():
    taken = {"a": [1.0, 8.0, 3.0], "b": [2.0, 2.0, 2.0]}
    assert (
        ratio(taken, "a", "b").median == 1.5
    )  # of 0.5, 4, 1.5; the ratio of the medians is 1.5 too, its quartiles not
    assert ratio(taken, "a", "b") == (1.0, 1.5, 2.75)
    assert ratio({"a": [1.0, 6.0, 9.0], "b": [1.0, 1.0, 9.0]}, "a", "b").median == 1.0  # that of the medians is 6


def test_a_ratio_is_of_the_rounds_that_both_ran_in():
    assert ratio({"a": [4.0, 4.0, 100.0], "b": [2.0, 2.0]}, "a", "b", factor=3.0) == (6.0, 6.0, 6.0)


def test_quartiles_are_those_of_the_values():
    assert Spread.of([1.0, 2.0, 3.0, 4.0, 100.0]) == (2.0, 3.0, 4.0)


def test_no_rounds_are_refused():
    with pytest.raises(ValueError, match="expected at least 1 round, got 0"):
        paired({}, rounds=0)
