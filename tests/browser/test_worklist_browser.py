"""The morning in a real browser: open, agree, correct, next, reload, export, and two readers at once."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from ichscope.store import Store, volumes
from tests.browser.conftest import serve
from tests.support import store_cases as cases

pytestmark = pytest.mark.browser
expect.set_options(timeout=45_000)
SIZE = {"width": 1280, "height": 800}
WAIT_MS = 90_000
PROBABILITIES = (0.95, 0.9, 0.85, 0.8, 0.1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("worklist")


@pytest.fixture(scope="module")
def store(home: Path) -> Iterator[Store]:
    """Five studies with pictures; their numbers are their places in the list, too."""
    store = Store.open(home=home)
    for p in PROBABILITIES:
        result = cases.study(p, p)
        path = volumes.save(store.volumes, cases.content(p), result)
        store.results.record(result, cases.content(p), volume=path)
    yield store
    store.close()


@pytest.fixture(scope="module")
def address(models: Path, home: Path, store: Store) -> Iterator[str]:
    with serve(models, home) as address:
        yield f"{address}/worklist"


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with browser.new_context(viewport=SIZE) as context:
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        assert errors == []


def open_study(page: Page, address: str, study: int, reader: str = "") -> None:
    page.goto(f"{address}?study={study}")
    page.locator(".viewer[data-slice]").wait_for()
    if reader:
        name(page, reader)


def name(page: Page, reader: str) -> None:
    page.get_by_placeholder("Your name").fill(reader)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Agree and next")).to_be_enabled()


def expect_study(page: Page, study: int, slice: str = "") -> None:
    expect(page).to_have_url(f"{page.url.split('?')[0]}?study={study}{slice}")
    expect(page.get_by_text(f"{study} of 5 in the list")).to_be_visible()
    # A key counts from when its button is there.
    expect(page.get_by_role("button", name="Previous")).to_be_visible()


def test_a_morning_by_key(page: Page, address: str, store: Store) -> None:
    page.goto(address)
    links = page.locator(".studies a")
    links.first.wait_for()
    expect(links).to_have_count(5)
    expect(links.first).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(links.nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.locator(".viewer[data-slice]").wait_for()
    # Keys go where a reader's eyes are: the row that was pressed is gone.
    slices = page.locator(".viewer canvas.slice")
    expect(slices).to_be_focused()
    name(page, "Ann")
    slices.click()
    expect_study(page, 1)
    # A key that is held down agrees once.
    for _ in range(5):
        page.keyboard.down("a")
    page.keyboard.up("a")
    expect_study(page, 2)
    expect(page.get_by_text("Saved for Ann")).to_be_visible()
    page.keyboard.press("n")
    expect_study(page, 3)
    page.keyboard.press("p")
    expect_study(page, 2)
    expect(slices).to_be_focused()
    assert [len(store.reviews.of(study)) for study in (1, 2, 3)] == [1, 0, 0]
    page.keyboard.press("b")
    expect(links.nth(1)).to_be_focused()


def test_a_correction_survives_a_reload(page: Page, address: str, store: Store) -> None:
    open_study(page, address, 3, "Ann")
    page.locator(".viewer canvas.slice").focus()
    page.keyboard.press("e")
    page.get_by_role("radiogroup", name="Subdural").get_by_text("Yes").click()
    expect(page.get_by_text("a haemorrhage will be saved as present")).to_be_visible()
    page.get_by_placeholder("Comment").fill("Thin, on the left; area near the vertex")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved for Ann")).to_be_visible()
    page.reload()
    expect(page.locator(".reviews")).to_contain_text("Thin, on the left")
    page.locator(".viewer[data-slice]").wait_for()
    (saved,) = store.reviews.of(3)
    assert saved.labels == {"any": True, "subdural": True}


def test_the_address_says_the_slice(page: Page, address: str, store: Store) -> None:
    page.goto(f"{address}?study=5&slice=1")
    page.locator('.viewer[data-slice="1"]').wait_for()
    page.locator(".viewer canvas.slice").focus()
    page.keyboard.press("ArrowDown")
    expect(page).to_have_url(f"{address}?study=5&slice=2")
    page.reload()
    page.locator('.viewer[data-slice="2"]').wait_for()
    expect_study(page, 5, "&slice=2")
    # The next study does not inherit it.
    page.keyboard.press("p")
    expect_study(page, 4)


def test_the_menu_leads_from_a_study_to_the_list(page: Page, address: str, store: Store) -> None:
    open_study(page, address, 2)
    page.get_by_role("link", name="Worklist").click()
    expect(page.locator(".studies a")).to_have_count(5)
    expect(page).to_have_url(address)
    page.locator(".studies a").nth(2).click()
    expect_study(page, 3)


def test_the_csv_file_holds_the_list(page: Page, address: str, tmp_path: Path) -> None:
    page.goto(address)
    page.locator(".studies a").first.wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    download.value.save_as(tmp_path / "list.csv")
    rows = list(csv.DictReader((tmp_path / "list.csv").read_text().splitlines()))
    assert [float(row["score"]) for row in rows] == pytest.approx(PROBABILITIES)


def test_two_readers_at_once(browser: Browser, page: Page, address: str, store: Store) -> None:
    with browser.new_context(viewport=SIZE) as context:
        context.set_default_timeout(WAIT_MS)
        other = context.new_page()
        open_study(page, address, 4, "Ann")
        open_study(other, address, 4, "Bob")
        for one in (page, other):
            expect_study(one, 4)
            one.locator(".viewer canvas.slice").click()
        page.keyboard.press("a")
        expect_study(page, 5)
        other.keyboard.press("a")
        expect(other.get_by_text("Ann reviewed this study while you had it open")).to_be_visible()
        expect_study(other, 4)
    assert [one.reader for one in store.reviews.of(4)] == ["Ann", "Bob"]
