"""Uploads on their way in: on disk, bounded, and gone when nobody needs them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard import arrivals
from dashboard.arrivals import Arrivals, FullError

ROOT = Path(__file__).parents[2]
LEFT_BEHIND = """
import os, signal
from pathlib import Path
from dashboard.arrivals import Arrivals
with Arrivals(Path("{home}")).begin("session", "file") as file:
    file.write(b"pixels")
os.kill(os.getpid(), signal.SIGKILL)
"""


def put(here: Arrivals, session: str, file: str, content: bytes) -> Path:
    with here.begin(session, file) as target:
        here.charge(session, len(content))
        target.write(content)
    return here.path(session, file)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Arrivals]:
    monkeypatch.setenv("ICHSCOPE_UPLOAD_MB", "1")
    made = Arrivals(tmp_path / "home")
    yield made
    made.close()


def test_a_file_is_its_owners_alone_and_goes(here: Arrivals) -> None:
    path = put(here, "session", "file", b"pixels")
    assert path.read_bytes() == b"pixels"
    assert [place.stat().st_mode & 0o077 for place in (path, path.parent, *path.parents[1:4])] == [0] * 5
    here.remove("session", "file")
    here.remove("session", "file")
    assert not path.exists()


def test_a_session_has_so_much_and_may_go_on_when_that_is_gone(here: Arrivals) -> None:
    put(here, "session", "first", bytes(1_500_000))
    with pytest.raises(FullError):
        put(here, "session", "second", bytes(1_000_000))
    put(here, "other", "first", bytes(1_500_000))
    here.remove("session", "first")
    here.remove("session", "second")
    put(here, "session", "third", bytes(1_500_000))


def test_many_empty_files_count_too(here: Arrivals) -> None:
    for number in range(32):
        put(here, "session", str(number), b"")
    with pytest.raises(FullError):
        put(here, "session", "one more", b"")


def test_what_a_session_had_is_gone_with_it(here: Arrivals) -> None:
    mine, theirs = put(here, "mine", "file", bytes(1_500_000)), put(here, "theirs", "file", b"pixels")
    here.remove_session("mine")
    assert (mine.parent.exists(), theirs.exists()) == (False, True)
    put(here, "mine", "file", bytes(1_500_000))


def test_a_full_disk_takes_nothing(here: Arrivals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "LEAST_FREE_BYTES", 1 << 60)
    with pytest.raises(OSError, match="No space left"):
        here.begin("session", "file")


def test_what_a_killed_server_left_goes_at_the_next_start_and_another_servers_stays(tmp_path: Path) -> None:
    living = Arrivals(tmp_path)
    kept = put(living, "session", "file", b"pixels")
    subprocess.run([sys.executable, "-c", LEFT_BEHIND.format(home=tmp_path)], cwd=ROOT, capture_output=True)
    assert len(list((tmp_path / arrivals.FOLDER).iterdir())) == 2
    Arrivals(tmp_path).tidy()
    assert list((tmp_path / arrivals.FOLDER).iterdir()) == [kept.parents[1]]
    assert kept.exists()
    living.close()
    assert list((tmp_path / arrivals.FOLDER).iterdir()) == []
