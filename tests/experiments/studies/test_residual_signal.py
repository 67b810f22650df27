import numpy as np
import pytest
import torch
from torch import nn

from bnlab.experiments.models import PreactivationBlock, ResidualBlock
from bnlab.experiments.studies import residual_signal as study

SMALL = study.Config(blocks=16, width=8, batch_size=64, seeds=(0, 1, 2))


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def test_with_a_norm_the_branch_is_one_part_in_l_of_its_sum(result):
    law = 1 / np.arange(1, 17)
    assert result.ratio("batch_norm")[3:].mean(1) == pytest.approx(law[3:], rel=0.6)
    falls = result.ratio_at("batch_norm", 2) / result.ratio_at("batch_norm", 16)
    assert (falls > 3).all()


def test_without_a_norm_the_branch_keeps_its_share_and_the_sum_explodes(result):
    assert (result.ratio("no_norm").mean(1) > 0.1).all()
    assert (result.skip["no_norm"][-1] > 20 * result.skip["no_norm"][0]).all()
    assert (result.skip["batch_norm"][-1] < 20 * result.skip["batch_norm"][0]).all()


def test_arms_start_from_the_same_weights():
    weights = [
        [m.weight for m in study.network(SMALL, arm, seed=4).modules() if isinstance(m, nn.Conv2d)]
        for arm in study.ARMS
    ]
    for other in weights[1:]:
        assert all(torch.equal(a, b) for a, b in zip(weights[0], other, strict=True))


@pytest.mark.parametrize("arm", study.ARMS)
def test_variances_are_those_of_the_branch_and_of_what_it_is_added_to(arm):
    model, x = study.network(SMALL, arm, seed=0), torch.randn(16, 1, 8, 8)
    found = study.block_variances(model, x)
    blocks = [n for n, layer in enumerate(model) if isinstance(layer, PreactivationBlock | ResidualBlock)]
    before = model[: blocks[1]].train()(x)  # what the second block reads
    branch = model[blocks[1]].branch(before)
    expected = [y.double().var((0, 2, 3), correction=0).mean().item() for y in (branch, before)]
    assert len(found) == 16
    assert found[1] == pytest.approx(expected, rel=1e-5)


def test_ratio_at_counts_blocks_from_one(result):
    assert (result.ratio_at("original", 16) == result.branch["original"][15] / result.skip["original"][15]).all()
    with pytest.raises(ValueError, match="block: expected from 1 to 16, got 0"):
        result.ratio_at("original", 0)


def test_a_batch_larger_than_the_training_split_is_refused():
    with pytest.raises(ValueError, match="batch_size: expected at most the 1077 training examples, got 2000"):
        study.run(study.Config(batch_size=2000))
