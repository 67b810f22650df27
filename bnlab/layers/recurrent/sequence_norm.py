"""Batch norm of sequences over batch and time together."""

from typing import overload

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from bnlab.layers.batch_norm import BatchNorm1d
from bnlab.layers.elementary import normalise_by, statistics_dtype
from bnlab.layers.recurrent.sequences import Lengths, check_sequences, checked_lengths
from bnlab.layers.steps import scale_and_shift


class SequenceBatchNorm1d(BatchNorm1d):
    """Sequence-wise batch norm (Laurent et al. 2015, arXiv:1510.01378; Amodei et al. 2015, arXiv:1512.02595).

    One mean and variance per feature, over all real steps of all sequences: what `BatchNorm1d` gives for these steps
    laid out as one batch. Both papers put it on the projection of a recurrent layer's input, and leave what goes from
    state to state alone. In training a step is normalised by what comes after it, too, so it does not suit a model that
    must not see the future. Constructor, attributes and state_dict are those of `BatchNorm1d`.

    Padding is never read: it enters no statistic, gets no gradient, and comes out as 0. Say where it is by `lengths` or
    `mask`, or give packed sequences. A mask is not looked at by Python, so it also serves under `torch.func.vmap`; one
    that leaves a single real step cannot be refused then: that step gives the shift, and no statistic moves. With
    lengths or a mask the computation is by elementary operations, whatever the `backend`.

    Example:
        >>> layer = SequenceBatchNorm1d(1)
        >>> x = torch.tensor([[[1.0], [3.0]], [[5.0], [torch.nan]]])
        >>> layer(x, lengths=[2, 1]).detach()[..., 0].round(decimals=4)
        tensor([[-1.2247,  0.0000],
                [ 1.2247,  0.0000]])
        >>> layer.running_mean
        tensor([0.3000])
    """

    @overload
    def forward(self, x: Tensor, *, lengths: Lengths | None = None, mask: Tensor | None = None) -> Tensor: ...
    @overload
    def forward(self, x: PackedSequence, *, lengths: None = None, mask: None = None) -> PackedSequence: ...
    def forward(
        self, x: Tensor | PackedSequence, *, lengths: Lengths | None = None, mask: Tensor | None = None
    ) -> Tensor | PackedSequence:
        """Normalise the real steps; in training, also move the running statistics towards those of this batch.

        Args:
            x: (n, length, features), or packed sequences.
            lengths: how many steps of each sequence are real.
            mask: (n, length), true where a step is real.

        Returns:
            The normalised steps, in the form of `x`.

        Raises:
            ValueError: shapes, dtypes, lengths or mask do not fit, or there is a single real step in training, which
                has no variance. Buffers stay as they were then.
        """
        told = {name: value for name, value in (("lengths", lengths), ("mask", mask)) if value is not None}
        check_sequences(self, x, self.num_features, told)
        if len(told) == 2:
            raise ValueError("expected lengths or mask, got both")
        if isinstance(x, PackedSequence):
            return x._replace(data=self._rows(x.data))
        if lengths is not None:
            real = checked_lengths(x, lengths)
            self._check_count(int(real.sum()))
            mask = torch.arange(x.shape[1], device=x.device) < real.to(x.device)[:, None]
        return self._rows(x.flatten(0, 1)).reshape(x.shape) if mask is None else self._masked(x, mask)

    def _rows(self, rows: Float[Tensor, "steps c"]) -> Float[Tensor, "steps c"]:
        self._check_count(len(rows))
        return super().forward(rows)

    def _check_count(self, steps: int) -> None:
        if steps == 1 and (self.training or self.running_mean is None):
            raise ValueError("expected more than one real step in training, got 1, which has no variance")

    def _masked(self, x: Float[Tensor, "n length c"], mask: Bool[Tensor, "n length"]) -> Float[Tensor, "n length c"]:
        if mask.shape != x.shape[:2] or mask.dtype != torch.bool:
            got = f"{mask.dtype} of shape {tuple(mask.shape)}"
            raise ValueError(f"expected mask of booleans of shape {tuple(x.shape[:2])}, got {got}")
        padding = ~mask[..., None]
        real = x.masked_fill(padding, 0)  # so that no NaN meets a gradient, not even times 0
        if self.training or self.running_mean is None or self.running_var is None:
            y = self._masked_by_batch(real, padding)
        else:
            y = normalise_by(real.flatten(0, 1), self.running_mean, self.running_var, self.weight, self.bias, self.eps)
        return y.reshape(x.shape).masked_fill(padding, 0)

    def _masked_by_batch(
        self, x: Float[Tensor, "n length c"], padding: Bool[Tensor, "n length 1"]
    ) -> Float[Tensor, "n length c"]:
        if self.eps <= 0:
            raise ValueError(f"expected eps above 0 in training, got {self.eps}")
        wide = x.to(statistics_dtype(x.dtype))
        count = (~padding).sum().to(wide.dtype)  # two integers would make a quotient of float32
        mean = wide.sum((0, 1)) / count.clamp(min=1)
        centred = (wide - mean).masked_fill(padding, 0)
        var = centred.square().sum((0, 1)) / count.clamp(min=1)
        if self.training and self.track_running_stats:
            self._move(mean, var, count)
        return scale_and_shift(centred * torch.rsqrt(var + self.eps), self.weight, self.bias).to(x.dtype)

    @torch.no_grad()
    def _move(self, mean: Float[Tensor, " c"], var: Float[Tensor, " c"], count: Float[Tensor, ""]) -> None:
        """Move the running statistics towards a batch's, unless there are too few steps for a variance."""
        enough, weight = count > 1, self._weight_of_new_batch()
        unbiased_var = var * (count / (count - 1).clamp(min=1))
        for running, found in ((self.running_mean, mean), (self.running_var, unbiased_var)):
            if running is not None:
                moved = (1 - weight) * running.to(found.dtype) + weight * found
                running.copy_(torch.where(enough, moved, running.to(found.dtype)))
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(enough.long())
