"""A look at a store changes nothing, whichever database it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ichscope.home import read_key, with_driver
from ichscope.store import Store, StoreError
from ichscope.store.inspection import Inspection, look
from ichscope.store.migrate import HEAD
from tests.support.store_cases import add


def test_what_there_is(url: str, tmp_path: Path, open_store: Callable[[str], Store]) -> None:
    place = with_driver(url)
    kind = place.partition(":")[0].partition("+")[0]
    assert look(tmp_path, place, None) == Inspection(kind)
    assert not list(tmp_path.iterdir())
    add(open_store(url), "a", 0.9)
    found = look(tmp_path, place, read_key(tmp_path))
    assert (found.kind, found.revision, found.damage, found.studies, found.admins) == (kind, HEAD, "", 1, 0)
    assert (found.there, found.fits) == (True, True)
    assert found.newest is not None
    assert abs(datetime.now(UTC) - found.newest) < timedelta(minutes=5)
    assert look(tmp_path, place, b"another").fits is False
    assert look(tmp_path, place, None).fits is None


def test_a_server_that_is_away_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="the connection to it is lost"):
        look(tmp_path, "postgresql+psycopg://nobody@/none?host=/nowhere", None)
