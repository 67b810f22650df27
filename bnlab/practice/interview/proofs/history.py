"""Proofs of answers on what came before batch norm."""

import torch
from torch import nn


def whitening_needs_examples(
    *,
    features: int = 512,
    covariances: int = 262_144,
    examples: int = 32,
    rank: int = 31,
    variances_vanish: bool = False,
) -> bool:
    """The size of a covariance matrix of 512 features, and its rank and diagonal if it is estimated from 32 rows."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(examples, features, dtype=torch.float64, generator=generator)
    covariance = torch.cov(x.T)
    return (
        (examples, features) == (32, 512)
        and covariance.numel() == covariances
        and int(torch.linalg.matrix_rank(covariance, rtol=1e-9)) == rank
        and bool((covariance.diagonal() < 1e-6).any()) == variances_vanish
    )


def local_response(
    *, by_batch_mates: bool = False, by_neighbouring_channels: bool = True, by_neighbouring_positions: bool = False,
    mean_is_removed: bool = False, modes_differ: bool = False, parameters: int = 0,
) -> bool:  # fmt: skip
    """What torch's local response normalisation of one value depends on, and what it has."""
    layer = nn.LocalResponseNorm(size=3, alpha=1.0)
    x = torch.rand(2, 5, 3, 3) + 1
    y = layer(x)

    def moves(*place: int) -> bool:
        other = x.clone()
        other[place] += 1
        return not torch.equal(layer(other)[0, 1, 1, 1], y[0, 1, 1, 1])

    return (
        [moves(1, 1, 1, 1), moves(0, 2, 1, 1), moves(0, 1, 0, 1)]
        == [by_batch_mates, by_neighbouring_channels, by_neighbouring_positions]
        and (abs(y.mean().item()) < 0.01) == mean_is_removed
        and (not torch.equal(layer.eval()(x), y)) == modes_differ
        and len(list(layer.parameters())) == parameters
    )
