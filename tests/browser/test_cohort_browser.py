"""A night's ZIP in a real browser: upload, a hitch and a reload meanwhile, and what the cohort says of it."""

import csv
import io
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboard.worklist.review_session import LOOK_S
from ichscope import phantom
from tests.browser.conftest import serve

pytestmark = pytest.mark.browser
expect.set_options(timeout=45_000)
SIZE = {"width": 1280, "height": 800}
WAIT_MS = 90_000
STUDIES = 6


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cohort")


@pytest.fixture(scope="module")
def own_models(models: Path, home: Path) -> Path:
    return Path(shutil.copytree(models, home / "models"))


@pytest.fixture(scope="module")
def address(own_models: Path, home: Path) -> Iterator[str]:
    with serve(own_models, home) as address:
        yield f"{address}/cohort"


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with browser.new_context(viewport=SIZE, accept_downloads=True) as context:
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        yield page
        assert errors == []


def night() -> dict[str, object]:
    """A ZIP of studies; two heads come again and again under other identifiers."""
    heads = [phantom.make(bleed, slices=6, size=96) for bleed in (None, "intraparenchymal")]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(STUDIES):
            uids = {"StudyInstanceUID": f"1.2.3.{number}", "SeriesInstanceUID": f"1.2.3.{number}.1"}
            for i, one in enumerate(phantom.datasets(heads[number % 2], **uids)):
                archive.writestr(f"SMITH^JOHN {number}/IM{i}.dcm", phantom.to_bytes(one))
    return {"name": "SMITH^JOHN.zip", "mimeType": "application/zip", "buffer": packed.getvalue()}


def test_a_zip_is_analysed_in_the_background_and_counted(page: Page, own_models: Path, home: Path) -> None:
    traffic: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda _: traffic.append("received")))
    expect(page.get_by_text("No studies yet")).to_be_visible()
    # Without models nothing gets on, so that there is time to look at a job under way.
    away = own_models.rename(home / "away")
    page.locator("input[type=file]").set_input_files([night()])
    expect(page.get_by_text("Work is on hold.")).to_be_visible()
    page.reload()
    expect(page.get_by_text(f"0 of {STUDIES} studies")).to_be_visible()
    expect(page.get_by_text("Work is on hold.")).to_be_visible()
    away.rename(own_models)
    page.get_by_role("button", name="Try now").click()
    expect(page.get_by_text(f"{STUDIES} of {STUDIES} studies done")).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_test_id("stMetricValue").first).to_have_text(str(STUDIES))
    expect(page.get_by_text("50 %", exact=True)).to_be_visible()
    expect(page.locator(".js-plotly-plot .bars").first).to_be_visible(timeout=WAIT_MS)
    assert list((home / "uploads").iterdir()) == []
    assert "SMITH" not in page.locator("body").inner_text()
    page.wait_for_timeout(1500)
    traffic.clear()
    page.wait_for_timeout(3000)
    assert traffic == [], "nothing is asked for when nothing is under way"


def test_numbers_are_downloaded(page: Page) -> None:
    page.locator('.stApp[data-test-script-state="notRunning"]').wait_for()
    with page.expect_download() as waiting:
        page.locator(".st-key-cohort-csv-days").get_by_role("button").click()
    assert waiting.value.suggested_filename == "ichscope-cohort-days.csv"
    rows = list(csv.DictReader(Path(waiting.value.path()).read_text().splitlines()))
    assert sum(int(row["studies"]) for row in rows) == STUDIES


def test_more_studies_come_through_the_popover_which_closes(page: Page) -> None:
    page.get_by_role("button", name="Add studies").click()
    chooser = page.get_by_text("DICOM files or ZIPs")
    expect(chooser).to_be_visible()
    more = phantom.datasets(phantom.make(None, seed=5, slices=6, size=96))
    files = [(f"IM{i}.dcm", phantom.to_bytes(one)) for i, one in enumerate(more)]
    page.locator("input[type=file]").set_input_files(
        [{"name": name, "mimeType": "application/dicom", "buffer": data} for name, data in files]
    )
    expect(page.get_by_text("1 of 1 studies done")).to_be_visible(timeout=WAIT_MS)
    expect(chooser).to_be_hidden()
    expect(page.get_by_test_id("stMetricValue").first).to_have_text(str(STUDIES + 1))


def test_the_morning_after(page: Page) -> None:
    """What was ingested is opened, reviewed, filtered and taken away."""
    page.get_by_role("link", name="Worklist").click()
    links = page.locator(".studies a")
    expect(links).to_have_count(STUDIES + 1)
    links.first.click()
    page.locator(".viewer[data-slice]").wait_for()
    page.get_by_placeholder("Your name").fill("Ann")
    page.keyboard.press("Enter")
    agree = page.get_by_role("button", name="Agree", exact=True)
    expect(agree).to_be_enabled()
    page.wait_for_timeout(1000 * LOOK_S)  # who agrees has looked
    agree.click()
    expect(page.get_by_text("Saved for Ann")).to_be_visible()
    page.locator(".viewer canvas.slice").focus()
    page.keyboard.press("b")
    expect(links).to_have_count(STUDIES + 1)
    page.locator(".st-key-states").get_by_text("Reader agrees").click()
    expect(links).to_have_count(1)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="CSV").click()
    (row,) = csv.DictReader(Path(waiting.value.path()).read_text().splitlines())
    assert (row["readers"], row["agreement"], row["reviews"]) == ("Ann", "agree", "1")
