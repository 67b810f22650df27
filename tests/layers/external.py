"""Cases of a batch norm from the suites of torch and ONNX, and the comparisons that they ask for."""

import warnings

import numpy as np
import torch
from onnx.backend.test.case.node import collect_testcases
from torch import nn
from torch.testing import assert_close
from torch.testing._internal.common_modules import module_db

from bnlab import layers
from bnlab.layers.functional import batch_norm
from tests.tolerances import RTOL

NAMES = ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d")


def _cases_of_torch():
    for info in module_db:
        if info.module_cls.__name__ in NAMES:
            asked = {"device": "cpu", "dtype": torch.float64, "requires_grad": True, "training": True}
            yield from ((info.module_cls, case) for case in info.module_inputs_func(info, **asked))


def _cases_of_onnx():
    with warnings.catch_warnings(action="ignore"):  # cases of other operators overflow on purpose, as they are made
        return {case.name.removeprefix("test_batchnorm_"): case for case in collect_testcases("BatchNormalization")}


TORCH = {f"{cls.__name__}:{number}": (cls, case) for number, (cls, case) in enumerate(_cases_of_torch())}
ONNX = _cases_of_onnx()


def compare_with_torch(case, *, training, backend, dtype=torch.float64, device="cpu"):
    """Outputs, gradients and buffers of our module, on torch's input, with those of torch's in float64."""
    cls, inputs = case
    arguments = inputs.constructor_input
    theirs = cls(*arguments.args, **arguments.kwargs, dtype=torch.float64).train(training)
    for parameter in theirs.parameters():
        nn.init.uniform_(parameter, 0.5, 2, generator=torch.Generator().manual_seed(parameter.numel()))
    ours = getattr(layers, cls.__name__)(
        *arguments.args, **arguments.kwargs, dtype=dtype, device=device, backend=backend
    )
    ours.load_state_dict(theirs.state_dict())
    results = []
    for module, kind in (
        (theirs, {"dtype": torch.float64}),
        (ours.train(training), {"dtype": dtype, "device": device}),
    ):
        x = inputs.forward_input.args[0].detach().to(**kind, copy=True).requires_grad_()
        y = module(x)
        grad_y = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).reshape(y.shape).to(**kind)
        results.append([y, *torch.autograd.grad(y, [x, *module.parameters()], grad_y), *module.buffers()])
    for theirs_of_it, ours_of_it in zip(*results, strict=True):
        assert_close(ours_of_it.cpu(), theirs_of_it, rtol=RTOL[dtype], atol=RTOL[dtype], check_dtype=False)


def compare_with_onnx(case, *, backend, device="cpu"):
    """Output and running statistics of our function with those that ONNX expects, in float32."""
    (node,) = case.model.graph.node
    options = {attribute.name: attribute.f or attribute.i for attribute in node.attribute}
    ((given, expected),) = case.data_sets
    x, weight, bias, mean, var = (torch.tensor(array, device=device) for array in given)
    training, count = bool(options.get("training_mode", 0)), x.numel() // x.shape[1]
    y = batch_norm(
        x, mean, var, weight, bias, training=training, eps=options.get("epsilon", 1e-5), momentum=0.1, backend=backend
    )
    found = [y]
    if training:  # ONNX keeps the biased variance; its momentum of 0.9 weighs the old value
        old = torch.tensor(given[4], device=device)
        found += [mean, 0.9 * old + (var - 0.9 * old) * ((count - 1) / count)]
    for ours, theirs in zip(found, expected, strict=True):
        assert_close(ours.cpu(), torch.tensor(np.asarray(theirs)), rtol=RTOL[torch.float32], atol=1e-6)
