"""Uploaded files: the gate puts them on disk, Streamlit keeps their names; here they are found, and let go of."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterable
from pathlib import Path

from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from dashboard.arrivals import arrivals
from ichscope.imaging.limits import MIB, upload_mib


def on_disk(file: UploadedFile) -> Path | None:
    """Where the gate has put a file; None where there is no gate, as in tests, and Streamlit has it in memory."""
    context = get_script_run_ctx()
    path = arrivals().path(context.session_id, file.file_id) if context is not None else None
    return path if path is not None and path.is_file() else None


def size(file: UploadedFile) -> int:
    """How many bytes a file has, wherever it is."""
    path = on_disk(file)
    return file.size if path is None else path.stat().st_size


def free(files: Iterable[str]) -> None:
    """Let go of files of this session, by the `file_id` that Streamlit gave them; unknown ones are no error."""
    context = get_script_run_ctx()
    if context is None or not isinstance(manager := context.uploaded_file_mgr, MemoryUploadedFileManager):
        return
    for file in files:
        manager.remove_file(context.session_id, file)
        arrivals().remove(context.session_id, file)


def too_much(files: Iterable[UploadedFile]) -> str:
    """Say why so much cannot be taken at once; "" where it can."""
    found = sum(map(size, files)) // MIB
    if found <= upload_mib():
        return ""
    return f"Found {found} MB in one upload, expected at most {upload_mib()}. Hand it over in parts, or as a folder."


def give_back() -> None:
    """Give memory that nobody uses back to the system, where the C library can: volumes that are gone leave much."""
    gc.collect()  # sessions of Streamlit hold each other
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
