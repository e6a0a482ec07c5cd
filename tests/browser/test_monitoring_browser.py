"""Monitoring and Models in a real browser: a threshold is set, and the next study is judged by it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from ichscope.store import Store
from tests.browser.conftest import serve
from tests.support import monitor_builder as builder

pytestmark = pytest.mark.browser
expect.set_options(timeout=45_000)
WAIT_MS = 90_000


@pytest.fixture(scope="module")
def address(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("monitoring")
    with pytest.MonkeyPatch.context() as patch:
        start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=84)
        patch.setattr(builder, "START", start)
        store = Store.open(home=home)
        builder.fill(store, 400)
        store.close()
    with serve(models, home) as address:
        yield address


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        assert errors == []


def test_a_threshold_that_is_set_judges_the_next_study(page: Page, address: str) -> None:
    page.goto(f"{address}/monitoring")
    # The server's first page loads all that pages need.
    page.get_by_role("heading", name="Flag rate").wait_for()
    expect(page.get_by_role("status").filter(has_text="against")).to_contain_text("Quiet: no alert")
    page.locator(".js-plotly-plot").nth(2).wait_for()
    page.get_by_role("link", name="Models").click()
    page.get_by_role("button", name="Set a threshold").click()
    page.get_by_label("Threshold", exact=True).fill("0.9999")
    page.get_by_label("Your name").fill("Ann")
    page.get_by_label("Reason").fill("a test")
    page.get_by_label("Reason").press("Enter")
    page.get_by_role("button", name="Set for new results").click()
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    expect(page.locator(".models").first).to_contain_text(f"Ann (as typed) on {day}: a test")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Study check").click()
    page.get_by_role("button", name="Subdural bleed (synthetic)").click()
    expect(page.get_by_role("status").filter(has_text="Operating point")).to_contain_text("Operating point: ")
    expect(page.locator("table.models caption")).to_contain_text(f"Ann on {day}")
    expect(page.locator("table.models tr").filter(has_text="cranioscan")).to_contain_text("Not flagged")
