"""Uploads on their way through the gate: to disk, and an empty file of the same name to Streamlit."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dashboard.arrivals import Arrivals
from dashboard.gate import incoming
from dashboard.gate.incoming import Incoming
from tests.support.asgi_client import AsgiClient

SESSION, FILE, ANOTHER = (str(uuid.UUID(int=number, version=4)) for number in range(3))
ADDRESS = f"/_stcore/upload_file/{SESSION}/{FILE}"
NAME = "head/Köpfe 1.dcm"
BYTES = bytes(range(256)) * 4000 + b"\r\n--"


class Behind:
    """Takes uploads as Streamlit does, and remembers what it got."""

    def __init__(self, status: int = 204) -> None:
        self.got: list[tuple[str | None, bytes]] = []
        self._status = status
        self.application = Starlette(routes=[Route("/{path:path}", self._take, methods=["PUT", "DELETE"])])

    async def _take(self, request: Request) -> Response:
        if request.method == "PUT":
            async with request.form() as form:
                for file in form.values():
                    assert isinstance(file, UploadFile)
                    self.got.append((file.filename, await file.read()))
        return Response(status_code=self._status)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Arrivals]:
    monkeypatch.setattr(incoming, "_open", lambda session: session == SESSION)
    monkeypatch.setenv("ICHSCOPE_UPLOAD_MB", "1")
    made = Arrivals(tmp_path)
    yield made
    made.close()


def ask(here: Arrivals, behind: Behind, method: str = "PUT", path: str = ADDRESS, **options: Any) -> httpx2.Response:
    return AsgiClient(Incoming(behind.application, here)).ask(method, path, **options)


def files(content: bytes = BYTES) -> dict[str, Any]:
    return {"file": (NAME, content, "application/dicom")}


def test_the_file_lies_on_disk_and_streamlit_has_its_name(here: Arrivals) -> None:
    behind = Behind()
    assert ask(here, behind, files=files()).status_code == 204
    assert behind.got == [(NAME, b"")]
    assert here.path(SESSION, FILE).read_bytes() == BYTES
    assert ask(here, behind, "DELETE").status_code == 204
    assert not here.path(SESSION, FILE).exists()


@pytest.mark.parametrize(
    "path", [f"/_stcore/upload_file/{ANOTHER}/{FILE}", f"/_stcore/upload_file/{SESSION}/..", "/elsewhere"]
)
def test_what_is_no_upload_to_an_open_page_is_left_to_streamlit(here: Arrivals, tmp_path: Path, path: str) -> None:
    behind = Behind()
    ask(here, behind, path=path, files=files())
    assert list(tmp_path.iterdir()) == []


def test_what_streamlit_does_not_take_does_not_stay(here: Arrivals) -> None:
    assert ask(here, Behind(403), files=files()).status_code == 403
    assert not here.path(SESSION, FILE).exists()


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"files": files(bytes(3_000_000))}, 413),
        ({"files": [("a", ("a", b"1", "text/plain")), ("b", ("b", b"2", "text/plain"))]}, 400),
        ({"content": b"pixels", "headers": {"content-type": "application/dicom"}}, 400),
        ({"content": b"--x\r\nno", "headers": {"content-type": "multipart/form-data; boundary=x"}}, 400),
        ({"content": b"--x--\r\n", "headers": {"content-type": "multipart/form-data; boundary=x"}}, 400),
    ],
)
def test_more_than_may_be_and_what_is_no_file_are_refused(here: Arrivals, options: dict[str, Any], status: int) -> None:
    behind = Behind()
    assert ask(here, behind, **options).status_code == status
    assert behind.got == []
    assert not here.path(SESSION, FILE).exists()


def test_a_full_disk_is_told(here: Arrivals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.arrivals.LEAST_FREE_BYTES", 1 << 60)
    assert ask(here, Behind(), files=files()).status_code == 507
