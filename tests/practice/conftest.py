import pytest


@pytest.fixture(autouse=True)
def data_dir(tmp_path, monkeypatch):
    """No test touches the progress of the person who runs it."""
    monkeypatch.setenv("BNLAB_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"
