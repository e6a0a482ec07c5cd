"""Monitoring: whether what comes in, and what the models say of it, is still what it was."""

from __future__ import annotations

import json
from functools import partial
from html import escape

import plotly.graph_objects as go
import streamlit as st

from dashboard import cached
from dashboard.archive import zipped
from dashboard.monitoring import tables
from dashboard.monitoring.settings import KEY, limits, periods
from dashboard.text import NOT_FOR_DIAGNOSIS, plain, sentence
from ichscope.commands.monitor import to_json
from ichscope.monitor import ASSUMPTION, Drift, Monitored, MonitorError, arrival_days, csv_tables, default_periods
from ichscope.reporting.figures import monitoring as figures
from ichscope.reporting.figures.performance import description
from ichscope.reporting.figures.theme import config
from ichscope.store import Store, StoreError


def page() -> None:
    st.title("Monitoring")
    try:
        _look(cached.store())
    except StoreError as error:
        st.error(f"**Nothing can be shown.** {plain(str(error))}")
        st.button("Try again")


def _look(store: Store) -> None:
    top = st.container(horizontal=True, vertical_alignment="center")
    with top:
        chosen = periods(default_periods(arrival_days(store)))
    try:
        found = cached.monitored(store, chosen)
    except MonitorError as error:
        st.info(
            f"**There is nothing to compare yet.** {plain(str(error))} Studies come in on the Worklist, or with "
            "`ichscope batch` and `ichscope watch`."
        )
        return
    with top:
        limits(store, found)
        st.download_button(
            "JSON",
            partial(_json, found),
            "ichscope-monitoring.json",
            "application/json",
            icon=":material/download:",
            on_click="ignore",
            help="All figures of this page",
        )
        st.download_button(
            "CSV",
            partial(_zip, found),
            "ichscope-monitoring.zip",
            "application/zip",
            icon=":material/download:",
            on_click="ignore",
            help="Each table of this page as a CSV file, in a ZIP",
        )
    _answer(found)
    _changes(found)
    _over_time(found)
    left, right = st.columns(2, gap="medium")
    with left:
        _together(found)
    with right:
        st.subheader("Time and failures")
        st.html(tables.times(found))
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _without_labels(found)
    with right:
        _readers(found)


def _json(found: Monitored) -> str:
    return json.dumps(to_json(found), indent=2, ensure_ascii=False) + "\n"


def _zip(found: Monitored) -> bytes:
    return zipped({f"{name}.csv": text for name, text in csv_tables(found).items()})


def _answer(found: Monitored) -> None:
    """Whether anything raises an alert, then what was compared."""
    count = len(found.alerts)
    silent = [one for one in found.drifts if one.reason]
    quiet = "Quiet: no alert" if len(silent) < len(found.drifts) else "No alert, but nothing can be compared yet"
    title = f"{count} {'alert' if count == 1 else 'alerts'}" if count else quiet
    lines = [sentence(one.text) for one in found.alerts]
    lines.append(
        f"{found.current} ({found.studies[1]:,} studies) against {found.reference} ({found.studies[0]:,} studies)."
    )
    if silent:
        lines.append(f"Nothing can be said of {len(silent)} of {len(found.drifts)} comparisons: see below.")
    if found.synthetic:
        lines.append("All studies are synthetic: computed heads, no patient.")
    body = "".join(f"<div>{escape(line)}</div>" for line in (*lines, *found.notes))
    # Everything here is escaped; Streamlit sanitises the rest.
    st.html(
        f'<div class="verdict {"none" if count else "clear"}" role="status">'
        f'<span class="notice">{NOT_FOR_DIAGNOSIS}</span><div class="title">{escape(title)}</div>{body}</div>'
    )


def _changes(found: Monitored) -> None:
    st.subheader("What has changed")
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.html(tables.drifts(found))
    with right:
        there = {one.name: one for one in found.drifts if one.bins}
        if not there:
            return
        shown = st.selectbox(
            "Show",
            list(there),
            index=_first(list(there.values())),
            format_func=lambda one: there[one].title,
            key=f"{KEY}-shown",
            label_visibility="collapsed",
        )
        _figure(figures.drift(there[shown]), "shift")


def _first(there: list[Drift]) -> int:
    """The one that has changed most surely."""
    return min(
        range(len(there)), key=lambda i: (there[i].adjusted is None, there[i].adjusted or 0.0, -(there[i].psi or 0))
    )


def _over_time(found: Monitored) -> None:
    st.subheader("Flag rate")
    if found.chart.centre is None:
        st.caption(found.chart.reason)
        return
    _figure(figures.flag_rate(found), "flag-rate")
    st.caption(
        "Share of studies that a model flags, of those that one judged. Control limits are exact for each number of "
        "studies, around the share in the reference period; by chance alone one point in 370 lies outside (diamonds). "
        "A diamond is where to look, not an alert. Dashed lines: thresholds that users set."
    )


def _together(found: Monitored) -> None:
    st.subheader("Two models as a measure of confidence")
    if found.pair is None:
        st.caption("Not estimable: fewer than two models have results.")
        return
    st.html(tables.agreement(found.agreement, found.agreement_before, found.pair))


def _readers(found: Monitored) -> None:
    st.subheader("Readers who reject what the models say")
    if not found.reviews:
        st.caption("No review says yet whether the models are right.")
        return
    _figure(figures.overrides(found.reviews), "overrides")


def _without_labels(found: Monitored) -> None:
    st.subheader("Expected performance, without labels")
    st.html(tables.expected(found.expected, found.expected_before))
    st.caption(ASSUMPTION)


def _figure(figure: go.Figure, name: str) -> None:
    settings = config(f"ichscope-monitoring-{name}")
    st.plotly_chart(figure, theme=None, config=settings, key=f"{KEY}-{name}", alt=description(figure))


page()
