"""The page Archive with a real archive: searched by keyboard, chosen, fetched, analysed, and answered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from ichscope import phantom
from tests.browser.conftest import serve
from tests.support import orthanc

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WAIT_MS = 180_000
NAME = "ZZTOP^ARCHIVE"
# Of the browser, and of the address: nothing of a patient may be in either.
KEPT = "() => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href, history.state])"


@contextmanager
def _archive(folder: Path) -> Iterator[orthanc.Orthanc]:
    if not (orthanc.PROGRAM.is_file() and orthanc.PLUGIN.is_file()):
        pytest.skip("Orthanc with its DICOMweb plugin is not installed (Debian: orthanc orthanc-dicomweb)")
    made = orthanc.Orthanc(folder)
    made.start()
    for seed in (1, 2):
        head = phantom.make("subdural", seed, slices=4, size=64)
        tags = {"PatientName": NAME, "AccessionNumber": f"B{seed}", "StudyDate": f"{date.today():%Y%m%d}"}
        made.send(phantom.to_bytes(one) for one in phantom.datasets(head, **tags))
    try:
        yield made
    finally:
        made.stop()


def test_studies_are_searched_chosen_analysed_and_answered(
    browser: Browser, models: Path, axe: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with _archive(tmp_path / "orthanc") as archive:
        config = tmp_path / "ichscope.toml"
        config.write_text(
            f'[archives.hospital]\nurl = "{archive.dicomweb}"\nuser_from = "TEST_USER"\n'
            'password_from = "TEST_PASSWORD"\nresults = true\n'
        )
        said = {"ICHSCOPE_CONFIG": str(config), "TEST_USER": orthanc.USER, "TEST_PASSWORD": orthanc.PASSWORD}
        with serve(models, home, **said) as address, browser.new_page(reduced_motion="reduce") as page:
            page.set_default_timeout(WAIT_MS)
            page.goto(f"{address}/archive")
            _search(page)
            _choose_all(page)
            _look(page, axe)
            assert "ZZTOP" not in page.evaluate(KEPT)
            page.get_by_role("button", name="Analyse 2 studies").press("Enter")
            expect(page.get_by_text("2 studies are being fetched and analysed")).to_be_visible(timeout=WAIT_MS)
            page.get_by_role("link", name="Progress and results: Worklist").click()
            expect(page.locator(".studies a").first).to_be_visible(timeout=WAIT_MS)
            _wait_for_reports(archive, 2)
        assert "ZZTOP" not in (home / "server.txt").read_text()
        assert not list(home.rglob("*.dcm")), "what is analysed is removed"


def _search(page: Page) -> None:
    field = page.get_by_role("textbox", name="Patient's name")
    field.fill("zztop")
    field.press("Enter")
    expect(page.locator(".choosing tbody tr")).to_have_count(2, timeout=WAIT_MS)


def _choose_all(page: Page) -> None:
    every = page.get_by_role("checkbox", name="Choose all studies")
    every.press("Space")
    expect(page.get_by_role("button", name="Analyse 2 studies")).to_be_enabled(timeout=WAIT_MS)
    every.press("ArrowDown")
    first = page.locator(".choosing tbody input").first
    expect(first).to_be_focused()
    expect(first).to_be_checked()


def _look(page: Page, axe: str) -> None:
    page.locator(".choosing button").first.press("Enter")
    expect(page.get_by_role("heading", name="CT series of ZZTOP, ARCHIVE")).to_be_visible(timeout=WAIT_MS)
    page.locator('[data-testid="stStatusWidget"]').wait_for(state="detached")
    page.wait_for_timeout(1_000)
    page.evaluate(axe)
    found = page.evaluate("() => axe.run(document)")
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]] == []


def _wait_for_reports(archive: orthanc.Orthanc, number: int) -> None:
    end = time.monotonic() + WAIT_MS / 1000
    while time.monotonic() < end:
        series = archive.get("series?expand")
        if sum(one["MainDicomTags"]["Modality"] == "SR" for one in series) == number:
            return
        time.sleep(0.5)
    pytest.fail("the results did not come back")
