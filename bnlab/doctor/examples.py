"""Which rows of a layer's input are of one example, where a network makes several of it, as of a video's frames."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from bnlab.deploy.per_image import PerImage


def by_example(seen: PerImage, fed: Sequence[int]) -> PerImage:
    """What a layer met, example by example: rows of the same example count as its positions, which are alike.

    Where every batch brings a multiple of the examples that were fed, either neighbouring rows are of one example, as
    `video.flatten(0, 1)` makes them, or rows in the same place of each part, as `torch.cat([a, b])` does: whichever
    gives rows that are more alike. Else nothing is known of them, and each row counts as an example.

    Args:
        seen: with a row for each entry of the layer's batch axis.
        fed: examples in each batch that ran.

    Example:
        >>> rows = torch.tensor([[1.0], [3.0], [1.0], [3.0]]).double()
        >>> by_example(PerImage(rows, 0 * rows, torch.zeros(4).long(), 1), [2]).means.flatten().tolist()
        [1.0, 3.0]
    """
    batches = sorted(set(seen.batch.tolist()))
    rows = {batch: int((seen.batch == batch).sum()) for batch in batches}
    if any(rows[batch] % fed[batch] for batch in batches) or all(rows[batch] == fed[batch] for batch in batches):
        return seen
    sorted_out = (list(_folded(seen, fed, batches, neighbours=neighbours)) for neighbours in (True, False))
    parts = min(sorted_out, key=lambda parts: sum(means.var(1, correction=0).sum().item() for means, _ in parts))
    return PerImage(
        torch.cat([means.mean(1) for means, _ in parts]),
        torch.cat([variances.mean(1) + means.var(1, correction=0) for means, variances in parts]),
        torch.cat([torch.full((len(means),), batch) for batch, (means, _) in zip(batches, parts, strict=True)]),
        round(seen.positions * seen.images / sum(fed[batch] for batch in batches)),
    )


def _folded(
    seen: PerImage, fed: Sequence[int], batches: list[int], *, neighbours: bool
) -> Iterator[tuple[Float[Tensor, "examples rows c"], Float[Tensor, "examples rows c"]]]:
    """Means and variances of each batch, with the rows of an example on an axis of their own."""
    for batch in batches:
        found = []
        for part in (seen.means[seen.batch == batch], seen.variances[seen.batch == batch]):
            channels = part.shape[1]
            by_place = part.reshape(-1, fed[batch], channels).transpose(0, 1)
            found.append(part.reshape(fed[batch], -1, channels) if neighbours else by_place)
        yield found[0], found[1]
