"""What the Performance page gives away: the rows behind all figures as CSV, the figures as JSON, the report as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import chain

from dashboard.archive import zipped
from ichscope.evaluation.selection import EvaluationSet
from ichscope.reporting.report import About, EvaluationReport
from ichscope.results import csv_text


def csv_bytes(evaluation_set: EvaluationSet) -> bytes:
    """Rows as UTF-8 text; what is unknown has no cell. Numbers keep all their digits."""
    rows = evaluation_set.csv_rows()
    first = next(rows, None)
    return csv_text(chain([first], rows), list(first)).encode() if first else b""


def tables_zip(made: EvaluationReport) -> bytes:
    """Every table of a report as a CSV of its own."""
    return zipped({f"{table.key}.csv": table.csv() for table in made.tables})


def report(
    evaluation_set: EvaluationSet,
    selection: Mapping[str, str],
    by: str,
    moved: Mapping[str, Mapping[str, float]] | None = None,
) -> EvaluationReport:
    """The report on what the page shows.

    by : who asks for it, as far as that is known
    moved : thresholds that were moved on the page, by key of the model's source and label
    """
    about = About(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", by, selection=selection)
    return EvaluationReport(evaluation_set, about, moved)
