import pytest

from bnlab.layers.functional import BACKENDS


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param
