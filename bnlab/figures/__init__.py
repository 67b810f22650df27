"""Figures of the course: each function takes numbers and returns a matplotlib Figure; no pyplot."""

from bnlab.figures.axes import averaged_blocks
from bnlab.figures.distributions import before_and_after, shape_kept
from bnlab.figures.epsilon import epsilon_placement
from bnlab.figures.learning_rates import learning_rate_sweep

__all__ = ["averaged_blocks", "before_and_after", "epsilon_placement", "learning_rate_sweep", "shape_kept"]
