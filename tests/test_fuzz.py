"""Some hundred damaged files of each kind: a small form of benchmarks/fuzz.py."""

from __future__ import annotations

import pytest

from tests.support import damaged_files as fuzz

SOME = {"dicom": 420, "zips": 60, "pictures": 120, "tables": 120}


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_damaged_files_end_nothing(kind: str) -> None:
    found = fuzz.run(kind, SOME[kind])
    assert found["files"] == SOME[kind]
    assert (found["deaths"], found["hangs"], found["unhandled"]) == ([], [], [])
    assert found["peak MiB"] < 768


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_whole_files_are_read(kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("whole")
    assert {fuzz.read(kind, data, folder) for data in fuzz.whole(kind)[:4]} <= {"read", "refused"}
    assert fuzz.damaged(kind, 7) == fuzz.damaged(kind, 7) != fuzz.damaged(kind, 8)


def test_a_death_is_seen_and_the_next_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    found = fuzz.run("no such kind", 2)
    assert [death["number"] for death in found["deaths"]] == [0, 1]
