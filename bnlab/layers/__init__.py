"""PyTorch modules from elementary tensor operations: drop-in for their namesakes in `torch.nn`, and what it lacks."""

from bnlab.layers.batch_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from bnlab.layers.batch_renorm import BatchRenorm1d, BatchRenorm2d
from bnlab.layers.dynamic import Derf, DyT
from bnlab.layers.filter_response_norm import FilterResponseNorm2d
from bnlab.layers.frozen import FrozenBatchNorm1d, FrozenBatchNorm2d, FrozenBatchNorm3d
from bnlab.layers.fused import BatchNormReLU
from bnlab.layers.ghost import GhostBatchNorm1d, GhostBatchNorm2d
from bnlab.layers.group_norm import GroupNorm
from bnlab.layers.instance_norm import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from bnlab.layers.layer_norm import LayerNorm
from bnlab.layers.recurrent import BatchNormLSTM, SequenceBatchNorm1d
from bnlab.layers.rms_norm import RMSNorm
from bnlab.layers.sync import SyncBatchNorm
from bnlab.layers.weight_standardised import WeightStandardisedConv2d

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "BatchNormLSTM",
    "BatchNormReLU",
    "BatchRenorm1d",
    "BatchRenorm2d",
    "Derf",
    "DyT",
    "FilterResponseNorm2d",
    "FrozenBatchNorm1d",
    "FrozenBatchNorm2d",
    "FrozenBatchNorm3d",
    "GhostBatchNorm1d",
    "GhostBatchNorm2d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "RMSNorm",
    "SequenceBatchNorm1d",
    "SyncBatchNorm",
    "WeightStandardisedConv2d",
]
