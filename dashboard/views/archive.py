"""Archive: studies that the hospital's archives hold, looked for, chosen, and fetched to be analysed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import streamlit as st

from dashboard import cached, choosing, search_form
from dashboard.text import NOT_FOR_DIAGNOSIS, count, plain, table
from ichscope.access import NotAllowedError
from ichscope.pacs.archives import FoundSeries, FoundStudy, Query
from ichscope.pacs.servers import ArchiveServer, PacsError, read_servers
from ichscope.settings_file import SETTING, SettingsError
from ichscope.store import StoreError

KEY = "archive"
MOST = 200
_FOUND, _NUMBER, _STARTED, _SERIES = (f"{KEY}-{name}" for name in ("found", "number", "started", "series"))
_HEAD = ("Date", "Accession", "Patient", "Patient ID", "Description", "Images")


@dataclass(frozen=True)
class Found:
    """What a search has found; it names patients, so it is kept in the session and nowhere else."""

    archive: str
    studies: tuple[FoundStudy, ...] = field(repr=False)


def page() -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.title("Archive", width="content")
        st.write(f"**{NOT_FOR_DIAGNOSIS}.**")
    try:
        servers = read_servers()
    except SettingsError as error:
        st.error(f"**The archives cannot be used.** {plain(str(error))}")
        return
    if not servers:
        _nothing_named()
        return
    asked = search_form.show(KEY, servers)
    if asked is not None:
        _search(*asked)
    _started()
    found: Found | None = st.session_state.get(_FOUND)
    if found is not None and found.archive in servers:
        _show(found, servers)


def _nothing_named() -> None:
    st.info(
        f"**No archive is named.** The file of settings ({SETTING}) names the hospital's archives; then studies can be "
        "looked for here. docs/pacs.md says how."
    )


# ---- what an archive is asked ----------------------------------------------------------------------------


def _search(archive: str, query: Query) -> None:
    """Ask an archive; what it says stays until the next search."""
    from ichscope.pacs.opening import opened  # here, since it takes seconds to load
    from ichscope.pacs.searching import search

    for name in (_FOUND, _STARTED, _SERIES):
        st.session_state.pop(name, None)
    try:
        with st.spinner(f"Asking {plain(archive)}"):
            studies = search(cached.store(), opened(archive), query, MOST)
    except (PacsError, SettingsError, StoreError) as error:
        st.error(f"**The search failed.** {plain(str(error))}.")
        return
    newest_first = sorted(studies, key=lambda study: (study.date, study.accession), reverse=True)
    st.session_state[_FOUND] = Found(archive, tuple(newest_first))
    st.session_state[_NUMBER] = st.session_state.get(_NUMBER, 0) + 1


def _series_of(archive: str, study: FoundStudy) -> tuple[FoundSeries, ...]:
    """The CT series of a study; asked for once.

    Raises
    ------
    PacsError, SettingsError
        if the archive cannot be asked
    """
    from ichscope.pacs.opening import opened

    known: dict[str, tuple[FoundSeries, ...]] = st.session_state.setdefault(_SERIES, {})
    if study.uid not in known:
        with st.spinner(f"Asking {plain(archive)}"):
            series = opened(archive).series(study.uid)
        known[study.uid] = tuple(one for one in series if one.modality == "CT")
    return known[study.uid]


# ---- what is shown ---------------------------------------------------------------------------------------


def _show(found: Found, servers: Mapping[str, ArchiveServer]) -> None:
    if not found.studies:
        st.info(f"**{plain(found.archive)} has no such study.** Widen the days, or say less of the patient.")
        return
    top = st.container(horizontal=True, vertical_alignment="center", key=f"{KEY}-top")
    number = st.session_state[_NUMBER]
    said = choosing.table(_HEAD, list(map(_row, found.studies)), f"{KEY}-table-{number}")
    with top:
        _analyse(found, said.rows)
        st.caption(_counted(found, servers))
    if said.opened is not None:
        _series(found.archive, found.studies[said.opened])


def _row(study: FoundStudy) -> tuple[str, ...]:
    images = "" if study.instances is None else str(study.instances)
    name = study.patient_name.replace("^", ", ", 1).replace("^", " ").strip(", ")
    return (search_form.day(study.date), study.accession, name, study.patient_id, study.description, images)


def _counted(found: Found, servers: Mapping[str, ArchiveServer]) -> str:
    more = f" These are the first {MOST}: say more to see others." if len(found.studies) >= MOST else ""
    results = " Results go back to it." if servers[found.archive].results else ""
    studies = count(len(found.studies), "study", "studies")
    return f"{studies} in {plain(found.archive)}, the newest first.{more}{results}"


def _analyse(found: Found, rows: tuple[int, ...]) -> None:
    label = f"Analyse {count(len(rows), 'study', 'studies')}" if rows else "Analyse"
    what = [found.studies[row].uid for row in rows]
    st.button(
        label,
        disabled=not rows,
        on_click=_begin,
        args=(found.archive, what),
        key=f"{KEY}-analyse",
        help="Fetches every CT series of the chosen studies and analyses them, as an upload." if rows else None,
    )


def _begin(archive: str, studies: list[str]) -> None:
    """Have studies fetched by the server's background work; the table begins anew, with nothing chosen."""
    try:
        cached.background().fetch(archive, studies)
    except (StoreError, NotAllowedError) as error:
        st.session_state[_STARTED] = (False, str(error))
    except OSError as error:
        st.session_state[_STARTED] = (False, f"Nothing can be written on the server: {error.strerror}.")
    else:
        st.session_state[_STARTED] = (True, count(len(studies), "study is", "studies are"))
        st.session_state[_NUMBER] = st.session_state.get(_NUMBER, 0) + 1


def _started() -> None:
    if (told := st.session_state.get(_STARTED)) is None:
        return
    done, text = told
    if not done:
        st.error(f"**Nothing was begun.** {plain(text)}")
        return
    st.success(f"{text} being fetched and analysed. This goes on when you leave this page.")
    st.page_link("views/worklist.py", label="Progress and results: Worklist", icon=":material/arrow_forward:")


def _series(archive: str, study: FoundStudy) -> None:
    name = _row(study)[2] or "a study without a name"
    st.header(f"CT series of {plain(name)}, {search_form.day(study.date) or 'no date'}")
    try:
        series = _series_of(archive, study)
    except (PacsError, SettingsError) as error:
        st.error(f"**The series cannot be shown.** {plain(str(error))}.")
        return
    if not series:
        st.caption("The archive tells of no CT series in this study.")
        return
    rows = [(one.description, one.body_part, "" if one.instances is None else str(one.instances)) for one in series]
    st.html(f"<div class='words'>{table(('Description', 'Body part', 'Images'), rows)}</div>")


page()
