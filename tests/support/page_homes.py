"""Homes for pages that run in the process of their test: what pages keep of another home is forgotten."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import streamlit as st


@contextmanager
def own_home(home: Path, patch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let pages use this home meanwhile, and no other database."""
    patch.setenv("ICHSCOPE_HOME", str(home))
    patch.delenv("ICHSCOPE_DATABASE_URL", raising=False)
    _forget()
    yield home
    _forget()


@contextmanager
def copied_home(filled: Path, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let pages use a copy, in a folder, of `filled`/home, with the models of `filled`/models."""
    shutil.copytree(filled / "home", folder / "home")
    patch.setenv("ICHSCOPE_MODELS", str(filled / "models"))
    with own_home(folder / "home", patch) as home:
        yield home


def _forget() -> None:
    st.cache_resource.clear()
    st.cache_data.clear()
