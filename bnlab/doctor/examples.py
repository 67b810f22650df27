"""Which rows of a layer's input are of one example, where a network makes several of it, as of a video's frames."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bnlab.deploy.batches import tensors_in
from bnlab.deploy.per_image import PerImage


def graphs_in(batch: Any) -> Int[Tensor, " nodes"] | None:
    """To which graph each node belongs, where a batch holds graphs side by side; None where it does not.

    Known by a list of edges, two rows of node numbers, and a vector that counts the graphs, 0 to k - 1, in order.

    >>> batch = {"x": torch.ones(3, 4), "edge_index": torch.tensor([[0, 1], [1, 0]]), "batch": torch.tensor([0, 0, 1])}
    >>> graphs_in(batch).tolist()
    [0, 0, 1]
    """
    whole = [x.detach().cpu() for x in tensors_in(batch) if x.dtype in {torch.int32, torch.int64}]
    nodes = max((int(x.max()) + 1 for x in whole if x.ndim == 2 and len(x) == 2 and x.numel()), default=0)
    for ids in whole:
        if nodes and ids.ndim == 1 and nodes <= len(ids) and ids[0] == 0:
            steps = ids.diff()
            if bool(((steps == 0) | (steps == 1)).all()) and ids[-1] + 1 < len(ids):
                return ids
    return None


def by_graph(seen: PerImage, owners: Sequence[Tensor]) -> PerImage:
    """What a layer met, graph by graph, if it met a row for each node; nodes of one graph are alike."""
    batches = sorted(set(seen.batch.tolist()))
    parts = []
    for batch in batches:
        means, variances = seen.means[seen.batch == batch], seen.variances[seen.batch == batch]
        if len(means) != len(owners[batch]):
            return seen
        of_graphs = [owners[batch] == graph for graph in range(int(owners[batch][-1]) + 1)]
        mean = torch.stack([means[own].mean(0) for own in of_graphs])
        var = torch.stack([variances[own].mean(0) + means[own].var(0, correction=0) for own in of_graphs])
        parts.append((mean, var, torch.full((len(mean),), batch)))
    mean, var, of_batch = map(torch.cat, zip(*parts, strict=True))
    return PerImage(mean, var, of_batch, max(round(seen.positions * seen.images / len(mean)), 1))


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
