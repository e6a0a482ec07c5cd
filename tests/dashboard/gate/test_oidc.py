"""Signing in at a real OpenID Connect server, which runs beside the test."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from dashboard.gate import oidc
from dashboard.gate.oidc import ConfigError, role_of
from ichscope.access import Role
from ichscope.store import Store
from tests.dashboard.gate.conftest import visit
from tests.support.asgi_client import AsgiClient

ROLES = {"ct-viewers": Role.VIEWER, "ct-readers": Role.READER, "ct-admins": Role.ADMIN}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """Address of the server that knows the people."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    address = f"http://localhost:{port}"
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait(address)
            yield address
        finally:
            process.terminate()


def _wait(address: str) -> None:
    for _ in range(240):
        try:
            httpx2.get(f"{address}/.well-known/openid-configuration")
            return
        except httpx2.HTTPError:
            time.sleep(0.25)
    pytest.fail("the identity provider did not start")


@pytest.fixture
def client(store: Store, issuer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AsgiClient]:
    config = tmp_path / "ichscope.toml"
    lines = "\n".join(f'"{group}" = "{role}"' for group, role in ROLES.items())
    config.write_text(
        f'[oidc]\nissuer = "{issuer}"\nclient_id = "ichscope"\nclient_secret = "s"\nname = "Example Hospital"\n'
        f"[oidc.roles]\n{lines}\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("ICHSCOPE_CONFIG", str(config))
    _forget()
    yield visit()
    _forget()


def _forget() -> None:
    oidc.provider.cache_clear()
    oidc._client.cache_clear()


def person(issuer: str, subject: str, **claims: object) -> None:
    assert httpx2.put(f"{issuer}/users/{subject}", json=claims).is_success


def go(client: AsgiClient, subject: str, path: str = "/sign-in/oidc") -> str:
    """Go to the other server and say who one is there; the address that it leads back to."""
    away = client.get(path)
    assert away.status_code == 302
    agreed = httpx2.post(away.headers["location"], data={"sub": subject})
    assert agreed.status_code == 302
    back = urlsplit(agreed.headers["location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == "http://localhost:8501/sign-in/oidc/back"
    return f"{back.path}?{back.query}"


def test_a_group_leads_to_a_role_and_to_the_page_that_was_asked_for(client: AsgiClient, issuer: str) -> None:
    person(issuer, "1", preferred_username="Olga Orange", groups=["everybody", "ct-readers"])
    answer = client.get(go(client, "1", "/sign-in/oidc?next=/worklist%3Fstudy%3D3"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/worklist?study=3")
    assert "<b>Olga Orange</b>, reader" in client.get("/account").text


def test_the_way_there_has_state_nonce_and_pkce(client: AsgiClient) -> None:
    asked = parse_qs(urlsplit(client.get("/sign-in/oidc").headers["location"]).query)
    assert asked["response_type"] == ["code"]
    assert asked["code_challenge_method"] == ["S256"]
    assert all(len(asked[name][0]) >= 16 for name in ("state", "nonce", "code_challenge"))


def test_the_same_person_keeps_the_account_and_the_groups_of_today_count(
    client: AsgiClient, store: Store, issuer: str
) -> None:
    person(issuer, "2", preferred_username="Paul", groups=["ct-viewers"])
    client.get(go(client, "2"))
    person(issuer, "2", preferred_username="Paul", groups=["ct-viewers", "ct-admins"])
    other = visit()
    other.get(go(other, "2"))
    (paul,) = (account for account in store.accounts.all() if account.name == "Paul")
    assert paul.role is Role.ADMIN
    assert paul.issuer == issuer


def test_nobody_becomes_somebody_else_by_a_name(client: AsgiClient, store: Store, issuer: str) -> None:
    person(issuer, "3", preferred_username="adam", groups=["ct-viewers"])
    client.get(go(client, "3"))
    assert "adam 2" in client.get("/account").text
    assert ", viewer" in client.get("/account").text


def test_without_a_group_nobody_comes_in(client: AsgiClient, store: Store, issuer: str) -> None:
    person(issuer, "4", preferred_username="Quentin", groups=["everybody"])
    answer = client.get(go(client, "4"))
    assert answer.status_code == 403
    assert "none of your groups" in answer.text
    assert client.get("/").status_code == 401
    assert "Quentin" not in [account.name for account in store.accounts.all()]


def test_a_disabled_account_stays_out(client: AsgiClient, store: Store, issuer: str) -> None:
    person(issuer, "5", preferred_username="Rosa", groups=["ct-readers"])
    client.get(go(client, "5"))
    store.accounts.disable("Rosa")
    other = visit()
    assert other.get(go(other, "5")).status_code == 403
    assert client.get("/").status_code == other.get("/").status_code == 401


def test_an_answer_counts_once_and_for_the_browser_that_asked(client: AsgiClient, issuer: str) -> None:
    person(issuer, "6", preferred_username="Sam", groups=["ct-readers"])
    back = go(client, "6")
    assert visit().get(back).status_code == 401
    assert client.get(back).status_code == 303
    assert client.get(back).status_code == 401
    forged = visit()
    forged.get("/sign-in/oidc")
    assert forged.get("/sign-in/oidc/back?code=guess&state=guess").status_code == 401


def test_a_server_that_is_not_there_is_told(client: AsgiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    at = oidc.provider()
    assert at is not None
    with monkeypatch.context() as patched:
        patched.setattr(oidc, "provider", lambda: replace(at, issuer="http://localhost:1"))
        oidc._client.cache_clear()
        answer = client.get("/sign-in/oidc")
    assert answer.status_code == 502
    assert "Example Hospital cannot be reached" in answer.text


def test_the_form_offers_it(client: AsgiClient) -> None:
    assert "Sign in with Example Hospital" in client.get("/sign-in").text


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        (["ct-readers"], Role.READER),
        (["ct-viewers", "ct-admins", "ct-readers"], Role.ADMIN),
        ("ct-readers", Role.READER),
        (["CT-READERS"], None),
        ([], None),
        (None, None),
        ([["ct-admins"]], None),
        ({"ct-admins": True}, None),
    ],
)
def test_groups_and_roles(groups: object, role: Role | None) -> None:
    assert role_of(groups, ROLES) is role


GOOD = '[oidc]\nissuer = "https://a"\nclient_id = "i"\nclient_secret = "s"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[oidc", "cannot be read"),
        ("[oidc]\n", "oidc.roles"),
        (f'{GOOD}[oidc.roles]\n"a" = "service"\n', "has service"),
        (f'{GOOD}[oidc.roles]\n"a" = "chief"\n', "has chief"),
        (f'{GOOD}colour = "red"\n[oidc.roles]\n"a" = "reader"\n', "has colour"),
        ('[oidc]\nissuer = "https://a"\nclient_id = "i"\n[oidc.roles]\n"a" = "reader"\n', "no client_secret"),
    ],
)
def test_a_configuration_that_is_wrong_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    path = tmp_path / "ichscope.toml"
    path.write_text(text, encoding="utf-8")
    monkeypatch.setenv("ICHSCOPE_CONFIG", str(path))
    monkeypatch.delenv("ICHSCOPE_OIDC_SECRET", raising=False)
    oidc.provider.cache_clear()
    with pytest.raises(ConfigError, match=told):
        oidc.provider()
    oidc.provider.cache_clear()
