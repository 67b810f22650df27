import jaxtyping
import numpy as np
import pytest
import torch

from bnlab.runtime import set_threads

set_threads(1)


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
