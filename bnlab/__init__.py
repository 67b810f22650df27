"""Batch normalisation from scratch, measured: the package behind the course."""

from importlib.metadata import version

__version__ = version("bnlab")
