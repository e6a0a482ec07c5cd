"""A client of an ASGI application in the same process; it keeps cookies, and follows no redirect."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx2

T = TypeVar("T")


def finished(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end in a thread of its own: Playwright leaves a loop running in the one of the tests."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


class AsgiClient:
    """Asks an application as a browser at an address would."""

    def __init__(self, application: Any, base_url: str = "http://localhost:8501", address: str = "127.0.0.1") -> None:
        self._transport = httpx2.ASGITransport(application, client=(address, 5000))
        self._base_url, self.cookies = base_url, httpx2.Cookies()

    def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Ask once."""
        return finished(self._ask(method, path, options))

    def get(self, path: str, **options: Any) -> httpx2.Response:
        """Ask for something."""
        return self.ask("GET", path, **options)

    async def _ask(self, method: str, path: str, options: dict[str, Any]) -> httpx2.Response:
        async with httpx2.AsyncClient(
            transport=self._transport, base_url=self._base_url, cookies=self.cookies
        ) as client:
            response = await client.request(method, path, **options)
            self.cookies = client.cookies
        return response
