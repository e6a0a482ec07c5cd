"""The pages behind nginx with TLS: people sign in through https, and the program knows it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from ichscope.access import Role, acting_as, operator
from ichscope.store import Store
from tests.browser.conftest import serve
from tests.support import nginx

pytestmark = pytest.mark.browser
PASSWORD = "purple tractor lamp 9"
WAIT_MS = 120_000


@pytest.fixture(scope="module")
def address(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("behind-nginx")
    with closing(Store.open(home=home)) as store, acting_as(operator()):
        store.accounts.add("rita", Role.READER, PASSWORD)
    with serve(models, home, ICHSCOPE_SIGN_IN="on") as inside:
        app = urlsplit(inside).port or 0
        place = nginx.Place("localhost", tmp_path_factory.mktemp("nginx"), *nginx.free_ports(2), app)
        with nginx.running(place):
            yield f"https://localhost:{place.https}"


def test_a_reader_signs_in_and_has_the_page(browser: Browser, address: str) -> None:
    with browser.new_context(ignore_https_errors=True) as context:
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.goto(address)
        page.get_by_label("Name", exact=True).fill("rita")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.locator(".account")).to_contain_text("rita", timeout=WAIT_MS)
        page.get_by_text("Drop a study here").wait_for()
        assert page.url.startswith(address)
        (session,) = (one for one in context.cookies() if "ichscope_session" in one["name"])
        assert session["name"] == "__Host-ichscope_session"
        assert session["secure"]
        assert session["httpOnly"]


def test_each_header_comes_once(browser: Browser, address: str) -> None:
    with browser.new_context(ignore_https_errors=True) as context:
        headers = context.request.get(f"{address}/sign-in", timeout=WAIT_MS).headers_array
        names = [header["name"].lower() for header in headers]
        for name in ("strict-transport-security", "content-security-policy", "x-content-type-options"):
            assert names.count(name) == 1
