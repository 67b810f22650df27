"""Networks that people really have, and on which a doctor must neither stumble nor cry."""

import pytest
import torch
from torch import nn

from bnlab.doctor import examine


class FrozenBatchNorm2d(nn.Module):
    """As detectors have it: four buffers, no training, its mode without meaning."""

    def __init__(self, channels):
        super().__init__()
        self.eps = 1e-5
        for name, start in {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}.items():
            self.register_buffer(name, torch.full((channels,), start))

    def forward(self, x):
        scale = self.weight / torch.sqrt(self.running_var + self.eps)
        return (x - self.running_mean[:, None, None]) * scale[:, None, None] + self.bias[:, None, None]


class Observed(nn.Module):
    """Standardises observations by running numbers of its own, which is no batch norm."""

    def __init__(self, shape):
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(shape))
        self.register_buffer("running_var", torch.ones(shape))

    def forward(self, x):
        return (x - self.running_mean) / torch.sqrt(self.running_var + 1e-8)


def ids(report):
    return {finding.id for finding in report.findings}


@pytest.mark.parametrize("shape", [(4,), ()])
def test_running_numbers_of_another_kind_are_no_batch_norm(shape):
    report = examine(nn.Sequential(Observed(shape), nn.Linear(4, 2)), [torch.randn(32, 4) + 9] * 4)
    assert report.findings == ()


@pytest.mark.parametrize("purpose", ["training", "inference"])
def test_a_frozen_layer_of_any_make_is_left_alone(purpose):
    network = nn.Sequential(nn.Conv2d(1, 4, 3), FrozenBatchNorm2d(4), nn.ReLU()).train()
    report = examine(network, [torch.randn(2, 1, 6, 6) + 5 for _ in range(8)], purpose=purpose)
    assert not ids(report) & {"BN001", "BN002", "BN004", "BN007"}


def test_a_frozen_layer_beside_one_with_a_wrong_momentum():
    network = nn.Sequential(FrozenBatchNorm2d(1), nn.BatchNorm2d(1, momentum=0.9))
    (finding,) = [one for one in examine(network).findings if one.id == "BN005"]
    assert (finding.module, finding.also) == ("1", ())


def test_a_last_batch_of_one_row_is_an_error_and_a_dropped_one_is_not():
    network = nn.Sequential(nn.Linear(8, 4, bias=False), nn.BatchNorm1d(4))
    rows = torch.randn(257, 8).split(32)
    (finding,) = [one for one in examine(network, rows).findings if one.id == "BN001"]
    assert (finding.severity, finding.module) == ("error", "1")
    assert "drop_last=True" in finding.fix
    assert "BN001" not in ids(examine(network, rows[:-1]))


def test_a_last_batch_of_one_image_has_positions():
    network = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4))
    assert "BN001" not in ids(examine(network, torch.randn(97, 1, 8, 8).split(32)))


def test_an_input_of_small_units_is_no_dead_channel():
    network, batches = nn.Sequential(nn.BatchNorm1d(8)), (3e-3 * torch.randn(6400, 8)).split(32)
    for batch in batches:
        network(batch)
    report = examine(network, batches)
    (finding,) = [one for one in report.findings if one.id == "BN009"]
    assert finding.severity == "note"
    assert "standard deviation of 0.6" in finding.evidence
    assert "eps" in finding.fix


@pytest.mark.parametrize("dead", [0, 3, 4, 16])
def test_channels_that_relu_killed_are_found_before_any_training(dead):
    """Behind a norm, whose input is the smaller in evaluation the deeper it lies, while nothing has been averaged."""
    killed = nn.Linear(16, 16)
    with torch.no_grad():
        killed.weight.mul_(0.02)
        killed.bias.fill_(0.0)[:dead] = -100.0
    network = nn.Sequential(nn.Linear(8, 16, bias=False), nn.BatchNorm1d(16), killed, nn.ReLU(), nn.BatchNorm1d(16))
    with torch.no_grad():
        network[0].weight.mul_(0.1)
    report = examine(network, torch.randn(640, 8).split(32))
    severities = [one.severity for one in report.findings if one.id == "BN009" and "dead" in one.evidence]
    assert severities == ([] if not dead else ["note" if dead < 4 else "warning"]), report


def test_a_new_head_beside_trained_layers_is_a_note_in_training_and_an_error_in_service():
    backbone = nn.Sequential(nn.Linear(4, 4, bias=False), nn.BatchNorm1d(4))
    for _ in range(100):
        backbone(torch.randn(64, 4))
    network = nn.Sequential(backbone, nn.BatchNorm1d(4))
    batches = torch.randn(256, 4).split(32)
    severities = {
        purpose: {one.severity for one in examine(network, batches, purpose=purpose).findings if one.id == "BN004"}
        for purpose in ("training", "inference")
    }
    assert severities == {"training": {"note"}, "inference": {"error"}}


def test_a_model_that_works_in_place_leaves_the_loaders_data():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(3)

        def forward(self, x):
            return self.norm(x.mul_(2))

    batches = list(torch.randn(64, 3).split(16))
    before = [batch.clone() for batch in batches]
    examine(InPlace(), batches, train_step=lambda model, batch: model(batch).sum().backward())
    assert all(map(torch.equal, batches, before))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.BatchNorm1d(2, device="meta")), "expected a model that holds numbers, got one on the meta"),
        (nn.Sequential(nn.LazyBatchNorm1d()), "expected a model that knows its shapes, got one with lazy layers"),
    ],
)
def test_a_model_that_cannot_be_watched_is_refused_in_a_line(model, message):
    with pytest.raises(ValueError, match=message):
        examine(model, [torch.randn(8, 2)])


def test_an_optimizer_that_cannot_be_copied_is_refused_in_a_line():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    optimizer = torch.optim.LBFGS(network.parameters())
    with pytest.raises(
        ValueError, match="expected an optimizer that can be copied, got LBFGS; give train_step two parameters"
    ):
        examine(network, [torch.randn(8, 2)], optimizer=optimizer, train_step=lambda *_: None)


@pytest.mark.parametrize("trains", [True, False])
def test_a_part_that_was_compiled_is_looked_at_like_the_rest(trains):
    """It ran before, so it would run again without the doctor's hooks."""
    block = nn.Sequential(nn.Linear(64, 8, bias=False), nn.BatchNorm1d(8))
    network = nn.Sequential(nn.Dropout(), torch.compile(block, backend="eager"), nn.ReLU(), nn.Linear(8, 2))
    batches = torch.randn(640, 64).split(32)
    with torch.no_grad():
        for batch in batches:
            network.train()(batch)
            network.eval()(batch)
    block[1].running_mean += 3
    report = examine(network.train(trains), batches, purpose="training" if trains else "inference")
    found = [(one.id, one.module) for one in report.findings if one.severity != "note"]
    assert found == [(rule, "1._orig_mod.1") for rule in ("BN004", "BN008")]
