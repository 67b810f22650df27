"""Batch normalisation over the batches of several processes as over one."""

from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

from bnlab.layers.batch_norm import BatchNorm
from bnlab.layers.elementary import batch_statistics, normalise_by, per_channel, statistics_dtype
from bnlab.layers.functional import update_running_stats


class SyncBatchNorm(BatchNorm):
    """Batch norm whose batch is that of all processes together; drop-in for `torch.nn.SyncBatchNorm`, also on a CPU.

    In training each process computes count, mean and M2 of its own values, all gather those of all, and each merges
    them (Chan, Golub & LeVeque 1983, doi:10.1080/00031305.1983.10483115). That is one collective in the forward pass,
    and there is one in the backward pass; none if `x` needs no gradient. Batches may differ in size and may be empty,
    but every process has to run both passes, or the others wait for it. Output, gradients and running statistics are
    those of `BatchNorm` on the joined batch, and the running statistics are the same in every process. Without a
    process group, or in a group of one, this is `BatchNorm`; in evaluation nothing is sent.

    The gradient of `x` is that of the sum of all processes' losses, and those of `weight` and `bias` are this process's
    part, still to be summed. `DistributedDataParallel` averages them over its R processes, so it descends the average
    of their losses. If each loss is the mean over a process's own n_r examples, an example weighs 1 / (R n_r), which is
    the mean over the joined batch only if all n_r are equal. For uneven batches let each loss be the sum over the
    process's examples, times R / (n_1 + ... + n_R): that is also right, and not NaN, where n_r is 0.

    Args:
        num_features: channels of the input (n, c, *spatial), at least 1.
        eps: added to the variance, under the root.
        momentum: as in `BatchNorm`.
        affine: whether to learn a scale (`weight`) for each channel.
        track_running_stats: whether to keep running statistics for evaluation; without, a process normalises by its own
            batch there.
        process_group: the processes that share their statistics; None for all.
        device: where parameters and buffers live.
        dtype: floating dtype of parameters and buffers.
        bias: whether `affine` also learns a shift.

    Raises:
        ValueError: at construction, `num_features` is below 1; in the forward pass, the input's shape or dtype does not
            fit, or all processes together have a single value per channel, which each of them refuses. Buffers stay as
            they were then.

    Example:
        >>> SyncBatchNorm(2)(torch.tensor([[1.0, 10.0], [3.0, 30.0]])).detach().round(decimals=4)  # alone
        tensor([[-1., -1.],
                [ 1.,  1.]])
    """

    def __init__(  # noqa: PLR0917 - torch.nn's signature
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,  # noqa: FBT001, FBT002 - torch.nn takes it by position
        track_running_stats: bool = True,  # noqa: FBT001, FBT002 - torch.nn takes it by position
        process_group: dist.ProcessGroup | None = None,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.process_group = process_group

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x`; in training by the statistics of all processes, which also move the running ones."""
        if not self.training or _processes(self.process_group) < 2:
            return super().forward(x)
        self._check_shape(x)
        if not x.is_floating_point():
            raise ValueError(f"expected x of a floating-point dtype, got {x.dtype}")
        if self.eps <= 0:
            raise ValueError(f"expected eps above 0 in training, got {self.eps}")

        wide = x.to(statistics_dtype(x.dtype))
        mean, var, count = JointStatistics.apply(wide, self.process_group)  # type: ignore[no-untyped-call]
        if count == 1:
            raise ValueError(f"expected more than one value per channel in all processes together, got {count}")
        y = normalise_by(wide, mean, var, self.weight, self.bias, self.eps).to(x.dtype)
        if self.track_running_stats and self.running_mean is not None and self.running_var is not None:
            momentum = self._weight_of_new_batch()
            update_running_stats(self.running_mean, self.running_var, mean, var, count=count, momentum=momentum)
        if self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        return y

    def _check_shape(self, x: Tensor) -> None:
        if x.ndim < 2 or x.shape[1] != self.num_features:
            raise ValueError(
                f"SyncBatchNorm expected x of shape (n, c, *spatial) with c = {self.num_features}, got {tuple(x.shape)}"
            )


class JointStatistics(torch.autograd.Function):
    """Mean and biased variance of each channel over the values of all processes, and their number.

    With n values in all processes together, mean = sum(x) / n and var = sum((x - mean)^2) / n. So for one value x_j, in
    whichever process it lies,

        d mean / d x_j = 1 / n
        d var / d x_j  = 2 (x_j - mean) / n

    where the second has no share by way of the mean, since sum(x - mean) = 0. Every process divides by this variance,
    so x_j reaches the losses of all of them: what each asks of mean and var is summed first, grad_mean and grad_var,
    and then x_j gets (grad_mean + 2 (x_j - mean) grad_var) / n. All else in batch norm is of one process alone, and
    autograd's affair.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Float[Tensor, "n c *spatial"], group: dist.ProcessGroup | None
    ) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"], int]:
        """Gather what all have and merge it: the formula of `bnlab.reference.merge` for many sets at once."""
        mean, var = batch_statistics(x)
        count = x.numel() // x.shape[1]
        # One message, so one collective. In float32 a count is exact to 2**24, and beyond that to the same 7 digits.
        own = torch.cat([mean, var * count, mean.new_full((1,), count)])
        gathered = [torch.empty_like(own) for _ in range(_processes(group))]
        dist.all_gather(gathered, own, group)
        means, m2s, counts = torch.split(torch.stack(gathered), [len(mean), len(mean), 1], dim=1)

        joint_count = int(counts.sum())
        divisor = max(joint_count, 1)  # of nothing at all every sum is 0
        joint_mean = (counts * means).sum(0) / divisor
        within, between = m2s.sum(0), (counts * (means - joint_mean).square()).sum(0)
        ctx.save_for_backward(x, joint_mean)
        ctx.divisor, ctx.group = divisor, group
        return joint_mean, (within + between) / divisor, joint_count

    @staticmethod
    def backward(ctx: Any, grad_mean: Tensor, grad_var: Tensor, _: None) -> tuple[Tensor, None]:
        """Sum what all ask of mean and variance, and give each own value its part."""
        x, mean = ctx.saved_tensors
        summed = SumOverProcesses.apply(torch.cat([grad_mean, grad_var]), ctx.group)  # type: ignore[no-untyped-call]
        grad_mean, grad_var = (per_channel(part, x) for part in summed.chunk(2))
        return (grad_mean + 2 * (x - per_channel(mean, x)) * grad_var) / ctx.divisor, None


class SumOverProcesses(torch.autograd.Function):
    """What all processes have, added up. Each value counts in every process's sum, so its gradient is a sum as well.

    A bare `all_reduce` is invisible to autograd, and second derivatives would come out wrong without a word.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup | None) -> Tensor:
        """Add up."""
        ctx.group = group
        total = x.clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """Add up what all ask."""
        return SumOverProcesses.apply(grad, ctx.group), None  # type: ignore[no-untyped-call]


def _processes(group: dist.ProcessGroup | None) -> int:
    """How many share their statistics; 1 where nothing is distributed, and -1 for a process outside the group."""
    return dist.get_world_size(group) if dist.is_available() and dist.is_initialized() else 1
