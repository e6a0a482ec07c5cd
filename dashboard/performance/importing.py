"""Files of truth and of other tools' predictions, brought in on the page."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard.performance.choose import KEY
from dashboard.text import plain, sentence
from dashboard.times import when
from ichscope.audit.importing import Imported, import_predictions, import_truth
from ichscope.audit.sheets import Sheet, read_predictions, read_truth
from ichscope.audit.tables import TableError
from ichscope.figures.look import SHORT_NAMES
from ichscope.figures.words import label_name
from ichscope.labels import LABELS
from ichscope.store import Store, StoreError

_KINDS = {"truth": "Truth", "predictions": "Predictions of another tool"}
_ROLES = {
    "study": "Study (Study Instance UID)",
    "sop": "Slice (SOP Instance UID)",
    "patient": "Patient",
    "reader": "Reader",
    "model": "Model",
}
_OF_ONE_KIND = {"truth": "reader", "predictions": "model"}
_ABSENT = ""


@dataclass(frozen=True)
class Header:
    """Columns of a file, and which of them would be read as which of ours; readers : labels by their columns."""

    columns: tuple[str, ...]
    found: Mapping[str, str]
    readers: Mapping[str, int]


def imports(store: Store) -> None:
    """Place the upload, its columns, and what was imported before."""
    kind = st.segmented_control(
        "What the file holds", list(_KINDS), format_func=_KINDS.get, default="truth", required=True, key=f"{KEY}-kind"
    )
    st.caption(
        "A CSV with a row a study or slice, labels as columns; several readers as rows or columns; the long form "
        "`ID,Label`; or, for predictions, the JSON of `ichscope analyse`. Identifiers are kept as keyed hashes only. "
        "A file is imported whole or not at all."
    )
    file = st.file_uploader(_KINDS[kind], type=["csv", "json"] if kind == "predictions" else ["csv"], key=f"{KEY}-file")
    if file is not None:
        _one(store, kind, file)
    _imported(store)


def _one(store: Store, kind: str, file: Any) -> None:
    """The file that was chosen: its columns, then the button."""
    try:
        columns = _columns(kind, _header(kind, file), file.file_id)
        read = import_truth if kind == "truth" else partial(import_predictions, percent=_percent(file.file_id))
        if st.button("Import", type="primary", key=f"{KEY}-import"):
            with st.spinner("Importing"), _on_disk(file) as path:
                st.session_state[f"{KEY}-imported"] = _said(read(store, path, columns))
            st.rerun()
    except (TableError, StoreError) as error:
        st.error("**Nothing was imported.**\n\n" + "\n\n".join(map(plain, str(error).splitlines())))


def _percent(file_id: str) -> bool:
    return st.checkbox("Probabilities are from 0 to 100", key=f"{KEY}-percent-{file_id}")


@contextmanager
def _on_disk(file: Any) -> Iterator[Path]:
    """An upload as a file of its own name, as long as it is read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(file.name).name
        path.write_bytes(file.getbuffer())
        yield path


def _header(kind: str, file: Any) -> Header:
    """Read once a file: a large one takes seconds."""
    kept = st.session_state.get(f"{KEY}-header")
    if kept is None or kept[:2] != (file.file_id, kind):
        with _on_disk(file) as path:
            sheet = read_truth(path) if kind == "truth" else read_predictions(path, "study")
        several = {label: len(names) for label, names in sheet.labels.items() if label in LABELS and len(names) > 1}
        kept = (file.file_id, kind, Header(tuple(sheet.table.columns), _found(sheet), several))
        st.session_state[f"{KEY}-header"] = kept
    header: Header = kept[2]
    return header


def _found(sheet: Sheet) -> dict[str, str]:
    labels = {label: names[0] for label, names in sheet.labels.items() if label in LABELS and len(names) == 1}
    return {role: name for role, name in sheet.roles.items() if role in _ROLES} | labels


def _columns(kind: str, header: Header, file_id: str) -> dict[str, str]:
    """Let people say which column is what; gives their name -> ours, where that differs from what was found."""
    ours = [role for role in _ROLES if role not in _OF_ONE_KIND.values() or role == _OF_ONE_KIND[kind]]
    words = {**_ROLES, **{label: label_name(label) for label in LABELS}}
    options = [_ABSENT, *header.columns]
    chosen = {}
    with st.expander(f"Columns: {len(header.found) + sum(header.readers.values())} recognised"):
        places = st.columns(3)
        for i, name in enumerate([*ours, *LABELS]):
            with places[i % 3]:
                chosen[name] = st.selectbox(
                    words[name],
                    options,
                    index=options.index(header.found.get(name, _ABSENT)),
                    format_func=partial(_said_of, name, header),
                    key=f"{KEY}-column-{kind}-{file_id}-{name}",
                )
    return {theirs: name for name, theirs in chosen.items() if theirs and theirs != header.found.get(name)}


def _said_of(name: str, header: Header, column: str) -> str:
    """A column as people choose it; none may still be those of several readers."""
    several = header.readers.get(name)
    return column or (f"of {several} readers" if several else "not in this file")


def _said(done: Imported) -> str:
    what = f"{done.rows:,} {'slices' if done.level == 'slice' else 'studies'}, {done.matched:,} of them in the store"
    first = "Imported" if done.new else "Already imported, nothing changed"
    notes = "".join(f" {sentence(note)}" for note in done.notes)
    labels = ", ".join(SHORT_NAMES.get(label, label) for label in done.labels)
    place = "Truth" if done.kind == "truth" else "Model"
    return f"{first}: {done.name}, {what}. Labels: {labels}.{notes} To look at it, choose it above as {place}."


def _imported(store: Store) -> None:
    """What is there already, each with a way to take it out again."""
    if said := st.session_state.pop(f"{KEY}-imported", None):
        st.success(plain(said))
    for sheet in store.sheets():
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            unit = "slices" if sheet.level == "slice" else "studies"
            st.markdown(
                f"{_KINDS[sheet.kind]}: **{plain(sheet.name)}**, {sheet.rows:,} {unit}, {when(sheet.imported_at)}"
            )
            st.button("Remove", key=f"{KEY}-remove-{sheet.id}", on_click=_remove, args=(store, sheet.id))


def _remove(store: Store, sheet: int) -> None:
    try:
        store.remove_sheet(sheet)
    except StoreError as error:
        st.session_state[f"{KEY}-imported"] = str(error)
