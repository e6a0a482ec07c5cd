"""Signing in and out over the real routes, gate and store; and everything that a stranger may not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from ichscope.access import Right
from ichscope.store import Store
from ichscope.store import access_tables as tables
from tests.dashboard.gate.conftest import PASSWORD, visit
from tests.support.asgi_client import AsgiClient

HTML = {"Accept": "text/html,application/xhtml+xml"}
ORIGIN = {"Origin": "http://localhost:8501"}


def sign_in(client: AsgiClient, name: str = "ann", password: str = PASSWORD, **options: Any) -> httpx2.Response:
    options.setdefault("headers", ORIGIN)
    data = {"name": name, "password": password} | options.pop("data", {})
    return client.ask("POST", "/sign-in", data=data, **options)


def secret(client: AsgiClient) -> str:
    return client.cookies.get("ichscope_session") or ""


# ---- strangers -----------------------------------------------------------------------------------------

CLOSED = ["/", "/worklist", "/media/abc.png", "/_stcore/health", "/_stcore/host-config", "/account", "/sign-in/x"]


@pytest.mark.parametrize("path", CLOSED)
def test_a_stranger_gets_nothing(client: AsgiClient, path: str) -> None:
    assert client.get(path).status_code == 401
    assert client.ask("PUT", path, headers=ORIGIN).status_code == 401


def test_a_stranger_who_opens_a_page_is_led_to_the_sign_in(client: AsgiClient) -> None:
    answer = client.get("/worklist?study=3", headers=HTML)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=/worklist%3Fstudy%3D3"


@pytest.mark.parametrize("path", ["/healthz", "/sign-in", "/static/js/index.js"])
def test_what_everybody_may_see(client: AsgiClient, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Remote-User": "adam"},
        {"X-Forwarded-User": "adam"},
        {"X-ICHScope-User": "adam", "X-ICHScope-Role": "admin"},
        {"Authorization": "Bearer ichscope_guess"},
        {"Authorization": "Basic YWRhbTphZGFt"},
        {"Cookie": "ichscope_session=guess"},
        {"Cookie": "ichscope_session="},
        {"Cookie": "_streamlit_user=adam"},
    ],
)
def test_what_is_claimed_lets_nobody_in(client: AsgiClient, headers: dict[str, str]) -> None:
    assert client.get("/", headers=headers).status_code == 401


# ---- in ------------------------------------------------------------------------------------------------


def test_the_form_works_without_a_script(client: AsgiClient) -> None:
    answer = client.get("/sign-in?next=/worklist")
    policy = answer.headers["content-security-policy"]
    assert "<script" not in answer.text
    assert "script-src" not in policy
    assert "default-src 'none'" in policy
    assert "value='/worklist'" in answer.text
    for field in ("autocomplete='username'", "autocomplete='current-password'", "for='name'", "for='password'"):
        assert field in answer.text


def test_signing_in_leads_to_the_page_that_was_asked_for(client: AsgiClient) -> None:
    answer = sign_in(client, data={"next": "/worklist?study=3"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/worklist?study=3")
    assert client.get("/worklist").text == "inside"
    assert client.get("/sign-in").status_code == 303


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nb: c", ""]
)
def test_signing_in_leads_to_no_other_site(client: AsgiClient, elsewhere: str) -> None:
    assert sign_in(client, data={"next": elsewhere}).headers["location"] == "/"


def test_the_cookie_is_for_the_server_alone(store: Store) -> None:
    plain = sign_in(visit()).headers["set-cookie"]
    assert "HttpOnly" in plain
    assert "SameSite=lax" in plain
    assert "Path=/" in plain
    assert "Domain" not in plain
    assert "Max-Age" not in plain
    assert "expires" not in plain.lower()
    tls = visit("https://ich.example.org", "192.0.2.1")
    cookie = sign_in(tls, headers={"Origin": "https://ich.example.org"}).headers["set-cookie"]
    assert cookie.startswith("__Host-ichscope_session=")
    assert "Secure" in cookie
    assert tls.get("/").text == "inside"


def test_a_cookie_from_without_tls_is_worth_nothing_within(client: AsgiClient) -> None:
    sign_in(client)
    tls = visit("https://ich.example.org")
    assert tls.get("/", headers={"Cookie": f"ichscope_session={secret(client)}"}).status_code == 401


def test_a_session_that_was_planted_is_not_the_one_that_is_used(client: AsgiClient) -> None:
    sign_in(client, "vera")
    planted = secret(client)
    sign_in(client, "ann")
    assert secret(client) not in ("", planted)
    other = visit()
    assert other.get("/", headers={"Cookie": f"ichscope_session={planted}"}).status_code == 401


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}])
def test_no_other_site_signs_anybody_in_or_out(client: AsgiClient, headers: dict[str, str]) -> None:
    assert sign_in(client, headers=headers).status_code == 403
    sign_in(client)
    assert client.ask("POST", "/sign-out", headers=headers).status_code == 403
    assert client.ask("POST", "/sign-out").status_code == 403  # with a cookie, and no word where from
    assert client.ask("GET", "/sign-out").status_code in (405, 200)
    assert client.get("/").text == "inside"


def test_a_wrong_password_says_neither_what_was_wrong_nor_what_was_typed(client: AsgiClient) -> None:
    wrong, unknown = sign_in(client, password="wrong horse"), sign_in(client, "nobody", "wrong horse")
    assert wrong.status_code == unknown.status_code == 401
    assert "The name or the password is wrong." in wrong.text
    assert "wrong horse" not in wrong.text
    assert "role='alert'" in wrong.text
    assert not secret(client)


def test_a_name_is_no_markup(client: AsgiClient) -> None:
    assert "<b>" not in sign_in(client, "<b>ann</b>'").text.partition("<h1>")[2]


def test_guessing_is_slowed_down_with_words(client: AsgiClient) -> None:
    codes = [sign_in(client, password=f"guess {number}").status_code for number in range(7)]
    assert codes[0] == 401
    assert codes[-1] == 429
    answer = sign_in(client)
    assert answer.status_code == 429
    assert "Try again in" in answer.text


def test_without_accounts_the_form_says_how_to_make_one(store: Store, client: AsgiClient) -> None:
    for name in ("ann", "adam", "vera"):
        store.accounts.disable(name)
    assert "ichscope users add" in client.get("/sign-in").text


# ---- out -----------------------------------------------------------------------------------------------


def test_a_stolen_cookie_is_worth_nothing_after_the_sign_out(client: AsgiClient) -> None:
    sign_in(client)
    stolen = {"Cookie": f"ichscope_session={secret(client)}"}
    assert visit().get("/", headers=stolen).text == "inside"
    answer = client.ask("POST", "/sign-out", headers=ORIGIN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert visit().get("/", headers=stolen).status_code == 401
    assert client.get("/").status_code == 401


def test_signing_out_everywhere_ends_the_other_browsers(client: AsgiClient) -> None:
    other, somebody = visit(), visit()
    sign_in(client)
    sign_in(other)
    sign_in(somebody, "vera")
    gone = client.ask("POST", "/sign-out-everywhere", headers=ORIGIN)
    assert gone.headers["clear-site-data"] == '"cache", "storage"'
    assert other.get("/").status_code == client.get("/").status_code == 401
    assert somebody.get("/").text == "inside"


def test_a_disabled_account_is_out_at_once(store: Store, client: AsgiClient) -> None:
    sign_in(client)
    store.accounts.disable("ann")
    assert client.get("/").status_code == 401


def test_who_does_nothing_is_signed_out(store: Store, client: AsgiClient) -> None:
    sign_in(client)
    with store.database.writing() as session:
        session.execute(update(tables.SignedIn).values(seen_at=datetime.now(UTC) - timedelta(minutes=31)))
    assert client.get("/").status_code == 401


# ---- one's own account ---------------------------------------------------------------------------------

NEW = "green ladder coffee 4"


def test_the_account_says_who_one_is(client: AsgiClient) -> None:
    sign_in(client)
    text = client.get("/account").text
    assert "<b>ann</b>, reader" in text
    assert Right.REVIEW.value in text


def test_a_new_password_ends_all_other_sessions(client: AsgiClient) -> None:
    other = visit()
    sign_in(client)
    sign_in(other)
    answer = client.ask("POST", "/account/password", data={"old": PASSWORD, "new": NEW}, headers=ORIGIN)
    assert answer.status_code == 303
    assert client.get("/account").status_code == 200
    assert other.get("/").status_code == 401
    assert sign_in(visit()).status_code == 401
    assert sign_in(visit(), password=NEW).status_code == 303


@pytest.mark.parametrize(
    ("old", "new", "told"), [("wrong", NEW, "wrong"), (PASSWORD, "short", "expected 12"), (PASSWORD, "", "expected 12")]
)
def test_a_password_is_changed_by_its_owner_to_a_good_one(client: AsgiClient, old: str, new: str, told: str) -> None:
    sign_in(client)
    answer = client.ask("POST", "/account/password", data={"old": old, "new": new}, headers=ORIGIN)
    assert answer.status_code == 400
    assert told in answer.text
    assert sign_in(visit()).status_code == 303


# ---- programs ------------------------------------------------------------------------------------------


def test_a_token_is_for_programs_and_not_for_pages(store: Store) -> None:
    _, token = store.tokens.add("PACS", [Right.SEE], timedelta(days=1))
    program = visit("http://ich.example.org", "192.0.2.1")
    bearer = {"Authorization": f"Bearer {token}"}
    assert program.get("/metrics").status_code == 401
    assert program.get("/metrics", headers=bearer).status_code == 200
    assert program.get("/api/studies", headers=bearer).json()["studies"] == []
    for path in ("/", "/worklist", "/account", "/media/a.png"):
        assert program.get(path, headers=bearer).status_code == 401
    store.tokens.revoke(1)
    assert program.get("/metrics", headers=bearer).status_code == 401
    assert program.get("/api/studies", headers=bearer).status_code == 401


def test_without_the_store_nobody_comes_in(client: AsgiClient, monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    from ichscope.store import StoreError

    sign_in(client)

    def gone(*args: object, **options: object) -> None:
        raise StoreError("The database is gone.")

    monkeypatch.setattr(type(store.sessions), "look_up", gone)
    assert client.get("/").status_code == 503
    assert client.get("/healthz").status_code == 200
