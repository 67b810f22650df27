"""A trained network on its way out: exact population statistics for its batch-norm layers, and other norms in place."""

from bnlab.deploy.convert import convert
from bnlab.deploy.fold import fold
from bnlab.deploy.recalibrate import recalibrate

__all__ = ["convert", "fold", "recalibrate"]
