import pytest
import torch
from torch import nn

from bnlab.experiments.data import Split
from bnlab.experiments.ensemble import Ensemble
from bnlab.experiments.recalibration import accuracy_by_batch, recalibrated, shuffled_batches, sorted_batches
from bnlab.layers import BatchNorm1d


def test_every_member_has_the_statistics_of_the_whole_split_and_its_own_parameters():
    torch.manual_seed(0)
    models = [nn.Sequential(nn.Linear(3, 4), BatchNorm1d(4)) for _ in range(3)]
    split = Split(torch.randn(50, 3), torch.zeros(50, dtype=torch.int64))
    ensemble = Ensemble.of(models)
    exact = recalibrated(ensemble, split)
    for index, model in enumerate(models):
        hidden = model[0](split.x).detach()
        assert torch.allclose(exact.buffers["1.running_mean"][index], hidden.mean(0), atol=1e-6)
        assert torch.allclose(exact.buffers["1.running_var"][index], hidden.var(0), rtol=1e-5)
        assert torch.equal(exact.parameters["0.weight"][index], model[0].weight)
    assert torch.equal(ensemble.buffers["1.running_mean"], torch.zeros(3, 4))


def test_members_that_diverged_stay_so():
    ensemble = Ensemble.of([nn.Sequential(nn.Linear(3, 4), BatchNorm1d(4))])
    ensemble.diverged_at[0] = 7
    split = Split(torch.randn(5, 3), torch.zeros(5, dtype=torch.int64))
    assert recalibrated(ensemble, split).diverged_at.tolist() == [7]


def test_networks_without_running_statistics_are_refused():
    split = Split(torch.randn(5, 3), torch.zeros(5, dtype=torch.int64))
    with pytest.raises(ValueError, match="keep running statistics"):
        recalibrated(Ensemble.of([nn.Linear(3, 2)]), split)


def test_accuracy_by_batch_is_that_of_training_mode_with_these_batch_mates():
    torch.manual_seed(0)
    models = [nn.Sequential(nn.Linear(3, 4), BatchNorm1d(4), nn.Linear(4, 5)) for _ in range(2)]
    split = Split(torch.randn(40, 3), torch.arange(40) % 5)
    batches = shuffled_batches(40, 8)
    ensemble = Ensemble.of(models)
    found = accuracy_by_batch(ensemble, split, batches)
    for model, accuracy in zip(models, found, strict=True):
        right = [model.train()(split.x[rows]).argmax(1) == split.y[rows] for rows in batches]
        assert accuracy == pytest.approx(torch.cat(right).double().mean().item())
    assert (ensemble.buffers["1.num_batches_tracked"] == 0).all()


def test_shuffled_batches_hold_every_example_once_but_for_a_rest():
    batches = shuffled_batches(10, 4)
    assert [len(rows) for rows in batches] == [4, 4]
    assert len(torch.cat(batches).unique()) == 8
    assert torch.cat(shuffled_batches(10, 5)).sort().values.tolist() == list(range(10))
    assert torch.cat(batches).tolist() != list(range(8))


def test_sorted_batches_hold_one_class_where_they_can():
    y = torch.tensor([2, 0, 1, 0, 2, 1, 1])
    assert [y[rows].tolist() for rows in sorted_batches(y, 2)] == [[0, 0], [1, 1], [1, 2]]
