"""Uploaded files: Streamlit keeps each in the server's memory until the tab is closed; here it goes when it is read."""

from __future__ import annotations

from collections.abc import Iterable

from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx


def free(files: Iterable[str]) -> None:
    """Let go of files of this session, by the `file_id` that Streamlit gave them; unknown ones are no error."""
    context = get_script_run_ctx()
    if context is None or not isinstance(manager := context.uploaded_file_mgr, MemoryUploadedFileManager):
        return
    for file in files:
        manager.remove_file(context.session_id, file)
