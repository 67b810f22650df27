"""Exported networks compute what the original did, at any batch size, and their files say nothing of this machine."""

import subprocess
import sys

import onnx
import pytest
import torch
from torch import nn

from bnlab import layers
from bnlab.deploy import as_torch, compare, export, fold, freeze, run_onnx, to_onnx, to_program
from bnlab.deploy.batches import tensors_in
from bnlab.deploy.parity import largest_difference
from tests.deploy.architectures import ARCHITECTURES, trained
from tests.deploy.networks import ResNet


class All(nn.Module):
    """Every architecture side by side, since an exporter takes seconds for each model that it is given."""

    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleDict({name: one.build() for name, one in ARCHITECTURES.items()})

    def forward(self, *inputs):
        left, outputs = list(inputs), {}
        for name, one in ARCHITECTURES.items():
            outputs[name] = self.parts[name](*(left.pop(0) for _ in one.shapes))
        return outputs


def example(batch):
    shapes = [shape for one in ARCHITECTURES.values() for shape in one.shapes]
    return tuple(torch.randn(batch, *shape) for shape in shapes)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(20150211)
    return trained(All())


@pytest.fixture(scope="module")
def onnx_file(network, tmp_path_factory):
    folded = All().eval()
    for name, one in ARCHITECTURES.items():
        folded.parts[name] = fold(network.parts[name], one.example()).model
    path = tmp_path_factory.mktemp("onnx") / "folded.onnx"
    to_onnx(folded, example(1), path)
    return path


def assert_agree(expected, got):
    assert len(expected) == len(got)
    for one, other in zip(expected, got, strict=True):
        torch.testing.assert_close(other / one.abs().max(), one / one.abs().max(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 5])
def test_onnxruntime_gives_folded_what_the_network_gives(network, onnx_file, batch):
    inputs = example(batch)
    with torch.no_grad():
        expected = tensors_in(network(*inputs))
    assert_agree(expected, run_onnx(onnx_file, inputs))


def test_a_program_gives_what_the_network_gives_at_any_batch_size(network):
    program = to_program(network, example(1))
    for batch in (1, 5):
        inputs = example(batch)
        with torch.no_grad():
            assert_agree(tensors_in(network(*inputs)), tensors_in(program.module()(*inputs)))
    operations = {str(node.target) for node in program.graph.nodes}
    assert "aten.batch_norm.default" in operations
    assert "aten.rsqrt.default" not in operations  # which our layers are, written out


def test_a_file_says_nothing_of_the_code_or_the_disk_it_comes_from(onnx_file):
    content = onnx_file.read_bytes()
    assert not [word for word in (b"File ", b".py", b"/bnlab/") if word in content]


def test_a_file_leaves_the_batch_open_under_its_name(onnx_file):
    (axis,) = {given.type.tensor_type.shape.dim[0].dim_param for given in onnx.load(onnx_file).graph.input}
    assert axis == "batch"


def test_compare_measures_every_way_out():
    convolutions = nn.Conv2d(1, 4, 3, bias=False), nn.ConvTranspose2d(4, 6, 3, groups=2)
    model = trained(
        nn.Sequential(convolutions[0], layers.BatchNorm2d(4), nn.ReLU(), convolutions[1], nn.BatchNorm2d(6))
    )
    found = compare(model, torch.randn(4, 1, 6, 5))
    assert list(found) == ["folded", "torch.export", "ONNX", "folded, torch.export", "folded, ONNX"]
    assert 0 < max(found.values()) < 1e-5


def test_compare_does_not_hide_a_difference(monkeypatch):
    model = trained(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)))
    monkeypatch.setattr(export, "to_onnx", lambda *_: None)
    monkeypatch.setattr(export, "run_onnx", lambda _, x: [1.5 * model(x)])
    found = compare(model, torch.randn(4, 3))
    assert max(found[name] for name in ("folded", "torch.export", "folded, torch.export")) < 1e-5
    assert [found[name] for name in ("ONNX", "folded, ONNX")] == pytest.approx([0.5, 0.5])


# Ours become torch's


OURS = {
    "plain": layers.BatchNorm1d(3, eps=1e-3),
    "no_affine": layers.BatchNorm1d(3, affine=False),
    "no_bias": layers.BatchNorm1d(3, bias=False),
    "frozen": layers.FrozenBatchNorm1d(3, eps=1e-3),
    "renormalising": layers.BatchRenorm1d(3),
    "ghost": layers.GhostBatchNorm1d(3, ghost_size=2),
    "untracked": layers.BatchNorm1d(3, track_running_stats=False),
    "double": layers.BatchNorm1d(3, dtype=torch.float64),
}


@pytest.mark.parametrize("layer", OURS.values(), ids=OURS)
def test_our_layers_become_torch_s_which_give_the_same(layer):
    model = trained(nn.Sequential(layer))
    plain = as_torch(model)
    x = torch.randn(5, 3, 4, dtype=next(iter(layer.state_dict().values()), torch.zeros(())).dtype)
    assert type(plain[0]) is nn.BatchNorm1d
    assert not plain[0].training
    torch.testing.assert_close(plain(x), model(x))
    assert model[0] is layer


@pytest.mark.parametrize(
    ("layer", "kind"), [(layers.FrozenBatchNorm2d(2), nn.BatchNorm2d), (layers.BatchNorm3d(2), nn.BatchNorm3d)]
)
def test_a_layer_that_is_the_model_itself_is_replaced_in_its_dimension(layer, kind):
    assert type(as_torch(layer.eval())) is kind


def synchronised(**options):
    return trained(nn.Sequential(nn.Conv2d(1, 4, 3), layers.SyncBatchNorm(4, **options), nn.ReLU()))


@pytest.mark.parametrize("options", [{}, {"eps": 1e-3}, {"affine": False}, {"bias": False}], ids=str)
def test_a_synchronised_layer_becomes_torch_s_synchronised_one_which_is_alone_in_evaluation(options):
    model, x = synchronised(**options), torch.randn(5, 1, 6, 6)
    plain = as_torch(model)
    assert type(plain[1]) is nn.SyncBatchNorm
    torch.testing.assert_close(plain(x), model(x))


def test_a_network_with_synchronised_layers_is_exported():
    model, x = synchronised(), torch.randn(5, 1, 6, 6)
    program = to_program(model, x[:1])
    assert "aten.batch_norm.default" in {str(node.target) for node in program.graph.nodes}
    torch.testing.assert_close(program.module()(x), model(x))
    assert max(compare(model, x).values()) < 1e-5


def test_other_layers_and_those_that_do_more_stay():
    model = nn.Sequential(nn.BatchNorm1d(2), layers.SequenceBatchNorm1d(2), nn.LayerNorm(2)).eval()
    assert [type(layer) for layer in as_torch(model)] == [type(layer) for layer in model]


def test_a_shared_layer_stays_shared():
    norm = layers.BatchNorm1d(2)
    plain = as_torch(nn.Sequential(norm, nn.ReLU(), norm).eval())
    assert plain[0] is plain[2]


def test_a_network_whose_norms_are_frozen_for_training_can_be_exported():
    model = nn.Sequential(nn.Linear(3, 3), layers.BatchNorm1d(3))
    freeze(model)
    assert type(as_torch(model.eval())[1]) is nn.BatchNorm1d


# What is refused


@pytest.mark.parametrize("way", [as_torch, lambda model: to_program(model, torch.zeros(2, 1, 5, 5))])
def test_a_network_in_training_mode_is_refused(way):
    model = ResNet().eval()
    model.layer1[0].bn2.train()
    with pytest.raises(ValueError, match=r"expected a model in evaluation, got 'layer1\.0\.bn2' in training mode"):
        way(model)


class DataDependent(nn.Module):
    def forward(self, x):
        return x + 1 if x.sum() > 0 else x


def test_a_network_that_cannot_be_exported_is_refused_in_one_line():
    with pytest.raises(ValueError, match="expected a model that torch can export, got ") as raised:
        to_program(DataDependent().eval(), torch.zeros(2, 3))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("way", [as_torch, lambda model: to_program(model, torch.zeros(2, 3))])
def test_what_is_no_model_is_refused(way):
    with pytest.raises(ValueError, match=r"expected model to be an nn\.Module, got int"):
        way(3)


def test_an_example_without_an_image_is_refused_by_name():
    with pytest.raises(ValueError, match=r"expected an example of one image or more, got none in shape \(0, 3\)"):
        to_program(nn.Linear(3, 2).eval(), torch.zeros(0, 3))


class Tempered(nn.Module):
    def forward(self, x, temperature):
        return x / temperature


def test_a_batch_of_one_beside_another_length_of_one_asks_for_more():
    temperature = torch.ones(1)
    with pytest.raises(ValueError, match=r"expected an example of two images or more, since .* got ") as raised:
        to_program(Tempered().eval(), (torch.zeros(1, 3), temperature))
    assert "\n" not in str(raised.value)
    program = to_program(Tempered().eval(), (torch.zeros(2, 3), temperature))
    assert program.module()(torch.zeros(5, 3), temperature).shape == (5, 3)


def test_a_file_in_a_folder_that_does_not_exist_is_refused_before_the_export(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: pytest.fail("it was exported first"))
    with pytest.raises(ValueError, match=r"expected path to be in a folder that exists, got .*nowhere/m\.onnx"):
        to_onnx(nn.ReLU().eval(), torch.zeros(2, 3), tmp_path / "nowhere" / "m.onnx")


def test_a_model_that_keeps_its_last_output_can_be_exported():
    model = trained(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)))
    x = torch.randn(2, 3)
    model.last = model(x)
    torch.testing.assert_close(to_program(model, x).module()(x), model.last)


@pytest.mark.parametrize("call", ["to_onnx(model, x, 'm')", "run_onnx('m', x)", "compare(model, x)"])
def test_a_missing_extra_is_named_with_the_command_that_installs_it(call, monkeypatch):
    monkeypatch.setattr(export, "find_spec", lambda name: None if name == "onnxscript" else name)
    wanted = r"ONNX needs onnxscript: pip install -c constraints.txt -e '.\[deploy\]'"
    with pytest.raises(ModuleNotFoundError, match=wanted):
        eval(call, vars(export) | {"model": nn.ReLU().eval(), "x": torch.zeros(2, 3)})


def test_the_package_loads_without_the_extra():
    code = "import sys, bnlab.deploy; print(sorted(set(sys.modules) & {'onnx', 'onnxruntime', 'onnxscript'}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_difference_is_in_units_of_the_largest_expected_value():
    expected = [torch.tensor([1.0, -4.0]), torch.tensor([100.0])]
    assert largest_difference(expected, [torch.tensor([1.5, -4.0]), torch.tensor([101.0])]) == 0.125
    assert torch.isnan(torch.tensor(largest_difference([torch.ones(2)], [torch.tensor([1.0, torch.nan])])))
    with pytest.raises(ValueError, match=r"expected outputs of shapes \[\(2,\)\], got \[\(3,\)\]"):
        largest_difference([torch.ones(2)], [torch.ones(3)])
