"""A day's work with one patient by the pages, of whom nothing is left but in the files that came and where they lie.

What a page shows is the user's own upload, with its name; the results of Study check, taken away as JSON or CSV, name
its files, too. All else is searched: what the server writes, what the pages give away and ask for, and the browser's
profile on disk, but for the tabs that Chromium would open again: there it keeps itself which files the user picked.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from dashboard.worklist.review_session import LOOK_S
from ichscope import phantom
from ichscope.access import Role, acting_as, operator
from ichscope.store import Store
from tests.browser.conftest import FLAGS, serve
from tests.support import one_patient as patient
from tests.support.one_patient import PASSPHRASE as PASSWORD
from tests.support.one_patient import Day

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WAIT_MS = 180_000
BLEEDS = ("subdural", "intraparenchymal", None)
STUDIES = 2
STORAGE = """async () => JSON.stringify({
  local: {...localStorage}, session: {...sessionStorage}, cookies: document.cookie, address: location.href,
  databases: await indexedDB.databases(), caches: await caches.keys(), title: document.title, state: history.state,
})"""


@pytest.fixture(scope="module", params=["plain", "json"])
def day(
    request: pytest.FixtureRequest, browser: Browser, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Day:
    """A day whose server writes its log this way."""
    day = Day(tmp_path_factory.mktemp("day"), models)
    heads = [phantom.make(bleed, seed, slices=6, size=96) for seed, bleed in enumerate(BLEEDS, 1)]
    for number, head in enumerate(heads, 1):
        patient.write(day.inbox, patient.slices(head, number))
    with closing(Store.open(home=day.home)) as store, acting_as(operator()):
        store.accounts.add("ada", Role.ADMIN, PASSWORD)
    variables = day.variables() | {"ICHSCOPE_SIGN_IN": "on", "ICHSCOPE_LOG": request.param}
    with serve(models, day.home, **variables) as address, _browser(browser, day) as context:
        _work(context, address, day)
    day.back_up()
    return day


@contextmanager
def _browser(browser: Browser, day: Day) -> Iterator[BrowserContext]:
    """A browser that keeps its profile on disk; all that it asks for and gets is noted down, but for what is shown."""
    context = browser.browser_type.launch_persistent_context(
        str(day.profile),
        executable_path=shutil.which("chromium"),
        args=FLAGS,
        env={**os.environ, "TMPDIR": str(day.temporary)},
        downloads_path=str(day.temporary),
        viewport={"width": 1280, "height": 800},
        reduced_motion="reduce",
    )
    with closing(context), (day.out / "traffic.txt").open("w") as traffic:
        context.on("request", lambda asked: print(asked.method, asked.url, asked.headers, file=traffic))
        context.on("response", lambda given: print(given.status, given.headers, file=traffic))
        context.on("console", lambda told: print(told.type, told.text, file=traffic))
        context.set_default_timeout(WAIT_MS)
        yield context


# ---- the day -------------------------------------------------------------------------------------------------


def _work(context: BrowserContext, address: str, day: Day) -> None:
    page = context.pages[0]
    _sign_in(page, address)
    _check(page, day)
    _add(page, day)
    link = _review(page)
    _look_around(page, day)
    _import_truth(page, day)
    _performance(page, day)
    _audit(page, day)
    _open_by_link(context, link, day)
    page.goto(f"{address}/account")
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.get_by_label("Name", exact=True).wait_for()
    _store_of(page, day, "signed-out")


def _sign_in(page: Page, address: str) -> None:
    page.goto(f"{address}/sign-in")
    page.get_by_label("Name", exact=True).fill("ada")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_text("Drop a study here").wait_for()


def _check(page: Page, day: Day) -> None:
    """See one study, whose files the user picks, and one that is a folder; leave a damaged one in the uploader."""
    first = sorted((day.inbox / patient.FOLDER / f"{patient.ACCESSION} 1").iterdir())
    page.locator("input[type=file]").set_input_files(first)
    page.locator(".verdict").wait_for()
    canvas = page.locator(".viewer canvas.slice")
    canvas.focus()
    for key in ("PageDown", "2", "h"):
        page.keyboard.press(key)
    page.locator(".thumb").first.click()
    assert patient.NAME in page.locator(".stMain").inner_text()
    _store_of(page, day, "study-check")
    page.reload()
    page.get_by_text("Folder", exact=True).click()
    page.locator("input[type=file][webkitdirectory]").set_input_files(day.inbox / patient.FOLDER)
    page.locator(".verdict").wait_for()
    page.reload()
    page.get_by_text("Drop a study here").wait_for()
    damaged = {"name": f"{patient.NAME}.dcm", "mimeType": "application/dicom", "buffer": first[0].read_bytes()[:3000]}
    note = {"name": f"{patient.NAME}.txt", "mimeType": "text/plain", "buffer": patient.UID.encode()}
    page.locator("input[type=file]:not([webkitdirectory])").set_input_files([damaged, note])
    page.locator(".verdict, .stAlert").first.wait_for()


def _add(page: Page, day: Day) -> None:
    """Bring two studies in as a ZIP named after the patient, and damaged files, which fail."""
    page.get_by_role("link", name="Worklist").click()
    page.get_by_text("DICOM files or ZIPs").wait_for()
    files = {
        str(path.relative_to(day.inbox)): path.read_bytes()
        for number in range(1, STUDIES + 1)
        for path in (day.inbox / patient.FOLDER / f"{patient.ACCESSION} {number}").iterdir()
    }
    broken = {f"{patient.NAME} 3/{name}": data[: len(data) // 2] for name, data in _slices(day, 3).items()}
    packed = patient.zipped(files | broken)
    page.locator("input[type=file]").set_input_files(
        {"name": f"{patient.FOLDER}.zip", "mimeType": "application/zip", "buffer": packed}
    )
    expect(page.locator(".studies tr[data-study]").nth(STUDIES - 1)).to_be_visible(timeout=WAIT_MS)


def _slices(day: Day, number: int) -> dict[str, bytes]:
    folder = day.inbox / patient.FOLDER / f"{patient.ACCESSION} {number}"
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _review(page: Page) -> str:
    """Find a study by its UID, correct it, and go back; gives its address."""
    search = page.get_by_placeholder("Study key or Study Instance UID")
    search.fill(f"{patient.UID}.1")
    search.press("Enter")
    rows = page.locator(".studies tr[data-study]")
    expect(rows).to_have_count(1)
    rows.locator("a").click()
    page.locator(".viewer[data-slice]").wait_for()
    address = page.url
    page.wait_for_timeout(1000 * LOOK_S)
    page.get_by_role("button", name="Correct").click()
    page.get_by_role("radiogroup", name="Subdural").get_by_text("Yes").click()
    page.get_by_placeholder("Comment").fill("Thin, on the left")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Saved for ada").wait_for()
    page.get_by_role("button", name="List").click()
    expect(rows).to_have_count(1)
    return address


def _look_around(page: Page, day: Day) -> None:
    _download(page, day, "CSV")
    _store_of(page, day, "worklist")
    page.get_by_role("link", name="Cohort").click()
    page.locator(".js-plotly-plot .bars").first.wait_for()
    _settle(page)
    _download(page, day, "CSV")
    page.get_by_test_id("stPopover").filter(has_text="Download").get_by_role("button").click()
    for name in ("All figures (HTML)", "All numbers (ZIP of CSV)"):
        _download(page, day, name)
    page.get_by_role("link", name="Monitoring").click()
    page.locator(".stMain").get_by_role("heading", name="Monitoring").wait_for()
    _settle(page)
    page.get_by_role("link", name="Models").click()
    page.locator("table.models").first.wait_for()


def _import_truth(page: Page, day: Day) -> None:
    """Import the truth of a hospital's own table, once in vain."""
    truth = day.inbox / "truth.csv"
    good = f"{patient.UID}.1,ZZID1901,1\n{patient.UID}.2,ZZID1901,0\n"
    for rows in (f"{patient.UID}.1,ZZID1901,{patient.NAME}\n", good):
        page.goto(page.url.rpartition("/")[0] + "/performance")
        importing = page.locator("details", has_text="Import truth or predictions")
        importing.wait_for()
        if importing.get_attribute("open") is None:
            importing.locator("summary").click()
        page.locator("input[type=file]").wait_for(state="attached")
        truth.write_text("study,patient,any\n" + rows)
        page.locator("input[type=file]").set_input_files(truth)
        page.locator(".stAlert").or_(page.get_by_role("button", name="Import", exact=True)).first.wait_for()
    page.get_by_role("button", name="Import", exact=True).click()
    page.get_by_text("Imported:").wait_for()


def _performance(page: Page, day: Day) -> None:
    page.get_by_role("tab", name="Data").click()
    for name in ("Report as HTML", "Rows as CSV", "Metrics as JSON", "Tables as CSV"):
        _download(page, day, name)
    _store_of(page, day, "performance")


def _audit(page: Page, day: Day) -> None:
    page.get_by_role("link", name="Audit trail").click()
    page.locator("table.models").first.wait_for()
    for name in ("CSV", "DICOM PS3.15"):
        _download(page, day, name)


def _open_by_link(context: BrowserContext, link: str, day: Day) -> None:
    page = context.new_page()
    page.goto(link)
    page.locator(".viewer[data-slice]").wait_for()
    _store_of(page, day, "by-link")
    page.close()


def _settle(page: Page) -> None:
    page.locator('.stApp[data-test-script-state="notRunning"]').wait_for()


def _download(page: Page, day: Day, name: str) -> None:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=name).first.click()
    number = len(list(day.out.glob("given-*")))
    waiting.value.save_as(day.out / f"given-{number}-{waiting.value.suggested_filename}")


def _store_of(page: Page, day: Day, name: str) -> None:
    """Keep what the browser keeps of the page."""
    (day.out / f"storage-{name}.json").write_text(page.evaluate(STORAGE) + json.dumps(page.context.cookies()))


# ---- what is left --------------------------------------------------------------------------------------------


def test_the_day_has_left_what_is_searched(day: Day) -> None:
    assert patient.traces(day.inbox)
    with closing(Store.open(home=day.home)) as store:
        assert len(list(store.worklist.export())) >= STUDIES
    assert len(list(day.out.glob("given-*"))) == 10
    assert len(list(day.out.glob("storage-*"))) == 5
    assert (day.out / "restored" / "ichscope.db").stat().st_size
    assert list((day.home / "volumes").rglob("*.nii"))
    assert "/_stcore/upload_file/" in (day.out / "traffic.txt").read_text()
    assert re.search(r"History|Local Storage", " ".join(map(str, day.profile.rglob("*"))))


def test_nothing_of_the_patient_is_left(day: Day) -> None:
    shutil.rmtree(day.profile / "Default" / "Sessions", ignore_errors=True)
    assert patient.traces(*day.kept) == []
