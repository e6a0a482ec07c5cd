"""What the Performance page gives away: the rows behind all figures as CSV, the figures as JSON, the report as HTML."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime

from dashboard.cached import WANTED
from ichscope.audit.report import About, Report
from ichscope.audit.stored import Audited


def csv_bytes(audited: Audited) -> bytes:
    """Rows as UTF-8 text; what is unknown has no cell. Numbers keep all their digits."""
    text = io.StringIO()
    rows = audited.csv_rows()
    first = next(rows, None)
    if first is not None:
        writer = csv.DictWriter(text, list(first), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerow(first)
        writer.writerows(rows)
    return text.getvalue().encode()


def report(audited: Audited, selection: Mapping[str, str], by: str) -> Report:
    """The report on what the page shows; `by` is who asks for it, as far as that is known."""
    return Report(audited, About(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", by, selection=selection), WANTED)
