"""A small transformer, of operations that vmap takes; its normalisation is an argument."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from bnlab.layers.recurrent import SequenceBatchNorm1d

PADDING = 0  # the token that fills a sequence up to the length of the longest
UNSCORED = -100  # the target of a step that has none; torch's cross-entropy leaves it out

SequenceNorm = Callable[[int], nn.Module]  # from a number of channels to a layer that takes (x, real); see below


class EachStep(nn.Module):
    """A norm over the channels of one step, such as layer norm: neither other steps nor other sequences matter.

    Args:
        layer: takes (n, steps, channels) and normalises over the last axis.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Float[Tensor, "n steps c"], _real: Bool[Tensor, "n steps"]) -> Float[Tensor, "n steps c"]:
        """The output; which steps are padding is of no interest to it."""
        y: Tensor = self.layer(x)
        return y


class AllSteps(nn.Module):
    """Batch norm as it comes: one mean and variance a channel over all steps of all sequences, padded ones among them.

    Args:
        layer: takes (n, channels, steps), as `BatchNorm1d` does.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Float[Tensor, "n steps c"], _real: Bool[Tensor, "n steps"]) -> Float[Tensor, "n steps c"]:
        """The output; padded steps count like all others."""
        y: Tensor = self.layer(x.movedim(-1, 1))
        return y.movedim(1, -1)


class RealSteps(nn.Module):
    """Sequence-wise batch norm: one mean and variance a channel over the real steps of all sequences.

    Args:
        layer: is told which steps are real.
    """

    def __init__(self, layer: SequenceBatchNorm1d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Float[Tensor, "n steps c"], real: Bool[Tensor, "n steps"]) -> Float[Tensor, "n steps c"]:
        """The output; 0 at padded steps."""
        y: Tensor = self.layer(x, mask=real)
        return y


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2, arXiv:1706.03762).

    Args:
        width: channels in and out.
        heads: parts that attend each for itself; they divide the width.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.into, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "n steps c"], seen: Bool[Tensor, "n 1 steps steps"]) -> Tensor:
        """The output, (n, steps, c); `seen` says for each step (third axis) which steps it may look at (fourth)."""
        query, key, value = self.into(x).unflatten(-1, (3 * self.heads, -1)).movedim(2, 1).chunk(3, dim=1)
        scores = query @ key.mT / math.sqrt(query.shape[-1])
        weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
        y: Tensor = self.out((weights @ value).movedim(1, 2).flatten(2))
        return y


class TransformerBlock(nn.Module):
    """Attention, then two layers of their own for each step, each behind a norm and beside a skip ("pre-norm")."""

    def __init__(self, width: int, heads: int, norm: SequenceNorm) -> None:
        super().__init__()
        self.before_attention, self.attention = norm(width), Attention(width, heads)
        self.before_steps = norm(width)
        self.steps = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, real: Tensor, seen: Tensor) -> Tensor:
        """(n, steps, c) in and out."""
        x = x + self.attention(self.before_attention(x, real), seen)
        y: Tensor = x + self.steps(self.before_steps(x, real))
        return y


class Transformer(nn.Module):
    """A small pre-norm transformer that gives logits at every step; token `PADDING` is never looked at.

    Args:
        tokens: how many different ones there are, padding among them; as many logits come out.
        length: of the longest sequence.
        width: channels.
        heads: of each attention.
        blocks: one after another.
        norm: makes each normalisation: two a block and one before the head. It is called with x of shape
            (n, steps, c) and with the steps that are real, (n, steps).
        causal: whether a step may look at itself and earlier ones only.
        generator: draws the weights; one seed gives the same weights with every norm. None for torch's own.

    Raises:
        ValueError: `heads` do not divide the width.

    Example:
        >>> from bnlab.layers import BatchNorm1d
        >>> model = Transformer(5, length=7, width=8, heads=2, blocks=1, norm=lambda c: AllSteps(BatchNorm1d(c)))
        >>> model(torch.tensor([[1, 2, 3, 4], [4, 3, 0, 0]])).shape  # (n, tokens, steps), as cross_entropy takes it
        torch.Size([2, 5, 4])
    """

    def __init__(
        self,
        tokens: int,
        *,
        length: int,
        width: int,
        heads: int,
        blocks: int,
        norm: SequenceNorm,
        causal: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"heads: expected a divisor of the width {width}, got {heads}")
        self.causal = causal
        self.token, self.place = nn.Embedding(tokens, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList(TransformerBlock(width, heads, norm) for _ in range(blocks))
        self.last_norm, self.head = norm(width), nn.Linear(width, tokens)
        _draw(self, generator)

    def forward(self, tokens: Int[Tensor, "n steps"]) -> Float[Tensor, "n tokens steps"]:
        """Logits for each step; those of padded steps mean nothing."""
        steps = tokens.shape[1]
        real = tokens != PADDING
        seen = real[:, None, None, :].expand(-1, 1, steps, steps)
        if self.causal:
            seen = seen & torch.ones(steps, steps, dtype=torch.bool, device=tokens.device).tril()
        x = self.token(tokens) + self.place.weight[:steps]
        for block in self.blocks:
            x = block(x, real, seen)
        logits: Tensor = self.head(self.last_norm(x, real))
        return logits.mT


def _draw(model: nn.Module, generator: torch.Generator | None) -> None:
    """Weights of variance one over their inputs, embeddings of variance one; biases of zero."""
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, generator=generator)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5, generator=generator)
            nn.init.zeros_(module.bias)
