"""Finds batch-norm mistakes in anybody's network."""

from bnlab.doctor.examine import examine
from bnlab.doctor.report import Finding, Report
from bnlab.doctor.rules import RULES

__all__ = ["RULES", "Finding", "Report", "examine"]
