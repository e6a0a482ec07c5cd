from __future__ import annotations

from types import SimpleNamespace

import pytest
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from dashboard import uploads


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> MemoryUploadedFileManager:
    """Streamlit's own store of uploads, with two files of this session and one of another user's."""
    manager = MemoryUploadedFileManager("/upload")
    for session, name in (("mine", "a"), ("mine", "b"), ("theirs", "a")):
        manager.add_file(session, UploadedFileRec(name, f"{name}.dcm", "application/dicom", b"pixels"))
    context = SimpleNamespace(session_id="mine", uploaded_file_mgr=manager)
    monkeypatch.setattr(uploads, "get_script_run_ctx", lambda: context)
    return manager


@pytest.mark.parametrize(("free", "left"), [([], ["a", "b"]), (["a"], ["b"]), (["a", "b"], []), (["b", "gone"], ["a"])])
def test_what_was_read_is_let_go_of_and_nothing_else(
    kept: MemoryUploadedFileManager, free: list[str], left: list[str]
) -> None:
    uploads.free(free)
    assert [file.file_id for file in kept.get_files("mine", ["a", "b"])] == left
    assert len(kept.get_files("theirs", ["a"])) == 1


def test_outside_a_page_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "get_script_run_ctx", lambda: None)
    uploads.free(["a"])
