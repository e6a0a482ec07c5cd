"""A table whose rows can be chosen, one by one or all, and one of which can be opened; by mouse or by keyboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "ichscope_choosing",
    html='<table class="studies choosing"><thead></thead><tbody></tbody></table>',
    css="\n".join(
        path.read_text(encoding="utf-8") for path in (_HERE.parent / "table/table.css", _HERE / "choosing.css")
    ),
    js=(_HERE / "choosing.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Chosen:
    """Rows that are chosen, and the one that was opened last, by their place; None where none was."""

    rows: tuple[int, ...]
    opened: int | None


def table(head: Sequence[str], rows: Sequence[Sequence[str]], key: str) -> Chosen:
    """Place a table; another key is another table, of which nothing is chosen."""
    data = {"head": list(head), "rows": [list(row) for row in rows]}
    nothing: dict[str, Any] = {"chosen": [], "opened": None}
    state = _component(
        data=data, key=key, default=nothing, on_chosen_change=lambda: None, on_opened_change=lambda: None
    )
    return chosen(state, len(rows))


def chosen(state: Any, rows: int) -> Chosen:
    """What a browser says, where it is true of a table of so many rows."""
    said = [row for row in state.chosen or () if isinstance(row, int | float) and 0 <= row < rows]
    opened = state.opened if isinstance(state.opened, int | float) and 0 <= state.opened < rows else None
    return Chosen(tuple(sorted({int(row) for row in said})), None if opened is None else int(opened))
