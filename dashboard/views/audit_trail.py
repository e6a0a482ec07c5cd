"""Audit trail: who did what, when; whether it is whole; and as a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from dashboard import acting, cached, times
from dashboard.text import plain, words
from ichscope.access import Actor, Right, acting_as, current_actor
from ichscope.access.events import Action, Event, Kind, Outcome
from ichscope.store import Store, StoreError, TrailFilter, trail_files

KEY = "trail"
ROWS = 50
_COLUMNS = ("No.", "When", "Who", "Role", "By", "Action", "Outcome", "Of what", "Details", "From")
_FILES: dict[trail_files.Format, tuple[str, str]] = {
    "csv": ("CSV", "text/csv"),
    "xml": ("DICOM PS3.15", "application/xml"),
}


def page() -> None:
    st.title("Audit trail")
    st.write("Who did what, when. No patient is named: studies stand here under their keys.")
    if not current_actor().signed:
        st.warning(
            "**Nobody signs in at the moment:** whoever uses this computer sees this page, and what they do here is "
            "written under the name that they type, or none."
        )
    try:
        store = cached.store()
        _seen(store)
        _show(store)
    except StoreError as error:
        st.error(f"**The audit trail cannot be shown.** {plain(str(error))}")
        st.button("Try again")


def _seen(store: Store) -> None:
    """Looking is a line, too, once for each time that the page is opened in a browser."""
    if f"{KEY}-seen" not in st.session_state:
        store.trail.record(Right.TRAIL, Action.TRAIL_SEEN, Kind.TRAIL)
        st.session_state[f"{KEY}-seen"] = True


def _show(store: Store) -> None:
    filter = _filter(store)
    total = store.trail.count(filter)
    with st.container(horizontal=True, vertical_alignment="center"):
        check = st.button("Check that it is whole", icon=":material/verified:", key=f"{KEY}-verify")
        _files(store, filter)
    if check:
        _verify(store)
    if not total:
        st.info("**No lines match.** Widen the days, or set a filter back to all.")
        return
    _lines(store, filter, total)


# ---- what is shown -------------------------------------------------------------------------------------


def _filter(store: Store) -> TrailFilter:
    names, actions = store.trail.choices()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        since = st.date_input("From day", None, key=f"{KEY}-since", persist_state="session", width=140)
        until = st.date_input("To day", None, key=f"{KEY}-until", persist_state="session", width=140)
        who = _choice("Who", names)
        action = _choice("Action", actions)
        outcome = _choice("Outcome", list(Outcome))
        kind = _choice("Of what", [kind for kind in Kind if kind])
        key = st.text_input("Key or number", key=f"{KEY}-key", persist_state="session", width=180, autocomplete="off")
    return TrailFilter(
        who=who,
        action=action,
        outcome=outcome,
        kind=kind,
        key=(key or "").strip(),
        since=times.start(since) if since else None,
        until=times.end(until) if until else None,
    )


def _choice(label: str, options: Sequence[str]) -> str:
    key = f"{KEY}-{label}"
    chosen = st.selectbox(label, options, None, placeholder="All", key=key, persist_state="session", width=150)
    return str(chosen or "")


def _lines(store: Store, filter: TrailFilter, total: int) -> None:
    place = st.container()
    # Another filter has another key, and so begins at its first page.
    page = st.pagination(-(-total // ROWS), key=f"{KEY}-page-{hash(filter)}") if total > ROWS else 1
    first = (page - 1) * ROWS
    with place:
        events = store.trail.events(filter, ROWS, first)
        st.caption(f"{first + 1:,} to {first + len(events):,} of {total:,} lines.")
        st.html(words(_COLUMNS, map(_row, events)))


def _row(event: Event) -> Sequence[str]:
    return (
        str(event.number),
        f"{event.at.astimezone(times.zone()):%Y-%m-%d %H:%M:%S}",
        event.who,
        event.role,
        event.via,
        event.action,
        event.outcome,
        f"{event.kind} {event.key}".strip(),
        trail_files.details(event),
        event.address,
    )


# ---- whether it is whole, and as a file ----------------------------------------------------------------


def _verify(store: Store) -> None:
    with st.spinner("Checking every line"):
        found = store.trail.verify()
    (st.success if found.whole else st.error)(plain(str(found)))


def _files(store: Store, filter: TrailFilter) -> None:
    for format, (title, mime) in _FILES.items():
        st.download_button(
            title,
            partial(_export, acting.later(), store, filter, format),
            f"ichscope-audit.{format}",
            mime,
            on_click="ignore",
            icon=":material/download:",
            key=f"{KEY}-{format}",
            help="All lines that match, the oldest first. The export is a line itself.",
        )


def _export(who: Callable[[], Actor], store: Store, filter: TrailFilter, format: trail_files.Format) -> str:
    """Make a file outside the run of the page, for whoever has its session then."""
    with acting_as(who()):
        return trail_files.text(store.trail.export(filter), format)


page()
