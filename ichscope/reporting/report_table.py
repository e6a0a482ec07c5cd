"""One table of a report: cells as values, which a page shows with their intervals and a CSV file gives in full."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from ichscope.metrics import Estimate
from ichscope.reporting.figures.formatting import NO_VALUE, interval
from ichscope.reporting.notes import NumberedNotes
from ichscope.results import csv_cell

Cell = str | int | float | Estimate | None


# Hashes and lists of thresholds may be broken anywhere.
_LONG = 40


@dataclass(frozen=True)
class ReportTable:
    """A table with rows; `key` names its file, `about` stands below it.

    drawn : whether a figure shows the same, so that the page needs no more than the file
    """

    key: str
    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    about: str = ""
    drawn: bool = False

    def html(self) -> str:
        """Give it as HTML: values with intervals, and by number what to beware of."""
        notes = NumberedNotes()
        kinds = [_kind(cell) for cell in self.rows[0]]
        columns = zip(self.columns, kinds, strict=True)
        head = "".join(f"<th scope='col' class='{kind}'>{escape(name)}</th>" for name, kind in columns)
        body = "".join(f"<tr>{''.join(_html_cell(cell, notes) for cell in row)}</tr>" for row in self.rows)
        below = " ".join(filter(None, [self.about, *(f"{line}." for line in notes.lines())]))
        foot = f"<p class='below'>{escape(below)}</p>" if below else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{foot}"

    def csv(self) -> str:
        """Give it as CSV with all digits; an interval has columns of its own."""
        spread = [any(isinstance(row[i], Estimate) for row in self.rows) for i in range(len(self.columns))]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        ends = ("", " low", " high", " method", " note")
        columns = zip(self.columns, spread, strict=True)
        writer.writerow([f"{name}{end}" for name, wide in columns for end in ends[: None if wide else 1]])
        for row in self.rows:
            writer.writerow([value for cell, wide in zip(row, spread, strict=True) for value in _csv_cells(cell, wide)])
        return text.getvalue()

    def to_json(self) -> dict[str, Any]:
        """Give it as plain values; an interval is an object."""
        rows = [[asdict(cell) if isinstance(cell, Estimate) else cell for cell in row] for row in self.rows]
        return {"title": self.title, "about": self.about, "columns": list(self.columns), "rows": rows}


def _kind(cell: Cell) -> str:
    """How a cell is set."""
    if isinstance(cell, str):
        return "long" if len(cell) > _LONG else "text"
    return "estimate" if isinstance(cell, Estimate) else "number"


def _html_cell(cell: Cell, notes: NumberedNotes) -> str:
    if isinstance(cell, str):
        text = cell
    elif isinstance(cell, Estimate):
        # A narrow column breaks before the interval, never within.
        value, space, rest = (interval(cell) + notes.mark(cell.reason)).partition(" ")
        return f"<td class='estimate'>{escape(value)}{space}<span class='interval'>{escape(rest)}</span></td>"
    elif cell is None:
        text = NO_VALUE
    else:
        text = f"{cell:,}" if isinstance(cell, int) else f"{cell:.4g}"
    return f"<td class='{_kind(cell)}'>{escape(text)}</td>"


def _csv_cells(cell: Cell, wide: bool) -> Iterator[Cell]:
    if isinstance(cell, Estimate):
        yield from (cell.value, cell.low, cell.high, cell.method, cell.reason)
        return
    yield csv_cell(cell)
    if wide:
        yield from ("", "", "", "")
