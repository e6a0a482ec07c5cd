"""What is said in several files is the same in each: packages, their versions, and the version of ICHScope."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ichscope import __version__

ROOT = Path(__file__).parents[1]
# Extras in requirements-run.lock.
RUNS = ("dashboard", "pacs", "postgres", "cluster", "build")


def lines(name: str) -> list[str]:
    """Lines of a file that hold more than a comment."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def locked(name: str) -> dict[str, str]:
    """Package -> what a lock says of it: version, marker, hashes of its files."""
    text = "\n".join(lines(name)).replace("\\\n", " ")
    return dict(line.split("==", 1) for line in text.splitlines())


@pytest.fixture(scope="module")
def pins() -> dict[str, str]:
    """Package -> version, as the lock has it."""
    return {package: said.split()[0] for package, said in locked("requirements.lock").items()}


def test_requirements_say_the_same_as_pyproject(project: dict[str, Any]) -> None:
    extras = project["optional-dependencies"].values()
    declared = {*project["dependencies"], *(line for extra in extras for line in extra)}
    assert {*lines("requirements.txt")} == declared


def test_lock_pins_the_lower_bounds(pins: dict[str, str]) -> None:
    for line in lines("requirements.txt"):
        if ">=" in line:
            name, bound = line.split(">=")
            assert pins.get(name) == bound, f"{name}: the lower bound {bound} is not the version that is tested"


def test_lock_pins_whatever_a_package_needs(pins: dict[str, str]) -> None:
    waiting, needed = [canonicalize_name(Requirement(line).name) for line in lines("requirements.txt")], set[str]()
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            wanted = map(Requirement, metadata.requires(name) or ()) if _installed(name) else ()
            waiting += [
                canonicalize_name(other.name)
                for other in wanted
                if other.marker is None or other.marker.evaluate({"extra": ""})
            ]
    assert needed <= pins.keys(), f"not in requirements.lock: {needed - pins.keys()}"


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-run.lock"])
def test_a_lock_has_hashes_and_names_no_server(name: str) -> None:
    assert not [package for package, said in locked(name).items() if not re.search(r"--hash=sha256:[0-9a-f]{64}", said)]
    assert "//" not in (ROOT / name).read_text(encoding="utf-8")


def test_what_runs_is_part_of_what_is_tested() -> None:
    runs, tested = (_versions_and_hashes(name) for name in ("requirements-run.lock", "requirements.lock"))
    assert "streamlit" in runs
    assert "tensorflow" not in runs
    assert not [package for package, said in runs.items() if tested.get(package) != said]


def test_what_runs_is_named_by_purpose(project: dict[str, Any]) -> None:
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for name in RUNS for line in extras[name])]
    assert not {canonicalize_name(Requirement(line).name) for line in wanted} - locked("requirements-run.lock").keys()


def test_the_version_is_the_same_wherever_it_is_said() -> None:
    """Between releases it ends in .dev0, and the changelog begins with what is unreleased."""
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert headings[0] == ("Unreleased" if __version__.endswith(".dev0") else __version__)
    assert f"version: {__version__}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def _versions_and_hashes(name: str) -> dict[str, set[str]]:
    """Package -> its version and the hashes of its files; markers may differ between the locks."""
    return {
        package: {said.split()[0], *re.findall("sha256:[0-9a-f]{64}", said)} for package, said in locked(name).items()
    }


def _installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True
