"""The interface behind the gate, where programs need tokens, with tiny models and a store of its own."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import pytest
import streamlit as st
from PIL import Image
from starlette.applications import Starlette

from dashboard import arrivals, background, cached, shared_store
from dashboard.gate import server
from dashboard.gate.asgi import Gate
from dashboard.gate.start import LOCAL, Settings
from ichscope import phantom
from ichscope.access import RIGHTS, Right, Role
from ichscope.store import Store
from tests.support import tiny_model
from tests.support.asgi_client import AsgiClient

ALL = RIGHTS[Role.SERVICE]
NAME, NUMBER = "ZZTOP^TEST", "PID-4711"


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in ("cranioscan", "cerebroscan"):
        tiny_model.build(folder, name)
    return folder


@pytest.fixture
def store(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store of the process."""
    with own_store(tmp_path, models, monkeypatch) as store:
        yield store


@contextmanager
def own_store(home: Path, models: Path, patch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Let the process have a store of its own meanwhile, whose background work is quick and ends then."""
    patch.setenv("ICHSCOPE_HOME", str(home))
    patch.setenv("ICHSCOPE_MODELS", str(models))
    patch.setenv("ICHSCOPE_SIGN_IN", "on")
    patch.delenv("ICHSCOPE_DATABASE_URL", raising=False)
    patch.setattr(background, "_TICK_S", 0.02)
    _forget()
    yield shared_store.store()
    cached.background().close()
    _forget()


def _forget() -> None:
    arrivals.arrivals.cache_clear()
    st.cache_resource.clear()
    st.cache_data.clear()


class Program(AsgiClient):
    """A program with a token, or without one."""

    def __init__(self, token: str = "", *, sign_in: bool = True, upload_bytes: int = 1 << 20, **where: str) -> None:
        settings = Settings("", frozenset(LOCAL), sign_in=sign_in, upload_bytes=upload_bytes)
        super().__init__(Gate(Starlette(routes=server.routes()), settings), **where)
        self.headers = {"authorization": f"Bearer {token}"} if token else {}

    def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        options["headers"] = self.headers | options.get("headers", {})
        return super().ask(method, path, **options)

    def post(self, path: str, content: bytes, kind: str, **options: Any) -> httpx2.Response:
        return self.ask("POST", path, content=content, headers={"content-type": kind}, **options)

    def hand_over(self, content: bytes, wait: float = 30) -> httpx2.Response:
        """Send a ZIP and wait for what comes of it."""
        return self.post(f"/api/studies?wait={wait}", content, "application/zip")


@pytest.fixture
def program_with(store: Store) -> Callable[[Iterable[Right]], Program]:
    """Make a program whose token has some rights."""
    return lambda rights: Program(store.tokens.add("PACS", rights, timedelta(days=1))[1])


@pytest.fixture
def program(program_with: Callable[[Iterable[Right]], Program]) -> Program:
    """A program that may do all that one may."""
    return program_with(ALL - {Right.API})


@cache
def study(seed: int = 0, bleed: str | None = None) -> Mapping[str, bytes]:
    """Files of a small head, whose names and headers name a patient."""
    head = phantom.make(bleed, seed, slices=6, size=64)
    tags = {"PatientName": NAME, "PatientID": NUMBER}
    return {
        f"{NAME}/IM{number}.dcm": phantom.to_bytes(one) for number, one in enumerate(phantom.datasets(head, **tags), 1)
    }


def zipped(*studies: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number, files in enumerate(studies):
            for name, data in files.items():
                archive.writestr(zipfile.ZipInfo(f"{number}/{name}"), data)
    return packed.getvalue()


def multipart(files: Mapping[str, bytes], kind: str = "form-data") -> tuple[bytes, str]:
    """A body of several files, and its Content-Type."""
    lines = []
    for name, data in files.items():
        place = f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n' if kind == "form-data" else ""
        head = f"--border\r\n{place}Content-Type: application/dicom\r\n\r\n"
        lines += [head.encode(), data, b"\r\n"]
    return b"".join([*lines, b"--border--\r\n"]), f'multipart/{kind}; type="application/dicom"; boundary=border'


@cache
def picture(bleed: str | None = "intraparenchymal", form: str = "PNG") -> bytes:
    """One slice of a head in the brain window."""
    head = phantom.make(bleed, slices=9, size=256)
    truth = head.hu[len(head.hu) // 2] if bleed is None else head.hu[_bleeds(head)]
    grey = ((truth.clip(0, 80) / 80) * 255).astype("uint8")
    made = io.BytesIO()
    Image.fromarray(grey).save(made, form)
    return made.getvalue()


def _bleeds(head: phantom.Phantom) -> int:
    """The slice that bleeds most."""
    return int(head.mask.reshape(len(head.hu), -1).sum(axis=1).argmax())


def wait_for(true: Callable[[], object], seconds: float = 60) -> None:
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if true():
            return
        pause.wait(0.05)
    raise AssertionError("nothing came of it")
