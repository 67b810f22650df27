"""PyTorch modules from elementary tensor operations, drop-in for their namesakes in `torch.nn`."""

from bnlab.layers.batch_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from bnlab.layers.batch_renorm import BatchRenorm1d, BatchRenorm2d
from bnlab.layers.dynamic import Derf, DyT
from bnlab.layers.frozen import FrozenBatchNorm1d, FrozenBatchNorm2d, FrozenBatchNorm3d
from bnlab.layers.ghost import GhostBatchNorm1d, GhostBatchNorm2d
from bnlab.layers.group_norm import GroupNorm
from bnlab.layers.layer_norm import LayerNorm
from bnlab.layers.rms_norm import RMSNorm

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "BatchRenorm1d",
    "BatchRenorm2d",
    "Derf",
    "DyT",
    "FrozenBatchNorm1d",
    "FrozenBatchNorm2d",
    "FrozenBatchNorm3d",
    "GhostBatchNorm1d",
    "GhostBatchNorm2d",
    "GroupNorm",
    "LayerNorm",
    "RMSNorm",
]
