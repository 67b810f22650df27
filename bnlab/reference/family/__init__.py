"""The family of normalisations: what each divides by, over which axes, and what its gradient loses by it."""

from bnlab.reference.family.batch_renorm import RenormCache, batch_renorm_backward, batch_renorm_forward
from bnlab.reference.family.dynamic import (
    DynamicCache,
    dynamic_erf_backward,
    dynamic_erf_forward,
    dynamic_tanh_backward,
    dynamic_tanh_forward,
)
from bnlab.reference.family.filter_response_norm import (
    ThresholdCache,
    filter_response_norm_backward,
    filter_response_norm_forward,
)
from bnlab.reference.family.ghost_batch_norm import ghost_batch_norm_backward, ghost_batch_norm_forward
from bnlab.reference.family.group_norm import group_norm_backward, group_norm_forward
from bnlab.reference.family.instance_norm import instance_norm_backward, instance_norm_forward
from bnlab.reference.family.layer_norm import layer_norm_backward, layer_norm_forward
from bnlab.reference.family.rms_norm import rms_norm_backward, rms_norm_forward
from bnlab.reference.family.steps import NormCache, centre, rescale, rescale_backward
from bnlab.reference.family.weight_standardise import weight_standardise_backward, weight_standardise_forward

__all__ = [
    "DynamicCache",
    "NormCache",
    "RenormCache",
    "ThresholdCache",
    "batch_renorm_backward",
    "batch_renorm_forward",
    "centre",
    "dynamic_erf_backward",
    "dynamic_erf_forward",
    "dynamic_tanh_backward",
    "dynamic_tanh_forward",
    "filter_response_norm_backward",
    "filter_response_norm_forward",
    "ghost_batch_norm_backward",
    "ghost_batch_norm_forward",
    "group_norm_backward",
    "group_norm_forward",
    "instance_norm_backward",
    "instance_norm_forward",
    "layer_norm_backward",
    "layer_norm_forward",
    "rescale",
    "rescale_backward",
    "rms_norm_backward",
    "rms_norm_forward",
    "weight_standardise_backward",
    "weight_standardise_forward",
]
