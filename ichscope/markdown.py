"""Tables and figures in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Markdown table, or nothing without rows."""
    lines = [header, ["---"] * len(header), *rows] if rows else []
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def with_interval(figures: Mapping[str, Any], name: str, digits: int = 3) -> str:
    """Write figures[name] with its interval in figures[f"{name}_95"], or nothing where there is no figure."""
    value, ends = figures.get(name), figures.get(f"{name}_95")
    if value is None:
        return ""
    return f"{value:.{digits}f}" + (f" ({ends[0]:.{digits}f} to {ends[1]:.{digits}f})" if ends else "")
