"""What the Performance page gives away: the rows behind all figures as CSV, and the figures as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from itertools import combinations
from typing import Any

from dashboard import cached
from dashboard.performance_rows import Audit
from ichscope import __version__
from ichscope.audit.evaluate import LabelFigures
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


def json_bytes(audit: Audit, found: Mapping[str, Mapping[str, LabelFigures]], selection: Mapping[str, str]) -> bytes:
    """All figures of all labels and models, and the paired tests, as `ichscope evaluate` writes them."""
    models = {
        audit.name(key): {
            "source": key,
            "sha256": audit.model(key).sha256,
            "thresholds": audit.model(key).thresholds,
            "truth_without_prediction": audit.audited.missing.get(key, 0),
            "labels": {label: one.to_json() for label, one in labels.items()},
        }
        for key, labels in found.items()
    }
    content: dict[str, Any] = {
        "ichscope": __version__,
        "selection": dict(selection),
        "level": audit.unit,
        "grouped_by": audit.audited.grouped_by or None,
        "notes": audit.audited.notes,
        "models": models,
        "comparisons": [_compared(audit, *pair) for pair in combinations(found, 2)],
    }
    return (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _compared(audit: Audit, first: str, second: str) -> dict[str, Any]:
    tests = {
        label: asdict(cached.comparison(audit.rows(label, first), audit.rows(label, second)))
        for label in audit.labels_of(first, second)
    }
    return {"models": [audit.name(first), audit.name(second)], "labels": tests}
