"""An LSTM that is batch-normalised at every step."""

from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from bnlab.layers.recurrent.sequences import Lengths, check_sequences, pack
from bnlab.layers.recurrent.step_norm import StepNorm

State: TypeAlias = tuple[Float[Tensor, "1 n hidden"], Float[Tensor, "1 n hidden"]]
NORMS = ("batch", None)


class BatchNormLSTM(nn.Module):
    """The batch-normalised LSTM (Cooijmans et al. 2016, equations 6 to 8, arXiv:1603.09025).

    From the input `x` and the hidden state `h` and cell `c` of the step before,

        i, f, g, o = BN(W_hh h) + BN(W_ih x) + b
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(BN(c))

    so the cell itself, along which the gradient flows, is not normalised, only what is read from it. The two norms of
    the first line have no shift, since `b` is one. Each step has statistics of its own, while scale and shift are
    shared by all steps. The scale starts at 0.1, where the inputs of tanh are small and its slope is near 1.

    Input and output are as those of a `torch.nn.LSTM` with `batch_first=True` and one layer, which it equals at
    `norm=None` (with `bias_ih + bias_hh` for `b`; a seed gives both the same weights). Under `torch.func.vmap` it runs
    without `lengths`.

    **Sequences of different lengths.** Padding is never read: at each step the sequences that still run are normalised
    among themselves, and a sequence's final state is that of its last real step. In training, a step at which a single
    sequence still runs has no variance; it is normalised as in evaluation, by the running statistics as they were
    before the batch, and moves none.

    **Inputs that do not vary.** Where all sequences begin alike, as images do whose first pixels are all black, states
    have no variance and gradients grow by up to `1 / sqrt(eps)` a step. The paper's remedy is noise in the first state:
    `state=(torch.randn(1, n, hidden_size), torch.zeros(1, n, hidden_size))`.

    **Running statistics.** The first `max_length` steps have their own. A step for which there are none yet, because no
    batch was as long, is served in evaluation by the last step that has some. The last slot serves step `max_length`
    and all later ones: in training each of these is normalised by its own batch statistics, and the slot moves once a
    batch, towards their average.

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        max_length: steps with running statistics of their own: best the length of the longest sequence in training.
        norm: "batch", or None for a plain LSTM.
        gamma: start of the three scales.
        orthogonal: start with matrices whose columns (or rows, if these are fewer) are orthonormal and biases of 0, as
            the paper does in its experiments on text, not with those of `torch.nn.LSTM`.
        eps: added to the variance, under the root.
        momentum: weight of the new batch, `running = (1 - momentum) * running + momentum * batch`; None for the plain
            average over all batches.
        device: where parameters and buffers live.
        dtype: floating dtype of parameters and buffers.

    Raises:
        ValueError: at construction, an argument is out of its range; in the forward pass, shapes, dtypes or lengths do
            not fit, or a batch of one sequence came in training. Buffers stay as they were then.

    Example:
        >>> lstm = BatchNormLSTM(3, 5, max_length=7)
        >>> output, (h, c) = lstm(torch.randn(4, 7, 3), lengths=[7, 2, 5, 5])
        >>> output.shape, h.shape, torch.equal(output[1, 1], h[0, 1])
        (torch.Size([4, 7, 5]), torch.Size([1, 4, 5]), True)
    """

    norm_ih: StepNorm | None
    norm_hh: StepNorm | None
    norm_c: StepNorm | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        max_length: int,
        norm: str | None = "batch",
        gamma: float = 0.1,
        orthogonal: bool = False,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size), ("max_length", max_length)):
            if size < 1:
                raise ValueError(f"expected {name} of at least 1, got {size}")
        if norm not in NORMS:
            raise ValueError(f"expected norm {' or '.join(map(repr, NORMS))}, got {norm!r}")
        self.input_size, self.hidden_size, self.max_length = input_size, hidden_size, max_length
        self.norm, self.orthogonal = norm, orthogonal
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size, **place))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, hidden_size, **place))
        self.bias = nn.Parameter(torch.empty(4 * hidden_size, **place))
        options: dict[str, Any] = {"max_length": max_length, "gamma": gamma, "eps": eps, "momentum": momentum, **place}
        for name, features in (("norm_ih", 4 * hidden_size), ("norm_hh", 4 * hidden_size), ("norm_c", hidden_size)):
            step_norm = StepNorm(features, shift=name == "norm_c", **options) if norm else None
            self.register_module(name, step_norm)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start anew: weights drawn again, scales at gamma, running statistics reset."""
        bound = self.hidden_size**-0.5
        if self.orthogonal:
            nn.init.orthogonal_(self.weight_ih)
            nn.init.orthogonal_(self.weight_hh)
            nn.init.zeros_(self.bias)
        else:
            nn.init.uniform_(self.weight_ih, -bound, bound)
            nn.init.uniform_(self.weight_hh, -bound, bound)
            nn.init.uniform_(self.bias, -bound, bound)
            with torch.no_grad():
                self.bias.add_(torch.empty_like(self.bias).uniform_(-bound, bound))  # torch's LSTM has two biases
        for norm in (self.norm_ih, self.norm_hh, self.norm_c):
            if norm is not None:
                norm.reset_parameters()

    def extra_repr(self) -> str:
        """The sizes, and which norm."""
        return f"{self.input_size}, {self.hidden_size}, max_length={self.max_length}, norm={self.norm!r}"

    def forward(
        self, x: Tensor | PackedSequence, state: State | None = None, *, lengths: Lengths | None = None
    ) -> tuple[Tensor | PackedSequence, State]:
        """Run the sequences; in training, also move the running statistics towards this batch's.

        Args:
            x: (n, length, features), or packed sequences.
            state: h and c before the first step, each (1, n, hidden); None for zeros.
            lengths: for padded `x`, how many steps of each sequence are real; None if all are.

        Returns:
            h at every step, of the form of `x` and 0 at padding, and the state (h, c) after each sequence's last step.
        """
        check_sequences(self, x, self.input_size, [] if lengths is None else ["lengths"])
        if isinstance(x, PackedSequence):
            return self._run_packed(x, state)
        if x.shape[1] == 0:
            raise ValueError(f"expected sequences of at least one step, got x of shape {tuple(x.shape)}")
        if lengths is not None and len(x):
            output, state = self._run_packed(pack(x, lengths), state)
            return pad_packed_sequence(output, batch_first=True, total_length=x.shape[1])[0], state
        n, length = x.shape[:2]
        outputs, state = self._run(x.transpose(0, 1).flatten(0, 1), [n] * length, self._start(state, x, n))
        return torch.stack(outputs, 1), state

    def _run_packed(self, x: PackedSequence, state: State | None) -> tuple[PackedSequence, State]:
        sizes = x.batch_sizes.tolist()
        h, c = self._start(state, x.data, sizes[0])
        if x.sorted_indices is not None:
            h, c = h[x.sorted_indices], c[x.sorted_indices]
        outputs, (h, c) = self._run(x.data, sizes, (h, c))
        if x.unsorted_indices is not None:
            h, c = h[:, x.unsorted_indices], c[:, x.unsorted_indices]
        return x._replace(data=torch.cat(outputs)), (h, c)

    def _run(self, x: Tensor, sizes: list[int], state: tuple[Tensor, Tensor]) -> tuple[list[Tensor], State]:
        """Through all steps; `x` holds one after another, the t-th of `sizes[t]` sequences, the longest first."""
        if self.norm and self.training and sizes[0] == 1:
            raise ValueError("expected at least 2 sequences in training, got 1, which has no variance")
        norm_ih, norm_hh, norm_c = (
            None if norm is None else norm.start(sizes) for norm in (self.norm_ih, self.norm_hh, self.norm_c)
        )
        if norm_ih is None:
            inputs = list(torch.split(linear(x, self.weight_ih, self.bias), sizes))
        else:
            inputs = norm_ih.normalise_all(linear(x, self.weight_ih), plus=self.bias)
        h, c = state
        outputs, ended = [], []
        for step, given in enumerate(inputs):
            if len(given) < len(h):
                ended.append((h[len(given) :], c[len(given) :]))
                h, c = h[: len(given)], c[: len(given)]
            hidden = linear(h, self.weight_hh)
            gates = given + hidden if norm_hh is None else norm_hh.normalise(hidden, step, plus=given)
            i, f, g, o = gates.chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * (c if norm_c is None else norm_c.normalise(c, step)).tanh()
            outputs.append(h)
        for norm in (norm_ih, norm_hh, norm_c):
            if norm is not None:
                norm.finish()
        parts = [(h, c), *reversed(ended)]
        return outputs, (torch.cat([h for h, _ in parts])[None], torch.cat([c for _, c in parts])[None])

    def _start(self, state: State | None, like: Tensor, n: int) -> tuple[Tensor, Tensor]:
        if state is None:
            zeros = like.new_zeros(n, self.hidden_size)
            return zeros, zeros
        expected = (1, n, self.hidden_size)
        if isinstance(state, Tensor) or len(state) != 2 or any(part.shape != expected for part in state):
            parts = [state] if isinstance(state, Tensor) else state
            got = ("a tensor of shape " if isinstance(state, Tensor) else "") + ", ".join(map(_shape, parts))
            raise ValueError(f"expected state (h, c), each of shape {expected}, got {got}")
        h, c = state
        return h[0], c[0]


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))
