"""Figures of the course: each function takes numbers and returns a matplotlib Figure; no pyplot."""

from bnlab.figures.epsilon import epsilon_placement
from bnlab.figures.learning_rates import learning_rate_sweep

__all__ = ["epsilon_placement", "learning_rate_sweep"]
