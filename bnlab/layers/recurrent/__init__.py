"""Batch normalisation of sequences: an LSTM that normalises at each step, and statistics over all real steps."""

from bnlab.layers.recurrent.lstm import BatchNormLSTM
from bnlab.layers.recurrent.sequence_norm import SequenceBatchNorm1d

__all__ = ["BatchNormLSTM", "SequenceBatchNorm1d"]
