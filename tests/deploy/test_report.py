"""What the report says, against what was done."""

import copy

import pytest
from torch import nn

from bnlab import layers
from bnlab.deploy import convert
from tests.deploy.networks import Odd, ResNet

CHANNELS = 5 * 8 + 3 * 12  # of the layers of ResNet
TENSORS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


@pytest.mark.parametrize(
    ("to", "kept", "constants", "statistics"),
    [
        ("group_norm", 2 * CHANNELS, 0, 2 * CHANNELS),
        ("frozen", 0, 2 * CHANNELS, 0),
        ("bnlab", 2 * CHANNELS, 0, 0),
        ("sync_batch_norm", 2 * CHANNELS, 0, 0),
    ],
)
def test_the_totals_are_those_of_the_network(to, kept, constants, statistics):
    before, after = ResNet(), ResNet()
    report = convert(after, to)
    assert len(report.replaced) == 8
    assert report.parameters_kept == kept
    assert report.parameters_made_constants == constants
    assert report.statistics_dropped == statistics
    assert (report.model, report.to, report.left) == (after, to, ())
    lost = values(before.parameters()) - values(after.parameters())
    assert lost == constants


def values(tensors):
    return sum(tensor.numel() for tensor in tensors)


def test_shared_layers_and_tied_parameters_count_once():
    norm, tied = nn.BatchNorm1d(4), nn.BatchNorm1d(4)
    tied.weight = norm.weight
    report = convert(nn.Sequential(norm, tied, norm), "group_norm")
    assert report.parameters_kept == 4 + 4 + 4  # a common scale and two shifts
    assert report.statistics_dropped == 4 * 4
    assert [one.names for one in report.replaced] == [("0", "2"), ("1",)]


@pytest.mark.parametrize(
    ("layer", "to", "kept", "constants", "dropped"),
    [
        (nn.BatchNorm2d(4), "group_norm", TENSORS[:2], (), TENSORS[2:]),
        (nn.BatchNorm2d(4, bias=False), "group_norm", TENSORS[:1], (), TENSORS[2:]),
        (nn.BatchNorm2d(4, affine=False), "group_norm", (), (), TENSORS[2:]),
        (nn.BatchNorm2d(4, track_running_stats=False), "group_norm", TENSORS[:2], (), ()),
        (nn.BatchNorm2d(4), "frozen", (), TENSORS[:4], TENSORS[4:]),
        (nn.BatchNorm2d(4, affine=False), "frozen", (), TENSORS[2:4], TENSORS[4:]),
        (nn.BatchNorm2d(4), "bnlab", TENSORS, (), ()),
        (layers.BatchNorm2d(4), "torch", TENSORS, (), ()),
        (layers.BatchNorm2d(4, backend="manual"), "torch", TENSORS, (), ("backend",)),
        (layers.GhostBatchNorm1d(4, ghost_size=2), "torch", TENSORS, (), ("ghost_size",)),
        (nn.SyncBatchNorm(4), "group_norm", TENSORS[:2], (), TENSORS[2:]),
        (nn.SyncBatchNorm(4, process_group="some"), "group_norm", TENSORS[:2], (), (*TENSORS[2:], "process_group")),
    ],
)
def test_each_tensor_and_setting_of_a_layer_is_accounted_for(layer, to, kept, constants, dropped):
    (one,) = convert(nn.Sequential(layer), to).replaced
    assert (one.kept, one.constants, one.dropped) == (kept, constants, dropped)


def test_a_network_prints_a_line_for_each_layer():
    model = nn.ModuleDict({"a": nn.BatchNorm2d(64), "b": layers.BatchNorm2d(48), "c": nn.BatchNorm1d(3, affine=False)})
    model["d"] = model["a"]
    assert repr(convert(model, "frozen", skip="c")).splitlines() == [
        "to frozen: 2 layers replaced, 1 left; 224 values in parameters made constants",
        (
            "  a, d: torch.nn.BatchNorm2d(64) -> bnlab.layers.FrozenBatchNorm2d(64); made constants weight, bias, "
            "running_mean, running_var; dropped num_batches_tracked"
        ),
        (
            "  b: bnlab.layers.BatchNorm2d(48) -> bnlab.layers.FrozenBatchNorm2d(48); made constants weight, bias, "
            "running_mean, running_var; dropped num_batches_tracked"
        ),
        "  c: torch.nn.BatchNorm1d(3) left: skipped",
    ]


def test_a_layer_that_was_the_model_is_said_to_be():
    layer = nn.BatchNorm2d(1024)
    report = convert(layer, "group_norm")
    assert repr(report).splitlines() == [
        (
            "to group_norm: 1 layer replaced, 0 left; 2,048 values in parameters kept; 2,048 values in running "
            "statistics dropped"
        ),
        (
            "  (the model itself, so take report.model): torch.nn.BatchNorm2d(1024) -> torch.nn.GroupNorm(32, 1024); "
            "kept weight, bias; dropped running_mean, running_var, num_batches_tracked"
        ),
    ]


@pytest.mark.parametrize("to", ["frozen", "torch"])
def test_a_model_without_batch_norm_is_said_to_have_none(to):
    report = convert(nn.Linear(3, 3), to)
    assert repr(report) == report._repr_markdown_() == f"to {to}: no batch norm layer found, nothing changed"


def test_in_a_notebook_the_layers_make_a_table():
    lines = convert(nn.Sequential(nn.BatchNorm2d(8), layers.BatchNorm1d(2)), "bnlab")._repr_markdown_().splitlines()
    assert lines == [
        "to bnlab: 1 layer replaced, 1 left; 16 values in parameters kept",
        "",
        "| layer | what became of it |",
        "|---|---|",
        (
            "| `0` | torch.nn.BatchNorm2d(8) -> bnlab.layers.BatchNorm2d(8); kept weight, bias, running_mean, "
            "running_var, num_batches_tracked |"
        ),
        "| `1` | bnlab.layers.BatchNorm1d(2) left: of that kind already |",
    ]


def test_a_name_with_a_bar_or_a_backtick_breaks_no_table():
    table = convert(Odd(), "group_norm")._repr_markdown_()
    assert "| `` dictionary.norm\\|`x` `` |" in table
    assert all(row.replace("\\|", "").count("|") == 3 for row in table.splitlines()[2:])


def test_a_report_can_be_copied_and_compared():
    report = convert(ResNet(), "group_norm")
    twin = copy.deepcopy(report)
    assert (twin.replaced, repr(twin)) == (report.replaced, repr(report))
    assert twin.model is not report.model
