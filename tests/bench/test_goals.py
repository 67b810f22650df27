import pytest

from bnlab.bench.goals import Goal, down, goal_of, missed, up
from bnlab.bench.shapes import DEFAULTS
from tests.bench.made_up import measured

MET = {"ours": [1.0], "ours_ReLU": [1.05], "ours_both": [2.0]}


def test_every_default_shape_has_a_goal_with_two_threads():
    assert all(goal_of(measured(text)) for text in DEFAULTS.split(","))
    assert goal_of(measured("4096x512", threads=1)) is None
    assert goal_of(measured("4096x513")) is None


@pytest.mark.parametrize(
    ("text", "goal"),
    [
        ("128x64x56x56", (0.90, 0.80)),
        ("8x1024x7x7", (0.50, 0.45)),
        ("128x64x56x56:channels_last", (0.65, 0.57)),
        ("4096x512", (0.50, 0.35)),
    ],
)
def test_goals_are_those_that_were_set(text, goal):
    assert goal_of(measured(text)) == Goal(*goal)


def test_nothing_is_missed_where_all_is_met():
    assert missed(measured(**MET)) == []


@pytest.mark.parametrize(
    ("milliseconds", "phrase"),
    [
        ({"ours": [2.001], "ours_ReLU": [2.001]}, "forward 0.49 of copy, goal 0.50"),
        ({"ours_both": [7.15]}, "forward and backward 0.34 of copy, goal 0.35"),
        ({"torch": [0.999]}, "forward into given memory 0.99 times as fast as torch"),
        ({"torch_new": [1.999]}, "forward into new memory 0.99 times as fast as torch"),
        ({"torch_both_new": [5.999]}, "forward and backward 0.99 times as fast as torch"),
        ({"ours_ReLU": [1.051]}, "a ReLU makes it 1.06 times as long, goal 1.05"),
    ],
)
def test_what_is_missed_by_a_hair_is_missed(milliseconds, phrase):
    assert missed(measured(**MET | milliseconds)) == [phrase]


def test_rounding_never_flatters():
    assert [down(number) for number in (0.8999, 0.9, 1.0, 3.999)] == ["0.89", "0.90", "1.00", "3.99"]
    assert [up(number) for number in (1.0501, 1.05, 0.951)] == ["1.06", "1.05", "0.96"]
