"""A trained network on its way out: statistics made exact, adapted or frozen, layers folded or replaced, export."""

from bnlab.deploy.adapt import adapt, prediction_time_statistics
from bnlab.deploy.average import average
from bnlab.deploy.convert import convert
from bnlab.deploy.drift import drift
from bnlab.deploy.export import as_torch, compare, run_onnx, to_onnx, to_program
from bnlab.deploy.fold import fold
from bnlab.deploy.freeze import freeze, unfreeze
from bnlab.deploy.recalibrate import recalibrate

__all__ = [
    "adapt",
    "as_torch",
    "average",
    "compare",
    "convert",
    "drift",
    "fold",
    "freeze",
    "prediction_time_statistics",
    "recalibrate",
    "run_onnx",
    "to_onnx",
    "to_program",
    "unfreeze",
]
