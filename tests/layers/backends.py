"""Which backends a test can ask for what."""

OF_EVERY_ORDER = ("torch", "manual")  # their gradients have gradients
