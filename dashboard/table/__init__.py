"""A table whose rows are links, opened by a click or by Enter.

Streamlit's own table draws on a canvas, which a screen reader and the browser's search cannot read, and sorts
the one page that it holds as if that were the whole list.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

_HERE = Path(__file__).parent
_HTML = '<table class="studies"><thead></thead><tbody></tbody></table>'
_component = st.components.v2.component(
    "ichscope_table",
    html=_HTML,
    css=(_HERE / "table.css").read_text(encoding="utf-8"),
    js="\n".join(path.read_text(encoding="utf-8") for path in (_HERE.parent / "focus.js", _HERE / "table.js")),
)


def linked(data: dict[str, Any], key: str) -> tuple[int, int | None] | None:
    """Place a table; gives the study of the row that was opened just now, and its slice where it has one.

    Parameters
    ----------
    data : `head`, texts; `rows`, each with the study's `id`, perhaps a `slice` from 1, and `cells` (text, and its
        look); `last`, the id that gets the focus
    """
    opened: dict[str, Any] | None = _component(data=data, key=key, on_open_change=lambda: None).open
    return (opened["study"], opened["slice"]) if opened else None
