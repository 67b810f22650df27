"""What each method is, in NumPy and float64: pure functions, and the oracle of everything built above them."""

from bnlab.reference import family, variance
from bnlab.reference.backward import batch_norm_backward, batch_norm_backward_staged, batch_norm_inference_backward
from bnlab.reference.batch_norm import Cache, batch_norm_forward, batch_norm_inference, update_running_stats
from bnlab.reference.gradcheck import GradCheck, gradcheck

__all__ = [
    "Cache",
    "GradCheck",
    "batch_norm_backward",
    "batch_norm_backward_staged",
    "batch_norm_forward",
    "batch_norm_inference",
    "batch_norm_inference_backward",
    "family",
    "gradcheck",
    "update_running_stats",
    "variance",
]
