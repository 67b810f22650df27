import pytest
import torch
from torch.testing import assert_close

from bnlab.layers.recurrent.step_norm import StepNorm


@pytest.mark.parametrize("at_once", [True, False])
def test_statistics_of_half_precision_are_those_of_float32(at_once):
    norm = StepNorm(3, max_length=1, shift=False, momentum=1.0)
    x = (10 + torch.randn(64, 3)).bfloat16()
    steps = norm.start([64])
    y = steps.normalise_all(x)[0] if at_once else steps.normalise(x, 0)
    steps.finish()
    assert y.dtype == torch.bfloat16
    assert_close(norm.running_mean[0], x.float().mean(0), rtol=1e-6, atol=0)
    assert_close(norm.running_var[0], x.float().var(0), rtol=1e-5, atol=0)


def test_a_batch_that_was_not_finished_moves_nothing():
    norm = StepNorm(3, max_length=2, shift=True)
    norm.start([4]).normalise(torch.randn(4, 3), 0)
    assert norm.num_batches_tracked.tolist() == [0, 0]
    assert (norm.running_mean == 0).all()
