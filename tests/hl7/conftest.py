from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ichscope.hl7.listening import Listener
from ichscope.hl7.settings import Hl7Settings
from ichscope.hl7.taking import Taking
from ichscope.store import Store

Listen = Callable[..., Listener]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(home=tmp_path / "home")
    yield opened
    opened.close()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def listen(store: Store, said: list[str]) -> Iterator[Listen]:
    """Start listeners, by their settings, at a port that is free."""
    started = []

    def start(**settings: object) -> Listener:
        made = Hl7Settings(**{"senders": ("127.0.0.1",), "port": 0} | settings)  # type: ignore[arg-type]
        started.append(Listener(made, Taking(made, store), said.append))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.stop()
