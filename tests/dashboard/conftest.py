"""Who acts: on a page, whoever clicks there; in a test itself, its tester. And an empty store that pages use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dashboard import acting
from ichscope.access import Actor, by_default, operator
from ichscope.store import Store
from tests.support.page_homes import own_home


@pytest.fixture(autouse=True)
def _clicks(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_page = acting.current

    def find() -> Actor:
        return on_a_page() if get_script_run_ctx(suppress_warning=True) else operator()

    monkeypatch.setattr(acting, "current", find)
    by_default(find)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    with own_home(tmp_path, monkeypatch), closing(Store.open(home=tmp_path)) as store:
        yield store
