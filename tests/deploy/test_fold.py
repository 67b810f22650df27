"""Folded networks compute what they did; what cannot be folded is left and named."""

import re
from operator import attrgetter

import pytest
import torch
from torch import nn

from bnlab import layers
from bnlab.deploy import fold
from bnlab.deploy.batches import tensors_in
from bnlab.deploy.fold import folded_parameters
from tests.deploy.architectures import ARCHITECTURES, trained

EVERY = pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)


def outputs(model, example):
    with torch.no_grad():
        return tensors_in(model(*example) if isinstance(example, tuple) else model(example))


def assert_same_outputs(model, other, example, tolerance):
    """To a tolerance in units of each output's largest value."""
    expected, got = outputs(model, example), outputs(other, example)
    assert expected
    for one, two in zip(expected, got, strict=True):
        torch.testing.assert_close(two / one.abs().max(), one / one.abs().max(), rtol=0, atol=tolerance)


def in_float64(example):
    return tuple(x.double() for x in example) if isinstance(example, tuple) else example.double()


@EVERY
def test_a_folded_network_gives_what_it_gave(architecture):
    model, example = trained(architecture.build()), architecture.example()
    report = fold(model, example)
    assert_same_outputs(model, report.model, example, tolerance=1e-5)
    assert_same_outputs(model, report.model, architecture.example(batch=5), tolerance=1e-5)
    model, example = model.double(), in_float64(example)
    assert_same_outputs(model, fold(model, example).model, example, tolerance=1e-12)


@EVERY
def test_what_can_be_folded_is_gone_and_what_cannot_is_named(architecture):
    report = fold(trained(architecture.build()), architecture.example())
    assert len(report.folded) == architecture.folded
    assert tuple(left.names[0] for left in report.left) == architecture.left
    gone = [report.model.get_submodule(name) for folded in report.folded for name in folded.names]
    assert {type(module) for module in gone} == {nn.Identity}


@EVERY
def test_the_given_model_and_the_random_state_stay(architecture):
    model, example = trained(architecture.build()), architecture.example()
    tensors = {name: (id(tensor), tensor.clone()) for name, tensor in model.state_dict(keep_vars=True).items()}
    text, state = repr(model), torch.get_rng_state()
    folded = fold(model, example).model
    assert torch.equal(torch.get_rng_state(), state)
    assert repr(model) == text
    with torch.no_grad():
        for tensor in folded.state_dict().values():
            tensor.fill_(3)
    for name, tensor in model.state_dict(keep_vars=True).items():
        assert id(tensor) == tensors[name][0]
        assert torch.equal(tensor, tensors[name][1])


# What the folded layers hold


@pytest.mark.parametrize("bias", [True, False])
def test_the_parameters_are_those_of_the_formula(bias):
    layer, norm = nn.Linear(2, 3, bias=bias), trained(nn.BatchNorm1d(3, eps=1e-3))
    gamma, beta, mean, var = (t.double() for t in (norm.weight, norm.bias, norm.running_mean, norm.running_var))
    scale = gamma / (var + 1e-3).sqrt()
    weight, shift = folded_parameters(layer, norm)
    torch.testing.assert_close(weight, torch.diag(scale) @ layer.weight.double())
    torch.testing.assert_close(shift, ((layer.bias.double() if bias else 0) - mean) * scale + beta)


def test_half_precision_is_folded_in_float64_and_rounded_once():
    model = trained(nn.Sequential(nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3))).to(torch.bfloat16)
    weight, bias = folded_parameters(*model)
    conv = fold(model, torch.zeros(1, 2, 5, 5)).model[0]
    assert torch.equal(conv.weight, weight.to(torch.bfloat16))
    assert torch.equal(conv.bias, bias.to(torch.bfloat16))


def test_weights_that_half_precision_cannot_hold_are_refused_by_name():
    model = trained(nn.Sequential(nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3, eps=0.0))).half()
    with torch.no_grad():
        model[0].weight.fill_(1)
        model[1].running_var.fill_(1e-7)
        model[1].weight.fill_(500)
        model[1].running_mean.zero_()
    with pytest.raises(ValueError, match=r"expected folded weights within the range of torch\.float16, got .* '0'"):
        fold(model, torch.zeros(1, 2, 5, 5))
    model[0].weight.data.mul_(1e-4)
    model[1].running_mean.fill_(1)  # the weights are small now, and the bias alone is too large
    with pytest.raises(ValueError, match=r"expected folded weights within the range of torch\.float16, got .* '0'"):
        fold(model, torch.zeros(1, 2, 5, 5))
    assert len(fold(model.to(torch.bfloat16), torch.zeros(1, 2, 5, 5)).folded) == 1


@pytest.mark.parametrize("required", [True, False])
def test_the_new_parameters_require_gradients_where_the_weight_did(required):
    model = trained(plain()).requires_grad_(required)
    conv = fold(model, torch.zeros(1, 2, 5, 5)).model[0]
    assert [type(conv.weight), type(conv.bias)] == [nn.Parameter] * 2
    assert [conv.weight.requires_grad, conv.bias.requires_grad] == [required] * 2


def test_the_folded_model_keeps_its_class_methods_and_modes():
    class Classifier(nn.Sequential):
        def predict(self, x):
            return self(x).argmax(1)

    model = Classifier(nn.Linear(3, 4), trained(nn.BatchNorm1d(4)), nn.Dropout()).eval()
    folded = fold(model, torch.zeros(2, 3)).model
    x = torch.randn(50, 3)
    assert torch.equal(folded.predict(x), model.predict(x))
    assert list(folded.state_dict()) == ["0.weight", "0.bias"]
    assert not any(module.training for module in folded.modules())


def test_a_tied_weight_stays_the_other_layer_s():
    model = trained(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 3)))
    model[2].weight = model[0].weight
    folded = fold(model, torch.zeros(2, 3)).model
    assert torch.equal(folded[2].weight, model[2].weight)
    assert_same_outputs(model, folded, torch.randn(5, 3), tolerance=1e-6)


def test_a_folded_model_has_nothing_left_to_fold():
    folded = fold(trained(plain()), torch.zeros(1, 2, 5, 5)).model
    assert repr(fold(folded, torch.zeros(1, 2, 5, 5))) == "no batch norm layer found, nothing folded"


# What is left, and why


def plain(norm=nn.BatchNorm2d, **options):
    return nn.Sequential(nn.Conv2d(2, 3, 3), norm(3, **options))


class Reads(nn.Module):
    """A network that reads a tensor of one of its layers itself."""

    def __init__(self, name):
        super().__init__()
        self.conv, self.norm, self.name = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), name

    def forward(self, x):
        return self.norm(self.conv(x)) + attrgetter(self.name)(self).sum()


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)

    def forward(self, x):
        y = self.conv(x)
        return self.norm(y) + y


class Repeats(nn.Module):
    def __init__(self, first, second):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(3, 3, 1) for _ in range(2)])
        self.norms = nn.ModuleList([nn.BatchNorm2d(3) for _ in range(2)])
        self.order = (first, second)

    def forward(self, x):
        for conv, norm in self.order:
            x = self.norms[norm](self.convs[conv](x))
        return x


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.conv(x)


class SamePadding(nn.Conv2d):
    """Pads by what it is given, which tracing could not follow."""

    def forward(self, x):
        return super().forward(nn.functional.pad(x, [1, 1, 1, 1]) if x.shape[-1] % 2 else x)


def hooked(index):
    model = plain()
    model[index].register_forward_hook(lambda *_: None)
    return model


def held_in_a_list():
    model = plain()
    model.norms = [model[1]]
    return model


def own_forward(index):
    model = nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2))
    model[index].forward = torch.relu
    return model


LEFT = {
    "train_mode": (lambda: plain().train(), "it is in training mode"),
    "no_statistics": (lambda: plain(track_running_stats=False), "it keeps no running statistics"),
    "norm_subclass": (lambda: plain(type("Odd", (nn.BatchNorm2d,), {})), "it is of a subclass"),
    "conv_subclass": (lambda: nn.Sequential(SamePadding(2, 3, 3), nn.BatchNorm2d(3)), "0 before it is of a subclass"),
    "standardised": (
        lambda: nn.Sequential(layers.WeightStandardisedConv2d(2, 3, 3), nn.BatchNorm2d(3)),
        r"0 before it is of a subclass \(bnlab.layers.WeightStandardisedConv2d\)",
    ),
    "parametrised": (
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 3, 3)), nn.BatchNorm2d(3)),
        "0 before it is of a subclass",
    ),
    "hooks": (lambda: hooked(1), "it has hooks"),
    "hooks_before": (lambda: hooked(0), "0 before it has hooks"),
    "own_forward": (lambda: own_forward(1), "it has a forward of its own"),
    "own_forward_before": (lambda: own_forward(0), "0 before it has a forward of its own"),
    "held_in_a_list": (held_in_a_list, "it is also held by 'norms'"),
    "second_user": (Branches, "the output of conv before it has a second user"),
    "reads_weight": (lambda: Reads("conv.weight"), "conv before it has a tensor that is also read elsewhere"),
    "reads_gamma": (lambda: Reads("norm.weight"), "it has a tensor that is also read elsewhere"),
    "unused": (Unused, "it is not called in the pass"),
    "first": (lambda: nn.Sequential(nn.BatchNorm2d(2)), "it follows the input, which is no convolution"),
    "activation_between": (
        lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.BatchNorm2d(3)),
        r"it follows 1 \(torch.nn.ReLU\), which is no convolution or linear layer$",
    ),
    "before_no_padding": (
        lambda: nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3)),
        "it follows the input, which is no convolution or linear layer$",
    ),
    "before_padding": (
        lambda: nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3, padding=1)),
        "nor can it be folded into 1 after it, which pads its input with zeros: the shift would then act on the",
    ),
}


@pytest.mark.parametrize(("build", "why"), LEFT.values(), ids=LEFT)
def test_a_layer_that_cannot_be_folded_is_left_with_the_reason(build, why):
    model = build()
    mode = model.training and why == LEFT["train_mode"][1]
    trained(model).train(mode)
    x = torch.randn(2, 2, 6, 6)
    report = fold(model, x)
    (left,) = report.left
    assert report.folded == ()
    assert re.search(why, left.why)
    assert torch.equal(report.model.eval()(x), model.eval()(x))


def test_dropout_in_training_mode_does_not_hide_what_can_be_folded():
    model = nn.Sequential(*trained(plain()), nn.Dropout().train(), nn.BatchNorm2d(3).train())
    report = fold(model, torch.zeros(2, 2, 6, 6))
    assert [len(report.folded), len(report.left)] == [1, 1]


@pytest.mark.parametrize(
    ("order", "left"),
    [
        ([(0, 0), (0, 1)], "norms.0: convs.0 before it is called 2 times in one pass"),
        ([(0, 0), (1, 0)], "norms.0: it is called 2 times in one pass"),
    ],
)
def test_a_layer_that_is_called_twice_is_left(order, left):
    report = fold(trained(Repeats(*order)), torch.zeros(1, 3, 4, 4))
    assert report.folded == ()
    assert f"{report.left[0].names[0]}: {report.left[0].why}" == left


def test_channels_that_are_not_on_axis_1_are_not_folded_though_the_numbers_fit():
    model = trained(nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5)))
    (left,) = fold(model, torch.zeros(2, 5, 3)).left  # (n, length, features), and the length is normalised
    assert left.why == "0 before it gives 3 axes, its channels not on axis 1"
    assert len(fold(model, torch.zeros(2, 3)).folded) == 1
    model = trained(nn.Sequential(nn.Conv1d(2, 4, 1), nn.BatchNorm1d(4)))
    (left,) = fold(model, torch.zeros(2, 4)).left  # one sequence without a batch axis, (c, length)
    assert left.why == "0 before it gives 2 axes, its channels not on axis 1"


# What is refused


class DataDependent(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.norm(self.conv(x)) if x.sum() > 0 else x


class LooksAtItsNorm(nn.Module):
    def __init__(self, attribute=None):
        super().__init__()
        self.conv, self.norm, self.attribute = nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3), attribute

    def forward(self, x):
        y = self.norm(self.conv(x))
        if self.attribute:
            return y + getattr(self.norm, self.attribute)
        return 2 * y if isinstance(self.norm, nn.BatchNorm2d) else y


def ruined():
    model = trained(plain())
    model[1].running_var[1] = float("nan")
    return model


REFUSED = {
    "no_module": (lambda: torch.relu, "expected model to be an nn.Module, got builtin_function_or_method"),
    "data_dependent": (DataDependent, "whose forward pass torch.fx can follow, got TraceError: symbolically traced"),
    # Of the example's zeros it makes zeros, with the norm and without: only the noise shows it.
    "looks_at_its_norm": (LooksAtItsNorm, "outputs that agree to 1e-09 of the largest once folded, got "),
    "reads_a_setting": (lambda: LooksAtItsNorm("eps"), "runs on the example, before and after, .* got AttributeError"),
    "nan": (ruined, "once folded, got nan: they hold NaN"),
    "wrong_channels": (lambda: nn.Sequential(nn.Conv2d(5, 3, 3)), "runs on the example, .* got RuntimeError: Given"),
}


@pytest.mark.parametrize(("build", "complaint"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_folded_safely_is_refused_in_one_line(build, complaint):
    model = build()
    model = model.eval() if isinstance(model, nn.Module) else model
    with pytest.raises(ValueError, match=complaint) as raised:
        fold(model, torch.zeros(2, 2, 6, 6))
    assert "\n" not in str(raised.value)


def test_an_example_that_is_no_example_is_refused():
    with pytest.raises(
        ValueError, match="expected example to be a tensor, or a tuple of the model's arguments, got list"
    ):
        fold(plain().eval(), [torch.zeros(2, 2, 6, 6)])


def test_an_example_without_an_image_would_show_nothing_and_is_refused():
    with pytest.raises(ValueError, match=r"expected an example of one image or more, got none in shape \(0, 2, 6, 6\)"):
        fold(plain().eval(), torch.zeros(0, 2, 6, 6))


def test_a_setting_that_decides_the_path_is_followed():
    model = trained(ARCHITECTURES["two_inputs"].build())
    example = (*ARCHITECTURES["two_inputs"].example(), True)
    report = fold(model, example)
    assert report.left[0].why == "it gets its input by keyword"
    assert_same_outputs(model, report.model, example, tolerance=1e-5)


# How it reads


def test_the_report_reads_as_lines_and_as_a_table():
    model = trained(nn.Sequential(ARCHITECTURES["odd_names"].build(), nn.ReLU(), nn.BatchNorm1d(4)))
    report = fold(model, torch.zeros(1, 2, 9))
    norm, why = "torch.nn.BatchNorm1d(4)", "left: it follows 1 (torch.nn.ReLU), which is no convolution or linear layer"
    assert repr(report).splitlines() == [
        "1 layer folded, 1 left; outputs agree to 1e-09 in float64",
        f"  0.0.0 norm: {norm} folded into 0.0.conv-1|`x` (torch.nn.Conv1d)",
        f"  2: {norm} {why}",
    ]
    assert report._repr_markdown_().splitlines()[-1] == f"| `2` | {norm} {why} |"
    assert 0 < report.difference < 1e-13


def test_a_norm_that_is_the_model_itself_is_left():
    report = fold(nn.BatchNorm2d(3).eval(), torch.zeros(1, 3, 2, 2))
    assert report.left[0].names == ("(the model itself)",)
    assert isinstance(report.model, nn.BatchNorm2d)
