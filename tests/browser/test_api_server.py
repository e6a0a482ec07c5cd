"""The interface for programs on a server that runs: what comes in pieces, too much of it, and what breaks off."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from ichscope.access import RIGHTS, Role, acting_as, operator
from ichscope.store import Store
from tests.browser.conftest import serve
from tests.dashboard.api.conftest import study, wait_for, zipped

pytestmark = pytest.mark.browser
ZIP = {"content-type": "application/zip"}
PIECE = 1 << 16


@dataclass(frozen=True)
class House:
    """A server where programs need tokens, and what one of them asks it with."""

    address: str
    home: Path
    token: str

    @property
    def program(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.address, headers={"authorization": f"Bearer {self.token}"}, timeout=90)

    @property
    def arriving(self) -> list[Path]:
        """Files on their way."""
        return [path for path in (self.home / "incoming").rglob("*") if path.is_file() and path.name != "in use"]


@pytest.fixture(scope="module")
def house(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    home = tmp_path_factory.mktemp("home")
    with closing(Store.open(home=home)) as store, acting_as(operator()):
        _, token = store.tokens.add("PACS", RIGHTS[Role.SERVICE], timedelta(days=1))
    with serve(models, home, ICHSCOPE_SIGN_IN="on", ICHSCOPE_UPLOAD_MB="4") as address:
        yield House(address, home, token)


def pieces(whole: bytes, size: int = PIECE) -> Iterator[bytes]:
    """Send without saying how much it is."""
    yield from (whole[at : at + size] for at in range(0, len(whole), size))


def test_a_study_that_comes_in_pieces_is_analysed(house: House) -> None:
    with house.program as program:
        answer = program.post("/api/studies?wait=50", content=pieces(zipped(study()), 1000), headers=ZIP)
        assert (answer.status_code, answer.json()["counts"]["done"]) == (200, 1)
        assert program.get(answer.headers["location"]).json()["studies"] == answer.json()["studies"]


@pytest.mark.parametrize("said", [True, False], ids=["with-its-length", "without"])
def test_too_much_is_refused_while_it_comes(house: House, said: bool) -> None:
    whole = bytes(6 << 20)
    with house.program as program:
        answer = program.post("/api/studies", content=whole if said else pieces(whole), headers=ZIP)
        assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    assert house.arriving == []


def test_what_breaks_off_leaves_nothing(house: House) -> None:
    place = urlsplit(house.address)
    head = f"POST /api/studies HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {house.token}\r\n"
    head += "Content-Type: application/zip\r\nContent-Length: 100000\r\n\r\n"
    with socket.create_connection((str(place.hostname), place.port or 80)) as connection:
        connection.sendall(head.encode() + bytes(50_000))
        wait_for(lambda: house.arriving)
    wait_for(lambda: not house.arriving)
    with house.program as program:
        assert program.get("/api/queue").json()["waiting"] == 0
