"""Which studies a page shows. What is set lives in the session under the page's key, also while the page is away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import streamlit as st

from dashboard import cached, times
from ichscope.imaging.findings import Status
from ichscope.labels import DISPLAY_NAMES, LABELS
from ichscope.store import Choices, Filter, Store

STATUS_WORDS: Final[dict[str, str]] = {
    Status.ANALYSED: "Analysed",
    Status.LIMITED: "Limited",
    Status.NOT_ANALYSED: "Not analysed",
}
PRIORITY_WORDS: Final = {
    "likely": "Likely bleed",
    "uncertain": "Uncertain",
    "disagree": "Models disagree",
    "not analysed": "Not analysed",
    "negative": "Negative",
}
AGREEMENT_WORDS: Final = {
    "unreviewed": "Unreviewed",
    "agree": "Reader agrees",
    "disagree": "Reader disagrees",
    "conflict": "Readers differ",
    "noted": "Note only",
}
_REVIEWED: Final = {"reviewed": "Reviewed"}
_ORIGINS: Final = {False: "Patients", True: "Synthetic"}
_CODES: Final = "Each code stands for one institution. The name cannot be recovered from it."
_BY: Final = {"model": "A model", "reader": "The latest review"}
_QUALITY: Final = {True: "Poor", False: "Not poor"}
# A choice of its own beside the names; those of the store are stripped, so none is a space.
_UNKNOWN: Final = " "
# A session's value for each part of the filter that limits nothing.
_UNSET: Final[Mapping[str, Any]] = {
    "key": "",
    "status": [],
    "priority": [],
    "agreement": None,
    "label": None,
    "by": "model",
    "since": None,
    "until": None,
    "scanner": None,
    "institution": None,
    "model": None,
    "reader": None,
    "job": None,
    "synthetic": None,
    "poor_quality": None,
}
STATES: Final = {"priority": "Priority", "status": "Analysis", "agreement": "Review"}


def choose(store: Store, key: str, states: bool = True) -> Filter:
    """Place the search field, the filters behind one button, and a way to clear them.

    Parameters
    ----------
    key : what is set is shared by all places that use the same one
    states : with status, priority and agreement; the worklist has them on the page, with their counts

    Raises
    ------
    ichscope.store.StoreError
        if the database fails
    """
    with st.container(horizontal=True, vertical_alignment="center", width="content"):
        st.text_input(
            "Search by study key",
            placeholder="Study key or Study Instance UID",
            autocomplete="off",
            icon=":material/search:",
            label_visibility="collapsed",
            width=330,
            **_kept(key, "key"),
        )
        behind = [name for name in _set(key) if name != "key" and (states or name not in STATES)]
        label = f"Filters ({len(behind)})" if behind else "Filters"
        with st.popover(label, icon=":material/filter_list:", key=f"{key}-filters"):
            if states:
                _states(key)
            _label(key)
            _rest(key, *cached.choices(store))
        if _set(key):
            st.button("Clear filters", type="tertiary", key=f"{key}-clear", on_click=clear, args=(key,))
    return current(key)


def current(key: str) -> Filter:
    """The filter that is set under a key; needs no widget on the page."""
    value = {name: st.session_state.get(f"{key}-{name}") or unset for name, unset in _UNSET.items()}
    model, version = value["model"] or (None, None)
    since, until = _day(value["since"]), _day(value["until"])
    return Filter(
        status=tuple(value["status"]),
        priority=tuple(value["priority"]),
        agreement=value["agreement"],
        label=value["label"],
        by=value["by"],
        since=times.start(since) if since else None,
        until=times.end(until) if until else None,
        scanner=_name(value["scanner"]),
        institution=_name(value["institution"]),
        model=model,
        version=version,
        reader=value["reader"],
        job=value["job"],
        # False is a choice of these two, not the lack of one.
        synthetic=st.session_state.get(f"{key}-synthetic"),
        poor_quality=st.session_state.get(f"{key}-poor_quality"),
        key=value["key"],
    )


def clear(key: str) -> None:
    """Take all limits away; for callbacks."""
    for name in _set(key):
        st.session_state[f"{key}-{name}"] = _UNSET[name]


def _set(key: str) -> list[str]:
    """Names of the parts that limit something."""
    parts = (name for name in _UNSET if name != "by")
    return [name for name in parts if st.session_state.get(f"{key}-{name}") not in (None, "", [])]


def _kept(key: str, name: str) -> dict[str, Any]:
    """Where a widget's value lives, and for how long."""
    return {"key": f"{key}-{name}", "persist_state": "session"}


def _name(value: str | None) -> str | None:
    return "" if value == _UNKNOWN else value


def _day(value: Any) -> date | None:
    return value if isinstance(value, date) else None


def pills(key: str, name: str, names: Mapping[Any, str], counts: Mapping[Any, int] | None = None) -> None:
    """Place one of STATES, several of which may hold at once; with counts, each says how many studies it has."""

    def counted(state: Any) -> str:
        return names[state] if counts is None else f"{names[state]} **{counts.get(state, 0):,}**"

    st.pills(
        STATES[name],
        list(names),
        selection_mode="single" if name == "agreement" else "multi",
        format_func=counted,
        # The counts make plain what these are; the words are for screen readers.
        label_visibility="visible" if counts is None else "collapsed",
        **_kept(key, name),
    )


def _states(key: str) -> None:
    for name, names in (
        ("priority", PRIORITY_WORDS),
        ("status", STATUS_WORDS),
        ("agreement", _REVIEWED | AGREEMENT_WORDS),
    ):
        pills(key, name, names)


def _label(key: str) -> None:
    left, right = st.columns(2)
    with left:
        _select(key, "label", "Finding", {label: DISPLAY_NAMES[label] for label in LABELS})
    with right:
        st.segmented_control(
            "Found by", list(_BY), format_func=_BY.__getitem__, default="model", required=True, **_kept(key, "by")
        )


def _rest(key: str, choices: Choices, jobs: Mapping[int, str]) -> None:
    left, right = st.columns(2)
    with left:
        st.date_input("Arrived from", value=None, **_kept(key, "since"))
        _select(key, "scanner", "Scanner", _with_unknown(choices.scanners))
        _select(key, "model", "Model and version", {model: " ".join(model) for model in choices.models})
        _select(key, "job", "Added by", jobs)
    with right:
        st.date_input("Arrived until", value=None, **_kept(key, "until"))
        _select(key, "institution", "Institution", _with_unknown(choices.institutions), _CODES)
        _select(key, "reader", "Reviewed by", {name: name for name in choices.readers})
    with left:
        st.pills("Origin", list(_ORIGINS), format_func=_ORIGINS.__getitem__, **_kept(key, "synthetic"))
    with right:
        st.pills(
            "Image quality by readers", list(_QUALITY), format_func=_QUALITY.__getitem__, **_kept(key, "poor_quality")
        )


def _with_unknown(names: Sequence[str]) -> dict[str, str]:
    return {name: name for name in names} | {_UNKNOWN: "Unknown"}


def _select(key: str, name: str, label: str, names: Mapping[Any, str], help: str | None = None) -> None:
    st.selectbox(
        label,
        list(names),
        index=None,
        placeholder="All",
        format_func=lambda choice: names.get(choice, ""),
        help=help,
        **_kept(key, name),
    )
