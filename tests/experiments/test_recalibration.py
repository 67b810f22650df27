import pytest
import torch
from torch import nn

from bnlab.experiments.data import Split
from bnlab.experiments.ensemble import Ensemble
from bnlab.experiments.recalibration import recalibrated
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
