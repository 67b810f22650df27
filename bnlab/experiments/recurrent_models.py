"""A recurrent network that classifies a sequence, with batch norm at each step or without."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bnlab.layers.recurrent import BatchNormLSTM


class RecurrentClassifier(nn.Module):
    """An LSTM that reads a sequence, and a linear head on its last hidden state.

    Args:
        inputs: features of a step.
        outputs: classes.
        hidden: size of the LSTM's state.
        length: of the sequences.
        norm: "batch" for batch norm at each step, None for none.
        gamma: start of the norm's scales.
        forget_bias: added to the start of the forget gate's bias, so that the cell forgets less.
        seed: draws the weights; the same ones with and without norm.

    Example:
        >>> RecurrentClassifier(1, 10, hidden=4, length=7, norm="batch", seed=0)(torch.randn(5, 7, 1)).shape
        torch.Size([5, 10])
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        hidden: int,
        length: int,
        norm: str | None,
        gamma: float = 0.1,
        forget_bias: float = 0.0,
        seed: int,
    ) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.lstm = BatchNormLSTM(inputs, hidden, max_length=length, norm=norm, gamma=gamma)
            self.head = nn.Linear(hidden, outputs)
        self.lstm.bias.detach().chunk(4)[1].add_(forget_bias)  # the gates lie in torch's order: input, forget, ...

    def forward(self, x: Float[Tensor, "n steps features"]) -> Float[Tensor, "n classes"]:
        """Logits after the last step."""
        _, (hidden, _) = self.lstm(x)
        logits: Tensor = self.head(hidden[0])
        return logits
