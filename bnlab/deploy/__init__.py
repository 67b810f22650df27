"""A trained network on its way out: exact population statistics for its batch-norm layers."""

from bnlab.deploy.recalibrate import recalibrate

__all__ = ["recalibrate"]
