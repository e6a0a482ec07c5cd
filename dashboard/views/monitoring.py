"""Monitoring: whether what comes in, and what the models say of it, is still what it was."""

from __future__ import annotations

from functools import partial
from html import escape

import plotly.graph_objects as go
import streamlit as st

from dashboard import cached, downloads
from dashboard.archive import zipped
from dashboard.monitoring import tables
from dashboard.monitoring.settings import KEY, limits, periods
from dashboard.text import NOT_FOR_DIAGNOSIS, plain, sentence
from ichscope.monitor import (
    ASSUMPTION,
    Drift,
    MonitorError,
    MonitoringReport,
    arrival_days,
    csv_tables,
    default_periods,
    to_json,
)
from ichscope.reporting.figures import monitoring as figures
from ichscope.reporting.figures.performance import description
from ichscope.reporting.figures.theme import config
from ichscope.store import Store, StoreError
from ichscope.texts import json_text


def page() -> None:
    st.title("Monitoring")
    try:
        _report(cached.store())
    except StoreError as error:
        st.error(f"**Nothing can be shown.** {plain(str(error))}")
        st.button("Try again")


def _report(store: Store) -> None:
    top = st.container(horizontal=True, vertical_alignment="center")
    with top:
        chosen = periods(default_periods(arrival_days(store)))
    try:
        report = cached.monitored(store, chosen)
    except MonitorError as error:
        st.info(
            f"**There is nothing to compare yet.** {plain(str(error))} Studies come in on the Worklist, or with "
            "`ichscope batch` and `ichscope watch`."
        )
        return
    with top:
        limits(store, report)
        downloads.button(
            "JSON",
            lambda: json_text(to_json(report)),
            "ichscope-monitoring.json",
            "application/json",
            what="monitoring",
            help="All figures of this page",
        )
        downloads.button(
            "CSV",
            partial(_zip, report),
            "ichscope-monitoring.zip",
            "application/zip",
            what="monitoring",
            help="Each table of this page as a CSV file, in a ZIP",
        )
    _answer(report)
    _changes(report)
    _over_time(report)
    left, right = st.columns(2, gap="medium")
    with left:
        _together(report)
    with right:
        st.header("Time and failures")
        st.html(tables.times(report))
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _without_labels(report)
    with right:
        _readers(report)


def _zip(report: MonitoringReport) -> bytes:
    return zipped({f"{name}.csv": text for name, text in csv_tables(report).items()})


def _answer(report: MonitoringReport) -> None:
    """Whether anything raises an alert, then what was compared."""
    count = len(report.alerts)
    silent = [drift for drift in report.drifts if drift.reason]
    quiet = "Quiet: no alert" if len(silent) < len(report.drifts) else "No alert, but nothing can be compared yet"
    title = f"{count} {'alert' if count == 1 else 'alerts'}" if count else quiet
    lines = [sentence(alert.text) for alert in report.alerts]
    lines.append(
        f"{report.current} ({report.studies[1]:,} studies) against {report.reference} ({report.studies[0]:,} studies)."
    )
    if silent:
        lines.append(f"{len(silent)} of {len(report.drifts)} comparisons are not estimable: see below.")
    if report.synthetic:
        lines.append("All studies are synthetic: computed heads, no patient.")
    body = "".join(f"<div>{escape(line)}</div>" for line in (*lines, *report.notes))
    # Everything here is escaped; Streamlit sanitises the rest.
    st.html(
        f'<div class="verdict {"none" if count else "clear"}" role="status">'
        f'<span class="notice">{NOT_FOR_DIAGNOSIS}</span><div class="title">{escape(title)}</div>{body}</div>'
    )


def _changes(report: MonitoringReport) -> None:
    st.header("What has changed")
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.html(tables.drifts(report))
    with right:
        there = {drift.name: drift for drift in report.drifts if drift.bins}
        if not there:
            return
        shown = st.selectbox(
            "Show",
            list(there),
            index=_first(list(there.values())),
            format_func=lambda name: there[name].title,
            key=f"{KEY}-shown",
            label_visibility="collapsed",
        )
        _figure(figures.drift(there[shown]), "shift")


def _first(there: list[Drift]) -> int:
    """The one that has changed most surely."""
    return min(
        range(len(there)), key=lambda i: (there[i].adjusted is None, there[i].adjusted or 0.0, -(there[i].psi or 0))
    )


def _over_time(report: MonitoringReport) -> None:
    st.header("Flag rate")
    if report.chart.centre is None:
        st.caption(report.chart.reason)
        return
    _figure(figures.flag_rate(report), "flag-rate")
    st.caption(
        "Share of judged studies that a model flags. Control limits are exact for each number of studies, around the "
        "share in the reference period; by chance alone, 1 point in 370 falls outside them (diamonds). A diamond shows "
        "where to look; it is not an alert. Dashed lines: thresholds set by users."
    )


def _together(report: MonitoringReport) -> None:
    st.header("Agreement of two models")
    if report.pair is None:
        st.caption("Not estimable: fewer than two models have results.")
        return
    st.html(tables.agreement(report.agreement, report.agreement_before, report.pair))


def _readers(report: MonitoringReport) -> None:
    st.header("Reviews that reject the models")
    if not report.reviews:
        st.caption("No review says yet whether the models are right.")
        return
    _figure(figures.overrides(report.reviews), "overrides")


def _without_labels(report: MonitoringReport) -> None:
    st.header("Expected performance, without labels")
    st.html(tables.expected(report.expected, report.expected_before))
    st.caption(ASSUMPTION)


def _figure(figure: go.Figure, name: str) -> None:
    settings = config(f"ichscope-monitoring-{name}")
    st.plotly_chart(figure, theme=None, config=settings, key=f"{KEY}-{name}", alt=description(figure))


page()
