"""The error browser: what a model misses and what it flags for nothing, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from dashboard.performance_choose import KEY
from dashboard.performance_rows import Audit
from dashboard.performance_threshold import in_force
from ichscope.audit.errors import errors
from ichscope.figures.look import SHORT_NAMES
from ichscope.figures.words import label_name
from ichscope.labels import SUBTYPES

MOST = 1000
_WORKLIST = "views/worklist.py"


def browser(audit: Audit, label: str) -> None:
    """Place both lists; a click on a row opens its study."""
    threshold, rows = in_force(audit, label), audit.rows(label)
    found = errors(rows.truth, rows.probability, threshold)
    lists = {"missed": found.missed, "false alarms": found.false_alarms}
    words = {
        "missed": f"False negatives: {len(found.missed):,}",
        "false alarms": f"False positives: {len(found.false_alarms):,}",
    }
    st.markdown(f"**{label_name(label)}** at threshold {threshold:.4g}, the worst first. A click opens the study.")
    kind = st.segmented_control(
        "Errors",
        list(words),
        format_func=words.get,
        default="missed",
        required=True,
        key=f"{KEY}-errors",
        label_visibility="collapsed",
    )
    chosen = lists[kind]
    if not len(chosen):
        st.info("None at this threshold.")
        return
    _list(audit, label, threshold, chosen[:MOST], kind)
    if len(chosen) > MOST:
        st.caption(f"The {MOST:,} worst of {len(chosen):,}; all are in the CSV under Data.")


def _list(audit: Audit, label: str, threshold: float, chosen: Sequence[int], kind: str) -> None:
    event = st.dataframe(
        _columns(audit, label, threshold, chosen),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key=f"{KEY}-{kind}-{label}",
        column_config={
            "Probability": st.column_config.NumberColumn(format="%.4f"),
            "From threshold": st.column_config.NumberColumn(format="%+.4f"),
        },
    )
    if event.selection.rows:
        _open(audit, int(chosen[event.selection.rows[0]]))


def _columns(audit: Audit, label: str, threshold: float, chosen: Sequence[int]) -> dict[str, Any]:
    """What tells the rows apart, by column."""
    audited, said = audit.audited, audit.rows(label).probability[chosen]
    columns: dict[str, Any] = {"Probability": said, "From threshold": said - threshold}
    columns["Kinds by truth"] = _kinds(audit, chosen)
    if audit.second and label in audit.model(audit.second).probability:
        columns[audit.name(audit.second)] = audit.rows(label, audit.second).probability[chosen]
    columns["Study"] = [audited.keys[row] for row in chosen]
    if audit.unit == "slice":
        columns["Slice"] = [int(audited.slice[row]) + 1 if audited.slice[row] >= 0 else None for row in chosen]
    for name, values in audited.columns.items():
        columns[name[0].upper() + name[1:]] = [values[row] for row in chosen]
    return columns


def _kinds(audit: Audit, chosen: Sequence[int]) -> list[str]:
    """Subtypes that a row has by truth, in short."""
    there = {label: values[chosen] == 1 for label, values in audit.audited.truth.items() if label in SUBTYPES}
    return [", ".join(SHORT_NAMES[label] for label, hit in there.items() if hit[i]) for i in range(len(chosen))]


def _open(audit: Audit, row: int) -> None:
    study, place = int(audit.audited.study[row]), int(audit.audited.slice[row])
    if study < 0:
        st.warning("This study is not in the store; only its truth and probability were imported.")
        return
    slice_of_it = {"slice": str(place + 1)} if place >= 0 else {}
    st.switch_page(_WORKLIST, query_params={"study": str(study)} | slice_of_it)
