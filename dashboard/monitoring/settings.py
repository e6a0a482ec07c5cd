"""What can be set on the Monitoring page: the two periods, and the limits of alerts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import streamlit as st

from dashboard import acting
from dashboard.text import plain
from dashboard.times import when
from ichscope.access import Right, current_actor, named
from ichscope.monitor import RULES, MonitoringPeriod, MonitoringReport
from ichscope.monitor.rules import problem
from ichscope.store import Adjustment, Store, StoreError

KEY = "monitoring"


def periods(
    usual: tuple[MonitoringPeriod, MonitoringPeriod] | None,
) -> tuple[MonitoringPeriod, MonitoringPeriod] | None:
    """Place the choice of periods.

    usual : those by default

    Returns
    -------
    reference and current period; None for those by default
    """
    with st.popover("Periods", icon=":material/date_range:"):
        st.caption(
            "By default the first four weeks with at least 100 studies are the reference, and the last four the "
            "current period; where less time is there, each gets half. Whole days, UTC."
        )
        if not st.checkbox("Choose the periods", key=f"{KEY}-choose", persist_state="session"):
            return None
        chosen = [
            st.date_input(
                f"{name} period",
                value=[period.first, period.last] if period else [],
                key=f"{KEY}-{name.lower()}",
                persist_state="session",
            )
            for name, period in zip(("Reference", "Current"), usual or (None, None), strict=True)
        ]
        reference, current = map(_period, chosen)
        if reference is None or current is None:
            st.caption("Pick the first and the last day of both.")
            return None
        if reference.last >= current.first and current.last >= reference.first:
            st.caption("The periods overlap: a change is partly hidden.")
        return reference, current


def _period(days: Sequence[date]) -> MonitoringPeriod | None:
    return MonitoringPeriod(*days) if len(days) == 2 else None


def limits(store: Store, report: MonitoringReport) -> None:
    """Place the limits of alerts, a way to set them, and who has set what."""
    with st.popover("Alert limits", icon=":material/tune:", key=f"{KEY}-limits"):
        history = store.adjustments.history("alert")
        if current_actor().may(Right.ALERT_LIMITS):
            _form(store, report)
        else:
            st.caption("Your role may look at the limits, not set any.")
            st.markdown("\n".join(f"- {plain(RULES[rule].title)}: {limit:g}" for rule, limit in report.limits.items()))
        lines = [f"- {_line(adjustment)}" for adjustment in history if adjustment.name in RULES]
        st.caption("\n".join(lines[:10]) or "Nobody has set a limit yet.")


def _form(store: Store, report: MonitoringReport) -> None:
    """Place what sets a limit."""
    rule = st.selectbox("Rule", list(RULES), format_func=lambda name: RULES[name].title, key=f"{KEY}-rule")
    bounds = RULES[rule]
    value = st.number_input(
        f"Limit ({bounds.unit})" if bounds.unit else "Limit",
        value=report.limits[rule],
        format="%.4g",
        key=f"{KEY}-limit-{rule}-{report.limits[rule]}",
        help=f"{bounds.default:g} unless somebody sets it",
    )
    why = reason(KEY)
    with st.container(horizontal=True):
        for label, new in (("Set", value), ("Back to the default", None)):
            off = new == report.limits[rule] or (new is None and report.limits[rule] == bounds.default)
            st.button(
                label,
                key=f"{KEY}-{label}",
                disabled=off or not why,
                on_click=_set,
                args=(store, rule, new, why),
            )
    if told := st.session_state.pop(f"{KEY}-told", None):
        st.markdown(plain(told))


def reason(key: str) -> str:
    """Place what says who changes something, and why; give the reason, "" unless both are there.

    The reason lives under `<key>-why`.
    """
    who = acting.name_field("Your name")
    why = (st.text_input("Reason", key=f"{key}-why", autocomplete="off") or "").strip()
    if who and why:
        return why
    st.caption("Both are needed: they stay beside what was changed.")
    return ""


def _set(store: Store, rule: str, value: float | None, why: str) -> None:
    told = problem(rule, value) if value is not None else ""
    try:
        if not told:
            store.adjustments.set_limit(rule, value, why=why)
            st.session_state[f"{KEY}-why"] = ""
    except StoreError as error:
        told = str(error)
    st.session_state[f"{KEY}-told"] = f"Not saved: {told}" if told else "Saved."


def _line(adjustment: Adjustment) -> str:
    value = "the default" if adjustment.value is None else f"{adjustment.value:g}"
    rule = RULES[adjustment.name].title.lower()
    who = named(adjustment.who, adjustment.signed)
    return plain(f"{when(adjustment.created_at)}, {who}: {rule} {value} ({adjustment.why})")
