"""Who acts: on a page, whoever clicks there; in a test itself, its tester."""

from __future__ import annotations

import pytest
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dashboard import acting
from ichscope.access import Actor, by_default, operator


@pytest.fixture(autouse=True)
def _clicks(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_page = acting.current

    def find() -> Actor:
        return on_a_page() if get_script_run_ctx(suppress_warning=True) else operator()

    monkeypatch.setattr(acting, "current", find)
    by_default(find)
