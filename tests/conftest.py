"""Shared fixtures: one small synthetic head, and the folder of real scans where there is one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ichscope.access import by_default, operator

if TYPE_CHECKING:
    from ichscope.phantom import Phantom

# Nothing to run in here: builders, and what several tests share.
collect_ignore_glob = ["support", "conftest.py", "*/conftest.py"]

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a test keeps without saying where does not land in the checkout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ICHSCOPE_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _tester() -> None:
    """Whoever runs the tests may do all; what larger fixtures make is theirs, too."""
    by_default(operator)


@pytest.fixture(autouse=True)
def _again_the_tester() -> Iterator[None]:
    """A page, or a test, that lets somebody else act does so for its own time."""
    yield
    by_default(operator)


@pytest.fixture(autouse=True)
def _main_module() -> Iterator[None]:
    """AppTest leaves its page as __main__, which every process started later would run again."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(scope="session")
def head() -> Phantom:
    """A normal head of 8 slices of 128 x 128."""
    from ichscope import phantom

    return phantom.make(slices=8, size=128)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real scans, which is no part of the repository."""
    folder = Path(os.environ.get("ICHSCOPE_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real scans: {folder} does not exist (set ICHSCOPE_DATA)")
    return folder
