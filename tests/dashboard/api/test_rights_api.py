"""Who may ask for what: every route with every right, by no token, and by a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

import pytest

from dashboard import seen
from dashboard.api.app import application
from ichscope.access import Right, Role
from ichscope.store import Store, TrailFilter
from tests.dashboard.api.conftest import ALL, Program, picture, study, zipped

KEY = "f" * 16
# Route -> how to ask it, the rights that it asks for, and what it says to who has them.
ROUTES: dict[tuple[str, str], tuple[str, bytes, str, frozenset[Right], int]] = {
    ("POST", "/studies"): ("/api/studies", zipped(study()), "application/zip", frozenset({Right.ANALYSE}), 202),
    ("GET", "/studies"): ("/api/studies", b"", "", frozenset({Right.SEE}), 200),
    ("GET", "/studies/{key}"): (f"/api/studies/{KEY}", b"", "", frozenset({Right.SEE}), 404),
    ("GET", "/studies/{key}/evidence"): (f"/api/studies/{KEY}/evidence", b"", "", frozenset({Right.EXPORT}), 404),
    ("GET", "/studies/{key}/fhir"): (f"/api/studies/{KEY}/fhir", b"", "", frozenset({Right.EXPORT}), 404),
    ("GET", "/studies/{key}/sr"): (f"/api/studies/{KEY}/sr", b"", "", frozenset({Right.EXPORT}), 404),
    ("GET", "/jobs/{job}"): ("/api/jobs/1", b"", "", frozenset(), 404),
    ("GET", "/queue"): ("/api/queue", b"", "", frozenset(), 200),
    ("POST", "/pictures"): ("/api/pictures", picture(), "image/png", frozenset({Right.ANALYSE, Right.SEE}), 200),
    ("GET", "/openapi.json"): ("/api/openapi.json", b"", "", frozenset(), 200),
}
CASES = [pytest.param(route, id=" ".join(route)) for route in ROUTES]


def ask(program: Program, route: tuple[str, str], **headers: str) -> int:
    path, body, kind, _, _ = ROUTES[route]
    answer = program.ask(route[0], path, content=body, headers={"content-type": kind, **headers} if kind else headers)
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code


def test_every_route_is_in_the_table() -> None:
    described = application().openapi()["paths"]
    every = {(method.upper(), path) for path, methods in described.items() for method in methods}
    assert every | {("GET", "/openapi.json")} == set(ROUTES)


@pytest.mark.parametrize("route", CASES)
def test_a_token_may_what_its_rights_say(
    program_with: Callable[[Iterable[Right]], Program], store: Store, route: tuple[str, str]
) -> None:
    wanted, good = ROUTES[route][3:]
    assert ask(program_with(wanted), route) == good
    for lacking in wanted:
        jobs = len(store.jobs.recent())
        assert ask(program_with(ALL - {Right.API, lacking}), route) == 403
        assert len(store.jobs.recent()) == jobs
    assert store.trail.count(TrailFilter(outcome="refused")) == len(wanted)


@pytest.mark.parametrize("route", CASES)
@pytest.mark.parametrize("who", ["nobody", "unknown", "revoked", "expired"])
def test_without_a_token_that_counts_nothing_is_answered(
    store: Store, route: tuple[str, str], who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, secret = store.tokens.add("PACS", ALL, timedelta(days=1))
    if who == "revoked":
        store.tokens.revoke(token.id)
    if who == "expired":
        monkeypatch.setattr("ichscope.store.tokens.Token.valid", False)
    program = Program({"nobody": "", "unknown": "ichscope_x"}.get(who, secret))
    assert ask(program, route) == 401
    assert store.jobs.recent() == []


@pytest.mark.parametrize("route", CASES)
@pytest.mark.parametrize("role", [role for role in Role if role is not Role.SERVICE])
def test_a_browser_that_is_signed_in_is_no_program(store: Store, route: tuple[str, str], role: Role) -> None:
    """Its cookie goes along from pages of other sites, too."""
    account = store.accounts.add("somebody", role, "purple tractor lamp 9").id
    browser = Program()
    browser.cookies.set("ichscope_session", store.sessions.begin(account))
    assert browser.get("/healthz").status_code == 200
    assert ask(browser, route, origin="http://localhost:8501") == 401
    assert ask(browser, route, origin="https://evil.example") == (403 if route[0] == "POST" else 401)


def test_a_cookie_beside_a_token_changes_nothing(program: Program, store: Store) -> None:
    account = store.accounts.add("vera", Role.VIEWER, "purple tractor lamp 9").id
    program.cookies.set("ichscope_session", store.sessions.begin(account))
    assert program.get("/api/queue").status_code == 200


def test_what_a_token_may_not_see_is_left_out_of_the_answer(
    program_with: Callable[[Iterable[Right]], Program], store: Store
) -> None:
    answer = program_with({Right.ANALYSE}).hand_over(zipped(study())).json()
    assert (answer["state"], answer["results"]) == ("done", None)
    assert seen.LINES.wait(30) == 0
    assert store.trail.count(TrailFilter(action="study seen")) == 0


@pytest.mark.parametrize("route", CASES)
def test_where_nobody_signs_in_this_computer_may_all(
    store: Store, route: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ICHSCOPE_SIGN_IN", "off")
    assert ask(Program(sign_in=False), route) == ROUTES[route][4]


@pytest.mark.parametrize("route", [case for case in CASES if case.values[0][0] == "POST"])  # type: ignore[index]
@pytest.mark.parametrize(
    ("headers", "where"),
    [
        ({"origin": "https://evil.example"}, {}),
        ({"origin": "null"}, {}),
        ({"cookie": "a=b"}, {}),
        ({"x-forwarded-for": "192.0.2.1"}, {}),
        ({}, {"address": "192.0.2.1"}),
    ],
)
def test_where_nobody_signs_in_other_sites_and_computers_may_nothing(
    store: Store, route: tuple[str, str], headers: dict[str, str], where: dict[str, str]
) -> None:
    assert ask(Program(sign_in=False, **where), route, **headers) == 403
    assert store.jobs.recent() == []


def test_a_server_of_another_name_is_none(program: Program) -> None:
    answer = program.get("/api/queue", headers={"host": "evil.example"})
    assert (answer.status_code, answer.headers["content-type"]) == (421, "application/problem+json")


def test_while_the_store_is_away_that_is_said(program: Program, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    (store.volumes.parent / "ichscope.db").rename(store.volumes.parent / "away.db")
    answer = program.get("/api/queue")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    (store.volumes.parent / "away.db").rename(store.volumes.parent / "ichscope.db")
