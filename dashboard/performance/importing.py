"""Files of truth and of other tools' predictions, brought in on the page."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import uploads
from dashboard.performance.choose import KEY
from dashboard.text import plain, sentence
from dashboard.times import when
from ichscope.access import Right, current_actor, named
from ichscope.labels import LABELS
from ichscope.levels import Level, rows_of
from ichscope.reporting.figures.formatting import label_name
from ichscope.reporting.figures.theme import SHORT_NAMES
from ichscope.store import Store, StoreError
from ichscope.tabular.foreign_table import read_predictions, read_truth
from ichscope.tabular.importing import Imported, import_predictions, import_truth
from ichscope.tabular.naming import meaning, reader_of_column
from ichscope.tabular.table import TableError

_KINDS = {"truth": "Truth", "predictions": "Predictions of another tool"}
_RIGHTS = {"truth": Right.TRUTH, "predictions": Right.IMPORT}
_ROLES = {
    "study": "Study (Study Instance UID)",
    "sop": "Slice (SOP Instance UID)",
    "slice": "Number of the slice in its study",
    "patient": "Patient",
    "reader": "Reader",
    "model": "Model",
}
_OF_ONE_KIND = {"truth": "reader", "predictions": "model"}
_ABSENT = ""
# All columns that a label has: it is no name of a column, which has no blanks around it.
_SEVERAL = " "


@dataclass(frozen=True)
class Header:
    """Columns of a file, and which of them would be read as which of ours; several : labels that have more than one."""

    file: str
    columns: tuple[str, ...]
    recognised: Mapping[str, str]
    several: Mapping[str, Sequence[str]]

    def column(self, name: str) -> str:
        """Give the column that is read as one of our names."""
        return _SEVERAL if name in self.several else self.recognised.get(name, _ABSENT)


def imports(store: Store) -> None:
    """Place the upload, its columns, and what was imported before; for others than those who may, only the latter."""
    if kinds := [kind for kind, right in _RIGHTS.items() if current_actor().may(right)]:
        _import(store, kinds)
    else:
        st.caption("Your role may look at what was imported, not import or remove anything.")
    _imported(store)


def _import(store: Store, kinds: Sequence[str]) -> None:
    kind = st.segmented_control(
        "What the file holds",
        kinds,
        format_func=_KINDS.__getitem__,
        default=kinds[0],
        required=True,
        key=f"{KEY}-kind",
    )
    st.caption(
        "A CSV with one row per study or slice and a column per label; several readers as rows or columns; the long "
        "form `ID,Label`; or, for predictions, the JSON of `ichscope analyse`. Identifiers are kept as keyed hashes "
        "only. A file is imported whole or not at all."
    )
    file = st.file_uploader(_KINDS[kind], type=["csv", "json"] if kind == "predictions" else ["csv"], key=f"{KEY}-file")
    if file is not None:
        _one(store, kind, file)


def _one(store: Store, kind: str, file: Any) -> None:
    """The file that was chosen: its columns, then the button."""
    try:
        level = _level(file)
        columns = _columns(kind, _header(kind, file, level), f"{file.file_id}-{level}")
        if kind == "truth":
            read = partial(import_truth, nameless_readers=_nameless(file.file_id))
        else:
            read = partial(import_predictions, level=level, percent=_percent(file.file_id))
        if st.button("Import", type="primary", key=f"{KEY}-import"):
            with st.spinner("Importing"), _on_disk(file) as path:
                st.session_state[f"{KEY}-imported"] = _summary(read(store, path, columns))
            st.rerun()
    except (TableError, StoreError) as error:
        st.error("**Nothing was imported.**\n\n" + "\n\n".join(map(plain, str(error).splitlines())))


def _level(file: Any) -> Level:
    """What to take from JSON, which holds both; other files have but one."""
    if Path(file.name).suffix.lower() != ".json":
        return "study"
    words: dict[Level, str] = {"study": "Studies", "slice": "Slices"}
    return st.segmented_control(
        "What to take",
        list(words),
        format_func=words.__getitem__,
        default="study",
        required=True,
        key=f"{KEY}-rows-{file.file_id}",
    )


def _nameless(file_id: str) -> bool:
    return st.checkbox(
        "Rows of one study or slice that name no reader come from several readers", key=f"{KEY}-nameless-{file_id}"
    )


def _percent(file_id: str) -> bool:
    return st.checkbox("Probabilities are from 0 to 100", key=f"{KEY}-percent-{file_id}")


@contextmanager
def _on_disk(file: Any) -> Iterator[Path]:
    """An upload as a file of its own name, as long as it is read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(file.name).name
        if arrived := uploads.on_disk(file):
            shutil.copyfile(arrived, path)
        else:
            path.write_bytes(file.getbuffer())
        yield path


def _header(kind: str, file: Any, level: Level) -> Header:
    """Read once a file: a large one takes seconds."""
    kept = st.session_state.get(f"{KEY}-header")
    this = (file.file_id, kind, level)
    if kept is None or kept[0] != this:
        with _on_disk(file) as path:
            foreign = read_truth(path) if kind == "truth" else read_predictions(path, level)
        labels = {label: names for label, names in foreign.labels.items() if label in LABELS}
        recognised = {role: name for role, name in foreign.roles.items() if role in _ROLES}
        recognised |= {label: names[0] for label, names in labels.items() if len(names) == 1}
        several = {label: names for label, names in labels.items() if len(names) > 1}
        kept = this, Header(file.name, tuple(foreign.table.columns), recognised, several)
        st.session_state[f"{KEY}-header"] = kept
    header: Header = kept[1]
    return header


def _columns(kind: str, header: Header, file_id: str) -> dict[str, str]:
    """Let people say which column is what; gives their name -> ours, "" for none, where that is not what was found.

    Raises
    ------
    TableError
        if one column is chosen twice
    """
    ours = [role for role in _ROLES if role not in _OF_ONE_KIND.values() or role == _OF_ONE_KIND[kind]]
    names = {**_ROLES, **{label: label_name(label) for label in LABELS}}
    chosen: dict[str, str] = {}
    with st.expander(f"Columns: {len(header.recognised) + sum(map(len, header.several.values()))} recognised"):
        places = st.columns(3)
        for i, name in enumerate([*ours, *LABELS]):
            options = [_ABSENT, *([_SEVERAL] if name in header.several else []), *header.columns]
            with places[i % 3]:
                chosen[name] = st.selectbox(
                    names[name],
                    options,
                    index=options.index(header.column(name)),
                    format_func=partial(_column_name, kind, header.several.get(name, ())),
                    key=f"{KEY}-column-{kind}-{file_id}-{name}",
                )
    single = {name: column for name, column in chosen.items() if column not in (_ABSENT, _SEVERAL)}
    for column, count in Counter(single.values()).items():
        if count > 1:
            for_both = " and ".join(names[name] for name in single if single[name] == column)
            raise TableError(f"{header.file}: found the column {column!r} chosen for {for_both}, expected for one")
    absent = {name for name, column in chosen.items() if column == _ABSENT != header.column(name)}
    given_up = {header.recognised.get(name) for name in absent}
    told = {column: "" for column in header.columns if meaning(column) in absent or column in given_up}
    return told | {column: name for name, column in single.items() if column != header.column(name)}


def _column_name(kind: str, several: Sequence[str], column: str) -> str:
    """A column as people choose it."""
    if column == _SEVERAL:
        readers = kind == "truth" and all(map(reader_of_column, several))
        return f"of {len(several)} readers" if readers else f"{' or '.join(several)}: choose one"
    return column or "not in this file"


def _summary(done: Imported) -> str:
    what = f"{rows_of(done.rows, done.level)}, {done.matched:,} of them in the store"
    first = "Imported" if done.new else "Already imported, nothing changed"
    notes = "".join(f" {sentence(note)}" for note in done.notes)
    labels = ", ".join(SHORT_NAMES.get(label, label) for label in done.labels)
    place = "Truth" if done.kind == "truth" else "Model"
    return f"{first}: {done.name}, {what}. Labels: {labels}.{notes} To look at it, choose it above as {place}."


def _imported(store: Store) -> None:
    """What is there already, each with a way to take it out again."""
    if message := st.session_state.pop(f"{KEY}-imported", None):
        st.success(plain(message))
    for table in store.imported.tables():
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            rows = rows_of(table.rows, table.level)
            by = f" by {plain(named(table.who, table.signed))}" if table.who else ""
            st.markdown(f"{_KINDS[table.kind]}: **{plain(table.name)}**, {rows}, {when(table.imported_at)}{by}")
            if current_actor().may(_RIGHTS[table.kind]):
                st.button("Remove", key=f"{KEY}-remove-{table.id}", on_click=_remove, args=(store, table.id))


def _remove(store: Store, table_id: int) -> None:
    try:
        store.imported.remove(table_id)
    except StoreError as error:
        st.session_state[f"{KEY}-imported"] = str(error)
