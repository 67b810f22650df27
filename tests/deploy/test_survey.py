"""What `convert` refuses, each time in one line and with the model as it was."""

import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize, prune

from bnlab import layers
from bnlab.deploy import convert
from bnlab.deploy.survey import batch_norm_layers
from bnlab.deploy.targets import TARGETS
from tests.deploy.networks import Odd, ResNet


class BatchNormAct2d(nn.BatchNorm2d):
    """As timm has it: more than batch norm in its forward."""

    def forward(self, x):
        return torch.relu(super().forward(x))


def assert_refused(model, *args, **options):
    """The one line of the refusal; the model is as it was."""
    modules = list(model.named_modules(remove_duplicate=False))
    tensors = [(name, id(tensor)) for name, tensor in (*model.named_parameters(), *model.named_buffers())]
    attributes = [dict(vars(module)) for module in model.modules()]
    with pytest.raises(ValueError, match=r"^(layer|expected) .") as raised:
        convert(model, *args, **options)
    assert list(model.named_modules(remove_duplicate=False)) == modules
    assert [(name, id(tensor)) for name, tensor in (*model.named_parameters(), *model.named_buffers())] == tensors
    assert [dict(vars(module)) for module in model.modules()] == attributes
    line = str(raised.value)
    assert "\n" not in line
    return line


def with_one(layer):
    """A network whose second batch norm layer is that one, behind one that could be replaced."""
    return nn.Sequential(nn.BatchNorm1d(4), nn.ModuleDict({"norm": layer}), nn.BatchNorm1d(4))


# Arguments


@pytest.mark.parametrize("model", [nn.BatchNorm1d, {"weight": torch.ones(2)}, None, "resnet"], ids=repr)
def test_what_is_not_a_module_is_refused(model):
    with pytest.raises(ValueError, match=f"expected model to be an nn.Module, got {type(model).__name__}"):
        convert(model, "frozen")


@pytest.mark.parametrize("to", ["GroupNorm", "layer_norm", "", None, nn.GroupNorm, ["frozen"]], ids=repr)
def test_an_unknown_kind_is_refused_with_the_known_ones(to):
    line = assert_refused(ResNet(), to)
    known = "'group_norm', 'sync_batch_norm', 'bnlab_sync_batch_norm', 'frozen', 'bnlab', 'torch'"
    assert line == f"expected to to be {known}, got {to!r}"


@pytest.mark.parametrize(
    ("to", "given", "known"),
    [
        ("frozen", {"groups": 4}, "dimension"),
        ("torch", {"process_group": object()}, "dimension"),
        ("group_norm", {"dimension": 2}, "groups"),
        ("sync_batch_norm", {"groups": 2}, "process_group"),
    ],
)
def test_an_option_of_another_kind_is_refused_with_the_one_that_belongs(to, given, known):
    line = assert_refused(ResNet(), to, **given)
    assert line == f"expected to={to!r} with no option but skip and {known}, got {next(iter(given))}"


@pytest.mark.parametrize("groups", [0, -2, 2.0, True, "2"])
def test_groups_that_are_no_number_of_groups_are_refused(groups):
    line = assert_refused(ResNet(), "group_norm", groups=groups)
    assert line == f"expected groups to be a whole number of at least 1, got {groups!r}"


@pytest.mark.parametrize("dimension", [0, 4, "2d", 2.0, True, [2]])
def test_another_dimension_is_refused(dimension):
    line = assert_refused(ResNet(), "frozen", dimension=dimension)
    assert line == f"expected dimension to be 1, 2 or 3, got {dimension!r}"


@pytest.mark.parametrize("skip", ["bn2", ["bn1", "fc"], ["layer1"], [3], [["bn1"]], 3, None])
def test_skipping_what_is_no_batch_norm_layer_is_refused(skip):
    line = assert_refused(ResNet(), "frozen", skip=skip)
    wrong = skip[-1] if isinstance(skip, list) else skip
    assert line == f"expected skip to hold names of batch norm layers of the model, got {wrong!r}"


@pytest.mark.parametrize("to", TARGETS)
def test_a_bad_argument_is_refused_though_there_is_nothing_to_convert(to):
    model = nn.Linear(2, 2)
    assert convert(model, to).model is model
    assert_refused(model, to, skip="bn")
    assert_refused(model, to, groups=0)


# Layers


def test_groups_that_divide_some_layers_only_are_refused_with_the_first_that_they_do_not_divide():
    line = assert_refused(ResNet(), "group_norm", groups=8)
    assert line == (
        "layer 'layer2.0.bn1' (torch.nn.BatchNorm2d) has 12 channels, which 8 groups do not divide; choose other "
        "groups, or name the layer in skip (2 more cannot be replaced either)"
    )


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, layers.BatchNorm1d])
def test_statistics_that_are_not_kept_cannot_be_frozen(norm):
    line = assert_refused(with_one(norm(4, track_running_stats=False)), "frozen")
    assert "layer '1.norm'" in line
    assert "keeps no running statistics that could be frozen" in line


@pytest.mark.parametrize("to", ["torch", "bnlab", "frozen"])
def test_a_synchronised_layer_needs_a_dimension(to):
    line = assert_refused(with_one(nn.SyncBatchNorm(4)), to)
    assert "'1.norm' (torch.nn.SyncBatchNorm) takes input of any shape" in line
    assert "dimension=1, 2 or 3" in line


def hooked(register):
    layer = nn.BatchNorm1d(4)
    getattr(layer, register)(lambda *_: None)
    return layer


def parametrised():
    layer = nn.BatchNorm1d(4)
    parametrize.register_parametrization(layer, "weight", nn.Softplus())
    return layer


def pruned():
    return prune.l1_unstructured(nn.BatchNorm1d(4), "weight", amount=0.5)


def with_attribute(name, value):
    layer = nn.BatchNorm1d(4)
    setattr(layer, name, value)
    return layer


def with_plain_weight():
    layer = nn.BatchNorm1d(4)
    del layer.weight
    layer.weight = torch.ones(4)
    return layer


def compiled_in_place():
    layer = nn.BatchNorm1d(4)
    layer.compile(backend="eager")
    return layer


HOOKS = (
    "register_forward_hook",
    "register_forward_pre_hook",
    "register_full_backward_hook",
    "register_full_backward_pre_hook",
    "register_state_dict_post_hook",
    "register_state_dict_pre_hook",
    "register_load_state_dict_pre_hook",
    "register_load_state_dict_post_hook",
)


@pytest.mark.parametrize("to", ["bnlab", "group_norm", "frozen", "sync_batch_norm"])
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (partial(BatchNormAct2d, 4), "(BatchNormAct2d) is of a subclass that may do more than batch norm"),
        (nn.LazyBatchNorm2d, "(torch.nn.LazyBatchNorm2d) has not met its first batch"),
        (parametrised, "is parametrised"),
        (pruned, "has hooks"),
        *((partial(hooked, name), "has hooks, which know the old layer; remove them first") for name in HOOKS),
        (partial(with_attribute, "extra", nn.Parameter(torch.ones(4))), "and no more, and holds weight, bias, extra"),
        (partial(with_attribute, "child", nn.Linear(1, 1)), "and no more, and holds"),
        (with_plain_weight, "and no more, and holds bias, running_mean"),
        (partial(with_attribute, "forward", lambda x: x), "has a method of its own (forward)"),
        (partial(with_attribute, "train", lambda mode: mode), "has a method of its own (train)"),
        (compiled_in_place, "has a method of its own (_compiled_call_impl)"),
        (partial(with_attribute, "num_features", 5), "has tensors that do not fit its num_features 5"),
    ],
)
def test_a_layer_that_is_more_than_batch_norm_is_refused_by_its_name(to, make, reason):
    line = assert_refused(with_one(make()), to)
    assert line.startswith("layer '1.norm' (")
    assert reason in line
    assert line.endswith(", or name the layer in skip")


def test_a_model_that_is_itself_refused_is_named_as_such():
    with pytest.raises(ValueError, match=r"^the model itself \(torch.nn.LazyBatchNorm1d\) has not met its first batch"):
        convert(nn.LazyBatchNorm1d(), "frozen")


def test_a_refused_layer_may_be_skipped():
    model = with_one(BatchNormAct2d(4))
    report = convert(model, "group_norm", skip=["1.norm"])
    assert isinstance(model[1]["norm"], BatchNormAct2d)
    assert [one.names for one in report.replaced] == [("0",), ("2",)]
    assert [(one.names, one.layer, one.why) for one in report.left] == [(("1.norm",), "BatchNormAct2d(4)", "skipped")]


def test_a_removed_hook_is_no_hook():
    layer = nn.BatchNorm1d(4)
    layer.register_full_backward_hook(lambda *_: None).remove()
    assert len(convert(with_one(layer), "bnlab").replaced) == 3


@pytest.mark.parametrize("name", ["again", "dictionary.0"])
def test_any_of_a_shared_layer_s_names_skips_it_everywhere(name):
    model = Odd()
    report = convert(model, "group_norm", skip=name)
    assert isinstance(model.shared, nn.BatchNorm1d)
    assert model.shared is model.again is model.dictionary["0"]
    assert len(report.left) == 1


class Hiding(nn.Module):
    """Holds its layers in registered attributes, and once more where torch does not look."""

    def __init__(self, hide):
        super().__init__()
        self.norm, self.other = nn.BatchNorm1d(4), nn.BatchNorm1d(4)
        hide(self)


@pytest.mark.parametrize(
    ("hide", "attribute"),
    [
        (lambda model: setattr(model, "plain", [model.norm]), "plain"),
        (lambda model: setattr(model, "plain", {"a": (1, {"b": [model.norm]})}), "plain"),
        (lambda model: vars(model).update(alias=model.norm), "alias"),
        (lambda model: setattr(model, "call", model.norm.forward), "call"),
        (lambda model: setattr(model.other, "peer", (model.norm,)), "other.peer"),
        (lambda model: setattr(model, "c", torch.compile(model.norm, backend="eager")), "c._torchdynamo_orig_callable"),
    ],
    ids=["list", "nested", "dict_of_the_module", "bound_method", "in_a_sibling", "compiled_by_itself"],
)
def test_a_layer_that_is_also_held_out_of_torch_s_sight_is_refused(hide, attribute):
    line = assert_refused(Hiding(hide), "bnlab")
    assert f"'norm' (torch.nn.BatchNorm1d) is also held by {attribute!r}, which is not registered" in line


def test_a_list_that_holds_itself_and_a_list_of_other_modules_are_no_hindrance():
    model = Hiding(lambda model: setattr(model, "plain", [model, nn.BatchNorm1d(4), "norm"]))
    model.plain.append(model.plain)
    assert len(convert(model, "bnlab").replaced) == 2


def test_a_model_that_holds_itself_is_no_hindrance():
    model = with_one(nn.BatchNorm1d(4))
    model[1].add_module("model", model)
    assert len(convert(model, "bnlab").replaced) == 3


def test_layers_come_in_the_order_of_named_modules():
    model = nn.Sequential(nn.Sequential(nn.BatchNorm1d(1)), nn.BatchNorm1d(2), nn.Sequential(nn.BatchNorm1d(3)))
    assert [layer.num_features for layer in batch_norm_layers(model)] == [1, 2, 3]


def test_other_norms_are_no_batch_norm():
    model = nn.Sequential(
        nn.InstanceNorm1d(4, affine=True, track_running_stats=True), nn.LayerNorm(4), nn.GroupNorm(2, 4)
    )
    before = copy.deepcopy(model)
    assert repr(convert(model, "frozen").model) == repr(before)
