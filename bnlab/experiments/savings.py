"""What fewer steps are worth: hours and money, from numbers of one's own."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Savings:
    """What a change of the training saves; negative numbers are what it costs.

    Attributes:
        hours_before: of all runs together, as they are.
        hours_after: of all runs together, with the change.
        price_per_hour: of the machine, in whatever currency it was given.
    """

    hours_before: float
    hours_after: float
    price_per_hour: float

    @property
    def hours(self) -> float:
        """Hours saved."""
        return self.hours_before - self.hours_after

    @property
    def money(self) -> float:
        """Money saved, in the currency of the price."""
        return self.hours * self.price_per_hour

    def __str__(self) -> str:
        word = "saved" if self.hours >= 0 else "lost"
        return (
            f"{self.hours_before:,.0f} hours become {self.hours_after:,.0f}: "
            f"{abs(self.hours):,.0f} hours and {abs(self.money):,.0f} of your currency {word}"
        )


def savings(
    *, times_fewer_steps: float, cost_of_a_step: float, hours_per_run: float, runs: int, price_per_hour: float
) -> Savings:
    """Hours and money that a method saves which needs fewer steps, each of which takes longer.

    Only the machine's time is counted: not the work of changing the model, and not what waiting costs people.

    Args:
        times_fewer_steps: steps without the method over steps with it, to the same accuracy; 2 is "half as many".
        cost_of_a_step: time of a step with the method over one without; 1.25 is "a quarter longer".
        hours_per_run: of one run without the method.
        runs: how many there are, failed and repeated ones included.
        price_per_hour: of the machine, in any currency.

    Returns:
        What is saved.

    Raises:
        ValueError: a number is not finite, a ratio not above 0, or any other below 0.

    Example:
        >>> print(savings(times_fewer_steps=2, cost_of_a_step=1.25, hours_per_run=8, runs=100, price_per_hour=3))
        800 hours become 500: 300 hours and 900 of your currency saved
    """
    for name, ratio in (("times_fewer_steps", times_fewer_steps), ("cost_of_a_step", cost_of_a_step)):
        if not 0 < ratio < math.inf:
            raise ValueError(f"{name}: expected a ratio above 0, such as 2 for twice, got {ratio}")
    for name, amount in (("hours_per_run", hours_per_run), ("runs", runs), ("price_per_hour", price_per_hour)):
        if not 0 <= amount < math.inf:
            raise ValueError(f"{name}: expected at least 0 and finite, got {amount}")
    before = hours_per_run * runs
    return Savings(before, before * cost_of_a_step / times_fewer_steps, price_per_hour)
