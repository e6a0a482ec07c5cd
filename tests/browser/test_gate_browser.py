"""What a browser meets at the gate: nothing that pages need is refused, and no other site gets in."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from ichscope import phantom
from ichscope.store import Store
from tests.browser.conftest import PAGES, filled, serve

pytestmark = pytest.mark.browser
WAIT_MS = 90_000


@pytest.fixture(scope="module")
def address(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("gate")
    with closing(Store.open(home=home)) as store:
        filled(store)
    with serve(models, home) as address:
        yield address


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context() as context:
        context.set_default_timeout(WAIT_MS)
        yield context.new_page()


def refused_by_policy(page: Page) -> list[str]:
    """What the content policy keeps the page from, told as it happens."""
    told: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or "Permissions-Policy" in message.text:
            told.append(message.text)

    page.on("console", listen)
    return told


@pytest.mark.parametrize("name", PAGES)
def test_no_page_needs_what_the_policy_forbids(page: Page, address: str, name: str) -> None:
    told = refused_by_policy(page)
    page.goto(f"{address}/{name}")
    page.locator(PAGES[name]).first.wait_for()
    page.wait_for_timeout(1_000)
    assert not told


def test_an_upload_a_chart_and_a_download_pass(page: Page, address: str, tmp_path: Path) -> None:
    told = refused_by_policy(page)
    files = phantom.write(phantom.make("subdural", 1, 8, 64), tmp_path / "study")
    page.goto(address)
    page.locator("input[type=file]").first.set_input_files(files)
    page.locator(".verdict").wait_for()
    page.locator(".viewer[data-slice]").wait_for()
    with page.expect_download():
        page.get_by_role("button", name="CSV").click()
    chart = page.locator(".js-plotly-plot").last
    chart.hover()
    with page.expect_download():
        chart.locator("[data-title^='Download']").first.click()
    assert not told


def test_no_site_can_frame_the_page(page: Page, address: str) -> None:
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    with site(f"<iframe src='{address}/'></iframe>") as elsewhere:
        page.goto(elsewhere)
        page.wait_for_timeout(2_000)
        assert "refused to connect" in page.frames[1].locator("body").inner_text()
    assert any("frame-ancestors" in text for text in told)


@contextmanager
def site(html: str) -> Iterator[str]:
    """Another site, which serves one page."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def test_eight_people_at_a_cold_start_see_no_error(browser: Browser, models: Path, tmp_path: Path) -> None:
    with serve(models, tmp_path) as address:
        pages = [browser.new_context().new_page() for _ in range(8)]
        for page, name in zip(pages, PAGES, strict=False):
            page.goto(f"{address}/{name.partition('?')[0]}", wait_until="commit")
        for page in pages:
            expect(page.locator("h1").first).to_be_visible(timeout=WAIT_MS)
            expect(page.locator("[data-testid=stStatusWidget]")).to_have_count(0, timeout=WAIT_MS)
            expect(page.locator("[data-testid=stException]")).to_have_count(0)
            page.context.close()
