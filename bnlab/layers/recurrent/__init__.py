"""Batch normalisation of sequences: an LSTM that normalises at each step, and statistics over all real steps."""

from bnlab.layers.recurrent.lstm import BatchNormLSTM

__all__ = ["BatchNormLSTM"]
