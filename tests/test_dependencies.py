"""What is asked for, what is pinned and what is installed agree; every rule is also fed what it must refuse."""

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONSTRAINTS = (ROOT / "constraints.txt").read_text()
ENVIRONMENT = (ROOT / "environment.yml").read_text()
SETUP = (ROOT / "tools/setup.sh").read_text()
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
ONLY_LINUX = {"triton": "3.7.1"}  # asked for by torch's default build for Linux, not by its CPU build
PINNED_BY_TORCH = ("nvidia-", "cuda-")  # what torch's CUDA build brings; the pins are of the CPU install


def read_pins(constraints):
    requirements = [Requirement(line) for line in constraints.splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def pinned_version(requirement):
    (specifier,) = requirement.specifier
    assert specifier.operator == "==", f"{requirement} is no exact pin"
    return specifier.version


def asked_for(project):
    """Every requirement of the package and of its extras, but for the package's own name."""
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    requirements = [Requirement(line) for group in groups for line in group]
    return [requirement for requirement in requirements if requirement.name != project["name"]]


def complaints_about_pins(project, pins):
    """What is asked for without a pin, or pinned at a version that what is asked for excludes."""
    for requirement in asked_for(project):
        pin = pins.get(canonicalize_name(requirement.name))
        if pin is None:
            yield f"{requirement.name} has no pin"
        elif not requirement.specifier.contains(pinned_version(pin)):
            yield f"{pin} is not {requirement}"


def installed(name):
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def requirements_of(name, extras, python):
    """What an installed distribution asks for on Linux, with some of its extras, under one version of Python."""
    found = installed(name)
    linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "python_version": python}
    linux["python_full_version"] = f"{python}.9"
    for line in (found.requires or []) if found else []:
        requirement = Requirement(line)
        if not requirement.marker or any(
            requirement.marker.evaluate(linux | {"extra": extra}) for extra in ("", *extras)
        ):
            yield canonicalize_name(requirement.name), tuple(sorted(requirement.extras))


def needed(root, extras, python):
    """The names of all that the installed distribution `root` asks for, directly and indirectly."""
    seen, ahead = set(), [(canonicalize_name(root), tuple(extras))]
    while ahead:
        asked = ahead.pop()
        if asked not in seen:
            seen.add(asked)
            ahead.extend(requirements_of(*asked, python))
    return {name for name, _ in seen} - {canonicalize_name(root)}


def complaints_about_installed(names, pins, version_of):
    """What is installed without a pin, or in another version than its pin's; torch's "+cpu" is no other version."""
    for name in sorted(names):
        version = version_of(name)
        if version is None or name.startswith(PINNED_BY_TORCH):
            continue
        if name not in pins:
            yield f"{name} {version} has no pin"
        elif Version(Version(version).public) != Version(pinned_version(pins[name])):
            yield f"{name} is {version}, pinned at {pinned_version(pins[name])}"


def complaints_about_idle_pins(names, pins):
    yield from (f"nothing asks for {name}" for name in sorted(set(pins) - set(names) - set(ONLY_LINUX)))


def complaints_about_environment(environment, project, setup):
    """Where environment.yml, pyproject.toml and the set-up script would give different installations."""
    content = yaml.safe_load(environment)
    by_conda = [line for line in content["dependencies"] if isinstance(line, str)]
    by_pip = next((line["pip"] for line in content["dependencies"] if isinstance(line, dict)), [])
    python = [line.removeprefix("python") for line in by_conda if re.match(r"python[^\w-]", line)]
    if python != [project["requires-python"]]:
        yield f"environment.yml has Python {python}, pyproject.toml {project['requires-python']}"
    if "pip" not in by_conda:
        yield "environment.yml does not install pip"
    if "-c constraints.txt" not in by_pip:
        yield "environment.yml does not apply the constraints"
    extras = re.search(r"-e '(\.\[.*?\])' -c constraints.txt", setup)
    if extras is None or f"-e {extras[1]}" not in by_pip:
        yield f"environment.yml installs {by_pip}, the set-up script {extras and extras[1]}"
    if others := sorted({*by_conda} - {"pip", f"python{project['requires-python']}"}) + by_pip[2:]:
        yield f"environment.yml asks for what pyproject.toml should: {others}"


PROJECT = PYPROJECT["project"]
PINS = read_pins(CONSTRAINTS)
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the constraints pin the install on Linux")


def test_all_that_is_asked_for_is_pinned_at_a_version_that_serves():
    assert list(complaints_about_pins(PROJECT, PINS)) == []


def test_a_missing_or_unfit_pin_is_refused():
    project = {"name": "a", "dependencies": ["b>=2"], "optional-dependencies": {"x": ["c", "d<3", "a[y]"]}}
    assert list(complaints_about_pins(project, read_pins("b==1.9\nd==2.9"))) == ["b==1.9 is not b>=2", "c has no pin"]


@pytest.mark.parametrize("line", ["b>=2", "b==1,<2", "b"])
def test_a_pin_that_leaves_a_choice_is_refused(line):
    with pytest.raises((AssertionError, ValueError)):
        pinned_version(read_pins(line)["b"])


def test_every_pin_is_exact_and_stands_once():
    lines = [line for line in CONSTRAINTS.splitlines() if line and not line.startswith("#")]
    assert len(lines) == len(PINS)
    assert all(pinned_version(pin) for pin in PINS.values())


def test_torch_is_one_version_and_triton_the_one_it_asks_for_on_linux_only():
    assert pinned_version(PINS["torch"]) == "2.13.0"
    assert {name: pinned_version(PINS[name]) for name in ONLY_LINUX} == ONLY_LINUX
    assert [name for name, pin in PINS.items() if pin.marker] == list(ONLY_LINUX)
    assert str(PINS["triton"].marker) == 'sys_platform == "linux"'


@linux_only
def test_all_that_is_installed_for_the_package_is_at_its_pin():
    names = needed("bnlab", ["dev"], RUNNING)
    assert len(names) > 100  # the walk came further than the first step
    assert (
        list(complaints_about_installed(names, PINS, lambda name: (found := installed(name)) and found.version)) == []
    )


def test_an_unpinned_or_other_version_is_refused():
    versions = {"a": "1.0", "b": "2.0", "c": "3.0+cpu", "d": None, "nvidia-x": "1", "e": "1.0.post1"}
    pins = read_pins("b==2.1\nc==3.0\ne==1.0")
    assert list(complaints_about_installed(versions, pins, versions.get)) == [
        "a 1.0 has no pin",
        "b is 2.0, pinned at 2.1",
        "e is 1.0.post1, pinned at 1.0",
    ]


@linux_only
def test_every_pin_has_a_reason_under_some_python():
    names = set().union(*(needed("bnlab", ["dev"], python) for python in PYTHONS))
    assert list(complaints_about_idle_pins(names, PINS)) == []


def test_an_idle_pin_is_refused():
    assert list(complaints_about_idle_pins({"b"}, read_pins("a==1\nb==1\ntriton==3.7.1"))) == ["nothing asks for a"]


def test_the_walk_through_requirements_follows_extras_and_markers():
    names = needed("bnlab", ["dev"], "3.11")
    assert "jupyterlab" in names  # through bnlab[lab], an extra of the package itself
    assert "sympy" in names  # through torch
    assert "colorama" not in names  # pytest asks for it on Windows
    assert "jupyterlab" not in needed("bnlab", [], "3.11")


def test_conda_users_get_the_same_as_everyone_else():
    assert list(complaints_about_environment(ENVIRONMENT, PROJECT, SETUP)) == []


@pytest.mark.parametrize(
    ("line", "instead", "complaint"),
    [
        ("python>=3.11,<3.15", "python>=3.10", "has Python"),
        ("  - pip\n", "", "does not install pip"),
        ("-c constraints.txt", "-v", "does not apply the constraints"),
        (".[dev]", ".[lab]", "the set-up script .[dev]"),
        ("  - pip\n", "  - pip\n  - numpy\n", "should: ['numpy']"),
        ("      - -e .[dev]", "      - -e .[dev]\n      - rich", "should: ['rich']"),
    ],
)
def test_an_environment_that_would_differ_is_refused(line, instead, complaint):
    assert line in ENVIRONMENT
    offending = ENVIRONMENT.replace(line, instead)
    assert complaint in "".join(complaints_about_environment(offending, PROJECT, SETUP))


def test_the_newest_python_that_is_tried_is_the_newest_that_is_allowed():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    (job,) = jobs.values()
    assert job["strategy"]["matrix"]["python"] == [PYTHONS[0], PYTHONS[-1]]
    allowed = Requirement(f"python{PROJECT['requires-python']}").specifier
    assert [minor for minor in range(40) if allowed.contains(f"3.{minor}")] == [11, 12, 13, 14]
