"""People who sign in with a browser: each sees what their role may, and what has ended on the server has ended."""

import http.client
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from ichscope.access import Role, acting_as, operator
from ichscope.store import Store, TrailFilter
from tests.browser.conftest import serve
from tests.support import results_builder as build
from tests.support import store_cases as cases

pytestmark = pytest.mark.browser
PASSWORD = "purple tractor lamp 9"
WAIT_MS = 90_000
SOCKET = "/_stcore/stream"


@dataclass(frozen=True)
class House:
    """A server where people sign in, and its store."""

    address: str
    store: Store


@pytest.fixture(scope="module")
def house(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    home = tmp_path_factory.mktemp("sign-in")
    with closing(Store.open(home=home)) as store:
        with acting_as(operator()):
            for name, role in {"rita": Role.READER, "vera": Role.VIEWER, "ada": Role.ADMIN}.items():
                store.accounts.add(name, role, PASSWORD)
            store.results.record(cases.study("seen", build.model(probability={"any": 0.9})), cases.content("seen"))
        with serve(models, home, ICHSCOPE_SIGN_IN="on") as address:
            yield House(address, store)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce") as context:
        context.set_default_timeout(WAIT_MS)
        yield context


def enter(context: BrowserContext, house: House, name: str, path: str = "") -> Page:
    """Sign in by the keyboard alone."""
    page = context.new_page()
    page.goto(f"{house.address}/{path}")
    expect(page.get_by_label("Name", exact=True)).to_be_focused(timeout=WAIT_MS)
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator(".account")).to_contain_text(name, timeout=WAIT_MS)
    return page


def cookie(context: BrowserContext) -> str:
    (found,) = (one for one in context.cookies() if one["name"] == "ichscope_session")
    assert found["httpOnly"]
    assert found["sameSite"] == "Lax"
    return f"ichscope_session={found['value']}"


def status(house: House, path: str, method: str = "GET", **headers: str) -> int:
    connection = http.client.HTTPConnection(urlsplit(house.address).netloc, timeout=60)
    with closing(connection):
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        return connection.getresponse().status


def opens(house: House, **headers: str) -> bool:
    """Whether a WebSocket to the pages opens."""
    address = house.address.replace("http", "ws") + SOCKET
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with connect(address, origin=house.address, subprotocols=["streamlit"], additional_headers=named):  # type: ignore[arg-type]
            return True
    except InvalidStatus as error:
        return error.response.status_code != 403


def test_a_page_asks_for_a_sign_in_and_is_there_after_it(context: BrowserContext, house: House) -> None:
    page = enter(context, house, "rita", "worklist")
    assert page.url == f"{house.address}/worklist"
    page.locator(".studies a").first.wait_for()
    assert page.evaluate("document.cookie").count("ichscope_session") == 0


def test_a_viewer_sees_no_page_for_others(context: BrowserContext, house: House) -> None:
    page = enter(context, house, "vera")
    page.get_by_role("heading", name="Worklist").wait_for()
    expect(page.get_by_role("link", name="Cohort")).to_be_visible()
    expect(page.get_by_role("link", name="Study check")).to_have_count(0)
    page.goto(f"{house.address}/study_check")
    page.get_by_text("Page not found").wait_for()
    expect(page.get_by_text("Drop a study here")).to_have_count(0)


def test_a_link_into_the_worklist_leads_a_viewer_there_too(context: BrowserContext, house: House) -> None:
    """It is the first page of a viewer; Streamlit serves a front page at / alone."""
    page = enter(context, house, "vera", "worklist?study=1")
    page.get_by_role("button", name="List").wait_for()
    expect(page.get_by_text("Page not found")).to_have_count(0)
    assert page.url == f"{house.address}/worklist?study=1"


@pytest.mark.parametrize("address", ["users", "audit_trail"])
def test_a_viewer_who_types_the_address_of_an_admins_page_gets_nothing(
    context: BrowserContext, house: House, address: str
) -> None:
    # What a proxy that signs people in would send; here it makes nobody an admin.
    context.set_extra_http_headers({"Remote-User": "ada", "X-ICHScope-Role": "admin"})
    page = enter(context, house, "vera", address)
    page.get_by_text("Page not found").wait_for()
    expect(page.get_by_role("heading", name="Worklist")).to_be_visible()
    for title in ("Users", "Audit trail"):
        expect(page.get_by_role("link", name=title)).to_have_count(0)
    for secret in ("ada", "Add a person", "signed in", "Check that it is whole"):
        assert secret not in page.inner_text(".stMain")


def test_an_admin_adds_a_person_by_the_keyboard_who_then_signs_in(context: BrowserContext, house: House) -> None:
    page = enter(context, house, "ada", "users")
    page.get_by_role("button", name="Add a person").focus()
    page.keyboard.press("Enter")
    name = page.get_by_label("Name", exact=True)
    name.fill("newcomer")
    name.press("Enter")
    expect(page.get_by_role("button", name="Add", exact=True)).to_be_enabled()
    page.get_by_role("button", name="Add", exact=True).press("Enter")
    password = page.locator("code").inner_text()
    page.get_by_role("cell", name="newcomer").wait_for()
    assert house.store.accounts.check("newcomer", password).role is Role.READER
    page.reload()
    page.get_by_role("cell", name="newcomer").wait_for()
    expect(page.locator("code")).to_have_count(0)
    # Ada is chosen: with a new password she would be out before she had read it.
    page.get_by_text("This is you.").wait_for()
    expect(page.get_by_role("button", name="Reset password")).to_be_disabled()


@pytest.mark.parametrize(("title", "begins"), [("CSV", "number,at,who"), ("DICOM PS3.15", "<?xml")])
def test_an_admin_exports_the_trail_and_that_is_a_line_of_it(
    context: BrowserContext, house: House, title: str, begins: str
) -> None:
    page = enter(context, house, "ada", "audit_trail")
    with page.expect_download() as download:
        page.get_by_role("button", name=title).click()
    assert download.value.path().read_text(encoding="utf-8").startswith(begins)
    with acting_as(operator()):
        newest = house.store.trail.events(TrailFilter(action="trail exported"))[0]
    assert (newest.who, newest.via, newest.outcome) == ("ada", "page", "done")
    page.get_by_role("button", name="Check that it is whole").click()
    page.get_by_text("The audit trail is whole").wait_for()


def test_a_session_that_ended_on_the_server_cannot_click(context: BrowserContext, house: House) -> None:
    page = enter(context, house, "rita")
    page.get_by_text("Drop a study here").wait_for()
    house.store.sessions.end(cookie(context).partition("=")[2])
    page.get_by_role("button", name="Subdural bleed").click()
    page.get_by_role("heading", name="You are signed out").wait_for()
    expect(page.locator(".verdict")).to_have_count(0)
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("Name", exact=True).wait_for()


def test_signing_out_ends_what_was_stolen_before(context: BrowserContext, house: House) -> None:
    page = enter(context, house, "rita")
    stolen = cookie(context)
    assert opens(house, Cookie=stolen)
    page.goto(f"{house.address}/account")
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.get_by_label("Name", exact=True).wait_for()
    assert not opens(house, Cookie=stolen)
    assert status(house, "/", Cookie=stolen) == 401
    assert not [one for one in context.cookies() if one["name"] == "ichscope_session"]


def test_strangers_are_refused_wherever_they_knock(house: House) -> None:
    assert not opens(house)
    assert not opens(house, X_ICHScope_User="ada", Remote_User="ada", X_Forwarded_User="ada")
    assert not opens(house, Cookie="ichscope_session=guess")
    assert status(house, "/media/0123.png") == status(house, "/_stcore/host-config") == 401
    assert status(house, "/_stcore/upload_file/a/b", "PUT") == 401
    assert status(house, "/", Host="evil.example") == 421
    assert status(house, "/healthz", Host="evil.example") == 421
    assert status(house, "/", Remote_User="ada", X_ICHScope_Role="admin") == 401


def test_what_one_has_uploaded_or_seen_is_not_for_strangers(context: BrowserContext, house: House) -> None:
    asked: list[str] = []
    page = enter(context, house, "rita")
    page.on("request", lambda request: asked.append(request.url))
    page.locator("input[type=file]").first.set_input_files([{"name": "a.txt", "mimeType": "a/b", "buffer": b"x" * 10}])
    page.get_by_text("No CT series or picture was found").wait_for()
    (upload,) = {urlsplit(url).path for url in asked if "upload_file" in url}
    assert status(house, upload, "PUT") == status(house, upload, "DELETE") == 401


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing_on_the_forms(browser: Browser, models: Path, tmp_path: Path, axe: str, theme: str) -> None:
    with closing(Store.open(home=tmp_path)) as store:
        store.accounts.add("ann", Role.READER, PASSWORD)
        ann = store.accounts.all()[0].id
        with serve(models, tmp_path, theme, ICHSCOPE_SIGN_IN="on") as address, browser.new_context() as context:
            page = context.new_page()
            page.goto(f"{address}/sign-in")
            _clean(page, axe)
            context.add_cookies([{"name": "ichscope_session", "value": store.sessions.begin(ann), "url": address}])
            page.goto(f"{address}/account")
            _clean(page, axe)


def _clean(page: Page, axe: str) -> None:
    page.evaluate(axe)
    found = page.evaluate("() => axe.run(document)")
    assert [violation["help"] for violation in found["violations"]] == []
