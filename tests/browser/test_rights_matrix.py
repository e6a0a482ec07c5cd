"""Every page and every route of the server that runs, asked by every role, by a program and by nobody.

What is expected comes from the one table of rights: a page or a route that nobody has thought of fails here.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from dashboard.places import FRONT, PAGES
from ichscope.access import RIGHTS, Right, Role, acting_as, operator
from ichscope.store import Store
from tests.browser.conftest import ROOT, serve

pytestmark = pytest.mark.browser
PASSWORD = "purple tractor lamp 9"
WAIT_S = 90
PEOPLE = [role for role in Role if role is not Role.SERVICE]
# Who may ask for a route.
EVERYBODY = {"nobody", "program", *PEOPLE}
PERSONS = {role for role in PEOPLE if Right.SEE in RIGHTS[role]}
PROGRAMS = {"program"}
NONE: set[str] = set()
# Everything that the server answers, as its own routes name it.
ROUTES = {
    "/healthz": EVERYBODY,
    "/readyz": EVERYBODY,
    "/metrics": PROGRAMS,
    "/api/openapi.json": PROGRAMS,
    "/api/studies": PROGRAMS,
    "/api/studies/{key}": PROGRAMS,
    "/api/studies/{key}/evidence": PROGRAMS,
    "/api/studies/{key}/fhir": PROGRAMS,
    "/api/studies/{key}/sr": PROGRAMS,
    "/api/jobs/{job}": PROGRAMS,
    "/api/queue": PROGRAMS,
    "/api/pictures": PROGRAMS,
    "/sign-in": EVERYBODY,
    "/sign-in/oidc": EVERYBODY,
    "/sign-in/oidc/back": EVERYBODY,
    "/account": PERSONS,
    "/account/password": PERSONS,
    "/sign-out": PERSONS,
    "/sign-out-everywhere": PERSONS,
    "/": PERSONS,
    "/static/{path:path}": EVERYBODY,
    "/_stcore/health": PERSONS,
    "/_stcore/host-config": PERSONS,
    "/_stcore/upload_file/{session_id}/{file_id}": PERSONS,
    "/_stcore/bidi-components/{path:path}": PERSONS,
    "/_stcore/stream": PERSONS,
    "/component/{path:path}": PERSONS,
    "/media/{file_id:path}": PERSONS,
    "/_stcore/metrics": NONE,
    "/_stcore/agent/interact": NONE,
    "/_stcore/agent/openapi.json": NONE,
    "/_stcore/agent/mcp": NONE,
    "/auth/login": NONE,
    "/auth/logout": NONE,
    "/oauth2callback": NONE,
}
ASKERS = ["nobody", "program", *PEOPLE]


@dataclass(frozen=True)
class House:
    """A server where people sign in, one of each role, and its store."""

    address: str
    store: Store
    token: str

    def headers(self, asker: str) -> dict[str, str]:
        """What proves who somebody is: a session begun just now, a token, or nothing."""
        if asker == "program":
            return {"Authorization": f"Bearer {self.token}"}
        account = next((account.id for account in self.store.accounts.all() if account.role == asker), None)
        return {"Cookie": f"ichscope_session={self.store.sessions.begin(account)}"} if account else {}


@pytest.fixture(scope="module")
def house(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    home = tmp_path_factory.mktemp("rights")
    with closing(Store.open(home=home)) as store, acting_as(operator()):
        for role in PEOPLE:
            store.accounts.add(f"the {role}", role, PASSWORD)
        _, token = store.tokens.add("program", RIGHTS[Role.SERVICE], timedelta(days=1))
        with serve(models, home, ICHSCOPE_SIGN_IN="on") as address:
            yield House(address, store, token)


# ---- routes --------------------------------------------------------------------------------------------

_LIST = """
import json
from dashboard import app
from dashboard.api.app import application
served = [route for route in app.app._build_starlette_app().routes if route.path != "/api"]
described = {"/openapi.json": ["get"], **application().openapi()["paths"]}
inside = [(f"/api{path}", sorted(method.upper() for method in methods)) for path, methods in described.items()]
routes = [(route.path, sorted(getattr(route, "methods", None) or ["GET"])) for route in served]
print(json.dumps([*inside, *routes]))
"""


@pytest.fixture(scope="module")
def routes() -> list[tuple[str, list[str]]]:
    """All routes of the application that is served, Streamlit's own as well, with their methods."""
    environment = os.environ | {"ICHSCOPE_SIGN_IN": "on", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", _LIST], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # The last one is Streamlit's own page with its scripts, which everybody has.
    *named, (rest, methods) = json.loads(done.stdout.splitlines()[-1])
    assert not rest
    return [*named, ("/", methods), ("/static/{path:path}", methods)]


def test_every_route_is_in_the_table(routes: list[tuple[str, list[str]]]) -> None:
    assert {path for path, _ in routes} == set(ROUTES)


@pytest.mark.parametrize("asker", ASKERS)
def test_every_route_answers_whom_it_is_for(house: House, routes: list[tuple[str, list[str]]], asker: str) -> None:
    wrong = {
        (method, path): answer
        for path, methods in routes
        for method in set(methods) - {"HEAD", "OPTIONS"}
        if (answer := _answer(house, asker, method, path)) != _expected(path, asker)
    }
    assert not wrong


def _expected(path: str, asker: str) -> str:
    """Anything but a refusal is an answer, as that there is no such picture."""
    return "closed" if ROUTES[path] == NONE else "answered" if asker in ROUTES[path] else "refused"


def _answer(house: House, asker: str, method: str, path: str) -> str:
    """What a request from another computer gets, as a proxy hands it on."""
    concrete = path.replace("{session_id}", "a").replace("{file_id}", "b").partition("{")[0]
    headers = {"Origin": house.address, "X-Forwarded-For": "192.0.2.1"} | house.headers(asker)
    with closing(http.client.HTTPConnection(urlsplit(house.address).netloc, timeout=WAIT_S)) as connection:
        connection.request(method, concrete, headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    if answer.status == 401 and ("Please sign in" in text or "This needs a token" in text):
        return "refused"
    return "closed" if answer.status == 404 and text.startswith("There is nothing here") else "answered"


# ---- pages ---------------------------------------------------------------------------------------------


def test_every_page_has_its_file_and_its_right() -> None:
    assert {path.stem for path in (ROOT / "dashboard/views").glob("*.py")} == set(PAGES)


@pytest.mark.parametrize("asker", ["nobody", "program"])
def test_no_page_opens_for_others(house: House, asker: str) -> None:
    with pytest.raises(InvalidStatus) as refused, _socket(house, asker):
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("role", PEOPLE)
def test_every_page_is_there_for_whom_it_is_for(house: House, role: Role) -> None:
    allowed = [name for name, (_, right) in PAGES.items() if right in RIGHTS[role]]
    for name, (title, _) in PAGES.items():
        # The address of the front page has no name.
        shown, menu, refused = _open(house, role, "" if name == FRONT and name in allowed else name)
        assert menu == {PAGES[one][0] for one in allowed}
        assert (title in shown, refused) == (name in allowed, name not in allowed), name


def _open(house: House, role: Role, name: str) -> tuple[set[str], set[str], bool]:
    """Ask for a page as its browser does: the headings that come, the menu, and whether there is no such page."""
    asked = BackMsg()
    asked.rerun_script.page_name = name
    shown, menu, refused = set(), set(), False
    with _socket(house, role) as socket:
        socket.send(asked.SerializeToString())
        while True:
            message = ForwardMsg.FromString(socket.recv(WAIT_S, decode=False))
            kind = message.WhichOneof("type")
            if kind == "navigation":
                menu = {page.page_name for page in message.navigation.app_pages if not page.is_hidden}
            elif kind == "page_not_found":
                refused = True
            elif kind == "delta" and message.delta.new_element.HasField("heading"):
                shown.add(message.delta.new_element.heading.body)
            elif kind == "script_finished":
                return shown, menu, refused


def _socket(house: House, asker: str):  # type: ignore[no-untyped-def]
    address = house.address.replace("http", "ws") + "/_stcore/stream"
    headers = house.headers(asker)
    return connect(address, origin=house.address, subprotocols=["streamlit"], additional_headers=headers)  # type: ignore[arg-type]
