"""What can be set on the Monitoring page: the two periods, and the limits of alerts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import streamlit as st

from dashboard.text import plain
from dashboard.times import when
from ichscope.monitor import RULES, MonitoringPeriod, MonitoringReport
from ichscope.monitor.rules import problem
from ichscope.store import Adjustment, Store, StoreError

KEY = "monitoring"
# Shared with the review form: who one is stays the same on all pages.
WHO = "reader"


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
        rule = st.selectbox("Rule", list(RULES), format_func=lambda name: RULES[name].title, key=f"{KEY}-rule")
        bounds = RULES[rule]
        value = st.number_input(
            f"Limit ({bounds.unit})" if bounds.unit else "Limit",
            value=report.limits[rule],
            format="%.4g",
            key=f"{KEY}-limit-{rule}-{report.limits[rule]}",
            help=f"{bounds.default:g} unless somebody sets it",
        )
        who, why = names(KEY)
        with st.container(horizontal=True):
            for label, new in (("Set", value), ("Back to the default", None)):
                off = new == report.limits[rule] or (new is None and report.limits[rule] == bounds.default)
                st.button(
                    label,
                    key=f"{KEY}-{label}",
                    disabled=off or not (who and why),
                    on_click=_set,
                    args=(store, rule, new, who, why),
                )
        if told := st.session_state.pop(f"{KEY}-told", None):
            st.markdown(plain(told))
        history = store.adjustments.history("alert")
        lines = [f"- {_line(adjustment)}" for adjustment in history if adjustment.name in RULES]
        st.caption("\n".join(lines[:10]) or "Nobody has set a limit yet.")


def names(key: str) -> tuple[str, str]:
    """Place the fields that say who changes something, and why; the latter lives under `<key>-why`."""
    who = st.text_input("Your name", key=WHO, persist_state="session")
    why = st.text_input("Reason", key=f"{key}-why")
    given = (who or "").strip(), (why or "").strip()
    if not all(given):
        st.caption("Both are needed: they stay beside what was changed.")
    return given


def _set(store: Store, rule: str, value: float | None, who: str, why: str) -> None:
    told = problem(rule, value) if value is not None else ""
    try:
        if not told:
            store.adjustments.set_limit(rule, value, who=who, why=why)
            st.session_state[f"{KEY}-why"] = ""
    except StoreError as error:
        told = str(error)
    st.session_state[f"{KEY}-told"] = f"Not saved: {told}" if told else "Saved."


def _line(adjustment: Adjustment) -> str:
    value = "the default" if adjustment.value is None else f"{adjustment.value:g}"
    rule = RULES[adjustment.name].title.lower()
    return plain(f"{when(adjustment.created_at)}, {adjustment.who}: {rule} {value} ({adjustment.why})")
