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


def lines(name: str) -> list[str]:
    """Lines of a file that hold more than a comment."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


@pytest.fixture(scope="module")
def pins() -> dict[str, str]:
    """Package -> version, as the lock has it."""
    return dict(line.split(" ;")[0].split("==") for line in lines("requirements.lock"))


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


def test_the_version_is_the_same_wherever_it_is_said() -> None:
    """Between releases it ends in .dev0, and the changelog begins with what is unreleased."""
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert headings[0] == ("Unreleased" if __version__.endswith(".dev0") else __version__)
    assert f"version: {__version__}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def _installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True
