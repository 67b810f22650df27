"""Rows of the batch axis that are of one example count as one."""

import pytest
import torch

from bnlab.deploy.per_image import PerImage
from bnlab.doctor.examples import by_example, by_graph, graphs_in

FED = [3, 2]  # examples in two batches


def values(parts):
    """For each batch the values of its examples, (examples, parts, channels, positions); the parts are alike."""
    return [torch.randn(fed, 1, 4, 5).double() + 0.1 * torch.randn(fed, parts, 4, 5).double() for fed in FED]


def seen(rows):
    """As a layer meets them: (rows, channels, positions) for each batch."""
    batch = torch.arange(len(rows)).repeat_interleave(torch.tensor([len(part) for part in rows]))
    joined = torch.cat(rows)
    return PerImage(joined.mean(2), joined.var(2, correction=0), batch, joined.shape[2])


@pytest.mark.parametrize("order", ["neighbours", "by_place"])
def test_parts_of_an_example_are_its_positions(order):
    """As frames (`flatten(0, 1)`) or views (`cat`) of it; the result is that of all values of an example together."""
    parts = values(6)
    rows = [part.flatten(0, 1) if order == "neighbours" else part.transpose(0, 1).flatten(0, 1) for part in parts]
    found, wanted = by_example(seen(rows), FED), seen([part.transpose(1, 2).flatten(2) for part in parts])
    assert (found.images, found.positions, found.batch.tolist()) == (5, 30, [0, 0, 0, 1, 1])
    torch.testing.assert_close(found.means, wanted.means)
    torch.testing.assert_close(found.variances, wanted.variances)


def test_a_row_an_example_stays_as_it_is():
    met = seen([part[:, 0] for part in values(1)])
    assert by_example(met, FED) is met


def test_rows_that_are_no_multiple_of_the_examples_stay_as_they_are():
    """As the regions that a detector finds, in one batch more and in another fewer."""
    met = seen([torch.randn(6, 4, 5).double(), torch.randn(5, 4, 5).double()])
    assert by_example(met, FED) is met


def test_examples_with_more_parts_in_one_batch_than_in_another():
    met = seen([torch.randn(3 * 4, 4, 5).double(), torch.randn(2 * 2, 4, 5).double()])
    found = by_example(met, FED)
    assert (found.images, found.positions) == (5, 16)  # 16 rows of 5 positions
    torch.testing.assert_close(found.means[:3].mean(0), met.means[:12].mean(0))


EDGES = torch.tensor([[0, 1, 3], [1, 0, 2]])


@pytest.mark.parametrize(
    "batch",
    [
        {"x": torch.ones(4, 2), "y": torch.tensor([0, 0, 1, 1])},  # sorted labels, and no edges
        {"edges": EDGES, "y": torch.tensor([0, 1, 1, 0])},  # labels in no order
        {"edges": EDGES, "y": torch.tensor([1, 1, 2, 2])},
        {"edges": EDGES, "y": torch.tensor([0, 0, 2, 2])},
        {"edges": EDGES, "index": torch.arange(4)},
        {"edges": EDGES, "y": torch.tensor([0, 0, 1])},  # too short for node 3
    ],
)
def test_a_vector_that_counts_no_graphs_is_none(batch):
    assert graphs_in(batch) is None


def test_nodes_of_a_graph_count_as_one_example():
    owner = torch.tensor([0, 0, 0, 1])
    assert torch.equal(graphs_in([torch.ones(4, 2), EDGES, owner]), owner)
    met = seen([torch.randn(4, 4, 5).double()])
    found = by_graph(met, [owner])
    assert (found.images, found.positions) == (2, 10)
    torch.testing.assert_close(found.means, torch.stack([met.means[:3].mean(0), met.means[3]]))
    assert by_graph(met, [torch.tensor([0, 1])]) is met  # a layer over graphs has a row for each
