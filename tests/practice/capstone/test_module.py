"""The module is judged by what it does: each mistake by its name, each aspect by itself, and nothing done by torch."""

import ast

import pytest
import torch
from torch import nn

from bnlab.layers import BatchNorm2d
from bnlab.practice.capstone.module import ASPECTS, LAYOUTS, judge, page, task_of_aspect
from bnlab.practice.capstone.modules import MODULES, pytorch
from bnlab.practice.exercises.checking import judged
from bnlab.practice.exercises.diagnosis import agree, expected
from bnlab.practice.exercises.running import Fault, run

OF_PYTORCH = pytorch.TASK.mistakes
PLANTED = [
    pytest.param(id_, one, id=f"{id_}: {one.misconception}")
    for id_, task in MODULES.items()
    for one in task.mistakes
    if task is pytorch.TASK or one not in OF_PYTORCH
]


def states(cells):
    return {(cell.aspect, cell.layout): cell.verdict.passed for cell in cells}


@pytest.mark.parametrize("module", MODULES)
def test_the_solution_is_right_in_every_aspect(module):
    assert set(states(judge(module, MODULES[module].solution)).values()) == {True}


def first_wrong(module, attempt):
    """The first aspect in which an attempt differs, on features; the verdicts of the others would take time."""
    for aspect in ASPECTS:
        task = task_of_aspect(module, aspect, "features")
        try:
            right = all(map(agree, task.cases, run(task, attempt), expected(task)))
        except Fault:
            right = False
        if not right:
            return task
    return None


@pytest.mark.parametrize(("module", "one"), PLANTED)
def test_a_mistake_is_called_by_its_name(module, one):
    attempt = MODULES[module].wrong(one)
    assert judged(first_wrong(module, attempt), attempt).misconception == one.misconception


@pytest.mark.parametrize("module", MODULES)
def test_every_mistake_can_be_made_in_its_module(module):
    task = MODULES[module]
    assert all(task.wrong(one) is not task.solution for one in task.mistakes)
    assert {one.misconception for one in task.mistakes} >= {one.misconception for one in pytorch.OF_THE_BACKWARD}


def test_a_mistake_costs_the_aspects_that_it_spoils_and_no_others():
    wrong = pytorch.TASK.wrong(next(one for one in pytorch.TASK.mistakes if one.misconception == "biased-running-var"))
    spoiled = {aspect for (aspect, _), right in states(judge("capstone_pytorch", wrong)).items() if not right}
    assert spoiled == {"running statistics"}


@pytest.mark.parametrize("module", MODULES)
def test_without_eps_the_output_in_evaluation_is_wrong_on_features_and_on_maps(module):
    wrong = MODULES[module].wrong(next(one for one in MODULES[module].mistakes if one.misconception == "eps-missing"))
    for task in (task_of_aspect(module, "evaluation", layout) for layout in LAYOUTS):
        assert not all(map(agree, task.cases, run(task, wrong), expected(task)))


class Elementary(nn.Module):
    """A right layer that leaves the way back to autograd, and knows images only."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.layer = BatchNorm2d(num_features, eps=eps, momentum=momentum)
        self.weight, self.bias = self.layer.weight, self.layer.bias
        self.register_buffer("running_mean", self.layer.running_mean)
        self.register_buffer("running_var", self.layer.running_var)

    def forward(self, x):
        """With elementary operations."""
        mean, var = self.running_mean, self.running_var
        if self.training:
            var, mean = torch.var_mean(x, (0, 2, 3), correction=0)
            with torch.no_grad():
                count = x.numel() / x.shape[1]
                self.running_mean.lerp_(mean, self.layer.momentum)
                self.running_var.lerp_(var * count / (count - 1), self.layer.momentum)
        x_hat = (x - mean[:, None, None]) / (var[:, None, None] + self.layer.eps).sqrt()
        return self.weight[:, None, None] * x_hat + self.bias[:, None, None]


def test_who_leaves_the_way_back_to_autograd_gets_the_rest_and_one_clear_line():
    cells = judge("capstone_pytorch", Elementary)
    right = {key for key, passed in states(cells).items() if passed}
    assert right == {("forward", "maps"), ("running statistics", "maps"), ("evaluation", "maps")}
    [backward] = [cell.verdict.message for cell in cells if (cell.aspect, cell.layout) == ("backward", "maps")]
    assert backward.startswith("Autograd finds the gradient here (by AddBackward0, DivBackward0, MulBackward0, ...).")


def test_a_page_without_running_statistics_is_told_what_is_missing():
    class Begun(Elementary):
        def __init__(self, num_features, **settings):
            super().__init__(num_features, **settings)
            del self.running_mean, self.running_var

        def forward(self, x):
            return nn.functional.relu(x) if self.training else x

    cells = judge("capstone_pytorch", Begun)
    said = {cell.verdict.message for cell in cells if cell.aspect in ("running statistics", "evaluation")}
    assert said == {"The layer has no tensor `running_mean` yet."}


def edited(*edits):
    """The solution in another style, or with something in it that is not allowed."""
    source = pytorch.TASK.source
    for old, new in edits:
        assert source.count(old) == 1
        source = source.replace(old, new)
    scope = {"torch": torch, "nn": nn}
    exec(source, scope)
    return scope["BatchNorm"]


def test_an_affine_part_that_is_left_to_autograd_is_seen():
    attempt = edited(
        ("return weight.reshape(shape) * x_hat + bias.reshape(shape)", "return x_hat"),
        ("return self.Normalise.apply(", "return self.weight * self.Normalise.apply("),
    )
    [cell] = [cell for cell in judge("capstone_pytorch", attempt) if cell[:2] == ("backward", "features")]
    assert "(by MulBackward0)" in cell.verdict.message


OTHER_STYLES = {
    "statistics with a graph, and None for their gradients": (
        ("values, axes = x.detach(),", "values, axes = x,"),
        ("unbiased_var = var *", "unbiased_var = var.detach() *"),
        ("self.momentum * mean)", "self.momentum * mean.detach())"),
    ),
    "float64 on the way": (("self.Normalise.apply(x,", "self.Normalise.apply(x.double(),"),),
}
HELPED = {
    "Its `backward` leaves the work to autograd": (
        "with torch.enable_grad():\n"
        "                bias = torch.zeros(x_hat.shape[1], requires_grad=True)\n"
        "                [grad_bias] = torch.autograd.grad(x_hat + bias.reshape(ctx.shape), bias, grad_y)"
    ),
    "It calls torch's `native_batch_norm`": (
        "torch.native_batch_norm(grad_y, None, None, None, None, True, 0.1, 1e-5)\n"
        "            grad_bias = grad_y.sum(axes)"
    ),
}


@pytest.mark.parametrize("edits", OTHER_STYLES.values(), ids=OTHER_STYLES)
def test_a_right_layer_in_another_style_is_right(edits):
    assert set(states(judge("capstone_pytorch", edited(*edits))).values()) == {True}


@pytest.mark.parametrize("line", HELPED)
def test_a_backward_that_has_the_work_done_is_refused_by_one_line(line):
    cells = judge("capstone_pytorch", edited(("grad_bias = grad_y.sum(axes)", HELPED[line])))
    refused = {(cell.aspect, cell.layout): cell.verdict.message for cell in cells if not cell.verdict.passed}
    assert [*refused] == [("backward", "features"), ("backward", "maps")]
    assert all(message.startswith(line) for message in refused.values())
    assert set(states(judge("capstone_pytorch", pytorch.TASK.solution)).values()) == {True}


def test_torchs_own_layer_is_refused_in_every_aspect():
    cells = judge("capstone_pytorch", nn.BatchNorm2d)
    maps = [cell.verdict.message for cell in cells if cell.layout == "maps"]
    assert len(maps) == len(ASPECTS)
    assert all("It calls torch's `batch_norm`" in message for message in maps)


def test_an_endless_loop_is_stopped_once_and_the_rest_is_not_run(monkeypatch):
    monkeypatch.setattr("bnlab.practice.exercises.running.TIME_LIMIT", 0.2)
    calls = []

    class Endless(nn.BatchNorm1d):
        def forward(self, x):
            calls.append(x)
            while True:
                pass

    cells = judge("capstone_pytorch", Endless)
    assert [cell.verdict.misconception for cell in cells] == ["too-slow"] * len(ASPECTS) * len(LAYOUTS)
    assert len(calls) == 1


@pytest.mark.parametrize("module", MODULES)
def test_the_page_is_python_that_says_what_to_write_and_defines_nothing(module):
    tree = ast.parse(page(module))
    assert "torch.autograd.Function" in ast.get_docstring(tree)
    assert "`BatchNorm(num_features," in ast.get_docstring(tree)
    assert not [node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    assert max(map(len, page(module).splitlines())) <= 120
