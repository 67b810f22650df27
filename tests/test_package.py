import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import bnlab

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """What `pip install .` would install, built by the same backend without pip and so without a network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel):
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "bnlab").rglob("*.py")}
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert sources < packed
    assert {name.partition("/")[0] for name in packed} == {"bnlab"}


def test_the_wheel_is_typed(wheel):
    assert "bnlab/py.typed" in wheel.namelist()


def test_the_wheel_carries_its_version_licence_and_requirements(wheel):
    folder = f"bnlab-{bnlab.__version__}.dist-info"
    metadata = Parser().parsestr(wheel.read(f"{folder}/METADATA").decode())
    assert metadata["Version"] == bnlab.__version__
    assert metadata["License-Expression"] == "MIT"
    assert wheel.read(f"{folder}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert "torch<2.14,>=2.13" in metadata.get_all("Requires-Dist")
