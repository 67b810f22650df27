import pytest

from tests.layers.backends import OF_EVERY_ORDER


@pytest.fixture(params=OF_EVERY_ORDER)
def backend(request):
    return request.param
