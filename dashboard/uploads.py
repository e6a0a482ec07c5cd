"""Uploaded files: Streamlit keeps each in the server's memory until the tab is closed; here it goes when it is read."""

from __future__ import annotations

from collections.abc import Iterable

from streamlit.runtime.scriptrunner import get_script_run_ctx


def free(files: Iterable[str]) -> None:
    """Let go of files of this session, by the `file_id` that Streamlit gave them; unknown ones are no error."""
    context = get_script_run_ctx()
    if context is None:
        return
    for file in files:
        context.uploaded_file_mgr.remove_file(context.session_id, file)
