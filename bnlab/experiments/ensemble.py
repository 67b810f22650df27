"""Networks of one architecture whose tensors are stacked, so that one operation serves them all."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from bnlab.experiments.data import Split


@dataclass(frozen=True)
class Ensemble:
    """Networks of one architecture, their tensors stacked: the first axis of every tensor counts the members.

    Attributes:
        architecture: says how to compute; its own tensors are not used.
        parameters: of all members, by name.
        buffers: of all members, by name.
        diverged_at: for each member the training step whose loss or gradient was no longer a finite number, and before
            which its tensors were frozen; 0 if there was none.
    """

    architecture: nn.Module
    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor]
    diverged_at: Int[Tensor, " members"]

    @classmethod
    def of(cls, models: Sequence[nn.Module]) -> "Ensemble":
        """Stacks copies of the models' parameters and buffers; the models stay as they are.

        Raises:
            ValueError: there are no models.
        """
        if not models:
            raise ValueError("expected at least 1 model, got none")
        parameters, buffers = stack_module_state(list(models))
        detached = {name: parameter.detach() for name, parameter in parameters.items()}
        return cls(deepcopy(models[0]), detached, buffers, torch.zeros(len(models), dtype=torch.int64))

    def __len__(self) -> int:
        """The number of members."""
        return len(self.diverged_at)

    def member(self, index: int) -> nn.Module:
        """One member as a module of its own."""
        model = deepcopy(self.architecture)
        model.load_state_dict({name: tensor[index] for name, tensor in (self.parameters | self.buffers).items()})
        return model

    def subset(self, members: slice) -> "Ensemble":
        """Some of the members; they share memory with these."""
        parameters, buffers = (
            {name: tensor[members] for name, tensor in tensors.items()} for tensors in (self.parameters, self.buffers)
        )
        return Ensemble(self.architecture, parameters, buffers, self.diverged_at[members])

    def accuracy(self, split: Split) -> Float[Tensor, " members"]:
        """Share of the split that each member gets right in evaluation mode.

        An output that is not a finite number counts as wrong, and so does every output of a member that diverged.
        """
        y = self._outputs(split)
        right = (y.argmax(-1) == split.y) & y.isfinite().all(-1)
        return right.double().mean(-1).masked_fill(self.diverged(), 0.0)

    def loss(self, split: Split) -> Float[Tensor, " members"]:
        """Mean cross-entropy of each member in evaluation mode; infinite where it diverged or is not a number."""
        y = self._outputs(split).double()
        losses = torch.stack([nn.functional.cross_entropy(member, split.y) for member in y])
        return losses.masked_fill(self.diverged() | losses.isnan(), torch.inf)

    def diverged(self) -> Bool[Tensor, " members"]:
        """Which members diverged in training, or hold a parameter that is no longer a finite number."""
        finite = torch.stack([p.flatten(1).isfinite().all(1) for p in self.parameters.values()]).all(0)
        return (self.diverged_at > 0) | ~finite

    @torch.no_grad()
    def _outputs(self, split: Split) -> Float[Tensor, "members n classes"]:
        self.architecture.eval()

        def outputs(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
            return functional_call(self.architecture, (parameters, buffers), (split.x,))  # type: ignore[no-any-return]

        return vmap(outputs)(self.parameters, self.buffers)
