"""Uploads through Chromium: on disk while they are needed, gone with what needed them."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboard.arrivals import FOLDER
from ichscope import phantom
from tests.browser.conftest import serve

pytestmark = pytest.mark.browser
NOTE = b"No image. " * 100_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def address(models: Path, home: Path) -> Iterator[str]:
    with serve(models, home) as found:
        yield found


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with browser.new_context() as context:
        context.set_default_timeout(120_000)
        page = context.new_page()
        page.goto(address)
        page.get_by_text("Drop a study here").wait_for()
        yield page


def arrived(home: Path) -> list[Path]:
    return [path for path in (home / FOLDER).glob("*/*/*") if path.is_file()]


def gone(home: Path, within_s: float) -> bool:
    end = time.monotonic() + within_s
    while arrived(home) and time.monotonic() < end:
        time.sleep(0.2)
    return not arrived(home)


def test_a_study_is_read_from_disk_and_goes(page: Page, home: Path, tmp_path: Path) -> None:
    path = tmp_path / "study.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for number, slice_ in enumerate(phantom.datasets(phantom.make("intraparenchymal", slices=8, size=128))):
            packed.writestr(f"head/IM{number}.dcm", phantom.to_bytes(slice_))
    page.locator("input[type=file]").set_input_files(path)
    expect(page.get_by_text("FLAGGED - possible haemorrhage").first).to_be_visible(timeout=120_000)
    assert gone(home, within_s=10)


def test_a_closed_tab_leaves_nothing(page: Page, home: Path) -> None:
    page.locator("input[type=file]").set_input_files({"name": "notes.txt", "mimeType": "text/plain", "buffer": NOTE})
    page.get_by_text("No CT series or picture was found").wait_for()
    assert [path.read_bytes() for path in arrived(home)] == [NOTE]
    page.close(run_before_unload=False)
    assert gone(home, within_s=10)
