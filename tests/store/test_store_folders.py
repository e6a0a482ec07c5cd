"""Named folders: what lies in one is found, and nothing else, whatever links and paths say."""

from __future__ import annotations

from pathlib import Path

import pytest

from ichscope.access import Actor, Role, Via, acting_as
from ichscope.store import RefusedError, Store, StoreError

CLOSED = r"^There is no such folder or file, or it is not open to the pages\.$"


@pytest.fixture
def inbox(store: Store, tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    (folder / "today").mkdir(parents=True)
    (folder / "today" / "one.dcm").write_bytes(b"x")
    (tmp_path / "secret").mkdir()
    (folder / "out").symlink_to(tmp_path / "secret")
    (folder / "in").symlink_to(folder / "today")
    (folder / "round").symlink_to(folder / "round")
    store.folders.add("inbox", folder)
    return folder


@pytest.mark.parametrize(
    ("below", "found"),
    [("", "."), ("today", "today"), ("today/one.dcm", "today/one.dcm"), ("in", "today"), ("today/../today", "today")],
)
def test_what_lies_inside_is_found(store: Store, inbox: Path, below: str, found: str) -> None:
    assert store.folders.resolve("inbox", below) == (inbox / found).resolve()


@pytest.mark.parametrize(
    "below",
    ["..", "../secret", "out", "/etc", "/etc/none", "none", "round", "a\0b", "~", "x" * 5000, "today/../../secret"],
)
def test_all_else_gets_one_answer(store: Store, inbox: Path, below: str) -> None:
    for name in ("inbox", "nowhere"):
        with pytest.raises(StoreError, match=CLOSED):
            store.folders.resolve(name, below)


def test_a_folder_that_a_link_replaced_is_elsewhere(store: Store, inbox: Path, tmp_path: Path) -> None:
    inbox.rename(tmp_path / "old")
    inbox.symlink_to("/etc")
    with pytest.raises(StoreError, match=CLOSED):
        store.folders.resolve("inbox", "passwd")


def test_what_is_named_is_a_folder(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path, words in (
        (tmp_path / "none", "no such"),
        (tmp_path / "file", "Expected a folder"),
        (Path("/"), "whole disk"),
    ):
        with pytest.raises(StoreError, match=words):
            store.folders.add("new", path)
    with pytest.raises(StoreError, match="can be seen"):
        store.folders.add(" ", tmp_path)
    store.folders.add("new", tmp_path)
    with pytest.raises(StoreError, match="already"):
        store.folders.add("new", tmp_path)
    store.folders.remove("new")
    with pytest.raises(StoreError, match="no folder"):
        store.folders.remove("new")
    assert store.folders.all() == []


def test_a_viewer_finds_out_nothing(store: Store, inbox: Path) -> None:
    with acting_as(Actor("Vic", Role.VIEWER, Via.PAGE)):
        for below in ("today", "none"):
            with pytest.raises(RefusedError, match="may not analyse"):
                store.folders.resolve("inbox", below)
