"""Folders of the server, where people sign in: those that an admin has named, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import server_folder, shared_store
from dashboard.background import Background
from ichscope.access import Actor, Role, Via, acting_as, by_default, operator
from ichscope.batch import discovery
from ichscope.batch.work_items import Files
from ichscope.phantom import make, write
from ichscope.store import Store


def page() -> None:
    import streamlit as st

    from dashboard import server_folder

    if path := server_folder.choose("path"):
        st.write(f"chosen {path}")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ICHSCOPE_SIGN_IN", "on")
    by_default(Actor("ann", Role.READER, Via.PAGE))
    st.cache_resource.clear()
    (tmp_path / "inbox" / "a").mkdir(parents=True)
    (tmp_path / "private").mkdir()
    (tmp_path / "inbox" / "link").symlink_to(tmp_path / "private")
    yield shared_store.store()
    shared_store.store().close()
    st.cache_resource.clear()


def chosen(below: str) -> AppTest:
    app = AppTest.from_function(page, default_timeout=60).run()
    app.text_input[0].set_value(below)
    return app.button[0].click().run()


def test_without_a_named_folder_there_is_no_field(store: Store) -> None:
    app = AppTest.from_function(page, default_timeout=60).run()
    assert not app.text_input
    assert "ichscope folders add" in app.markdown[0].value


def test_what_lies_below_a_named_folder_is_open_and_nothing_else(store: Store, tmp_path: Path) -> None:
    with acting_as(operator()):
        store.folders.add("inbox", tmp_path / "inbox")
    assert chosen("a").markdown[0].value == f"chosen {tmp_path / 'inbox' / 'a'}"
    for elsewhere in ("../private", str(tmp_path / "private"), "link", "none", "a\0"):
        app = chosen(elsewhere)
        assert not app.markdown
        assert len(app.error) == 1


def test_a_link_to_elsewhere_is_met_and_not_followed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with acting_as(operator()):
        store.folders.add("inbox", tmp_path / "inbox")
    write(make(slices=4, size=64), tmp_path / "private")
    write(make(slices=4, size=64), tmp_path / "inbox" / "a")
    for file in (tmp_path / "private").iterdir():
        (tmp_path / "inbox" / "a" / f"of-{file.name}").symlink_to(file)
    work = Background(store)
    monkeypatch.setattr(work, "ask", lambda job: None)
    job = work.folder(tmp_path / "inbox" / "a", "Folder on the server", inside=server_folder.roots())
    (item,) = store.jobs.claim(job, 1)
    found = discovery.start(store, item.locator)
    assert isinstance(found, discovery.PlaceTasks)
    sources = [source for task in found if isinstance(task, Files) for source in task.sources]
    assert len(sources) == 4
    assert not any(source.path.is_symlink() for source in sources if source.path)
