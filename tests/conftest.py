import jaxtyping
import numpy as np
import pytest
import torch

from bnlab.runtime import set_threads

set_threads(1)

# With `--no-loadscope-reorder`, xdist hands modules out in the order of collection: what takes longest comes first, or
# one process would end alone with it. The first compiles numba's functions; beside it runs one that needs none.
FIRST = (
    "tests/kernels/test_cpu.py",
    "tests/doctor/test_strangers.py",
    "tests/practice/test_matrix.py",
    "tests/kernels/gpu/",
    "tests/practice/test_proofs.py",
    "tests/test_cli.py",
    "tests/deploy/",
    "tests/experiments/",
    "notebooks/",
)


def pytest_collection_modifyitems(items):
    def place(item):
        return next((place for place, path in enumerate(FIRST) if item.nodeid.startswith(path)), len(FIRST))

    items.sort(key=place)


@pytest.fixture
def rng():
    return np.random.default_rng(20150211)


@pytest.fixture(autouse=True)
def torch_seed():
    torch.manual_seed(20150211)


@pytest.fixture
def no_shape_checker():
    """Lets bad input reach our own ValueError; the shape checker would object first."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)
