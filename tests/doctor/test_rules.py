"""Each rule finds its fault and is silent on the healthy twin."""

import pytest
import torch

from bnlab.doctor import RULES, examine
from tests.doctor.patients import PATIENTS, perceptron, rows

SEVERITY = {  # at which the fault is found
    "bn001": "error",
    "bn002": "error",
    "bn002_while_training": "warning",
    "bn002_in_the_step": "warning",
    "bn003": "note",
    "bn003_second_use": "note",
    "bn003_frozen": "note",
    "bn004": "error",
    "bn004_stale": "warning",
    "bn004_whole_layer": "warning",
    "bn005": "error",
    "bn006": "note",
    "bn007": "warning",
    "bn007_teacher": "warning",
    "bn007_unsaid": "note",
    "bn007_forgotten": "warning",
    "bn008": "warning",
    "bn009": "warning",
    "bn009_exploding": "warning",
    "bn010": "warning",
    "bn011": "error",
    "bn013": "warning",
    "bn014": "warning",
    "bn015": "note",
    "bn016": "warning",
    "bn016_over_calls": "warning",
    "bn017": "error",
    "bn018": "warning",
}


def found(report):
    return {finding.id: finding for finding in report.findings}


@pytest.mark.parametrize("name", PATIENTS)
def test_a_fault_is_found_and_its_twin_is_healthy(name):
    rule = name[:5].upper()
    ill, well = examine(**PATIENTS[name](fault=True)), examine(**PATIENTS[name](fault=False))
    assert rule in found(ill), ill
    assert found(ill)[rule].severity == SEVERITY[name], ill
    assert rule not in found(well), well
    assert well.healthy, well


@pytest.mark.parametrize("name", [name for name in PATIENTS if name not in {"bn003_frozen", "bn004", "bn011"}])
def test_nothing_else_is_found_above_a_note(name):
    report = examine(**PATIENTS[name](fault=True))
    assert {one.id for one in report.findings if one.severity != "note"} <= {name[:5].upper()}, report


def test_every_rule_has_a_patient():
    assert {name[:5].upper() for name in PATIENTS} | {"BN012"} == set(RULES)


def test_small_batches_in_several_processes_are_found(monkeypatch):
    """BN012: two processes, as torch.distributed would tell."""
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    finding = found(examine(perceptron(), rows(n=8)))["BN012"]
    assert (finding.severity, finding.module) == ("warning", "4")
    assert "2 processes with 8 images each" in finding.evidence
    assert "BN012" not in found(examine(perceptron(), rows(n=32)))
    synchronised = torch.nn.SyncBatchNorm.convert_sync_batchnorm(perceptron())
    assert "BN012" not in found(examine(synchronised, rows(n=8)))


def test_one_process_with_a_small_batch_is_not_several():
    assert "BN012" not in found(examine(perceptron(), rows(n=8)))
