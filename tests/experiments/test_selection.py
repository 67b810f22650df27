import numpy as np
import torch
from torch import nn

from bnlab.experiments.ensemble import Ensemble
from bnlab.experiments.selection import best, members_at


def test_the_best_setting_has_the_highest_median_and_not_the_highest_mean():
    assert best(np.array([[0.8, 0.8, 0.99], [0.9, 0.9, 0.1], [0.0, 0.0, 0.0]])) == 1


def test_the_networks_of_a_setting_are_all_its_seeds_and_no_others():
    models = [nn.Linear(1, 1, bias=False) for _ in range(6)]  # three settings of two seeds
    for value, model in enumerate(models):
        nn.init.constant_(model.weight, value)
    chosen = members_at(1, Ensemble.of(models), seeds=2)
    assert chosen.parameters["weight"].ravel().tolist() == [2.0, 3.0]
    assert members_at(2, Ensemble.of(models), seeds=2).parameters["weight"].equal(torch.tensor([[[4.0]], [[5.0]]]))
