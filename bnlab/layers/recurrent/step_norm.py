"""Batch norm with statistics of its own for each time step: what a batch-normalised recurrent network is built from."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bnlab.layers.elementary import statistics_dtype


class StepNorm(nn.Module):
    """Batch norm that knows what time it is (Cooijmans et al. 2016, section 3, arXiv:1603.09025).

    Mean and variance are taken over the sequences of the batch at each step by itself, and running statistics are kept
    for each of the first `max_length` steps. The scale `weight` and the shift `bias` are shared by all steps. A layer
    calls `start` at the beginning of a batch of sequences and normalises through what it returns.

    Args:
        num_features: features of a step, at least 1.
        max_length: steps that have running statistics of their own; the last of them also serve all later steps.
        gamma: start of the scale.
        shift: whether to learn a shift.
        eps: added to the variance, under the root.
        momentum: weight of the new batch in the running statistics; None for the plain average over all batches.
        device: where parameters and buffers live.
        dtype: floating dtype of parameters and buffers.

    Raises:
        ValueError: `gamma`, `eps` or `momentum` is out of its range.

    Attributes:
        running_mean: (max_length, num_features).
        running_var: (max_length, num_features), kept unbiased.
        num_batches_tracked: (max_length,), how many batches have moved each step's statistics.

    Example:
        >>> norm = StepNorm(1, max_length=5, gamma=1.0, shift=False)
        >>> steps = norm.start([2, 2])  # two steps of two sequences
        >>> steps.normalise(torch.tensor([[1.0], [3.0]]), 0).detach().ravel().round(decimals=4)
        tensor([-1.,  1.])
        >>> steps.normalise(torch.tensor([[10.0], [30.0]]), 1).detach().ravel().round(decimals=4)
        tensor([-1.,  1.])
        >>> steps.finish()
        >>> norm.running_mean.ravel(), norm.num_batches_tracked
        (tensor([0.2000, 2.0000, 0.0000, 0.0000, 0.0000]), tensor([1, 1, 0, 0, 0]))
    """

    bias: nn.Parameter | None
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self,
        num_features: int,
        *,
        max_length: int,
        gamma: float = 0.1,
        shift: bool,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if not math.isfinite(gamma):
            raise ValueError(f"expected gamma to be finite, got {gamma}")
        if not (math.isfinite(eps) and eps > 0):
            raise ValueError(f"expected eps above 0 and finite, got {eps}")
        if momentum is not None and not 0 <= momentum <= 1:
            raise ValueError(f"expected momentum from 0 to 1 or None, got {momentum}")
        self.num_features, self.max_length, self.gamma = num_features, max_length, gamma
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.empty(num_features, device=device, dtype=dtype))
        self.register_parameter("bias", nn.Parameter(torch.empty_like(self.weight)) if shift else None)
        for name in ("running_mean", "running_var"):
            self.register_buffer(name, torch.empty(max_length, num_features, device=device, dtype=dtype))
        self.register_buffer("num_batches_tracked", torch.empty(max_length, dtype=torch.int64, device=device))
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget every batch: at all steps mean 0, variance 1, no batches."""
        for buffer, start in ((self.running_mean, 0), (self.running_var, 1), (self.num_batches_tracked, 0)):
            buffer.fill_(start)

    def reset_parameters(self) -> None:
        """Start anew: the scale at gamma, the shift at 0, running statistics reset."""
        self.reset_running_stats()
        nn.init.constant_(self.weight, self.gamma)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return (
            f"{self.num_features}, max_length={self.max_length}, gamma={self.gamma}, shift={self.bias is not None}, "
            f"eps={self.eps}, momentum={self.momentum}"
        )

    def start(self, sizes: list[int]) -> "Steps":
        """Begin a batch of sequences of which `sizes[t]` still run at step t, longest first."""
        return Steps(self, sizes)

    def running_statistics(self, steps: int) -> tuple[Float[Tensor, "steps c"], Float[Tensor, "steps c"]]:
        """Copies of the running statistics that serve the first `steps` steps.

        A step that never had statistics is served by the last that had, as in the paper; before the first batch all
        are served by mean 0 and variance 1.

        >>> norm = StepNorm(1, max_length=5, shift=False)
        >>> _ = norm.running_mean.copy_(torch.tensor([[1.0], [2.0], [0.0], [0.0], [0.0]]))
        >>> _ = norm.num_batches_tracked.copy_(torch.tensor([9, 9, 0, 0, 0]))
        >>> norm.running_statistics(7)[0].ravel()
        tensor([1., 2., 2., 2., 2., 2., 2.])
        """
        last = ((self.num_batches_tracked > 0).sum() - 1).clamp(min=0)
        served_by = torch.arange(steps, device=last.device).minimum(last)
        return self.running_mean[served_by], self.running_var[served_by]

    @torch.no_grad()
    def track(self, mean: Float[Tensor, "steps c"], var: Float[Tensor, "steps c"], sizes: list[int]) -> None:
        """Move the running statistics of the first steps towards a batch's, given the biased variances.

        Where there are more than `max_length` steps, the last slot moves once, towards the average of all the steps
        that it serves.
        """
        count = torch.tensor(sizes, dtype=var.dtype, device=var.device)[:, None]
        steps = min(len(sizes), self.max_length)
        weight = self._weight_of_new_batch(steps, var.dtype)
        for running, found in ((self.running_mean, mean), (self.running_var, var * (count / (count - 1)))):
            new = torch.cat([found[: steps - 1], found[steps - 1 :].mean(0, keepdim=True)])
            running[:steps].copy_((1 - weight) * running[:steps].to(new.dtype) + weight * new)
        self.num_batches_tracked[:steps].add_(1)

    def _weight_of_new_batch(self, steps: int, dtype: torch.dtype) -> float | Tensor:
        if self.momentum is not None:
            return self.momentum
        return 1 / (self.num_batches_tracked[:steps, None] + 1).to(dtype)


class Steps:
    """One batch of sequences on its way through a `StepNorm`.

    In training each step is normalised by its own batch statistics. In evaluation, and at a step where fewer than two
    sequences still run, so that there is no variance, the running statistics normalise, as they were before this batch.

    Args:
        norm: whose scale, shift and statistics to use.
        sizes: how many sequences still run at each step, longest first.
    """

    def __init__(self, norm: StepNorm, sizes: list[int]) -> None:
        self.norm, self.sizes = norm, sizes
        self.by_batch = sum(size > 1 for size in sizes) if norm.training else 0  # the first so many steps
        self.means: list[Tensor] = []
        self.variances: list[Tensor] = []
        if self.by_batch < len(sizes):
            self.stored_mean, self.stored_var = norm.running_statistics(len(sizes))

    def normalise(self, x: Float[Tensor, "n c"], step: int, *, plus: Tensor | None = None) -> Float[Tensor, "n c"]:
        """What the sequences that still run hold at `step`, normalised; `plus` is added where there is no shift."""
        return self._normalise(x[None], slice(step, step + 1), plus)[0]

    def normalise_all(self, x: Float[Tensor, "total c"], *, plus: Tensor | None = None) -> list[Float[Tensor, "n c"]]:
        """The values of all steps, one after another, normalised; at once where all steps have as many."""
        if len(set(self.sizes)) > 1:
            return [self.normalise(at, step, plus=plus) for step, at in enumerate(torch.split(x, self.sizes))]
        steps = x.reshape(len(self.sizes), self.sizes[0], x.shape[1])
        return list(self._normalise(steps, slice(None), plus).unbind())

    def finish(self) -> None:
        """Move the running statistics by this batch's; last, so that a batch that failed moves none."""
        if self.by_batch:
            self.norm.track(torch.cat(self.means), torch.cat(self.variances), self.sizes[: self.by_batch])

    def _normalise(
        self, x: Float[Tensor, "steps n c"], which: slice, plus: Tensor | None
    ) -> Float[Tensor, "steps n c"]:
        wide = x.to(statistics_dtype(x.dtype))
        if (which.start or 0) < self.by_batch:
            count = x.shape[1]
            mean = wide.sum(1, keepdim=True) / count
            centred = wide - mean
            var = centred.square().sum(1, keepdim=True) / count
            self.means.append(mean[:, 0])
            self.variances.append(var[:, 0])
        else:
            mean, var = (stored[which, None].to(wide.dtype) for stored in (self.stored_mean, self.stored_var))
            centred = wide - mean
        gain = torch.rsqrt(var + self.norm.eps) * self.norm.weight
        shift = plus if self.norm.bias is None else self.norm.bias
        y = centred * gain if shift is None else torch.addcmul(shift.to(wide.dtype), centred, gain)
        return y.to(x.dtype)
