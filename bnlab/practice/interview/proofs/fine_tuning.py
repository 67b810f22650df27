"""Proofs of answers on pretrained networks: what is frozen, what moves, and what new statistics do."""

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from bnlab.experiments.studies import STUDIES


def two_switches(
    *, ways: int = 4, statistics_move: tuple[bool, ...] = (True, True, False, False),
    affine_moves: tuple[bool, ...] = (True, False, True, False),
) -> bool:  # fmt: skip
    """What a step of training moves: by batch or stored statistics, with gamma and beta trained or fixed."""
    found = []
    for stored in (False, True):
        for fixed in (False, True):
            norm = nn.BatchNorm1d(2)
            model = nn.Sequential(nn.Linear(3, 2), norm, nn.Linear(2, 1)).train()
            norm.train(not stored)
            norm.requires_grad_(not fixed)
            trained = [one for one in model.parameters() if one.requires_grad]
            gradients = torch.autograd.grad(model(1 + torch.randn(8, 3)).square().sum(), trained)
            with torch.no_grad():
                for one, gradient in zip(trained, gradients, strict=True):
                    one.sub_(gradient)
            moved = bool(norm.get_buffer("running_mean").any())
            found.append((moved, not torch.equal(norm.weight, torch.ones(2))))
    return len(found) == ways and tuple(zip(*found, strict=True)) == (statistics_move, affine_moves)


def probed_backbone(
    *, momentum: float = 0.1, steps: int = 50, left: float = 0.005, weights_move: bool = False,
    features_move: bool = True, features_move_in_evaluation: bool = False,
) -> bool:  # fmt: skip
    """What forward passes without gradients leave of a backbone's statistics and of its features, in either mode."""
    changed = []
    for training in (True, False):
        norm = nn.BatchNorm1d(1, momentum=momentum, dtype=torch.float64)
        norm.get_buffer("running_mean").fill_(1)
        norm.requires_grad_(requires_grad=False)
        probe, weight = torch.tensor([[0.0], [5.0]], dtype=torch.float64), norm.weight.clone()
        before = norm.eval()(probe)
        norm.train(training)
        for _ in range(steps):
            norm(torch.tensor([[-1.0], [1.0]], dtype=torch.float64))
        changed.append(not torch.allclose(norm.eval()(probe), before))
        if training:
            found = round(norm.get_buffer("running_mean").item(), 3)
            moved = not torch.equal(norm.weight, weight)
    return (found, moved, changed, round(0.9**50, 3)) == (
        left,
        weights_move,
        [features_move, features_move_in_evaluation],
        left,
    ) and (momentum, steps) == (0.1, 50)


def statistics_of_a_new_camera(
    *, images: int = 400, off_by: float = 0.05, few: int = 25, few_off_by: float = 0.2, contrast: int = 10,
    contrast_adapted: int = 86, inverted: int = 22, inverted_adapted: int = 20, clean_is_harmed: bool = False,
    ink: float = 0.3, shift_and_scale_vanish: bool = True,
) -> bool:  # fmt: skip
    """How far a mean of independent images is off, and the medians of the study `served_shift` in percent."""
    study: Any = STUDIES["served_shift"].stored()
    kinds = ("contrast", "inverted", "clean")
    stored, adapted = ([100 * float(np.median(of[kind])) for kind in kinds] for of in (study.stored, study.adapted))
    x, norm = torch.rand(50, 1, dtype=torch.float64), nn.BatchNorm1d(1, eps=1e-12, momentum=1.0, dtype=torch.float64)
    clean = norm(x).detach()
    norm(ink * x)
    left = torch.allclose(norm.eval()(ink * x), clean, rtol=0.05)
    return (
        [1 / math.sqrt(count) for count in (images, few)] == [off_by, few_off_by]
        and [round(one) for one in (*stored[:2], *adapted[:2])]
        == [contrast, inverted, contrast_adapted, inverted_adapted]
        and (adapted[2] < stored[2] - 1) == clean_is_harmed
        and left == shift_and_scale_vanish
        and ink == 0.3
    )


def scale_counts_when_frozen(
    *, layers: int = 3, grows: int = 8, batch_statistics: int = 1, gradient_is_divided_by: int = 2,
    bias_counts: bool = True, bias_counted: bool = False,
) -> bool:  # fmt: skip
    """Doubled weights and a bias, in front of norms by batch statistics and in front of frozen ones."""
    x, upstream = torch.randn(16, 4, dtype=torch.float64), torch.randn(16, 4, dtype=torch.float64)
    weight = torch.randn(4, 4, dtype=torch.float64)

    def run(scale: float, *, frozen: bool, depth: int, bias: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
        w = (scale * weight).requires_grad_()
        y = x
        for _ in range(depth):
            norm = nn.BatchNorm1d(4, eps=1e-12, dtype=torch.float64).train(not frozen)
            y = norm(y @ w + bias)
        return y, torch.autograd.grad(y, w, upstream)[0]

    by_batch = [run(scale, frozen=False, depth=1) for scale in (1.0, 2.0)]
    as_frozen = [run(scale, frozen=True, depth=layers)[0] for scale in (1.0, 2.0)]
    moved = [
        not torch.allclose(run(1.0, frozen=frozen, depth=1, bias=3.0)[0], run(1.0, frozen=frozen, depth=1)[0])
        for frozen in (False, True)
    ]
    return (
        torch.allclose(by_batch[1][0], batch_statistics * by_batch[0][0])
        and torch.allclose(gradient_is_divided_by * by_batch[1][1], by_batch[0][1])
        and torch.allclose(as_frozen[1], grows * as_frozen[0])
        and moved == [bias_counted, bias_counts]
    )


def norms_of_a_resnet_50(
    *, channels: int = 26_560, gammas_and_betas: int = 53_120, parameters: int = 25_557_032, percent: float = 0.2,
    stored_for_a_task: int = 106_240, stem: int = 64, inputs_of_the_head: int = 2048,
    megabytes: int = 102,
) -> bool:  # fmt: skip
    """The channels that a ResNet-50 normalises and its parameters, counted block by block (arXiv:1512.03385)."""
    norms, weights, before = stem, 3 * 64 * 7 * 7, 64
    for blocks, width in ((3, 64), (4, 128), (6, 256), (3, 512)):
        for block in range(blocks):
            norms += 6 * width + (4 * width if block == 0 else 0)
            weights += before * width + 9 * width**2 + 4 * width**2 + (4 * before * width if block == 0 else 0)
            before = 4 * width
    head = (before + 1) * 1000
    return (
        (norms, 2 * norms, 4 * norms) == (channels, gammas_and_betas, stored_for_a_task)
        and weights + 2 * norms + head == parameters
        and round(100 * gammas_and_betas / parameters, 1) == percent
        and round(4 * parameters / 1e6) == megabytes
        and before == inputs_of_the_head
    )
