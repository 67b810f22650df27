from itertools import count

import pytest

NUMBERS = count()


@pytest.fixture(scope="session")
def data_dirs(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(autouse=True)
def data_dir(data_dirs, monkeypatch):
    """No test touches the progress of the person who runs it. Who writes nothing makes no folder, which takes time."""
    path = data_dirs / str(next(NUMBERS))
    monkeypatch.setenv("BNLAB_DATA_DIR", str(path))
    return path
