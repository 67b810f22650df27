"""PyTorch modules from elementary tensor operations, drop-in for their namesakes in `torch.nn`."""

from bnlab.layers.batch_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from bnlab.layers.frozen import FrozenBatchNorm1d, FrozenBatchNorm2d, FrozenBatchNorm3d
from bnlab.layers.ghost import GhostBatchNorm1d

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "FrozenBatchNorm1d",
    "FrozenBatchNorm2d",
    "FrozenBatchNorm3d",
    "GhostBatchNorm1d",
]
