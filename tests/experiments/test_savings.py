import math

import pytest

from bnlab.experiments.savings import savings

CASE = {"times_fewer_steps": 2.0, "cost_of_a_step": 1.25, "hours_per_run": 8.0, "runs": 100, "price_per_hour": 3.0}


def test_half_the_steps_at_a_quarter_more_each_save_three_eighths():
    saved = savings(**CASE)
    assert (saved.hours_before, saved.hours_after, saved.hours, saved.money) == (800.0, 500.0, 300.0, 900.0)


def test_what_costs_more_than_it_saves_is_negative_and_called_lost():
    lost = savings(**CASE | {"times_fewer_steps": 1.0})
    assert (lost.hours, lost.money) == (-200.0, -600.0)
    assert str(lost) == "800 hours become 1,000: 200 hours and 600 of your currency lost"


def test_nothing_is_saved_where_fewer_steps_cost_as_much_more():
    assert savings(**CASE | {"cost_of_a_step": 2.0}).money == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"times_fewer_steps": 0}, "^times_fewer_steps: expected a ratio above 0, such as 2 for twice, got 0$"),
        ({"cost_of_a_step": -1.0}, r"^cost_of_a_step: expected a ratio above 0, such as 2 for twice, got -1\.0$"),
        ({"cost_of_a_step": math.inf}, "^cost_of_a_step: expected a ratio above 0, such as 2 for twice, got inf$"),
        ({"price_per_hour": math.inf}, "^price_per_hour: expected at least 0 and finite, got inf$"),
        ({"hours_per_run": math.nan}, "^hours_per_run: expected at least 0 and finite, got nan$"),
        ({"runs": -3}, "^runs: expected at least 0 and finite, got -3$"),
        ({"price_per_hour": -1}, "^price_per_hour: expected at least 0 and finite, got -1$"),
    ],
)
def test_a_number_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        savings(**CASE | changes)
