"""The error browser: what a model misses and what it flags for nothing, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from dashboard.performance.choose import KEY
from dashboard.performance.rows import Audit
from dashboard.performance.threshold import in_force
from dashboard.table import linked
from ichscope.evaluation.misclassified import misclassified
from ichscope.labels import SUBTYPES
from ichscope.reporting.figures.formatting import column_name, label_name
from ichscope.reporting.figures.theme import SHORT_NAMES, number

ROWS = 25
_KEYS = {"study": "Study", "slice": "Slice key"}
_NUMBERS = dict.fromkeys(("Probability", "From threshold", "Slice"), "number")
WORKLIST = "views/worklist.py"


def browser(audit: Audit, label: str) -> None:
    """Place both lists; a click or Enter on a row opens its study in the worklist."""
    threshold, rows = in_force(audit, label), audit.rows(label)
    wrong = misclassified(rows.truth, rows.probability, threshold)
    lists = {"missed": ("False negatives", wrong.missed), "false alarms": ("False positives", wrong.false_alarms)}
    there = bool((audit.evaluation_set.study[[*wrong.missed, *wrong.false_alarms]] >= 0).any())
    opens = "A click opens the study." if there else "None of these studies is in the store, so none can be opened."
    st.markdown(f"**{label_name(label)}** at threshold {threshold:.4g}, the worst first. {opens}")
    kind = st.segmented_control(
        "Errors",
        list(lists),
        format_func=lambda kind: f"{lists[kind][0]}: {len(lists[kind][1]):,}",
        default="missed",
        required=True,
        key=f"{KEY}-errors",
        label_visibility="collapsed",
    )
    chosen = lists[kind][1]
    if not len(chosen):
        st.info("None at this threshold.")
        return
    place = st.container()
    # Another list starts at its first page.
    pages, key = -(-len(chosen) // ROWS), f"{KEY}-{kind}-{label}-{threshold:g}"
    page = st.pagination(pages, key=f"{key}-page") if pages > 1 else 1
    first = (page - 1) * ROWS
    with place:
        st.caption(f"{first + 1:,} to {min(first + ROWS, len(chosen)):,} of {len(chosen):,}")
        data = content(audit, label, threshold, chosen[first : first + ROWS].tolist())
        opened = linked(data, f"{key}-table")
    if opened:
        open_study(*opened)


def open_study(study: int, slice: int | None = None) -> None:
    """Go to a study in the worklist, by its number in the store, and to one of its slices, from 1."""
    if study < 0:
        st.warning("This study is not in the store; only its truth and probabilities were imported.")
        return
    place = {"study": str(study)} | ({"slice": str(slice)} if slice else {})
    st.switch_page(WORKLIST, query_params=place)


def content(audit: Audit, label: str, threshold: float, chosen: Sequence[int]) -> dict[str, Any]:
    """What the browser shows: a head, and the cells of every row with the number of its study."""
    columns = _columns(audit, label, threshold, chosen)
    studies = (int(audit.evaluation_set.study[row]) for row in chosen)
    # From 1, as readers count; a row of a whole study has none.
    slices = (int(audit.evaluation_set.slice[row]) + 1 or None for row in chosen)
    cells = zip(*columns.values(), strict=True)
    rows = [
        {"id": study, "slice": slice, "cells": [_cell(name, text) for name, text in zip(columns, line, strict=True)]}
        for study, slice, line in zip(studies, slices, cells, strict=True)
    ]
    return {"head": list(columns), "rows": rows, "last": None}


def _cell(name: str, text: str) -> dict[str, str]:
    return {"text": text, "kind": "study" if name in _KEYS.values() else _NUMBERS.get(name, ""), "title": ""}


def _columns(audit: Audit, label: str, threshold: float, chosen: Sequence[int]) -> dict[str, list[str]]:
    """What tells the rows apart, by column."""
    evaluation_set, probability = audit.evaluation_set, audit.rows(label).probability[chosen]
    columns = {
        _KEYS[audit.unit]: [evaluation_set.keys[row] for row in chosen],
        "Probability": [number(value) for value in probability],
        "From threshold": [f"{value - threshold:+.3f}" for value in probability],
    }
    if any(kinds := _kinds(audit, chosen)):
        columns["Subtypes by truth"] = kinds
    if audit.second and label in audit.labels_of(audit.second):
        beside = audit.rows(label, audit.second).probability[chosen]
        columns[audit.name(audit.second)] = ["" if value != value else number(value) for value in beside]
    if audit.unit == "slice":
        columns["Slice"] = [f"{index + 1}" if index >= 0 else "" for index in evaluation_set.slice[chosen]]
    for name, texts in audit.by.items():
        columns[column_name(name)] = [texts.values[row] for row in chosen]
    return columns


def _kinds(audit: Audit, chosen: Sequence[int]) -> list[str]:
    """Subtypes that a row has by truth, in short."""
    there = {label: values[chosen] == 1 for label, values in audit.evaluation_set.truth.items() if label in SUBTYPES}
    return [", ".join(SHORT_NAMES[label] for label, hit in there.items() if hit[i]) for i in range(len(chosen))]
