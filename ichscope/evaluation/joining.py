"""Rows of truth and what models say of them: found in one another by their keys, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichscope.errors import IchscopeError
from ichscope.store import Filter, Store
from ichscope.store.audit_columns import SeriesColumns, SliceColumns, StudyColumns
from ichscope.store.imported_tables import ImportedTableInfo, Keys
from ichscope.tabular.foreign_table import Floats, Ints

_OLDEST = 90


class EvaluationError(IchscopeError):
    """A selection that cannot be loaded; the message says what was found and what is expected."""


@dataclass(frozen=True, eq=False)
class ReferenceRows:
    """Rows of truth, (rows,) each; keys are 0 where unknown.

    place : where its study stands among those of the store, -1 where it is not there
    index : of the slice in that study, -1 at study level and where it is not there
    series : number of the series in the store at series level, else -1
    by_place : rows are studies of the store, so that several may share a key; else each key is there once
    """

    study: Keys
    slice: Keys
    patient: Keys
    place: Ints
    index: Ints
    truth: dict[str, Floats]
    by_place: bool = False
    series: Ints = field(default_factory=lambda: np.full(0, -1))

    def __len__(self) -> int:
        return len(self.study)

    def chosen(self, keep: NDArray[Any]) -> ReferenceRows:
        """Only some rows."""
        arrays = {name: getattr(self, name)[keep] for name in ("study", "slice", "patient", "place", "index")}
        series = self.series[keep] if len(self.series) else self.series
        return replace(self, **arrays, series=series, truth={label: v[keep] for label, v in self.truth.items()})

    def by_series(self, stored: StoredData) -> ReferenceRows:
        """A row for each series that a model has judged, with the truth of its study."""
        row = taken(stored.row_of_place(self), stored.place_of_id(stored.series.study), -1)
        rows = self.chosen(row[row >= 0])
        return replace(rows, by_place=False, series=stored.series.id[row >= 0])


class StoredData:
    """What the store knows that an audit may look at, each part read when first asked for.

    filter : which studies
    table_ids : ids of the imported files that the audit is about
    """

    def __init__(self, store: Store, filter: Filter, table_ids: Iterable[int]) -> None:
        self.store = store
        self.filter = filter
        infos = {info.id: info for info in store.imported.tables()}
        if gone := [id for id in table_ids if id not in infos]:
            raise EvaluationError(f"There is no imported file number {gone[0]}.")
        self.tables = {id: (infos[id], store.imported.rows(id)) for id in table_ids}

    @cached_property
    def studies(self) -> StudyColumns:
        """Those that fit the filter, by id."""
        return self.store.columns.studies(self.filter)

    @cached_property
    def series(self) -> SeriesColumns:
        """Series that a model has judged."""
        return self.store.columns.series()

    @cached_property
    def slices(self) -> SliceColumns:
        """Slices whose key is known."""
        return self.store.columns.slice_keys()

    @cached_property
    def studies_of_slices(self) -> tuple[Keys, Keys]:
        """Keys of slices, each once, and of their studies, as the store and the imported files know them."""
        place = self.place_of_id(self.slices.study)
        pairs = [(self.slices.key[place >= 0], self.studies.key[place[place >= 0]])]
        pairs += [
            (rows.slice[there], rows.study[there])
            for _, rows in self.tables.values()
            if (there := rows.slice != 0).any()
        ]
        slices, studies = (np.concatenate(keys) for keys in zip(*pairs, strict=True))
        keys, first = np.unique(slices[studies != 0], return_index=True)
        return keys, studies[studies != 0][first]

    def place_of_id(self, ids: Ints) -> Ints:
        """Where studies stand, by their id; -1 where they are not among them."""
        return find(self.studies.id, ids)

    def place_of_key(self, keys: Keys) -> Ints:
        """Where studies stand, by their key; of several series of a study, the one with the highest score."""
        order = np.argsort(np.where(np.isnan(self.studies.score), 1.0, -self.studies.score), kind="stable")
        return taken(order, find(self.studies.key[order], keys), -1)

    def row_of_place(self, rows: ReferenceRows) -> Ints:
        """Which row each study of the store belongs to, -1 for none."""
        if not rows.by_place:
            return find(rows.study, self.studies.key)
        row = np.full(len(self.studies.id), -1)
        row[rows.place] = np.arange(len(rows))
        return row


def notes_of(info: ImportedTableInfo) -> list[str]:
    """What is to be known of an imported file, each with the file that it is about."""
    return [note if info.name in note else f"{info.name}: {note}" for note in info.notes]


def find(keys: NDArray[Any], wanted: NDArray[Any]) -> Ints:
    """Place of each wanted key among the keys, -1 where it is not there; of equal ones the first. 0 is no key."""
    if not len(keys):
        return np.full(len(wanted), -1)
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    at = np.searchsorted(ordered, wanted)
    at[at == len(keys)] = 0
    return np.where((ordered[at] == wanted) & (wanted != 0), order[at], -1)


def taken(values: NDArray[Any], places: Ints, missing: Any) -> NDArray[Any]:
    """LabelValues at places (n,), `missing` where the place is -1."""
    values_there = np.full(len(places), missing, values.dtype)
    there = places >= 0
    values_there[there] = values[places[there]]
    return values_there


def highest(values: Floats, rows: Ints, count: int) -> Floats:
    """The highest known value of each row (count,), as a flag on any of several series would count; nan where none."""
    top = np.full(count, np.nan)
    there = rows >= 0
    np.fmax.at(top, rows[there], values[there])
    return top


def groups(rows: ReferenceRows, patient: Keys, by_slice: bool) -> tuple[Ints, str]:
    """Whose rows they are, as numbers (rows,), and by what that is known; "" where every row is another's."""
    own = np.arange(1, len(rows) + 1, dtype=np.uint64)
    names = np.where(patient != 0, patient, np.where(rows.study != 0, rows.study, own))
    # Numbered by their first row: keys differ from one installation to the next, and figures must not.
    _, first, place = np.unique(names, return_index=True, return_inverse=True)
    number = np.argsort(np.argsort(first))[place]
    if patient.any():
        return number, "patient"
    several = len(rows) > int(number.max(initial=-1)) + 1
    return number, "study" if several or (by_slice and rows.study.any()) else ""


def bands(stored: StoredData, rows: ReferenceRows) -> dict[str, list[str]]:
    """What rows are grouped by, as texts (rows,); "" where unknown. Of series, their own facts."""
    studies: StudyColumns | SeriesColumns = stored.series if len(rows.series) else stored.studies
    place = find(stored.series.id, rows.series) if len(rows.series) else rows.place
    return {
        "scanner": _texts(studies.scanner, str, place),
        "institution": _texts(studies.institution, str, place),
        "kvp": _texts(studies.kvp, lambda kvp: f"{kvp:g} kV", place),
        "slice thickness": _texts(studies.slice_thickness_mm, _half_millimetres, place),
        "age": _texts(studies.age_years, _decade, place),
        "sex": _texts(studies.sex, str, place),
    }


def _texts(values: Sequence[Any], say: Callable[[Any], str], place: Ints) -> list[str]:
    texts = {value: "" if value is None else say(value) for value in set(values)}
    of_rows: list[str] = taken(np.array([texts[value] for value in values], object), place, "").tolist()
    return of_rows


def _half_millimetres(thickness: float) -> str:
    low = thickness // 0.5 * 0.5
    return f"{low:g}-{low + 0.5:g} mm"


def _decade(age: int) -> str:
    low = age // 10 * 10
    return f"{low}+" if low >= _OLDEST else f"{low}-{low + 9}"
