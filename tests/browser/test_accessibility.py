"""axe-core finds nothing on any page, in the dark theme and in the light one."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from ichscope.store import Store
from tests.browser.conftest import PAGES, filled, serve
from tests.support.people import review

pytestmark = pytest.mark.browser
SIZE = {"width": 1280, "height": 800}
WAIT_MS = 90_000
# Streamlit's own: the field for uploads has a role and a name at once.
NOT_OURS = ("presentation-role-conflict",)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one study to look at, and many with results and reviews."""
    home = tmp_path_factory.mktemp("accessibility")
    with closing(Store.open(home=home)) as store:
        study = filled(store)
        review(store, study, "Ann", agree=True, labels={"any": True}, comment="Thin.")
    return home


@pytest.fixture(scope="module", params=["dark", "light"])
def address(request: pytest.FixtureRequest, models: Path, home: Path) -> Iterator[str]:
    with serve(models, home, request.param) as address:
        yield address


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context(viewport=SIZE, reduced_motion="reduce") as context:
        context.set_default_timeout(WAIT_MS)
        yield context.new_page()


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(page: Page, address: str, axe: str, name: str) -> None:
    page.goto(f"{address}/{name}")
    page.locator(PAGES[name]).first.wait_for()
    # Streamlit fades in what it has changed; half-transparent text has no contrast yet.
    page.locator('[data-testid="stStatusWidget"]').wait_for(state="detached")
    page.wait_for_timeout(1_000)
    page.evaluate(axe)
    rules = {rule: {"enabled": False} for rule in NOT_OURS}
    found = page.evaluate("(rules) => axe.run(document, { rules })", rules)
    assert [_told(violation) for violation in found["violations"]] == []


def _told(violation: dict[str, Any]) -> str:
    nodes = "\n".join(f"  {node['html'][:200]}\n  {node['failureSummary']}" for node in violation["nodes"])
    return f"{violation['id']}: {violation['help']}\n{nodes}"
