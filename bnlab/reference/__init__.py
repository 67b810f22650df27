"""What each method is, in NumPy and float64: pure functions, and the oracle of everything built above them."""

from bnlab.reference import variance
from bnlab.reference.batch_norm import Cache, batch_norm_forward, batch_norm_inference, update_running_stats

__all__ = ["Cache", "batch_norm_forward", "batch_norm_inference", "update_running_stats", "variance"]
