"""The line that a finding prints as its fix is run as it is printed, and the finding is gone afterwards."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

import bnlab.deploy
from bnlab.doctor import examine
from tests.doctor import patients
from tests.doctor.patients import Checkpointed, perceptron, rows


def finding_of(rule, report):
    return next((one for one in report.findings if one.id == rule), None)


def grave(report):
    return {one.id for one in report.findings if one.severity != "note"}


def run(fix, **names):
    """What the names are after the line has run."""
    world = {"bnlab": bnlab, "torch": torch, "DataLoader": DataLoader, **names}
    exec(fix, world)
    return world


def mended(rule, arguments, **names):
    """The patient after its fix, and the fix."""
    finding = finding_of(rule, examine(**arguments))
    world = run(finding.fix, **arguments, **names)
    return {name: world[name] for name in arguments}, finding.fix


@pytest.mark.parametrize(
    "name",
    [
        "bn001", "bn002", "bn002_while_training", "bn003", "bn004", "bn004_stale", "bn004_whole_layer", "bn005",
        "bn007", "bn007_teacher", "bn007_unsaid", "bn007_forgotten", "bn009_exploding", "bn011", "bn014", "bn015",
        "bn016", "bn016_over_calls", "bn017",
    ],
)  # fmt: skip
def test_the_fix_mends_the_patient(name):
    rule, arguments = name[:5].upper(), getattr(patients, name)(fault=True)
    before = grave(examine(**arguments))
    after, _ = mended(rule, arguments, example=torch.randn(4, 6))
    left = finding_of(rule, examine(**after))
    assert left is None or (rule, left.severity) == ("BN014", "note"), left  # the second run stays, its effect does not
    # A second line stands behind the first as a comment: statistics that were reset are new, and want a pass.
    assert grave(examine(**after)) <= before | ({"BN004"} if rule == "BN017" else set())


def two_norms(**options):
    return nn.Sequential(
        nn.Linear(6, 8, bias=False), *(nn.BatchNorm1d(8, **options) for _ in range(2)), nn.Linear(8, 3)
    )


def still(model):
    for layer in model[1:3]:
        layer.requires_grad_(False)


def silent(model):
    model[1:3].eval()


def younger(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model[1], model[2] = nn.BatchNorm1d(8), nn.BatchNorm1d(8)
    return {"optimizer": optimizer}


def loud(model):
    for layer in model[1:3]:
        nn.init.constant_(layer.weight, 500.0)


def halved(model):
    model[1:3].to(torch.bfloat16)
    return {"loader": None}


def infinite(model):
    for layer in model[1:3]:
        layer.running_var[5] = torch.inf
    return {"loader": None}


def in_other_places(model):
    model[1].momentum = model[2].momentum = 0.99


def tiny(model):
    model[1].momentum = model[2].momentum = 1e-5


class Recomputed(nn.Sequential):
    def forward(self, x):
        return checkpoint(super().forward, x, use_reentrant=False)


def twice(model):
    """Momenta of their own, and a checkpoint around both."""
    model[1].momentum, model[2].momentum = 0.1, 0.2
    return {"model": Recomputed(*model)}


@pytest.mark.parametrize(
    ("rule", "afflict"),
    [
        ("BN005", in_other_places), ("BN005", tiny), ("BN007", still), ("BN007", silent), ("BN007", younger),
        ("BN009", loud), ("BN011", halved), ("BN014", twice), ("BN017", infinite),
    ],
)  # fmt: skip
def test_the_fix_mends_both_layers_that_a_finding_names(rule, afflict):
    model = two_norms()
    arguments = {"model": model, "loader": rows()} | (afflict(model) or {})
    (finding,) = [one for one in examine(**arguments).findings if one.id == rule]
    assert (finding.module, *finding.also) == ("1", "2")
    after, _ = mended(rule, arguments)
    left = finding_of(rule, examine(**after))
    assert left is None or (rule, left.severity) == ("BN014", "note"), left


class Biased(nn.Module):
    """Linear layers before batch norm, and one more."""

    def __init__(self, count, *, head):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6)) for _ in range(count))
        self.head = nn.Linear(6, 1) if head else nn.Identity()

    def forward(self, x):
        for block in self.blocks:
            x = torch.relu(block(x))
        return self.head(x)


@pytest.mark.parametrize(
    ("count", "head", "first_line"),
    [
        (1, True, "model.blocks[0][0].bias = None  # or build it with bias=False"),
        (2, True, "for layer in (model.blocks[0][0], model.blocks[1][0]):"),
        (4, False, "for layer in model.modules():"),
        (4, True, 'for layer in map(model.get_submodule, ("blocks.0.0", "blocks.1.0", "blocks.2.0", "blocks.3.0")):'),
    ],
)
@pytest.mark.parametrize("seen", [True, False], ids=["loader", "no_loader"])
def test_a_fix_is_a_loop_over_exactly_the_layers_concerned(count, head, first_line, seen):
    arguments = {"model": Biased(count, head=head)} | ({"loader": rows()} if seen else {})
    after, fix = mended("BN003", arguments)
    assert fix.splitlines()[0] == first_line
    assert finding_of("BN003", examine(**after)) is None
    assert all(block[0].bias is None for block in after["model"].blocks)
    assert not head or after["model"].head.bias is not None


class Five(nn.Module):
    """Maps of many positions, and a vector at the end; or each the other way round."""

    def __init__(self, maps, vectors):
        super().__init__()
        self.maps = nn.Sequential(*(nn.BatchNorm1d(6) for _ in range(maps)))
        self.vectors = nn.Sequential(*(nn.BatchNorm1d(6) for _ in range(vectors)))

    def forward(self, x):
        return self.vectors(self.maps(x).mean(2))


@pytest.mark.parametrize(
    ("maps", "vectors", "fix"),
    [
        (4, 1, 'model.vectors[0] = bnlab.deploy.convert(model.vectors[0], to="group_norm").model'),
        (1, 4, "bnlab.deploy.convert(model, to=\"group_norm\", skip=['maps.0'])"),
        (0, 5, 'bnlab.deploy.convert(model, to="group_norm")'),
    ],
)
def test_layers_with_enough_values_stay_batch_norms(maps, vectors, fix):
    loader = [torch.randn(*((3, 6, 400) if maps else (3, 6, 1))) for _ in range(20)]
    arguments = {"model": Five(maps, vectors), "loader": loader}
    after, printed = mended("BN001", arguments)
    assert printed == f"{fix}  # or a larger batch; if pretrained, deploy.freeze(model)"
    assert all(isinstance(layer, nn.BatchNorm1d) for layer in after["model"].maps)
    assert all(isinstance(layer, nn.GroupNorm) for layer in after["model"].vectors)


def test_a_shuffled_loader_mends_sorted_batches():
    sorted_rows = torch.cat([torch.randn(160, 6) + 3, torch.randn(160, 6) - 3])
    dataset = TensorDataset(sorted_rows)
    arguments = {"model": perceptron(), "loader": DataLoader(dataset, 32)}
    after, fix = mended("BN013", arguments, dataset=dataset, batch_size=32)
    assert fix == "loader = DataLoader(dataset, batch_size, shuffle=True)"
    assert finding_of("BN013", examine(**after)) is None


def test_dropping_the_last_batch_mends_it():
    dataset = TensorDataset(torch.randn(257, 6))
    arguments = {"model": perceptron(), "loader": DataLoader(dataset, 32)}
    after, fix = mended("BN001", arguments, dataset=dataset, batch_size=32)
    assert fix == "loader = DataLoader(dataset, batch_size, drop_last=True)"
    assert finding_of("BN001", examine(**after)) is None


def test_a_checkpoint_loaded_in_full_mends_a_layer_that_has_met_no_batch():
    model = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 6), nn.BatchNorm1d(6))
    bnlab.deploy.recalibrate(model, rows())
    checkpoint = {name: value.clone() for name, value in model.state_dict().items()}
    model[2].reset_running_stats()
    after, fix = mended("BN004", {"model": model, "loader": rows()}, checkpoint=checkpoint)
    assert fix == "model.load_state_dict(checkpoint, strict=True)"
    assert finding_of("BN004", examine(**after)) is None


def test_synchronised_layers_mend_small_batches_apart(monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    after, _ = mended("BN012", {"model": perceptron(), "loader": rows(n=8)})
    assert finding_of("BN012", examine(**after)) is None


@pytest.mark.parametrize("momentum", [0.1, 0.01, 0.03])
def test_the_printed_momentum_undoes_what_the_checkpoint_does(momentum):
    """After a batch the running statistics are those of a network without the checkpoint."""
    plain, checkpointed = Checkpointed(checkpointed=False), Checkpointed(checkpointed=True)
    checkpointed.load_state_dict(plain.state_dict())
    plain.layers[4].momentum = checkpointed.layers[4].momentum = momentum
    arguments = {"model": checkpointed, "loader": rows()}
    mended("BN014", arguments)
    x = torch.randn(32, 6)
    for model in (plain, checkpointed):
        model(x).sum().backward()
    for name, start in (("running_mean", 0), ("running_var", 1)):
        moved, wanted = (getattr(model.layers[4], name) - start for model in (checkpointed, plain))
        torch.testing.assert_close(moved, wanted, rtol=1e-3, atol=0)  # of the way, which is twice as long without it
    assert finding_of("BN014", examine(**arguments)).severity == "note"


class Places(nn.Module):
    """A batch norm layer wherever a network may hold one."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential()
        self.stem.add_module("norm", nn.BatchNorm1d(6))
        self.listed = nn.ModuleList([nn.ModuleDict({"left eye": nn.BatchNorm1d(6)})])
        self.add_module("lambda", nn.BatchNorm1d(6))
        self.add_module("a-b", nn.Sequential(nn.Identity(), nn.BatchNorm1d(6)))


@pytest.mark.parametrize("name", [name for name, one in Places().named_modules() if isinstance(one, nn.BatchNorm1d)])
def test_a_fix_reaches_a_layer_wherever_it_is(name):
    model = Places()
    model.get_submodule(name).momentum = 0.99
    after, _ = mended("BN005", {"model": model})
    assert after["model"].get_submodule(name).momentum == pytest.approx(0.01)
    assert examine(model).findings == ()


@pytest.mark.parametrize(
    ("eps", "momentum", "after"), [(0.1, 1e-5, (1e-5, 0.1)), (1e-5, 0.0, (1e-5, 0.1)), (1e-3, 1e-5, (1e-3, 0.1))]
)
def test_a_tiny_momentum_is_mended_and_changes_places_with_a_large_eps(eps, momentum, after):
    """`nn.BatchNorm2d(4, 0.1, 1e-5)` gives them in the wrong order."""
    model = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4, eps, momentum))
    finding = finding_of("BN005", examine(model))
    assert ("changed places" in finding.evidence) == (eps == 0.1)
    run(finding.fix, model=model)
    assert (model[1].eps, model[1].momentum) == after
    assert finding_of("BN005", examine(model)) is None


def test_an_input_that_explodes_is_not_mended_by_the_scale():
    """The scale is sound; what is too large is what the layer is given, also where it has no scale at all."""
    for affine in (True, False):
        model = nn.Sequential(nn.BatchNorm1d(6, affine=affine))
        model[0].running_var.fill_(1e12)
        assert finding_of("BN009", examine(model)).fix == "scale the input of model[0] down: look at what feeds it"


def test_a_checkpoint_that_holds_the_statistics_still_is_no_fault():
    """As libraries do that know of it: no tracking in one of the two runs."""
    model = Checkpointed(checkpointed=True)
    state = SimpleNamespace(runs=0)

    def track_once(layer, _):
        state.runs += 1
        layer.track_running_stats = state.runs % 2 == 1

    model.layers[4].register_forward_pre_hook(track_once)
    report = examine(model, rows())
    assert state.runs > 8 + 2  # eight batches, and a pass that ran it twice
    assert finding_of("BN014", report) is None
