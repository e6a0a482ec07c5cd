"""A cohort as files: a table as CSV, all of them as a ZIP, and the figures as one page of HTML."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from dashboard.archive import zipped
from dashboard.text import NOT_FOR_DIAGNOSIS
from ichscope.reporting.figures.cohort_tables import tables
from ichscope.results import csv_text
from ichscope.store import Cohort

TITLES = {
    "days": "What came in",
    "reasons": "What limits or prevents the analysis",
    "prevalence": "What was found",
    "co-occurrence": "Which subtypes occur together",
    "scores": "Probabilities of any haemorrhage",
    "breakdowns": "Who was scanned, and how",
    "waits": "How long it took",
}


def csv_of(cohort: Cohort, name: str) -> str:
    """One table; empty where it has no rows."""
    rows = tables(cohort)[name]
    return csv_text(rows, list(rows[0])) if rows else ""


def zip_of(cohort: Cohort) -> bytes:
    """All tables."""
    return zipped({f"{file_name(cohort, name)}.csv": csv_of(cohort, name) for name in tables(cohort)})


def html_of(cohort: Cohort, drawn: Mapping[str, go.Figure]) -> str:
    """All figures as one page that needs no network; Plotly's script comes once."""
    notice = f"{NOT_FOR_DIAGNOSIS}. {cohort.total:,} studies, {cohort.synthetic:,} of them synthetic."
    head = f"<!doctype html><meta charset='utf-8'><title>ICHScope cohort</title><p><b>{notice}</b></p>"
    parts = [
        f"<h2>{TITLES[name]}</h2>{figure.to_html(full_html=False, include_plotlyjs=not place)}"
        for place, (name, figure) in enumerate(drawn.items())
    ]
    return head + "\n".join(parts)


def file_name(cohort: Cohort, name: str) -> str:
    """What a file of this cohort is called; one that counts synthetic studies says so."""
    return f"ichscope-cohort-{'with-synthetic-' if cohort.synthetic else ''}{name}"
