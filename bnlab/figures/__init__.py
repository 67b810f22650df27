"""Figures of the course: each function takes numbers and returns a matplotlib Figure; no pyplot."""

from bnlab.figures.axes import averaged_blocks
from bnlab.figures.calibration import calibration_curve
from bnlab.figures.distributions import before_and_after, shape_kept
from bnlab.figures.epsilon import epsilon_placement
from bnlab.figures.gradients import backward_graph, finite_difference_errors, gradient_on_the_circle
from bnlab.figures.learning_rates import learning_rate_sweep
from bnlab.figures.running_statistics import evaluation_by_momentum

__all__ = [
    "averaged_blocks",
    "backward_graph",
    "before_and_after",
    "calibration_curve",
    "epsilon_placement",
    "evaluation_by_momentum",
    "finite_difference_errors",
    "gradient_on_the_circle",
    "learning_rate_sweep",
    "shape_kept",
]
