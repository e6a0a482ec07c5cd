"""Tables from outside: CSV files, and the JSON that `ichscope analyse` writes, as columns whose rows can be named.

A table is read whole or not at all; what is wrong is named with file, line, found and expected.
"""

from __future__ import annotations

import csv
import gc
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from ichscope.errors import IchscopeError, barrier
from ichscope.texts import writable

P = ParamSpec("P")
T = TypeVar("T")
# Columns need far less memory than rows, and filling them cell by cell is slow.
_ROWS_AT_ONCE = 10_000
_SHOWN = 5
_LONGEST_CELL = 40
_TRUTH = {
    **dict.fromkeys(("0", "false", "no", "falsch", "nein"), 0.0),
    **dict.fromkeys(("1", "true", "yes", "wahr", "ja"), 1.0),
    **dict.fromkeys(("", "nan", "na", "n/a", "<na>", "null", "none"), math.nan),
}
_DECIMAL = re.compile(r"[-+]?(?:\d+[.,]?\d*|[.,]\d+)(?:e[-+]?\d+)?")
# The first line by which a spreadsheet is told what separates the columns.
_SEPARATOR_LINE = re.compile(r'"?sep=([,;\t|])"?', re.IGNORECASE)
# What a file begins with that is often given in place of a CSV.
_KINDS = {
    b"PK\3\4": "an Excel workbook or a ZIP",
    b"\xff\xfe": "a text in UTF-16",
    b"\xfe\xff": "a text in UTF-16",
    b"%PDF": "a PDF",
}


class TableError(IchscopeError):
    """A file that cannot be used; the message names file, line, found and expected."""


@dataclass(frozen=True, eq=False)
class Table:
    """Columns by the name in the header, each (rows,) texts or numbers; `lines` says where each row stands.

    unit : what `lines` counts, "line" or "entry"
    header_line : where the names of the columns stand
    notes : what the reader of the figures should know
    percent : whether probabilities are given from 0 to 100; a cell with the sign (12 %) always is
    """

    file: str
    columns: dict[str, Sequence[Any]]
    lines: Sequence[int]
    unit: str = "line"
    notes: list[str] = field(default_factory=list)
    percent: bool = False
    header_line: int = 1

    @property
    def header(self) -> str:
        """Where the names of the columns stand, for messages about them: file, and the line if it has lines."""
        return f"{self.file}: line {self.header_line}" if self.unit == "line" else self.file

    def texts(self, column: str) -> list[str]:
        """Cells (rows,) as texts without blanks around them."""
        return [str(cell).strip() for cell in self.columns[column]]

    def truths(self, column: str) -> NDArray[np.float64]:
        """Cells (rows,) as 0, 1, or nan where empty.

        Raises
        ------
        TableError
            if a cell is something else

        Examples
        --------
        >>> Table("truth.csv", {"any": ["yes", "0", ""]}, [2, 3, 4]).truths("any")
        array([ 1.,  0., nan])
        """
        return self._numbers(column, truth, lambda v: (v == 0) | (v == 1), "0, 1 or nothing")

    def probabilities(self, column: str) -> NDArray[np.float64]:
        """Cells (rows,) from 0 to 1, or nan where empty.

        Raises
        ------
        TableError
            if a cell is something else

        Examples
        --------
        >>> Table("tool.csv", {"p": ["12 %", "0,5", ""]}, [2, 3, 4]).probabilities("p")
        array([0.12, 0.5 ,  nan])
        """
        whole = 100 if self.percent else 1
        expected = f"a probability from 0 to {whole}, or nothing"
        if not self.percent:
            expected += " (percent needs its sign, or --percent)"
        parsed = self._numbers(
            column, lambda cell: _probability(cell, whole), lambda v: (v >= 0) & (v <= whole), expected
        )
        return parsed / whole

    def _numbers(
        self,
        column: str,
        parse: Callable[[Any], float | None],
        fits: Callable[[NDArray[np.float64]], NDArray[np.bool_]],
        expected: str,
    ) -> NDArray[np.float64]:
        cells = self.columns[column]
        try:
            # Many times faster, and enough where every cell is a plain number.
            values = np.array(cells, np.float64)
            if (fits(values) | np.isnan(values)).all():
                return values
        except ValueError:
            pass
        meaning = {cell: parse(cell) for cell in set(cells)}
        if None in meaning.values():
            raise self.wrong([row for row, cell in enumerate(cells) if meaning[cell] is None], column, expected)
        return np.fromiter((meaning[cell] for cell in cells), np.float64, len(cells))

    def chosen(self, rows: Sequence[int]) -> Table:
        """Only some rows, by their numbers."""
        columns: dict[str, Sequence[Any]] = {name: [cells[row] for row in rows] for name, cells in self.columns.items()}
        return replace(self, columns=columns, lines=[self.lines[row] for row in rows])

    def wrong(self, rows: Sequence[int], column: str, expected: str) -> TableError:
        """Give the error about some rows of a column."""
        shown = [
            f"{self.file}: {self.unit} {self.lines[row]}: {column}: "
            f"found {str(self.columns[column][row])[:_LONGEST_CELL]!r}, expected {expected}"
            for row in rows[:_SHOWN]
        ]
        more = [f"and {len(rows) - _SHOWN} more such rows"] if len(rows) > _SHOWN else []
        return TableError("\n".join(shown + more))


def truth(cell: Any) -> float | None:
    """0, 1, or nan where empty; None if the cell is no truth.

    >>> truth("1,0"), truth("0.00"), truth("yes"), truth("0,5")
    (1.0, 0.0, 1.0, None)
    """
    text = str(cell).strip().lower()
    if text in _TRUTH:
        return _TRUTH[text]
    value = float(text.replace(",", ".")) + 0.0 if _DECIMAL.fullmatch(text) else None
    return value if value in (0, 1) else None


def _probability(cell: Any, whole: int) -> float | None:
    """From 0 to `whole`, or nan where empty; a decimal comma is read as a point; None if the cell is none of these."""
    text = str(cell).strip().lower().replace(",", ".")
    if math.isnan(_TRUTH.get(text, 0)):
        return math.nan
    number, sign, _ = text.partition("%")
    try:
        value = float(number) * (whole / 100 if sign else 1)
    except ValueError:
        return None
    return value if 0 <= value <= whole else None


@contextmanager
def uncollected() -> Iterator[None]:
    """Leave the garbage collector out for a while: in millions of cells it looks for cycles again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def whole(read: Callable[P, T]) -> Callable[P, T]:
    """Make an error that nobody foresaw a TableError about the files that were given, which are not read."""

    @wraps(read)
    def guarded(*arguments: P.args, **named: P.kwargs) -> T:
        files = ", ".join(file.name for file in (*arguments, *named.values()) if isinstance(file, Path))
        with barrier(lambda kind: TableError(f"{writable(files)}: not read: unexpected {kind}; expected a table")):
            return read(*arguments, **named)

    return guarded


@uncollected()
def read_csv(path: Path) -> Table:
    """Read a CSV file with a header line: UTF-8, separated by comma, semicolon or tab, or as a line `sep=` says.

    Raises
    ------
    TableError
        if the file is missing, is no such file, or a row has too few or too many cells
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first_line = file.readline()
            told = _SEPARATOR_LINE.fullmatch(first_line.rstrip("\r\n"))
            file.seek(0)
            separator = told[1] if told else max(",;\t", key=first_line.count)
            reader = csv.reader(_text(file), delimiter=separator, strict=True)
            if told:
                next(reader)
            return _columns(writable(path.name), reader)
    except OSError as error:
        raise TableError(f"{path}: expected a file, found none ({error.strerror})") from None
    except UnicodeDecodeError:
        raise _no_text(path) from None


def _text(lines: Iterable[str]) -> Iterator[str]:
    """Pass lines on; one with a byte 0 is none of a text in UTF-8."""
    for line in lines:
        if "\0" in line:
            raise UnicodeDecodeError("utf-8", b"\0", 0, 1, "a byte 0")
        yield line


def _no_text(path: Path) -> TableError:
    """Say what a file is, and which line shows that it is no text in UTF-8."""
    expected = "expected a CSV file in UTF-8"
    with path.open("rb") as file:
        start = file.read(4)
        for begins, what in _KINDS.items():
            if start.startswith(begins):
                return TableError(f"{path.name}: line 1: found {what}, {expected}")
        file.seek(0)
        bad = (number for number, line in enumerate(file, start=1) if not _is_text(line))
        return TableError(f"{path.name}: line {next(bad, 1)}: found bytes that are no UTF-8 text, {expected}")


def _is_text(line: bytes) -> bool:
    try:
        return "\0" not in line.decode()
    except UnicodeDecodeError:
        return False


def _columns(file: str, reader: Any) -> Table:
    """Read rows into columns."""
    try:
        line = reader.line_num + 1
        header = [name.strip() for name in next(reader, [])]
        if doubled := sorted({name for name in header if name and header.count(name) > 1}):
            raise TableError(f"{file}: line {line}: found the column {doubled[0]!r} twice, expected it once")
        if len(header) < 2:
            found = f"one column, {header[0][:_LONGEST_CELL]!r}" if header else "nothing"
            expected = "a header with two columns or more, separated by comma, semicolon or tab"
            raise TableError(f"{file}: line {line}: found {found}, expected {expected}")
        columns: list[list[str]] = [[] for _ in header]
        lines: list[int] = []
        while rows := _some_rows(file, reader, len(header), lines):
            for column, cells in zip(columns, zip(*rows, strict=True), strict=True):
                column.extend(cells)
    except csv.Error as error:
        raise TableError(f"{file}: line {reader.line_num}: found no CSV ({error}), expected CSV") from None
    if not lines:
        raise TableError(f"{file}: line {line}: found a header without rows, expected at least one row")
    # A separator at the end of each line, or the row numbers that some tools write, make columns without a name.
    by_name: dict[str, Sequence[Any]] = {name: cells for name, cells in zip(header, columns, strict=True) if name}
    return Table(file, by_name, lines, header_line=line)


def _some_rows(file: str, reader: Any, width: int, lines: list[int]) -> list[list[str]]:
    """Take the next rows that are not blank, at most `_ROWS_AT_ONCE`, and add their lines."""
    rows = []
    for row in reader:
        if not row or not (row[0].strip() or any(map(str.strip, row))):
            continue
        if len(row) != width:
            raise TableError(f"{file}: line {reader.line_num}: found {len(row)} cells, expected {width}")
        rows.append(row)
        lines.append(reader.line_num)
        if len(rows) == _ROWS_AT_ONCE:
            break
    return rows
