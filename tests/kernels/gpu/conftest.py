import math

import pytest
import torch

from bnlab.kernels.gpu import layout

ZONE = 64  # elements on each side


def pytest_configure(config):
    config.addinivalue_line("markers", "gpu: runs the compiled kernels, and is skipped where there is no CUDA device")


@pytest.fixture
def red_zones(monkeypatch):
    """Every new tensor lies in a larger one full of NaN, and is NaN until written; what lies around it must stay.

    A kernel that reads beyond its tensor, or what nobody wrote, so gets NaN, which no sum forgets.
    """
    from tests.kernels.gpu.machine import DEVICE  # noqa: PLC0415 - which skips its importer where Triton is missing

    buffers = []

    def inside(template):
        """A tensor of the shape, strides and dtype of this one, which is dense."""
        buffer = torch.full((math.prod(template.shape) + 2 * ZONE,), torch.nan, dtype=template.dtype, device=DEVICE)
        buffers.append((buffer, template.numel()))
        return buffer.as_strided(template.shape, template.stride(), ZONE)

    empty, empty_like = torch.empty, torch.empty_like

    def empty_in_zones(*shape, **options):
        return inside(empty(*shape, **{**options, "device": "meta"}))

    def guard(tensor):
        return None if tensor is None else inside(tensor).copy_(tensor)

    monkeypatch.setattr(torch, "empty", empty_in_zones)
    monkeypatch.setattr(torch, "empty_like", lambda tensor: inside(empty_like(tensor, device="meta")))
    yield guard
    for buffer, count in buffers:
        around = torch.cat((buffer[:ZONE], buffer[ZONE + count :]))
        assert around.isnan().all(), "a kernel wrote outside its tensor"


@pytest.fixture(params=["one_tile", "many_tiles"])
def tiles(request, monkeypatch):
    """Whether a channel of a tiny tensor lies in one tile, as it does, or in many, as that of a large one."""
    if request.param == "many_tiles":
        monkeypatch.setattr(layout, "TILE", 64)
        monkeypatch.setattr(layout, "RESIDENT", 0)
        monkeypatch.setattr(layout, "NARROWEST", 8)
        monkeypatch.setattr(layout, "NARROWEST_RESIDENT", 1)
    return request.param
