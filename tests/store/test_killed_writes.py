"""Everything at once, and then killed: the small form of benchmarks/kill.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import tiny_model
from tests.support.killed_writes import endure


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["program", "server"])
def test_what_was_confirmed_is_there_after_kills(killed: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    server = request.getfixturevalue("server") if killed == "server" else None
    tiny_model.build(tmp_path / "models")
    (tmp_path / "run").mkdir()
    report = endure(tmp_path / "run", 2, tmp_path / "models", server=server)
    assert report["wrong"] == []
    assert report["kills"] == 2
    assert report["confirmed"], "nothing was written; this test would prove nothing"
