"""Which backends a test can ask for what."""

OF_EVERY_ORDER = ("torch", "manual")  # their gradients have gradients
ON_CPU = (*OF_EVERY_ORDER, "numba", "auto")
