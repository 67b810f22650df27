"""Figures of the course: each function takes numbers and returns a matplotlib Figure; no pyplot."""

from bnlab.figures.alternatives import error_by_batch_size, norm_free_compared, spread_of_means
from bnlab.figures.axes import averaged_blocks, family_blocks
from bnlab.figures.calibration import calibration_curve
from bnlab.figures.convergence import steps_and_seconds, steps_by_rate
from bnlab.figures.convolutional import accuracy_by_rate_and_place, accuracy_without_channels
from bnlab.figures.curves import accuracy_by_step
from bnlab.figures.distributions import before_and_after, shape_kept
from bnlab.figures.drift import drift_by_rate, input_quantiles
from bnlab.figures.epsilon import epsilon_placement
from bnlab.figures.gradients import backward_graph, finite_difference_errors, gradient_on_the_circle
from bnlab.figures.interview import (
    before_and_after_the_course,
    confidence_against_score,
    past_mocks,
    progress_by_topic,
)
from bnlab.figures.kernels import error_by_offset
from bnlab.figures.leak import edited_future, loss_by_mode
from bnlab.figures.learning_rates import learning_rate_sweep
from bnlab.figures.mistakes import accuracy_by_classes, answers_by_company
from bnlab.figures.papers import redrawn_figure, ten_figures
from bnlab.figures.production import accuracy_along_path, accuracy_by_shift
from bnlab.figures.rate_by_group import rate_by_group
from bnlab.figures.regularisation import effective_rates, noise_by_ghost_size, regularisers_compared
from bnlab.figures.residual import accuracy_by_depth, branch_by_block
from bnlab.figures.roofline import roofline
from bnlab.figures.running_statistics import evaluation_by_momentum
from bnlab.figures.sequences import gradients_through_time, recurrent_by_rate, sequence_norms_compared
from bnlab.figures.signals import signals_by_layer
from bnlab.figures.starts import accuracy_by_scale

__all__ = [
    "accuracy_along_path",
    "accuracy_by_classes",
    "accuracy_by_depth",
    "accuracy_by_rate_and_place",
    "accuracy_by_scale",
    "accuracy_by_shift",
    "accuracy_by_step",
    "accuracy_without_channels",
    "answers_by_company",
    "averaged_blocks",
    "backward_graph",
    "before_and_after",
    "before_and_after_the_course",
    "branch_by_block",
    "calibration_curve",
    "confidence_against_score",
    "drift_by_rate",
    "edited_future",
    "effective_rates",
    "epsilon_placement",
    "error_by_batch_size",
    "error_by_offset",
    "evaluation_by_momentum",
    "family_blocks",
    "finite_difference_errors",
    "gradient_on_the_circle",
    "gradients_through_time",
    "input_quantiles",
    "learning_rate_sweep",
    "loss_by_mode",
    "noise_by_ghost_size",
    "norm_free_compared",
    "past_mocks",
    "progress_by_topic",
    "rate_by_group",
    "recurrent_by_rate",
    "redrawn_figure",
    "regularisers_compared",
    "roofline",
    "sequence_norms_compared",
    "shape_kept",
    "signals_by_layer",
    "spread_of_means",
    "steps_and_seconds",
    "steps_by_rate",
    "ten_figures",
]
