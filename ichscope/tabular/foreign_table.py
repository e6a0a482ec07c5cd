"""Files of truth and of predictions: which columns say what, in whatever form they come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichscope.levels import OTHER_SERIES, Level
from ichscope.tabular import identifiers
from ichscope.tabular.naming import alike, label_columns, label_key, meaning, plain, reader_of_column, roles_of
from ichscope.tabular.results_file import read_results
from ichscope.tabular.table import Table, TableError, read_csv
from ichscope.texts import normal

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# The study by its name as anybody would write it.
ALIKE = "study, however it is written"
# Roles of columns by which rows of two files, or of one patient, are found.
_NAMED_BY = {"study", "series", "sop", "patient"}


@dataclass(frozen=True, eq=False)
class ForeignTable:
    """A table of which is known what its columns are.

    roles : our name -> the column's own name
    labels : label -> its columns; truth may have one a reader. Labels that are none of ours are spelt as in the file
    """

    table: Table
    roles: dict[str, str]
    labels: dict[str, list[str]]

    @property
    def level(self) -> Level:
        """What a row is about; one that names a study and its series is about the study until `--level series` asks."""
        if self.roles.keys() & {"sop", "slice"}:
            return "slice"
        return "series" if "series" in self.roles and "study" not in self.roles else "study"

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.table.lines)

    def texts(self, role: str) -> list[str]:
        """Cells (rows,) of a column in one Unicode form, all empty where there is no such column."""
        if role not in self.roles:
            return [""] * self.rows
        cells = list(map(normal, self.table.texts(self.roles[role])))
        return ["" if identifiers.is_nothing(cell) else cell for cell in cells] if role == "patient" else cells

    def spelt_like(self, other: ForeignTable) -> ForeignTable:
        """Take over the other's spelling of labels that are none of ours."""
        spelling = {label_key(label): label for label in other.labels}
        return replace(
            self, labels={spelling.get(label_key(label), label): columns for label, columns in self.labels.items()}
        )

    def of_studies(self) -> ForeignTable:
        """Leave out rows of series that do not speak for their study, where a column `role` says which those are."""
        roles = self.texts("role")
        kept = [row for row, role in enumerate(roles) if role != OTHER_SERIES]
        if len(kept) == len(roles):
            return self
        left_out = len(roles) - len(kept)
        table = self.table.chosen(kept)
        note = f"{table.file}: {left_out} rows are of other series than those that speak for their studies"
        return replace(self, table=replace(table, notes=[*table.notes, note]))

    def refuse_nameless_series(self) -> None:
        """Refuse a table without series, or with a row that names none.

        Raises
        ------
        TableError
            if there is no column, or an empty cell
        """
        if "series" not in self.roles:
            raise TableError(f"{self.table.header}: found no column of series, expected one named 'series'")
        if empty := [row for row, cell in enumerate(self.texts("series")) if not cell]:
            raise self.table.wrong(empty, self.roles["series"], "a name")

    @cached_property
    def ids(self) -> dict[str, list[str]]:
        """By what a row can be known: name of the way -> (rows,).

        Raises
        ------
        TableError
            if there is nothing, or a row leaves it empty, or what stands there is no identifier any more
        """
        ways: dict[str, list[str]] = {}
        if self.level != "slice":
            ways = {role: self.texts(role) for role in ("study", "series", "name") if role in self.roles}
            ways |= {ALIKE: alike(ways["study"])} if "study" in ways else {}
        else:
            if "sop" in self.roles:
                ways["sop"] = self.texts("sop")
            if self.roles.keys() >= {"study", "slice"}:
                both = zip(self.texts("study"), self.texts("slice"), strict=True)
                ways["study / slice"] = [f"{study} / {slice_}" for study, slice_ in both]
        if not ways:
            raise TableError(
                f"{self.table.header}: found the columns {', '.join(self.table.columns)[:200]}, expected one named "
                "'study' or 'sop', or the columns 'ID' and 'Label'"
            )
        self._refuse_lost_names()
        return ways

    def _refuse_lost_names(self) -> None:
        for role in _NAMED_BY & self.roles.keys():
            cells = self.texts(role)
            if lost := identifiers.lost(cells):
                raise self.table.wrong(lost, self.roles[role], identifiers.EXPECTED)
            nothing = set(filter(identifiers.is_nothing, set(cells)))
            if nothing and role in ("study", "sop"):
                empty = [row for row, cell in enumerate(cells) if cell in nothing]
                raise self.table.wrong(empty, self.roles[role], "a name")

    def with_studies(self, names: Sequence[str]) -> ForeignTable:
        """Name the studies (rows,) otherwise; a row without a new name keeps its own."""
        column = self.roles.get("study", "study")
        cells = [name or own for name, own in zip(names, self.texts("study"), strict=True)]
        table = replace(self.table, columns={**self.table.columns, column: cells})
        return replace(self, table=table, roles={**self.roles, "study": column})


def read_truth(path: Path, columns: Mapping[str, str] | None = None) -> ForeignTable:
    """Read what readers found: a row a study, slice, or study and reader; labels, or readers' labels, as columns.

    columns : their name -> ours, where names differ; "" leaves the column out

    Raises
    ------
    TableError
        if the file cannot be used
    """
    return _foreign_table(read_csv(path), columns, long_as=Table.truths)


def read_predictions(
    path: Path, level: Level, columns: Mapping[str, str] | None = None, percent: bool = False
) -> ForeignTable:
    """Read probabilities: CSV of any tool, or JSON or CSV of `ichscope analyse`.

    level : what to take from JSON, which holds series and slices; of studies only the series that speak for them
    columns : their name -> ours, where names differ
    percent : whether a CSV has them from 0 to 100

    Raises
    ------
    TableError
        if the file cannot be used
    """
    if path.suffix.lower() == ".json":
        foreign = _foreign_table(read_results(path, level), columns)
    else:
        foreign = _foreign_table(replace(read_csv(path), percent=percent), columns, long_as=Table.probabilities)
    return foreign.of_studies() if level == "study" else foreign


def _foreign_table(table: Table, columns: Mapping[str, str] | None, long_as: Any = None) -> ForeignTable:
    table = _renamed(table, columns or {})
    by_plain_name = {plain(name): name for name in table.columns}
    if long_as and by_plain_name.keys() == {"id", "label"}:
        table = _renamed(_wide(table, by_plain_name["id"], by_plain_name["label"], long_as), columns or {})
    roles = roles_of(table.columns)
    return ForeignTable(table, roles, label_columns([name for name in table.columns if name not in roles.values()]))


def _renamed(table: Table, columns: Mapping[str, str]) -> Table:
    """Columns as they are told to be, which goes before what the names of others say; "" leaves one out."""
    told = {name: ours for name, ours in columns.items() if name in table.columns}
    taken = {meaning(ours) for ours in told.values() if ours and not reader_of_column(ours)}
    names = {name: told.get(name, "" if meaning(name) in taken else name) for name in table.columns}
    if doubled := [name for name, count in Counter(names.values()).items() if name and count > 1]:
        raise TableError(f"{table.header}: found two columns to be read as {doubled[0]!r}, expected one")
    return replace(table, columns={names[name]: cells for name, cells in table.columns.items() if names[name]})


def _wide(table: Table, identity: str, value: str, numbers: Any) -> Table:
    """Turn the Kaggle form, `ID_<sop>_<label>` and a value, into a row a slice; repeated rows must agree."""
    values = numbers(table, value)
    sops, sop = number(cell.strip().rpartition("_")[0] for cell in table.columns[identity])
    labels, label = number(cell.strip().rpartition("_")[2] for cell in table.columns[identity])
    nameless = [i for i, name in enumerate(sops) if not name], [i for i, name in enumerate(labels) if not name]
    if bad := np.flatnonzero(np.isin(sop, nameless[0]) | np.isin(label, nameless[1])).tolist():
        raise table.wrong(bad, identity, "<sop>_<label>")
    cell = sop * len(labels) + label
    grid = np.full(len(sops) * len(labels), np.nan)
    there = one_each(table, value, values, cell)
    grid[: len(there)] = there
    repeated = len(cell) - len(np.unique(cell))
    notes = [f"{table.file}: {repeated} rows repeat an earlier one"] if repeated else []
    by_label = grid.reshape(len(sops), len(labels)).T
    columns: dict[str, Sequence[Any]] = {"sop": sops, **dict(zip(labels, by_label.tolist(), strict=True))}
    lines = [table.lines[row] for row in first_rows(sop)]
    return replace(table, columns=columns, lines=lines, notes=notes, percent=False)


def one_each(table: Table, column: str, values: Floats, group: Ints, rows: Ints | None = None) -> Floats:
    """Give the one known value of each group (groups,), nan where none is; refuse groups that know several.

    values, group : (rows,)
    rows : where these rows stand in the table, if they are not all of it
    """
    there = np.flatnonzero(~np.isnan(values))
    single = np.full(int(group.max(initial=-1)) + 1, np.nan)
    single[group[there[::-1]]] = values[there[::-1]]  # of several, the first
    if len(differ := there[single[group[there]] != values[there]]):
        wrong = differ if rows is None else rows[differ]
        raise table.wrong(wrong.tolist(), column, "what an earlier row says of the same")
    return single


def number(names: Iterable[Any]) -> tuple[list[Any], Ints]:
    """Distinct names in the order of their first row, and the number of each row's (rows,)."""
    rows = list(names)
    distinct = {name: i for i, name in enumerate(dict.fromkeys(rows))}
    return list(distinct), np.fromiter(map(distinct.__getitem__, rows), np.intp, len(rows))


def number_pairs(group: Ints, texts: Iterable[Any]) -> Ints:
    """Number the pairs of a group and a text, (rows,) each."""
    names, name = number(texts)
    return group if len(names) == 1 else np.unique(group * len(names) + name, return_inverse=True)[1]


def first_rows(group: Ints) -> Ints:
    """First row of each group (groups,), by its number."""
    return np.unique(group, return_index=True)[1]
