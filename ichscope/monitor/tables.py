"""A monitoring report as plain values and as CSV tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from ichscope.monitor.data import MonitoringReport
from ichscope.results import csv_text

Row = dict[str, Any]


def to_json(report: MonitoringReport) -> dict[str, Any]:
    """Give everything as plain values; days and moments as ISO 8601."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(report), default=lambda value: value.isoformat()))
    return plain


def csv_tables(report: MonitoringReport) -> dict[str, str]:
    """CSV by the name of its table, those without rows left out; a value with an interval has several columns."""
    by_period = ("before", "now")
    times = zip(by_period, (report.reference_times, report.current_times), strict=True)
    missing = zip(by_period, (report.missing_output_before, report.missing_output), strict=True)
    tables: dict[str, list[Row]] = {
        "alerts": [asdict(alert) for alert in report.alerts],
        "comparisons": [{**asdict(drift), "bins": None} for drift in report.drifts],
        "bins": [{"comparison": drift.name, **asdict(part)} for drift in report.drifts for part in drift.bins],
        "flag_rate": [{"unit": report.chart.unit, **asdict(point)} for point in report.chart.points],
        "agreement": _both(report.agreement_before, report.agreement),
        "expected": _both(report.expected_before, report.expected),
        "no_result": [{"period": p, "model": name, **asdict(share)} for p, of in missing for name, share in of.items()],
        "reviews": [asdict(week) for week in report.reviews],
        "times": [{"period": period, **asdict(seconds)} for period, seconds in times],
        "shares": [{"of": name, **asdict(getattr(report, name))} for name in ("not_analysed", "failures", "overrides")],
        "limits": [{"rule": rule, "limit": limit} for rule, limit in report.limits.items()],
    }
    return {name: _csv(rows) for name, rows in tables.items() if rows}


def _both(before: Any, now: Any) -> list[Row]:
    return [{"period": name, **asdict(item)} for name, part in (("before", before), ("now", now)) for item in part]


def _csv(rows: list[Row]) -> str:
    flat = [dict(_flat(row)) for row in rows]
    return csv_text(flat, list(dict.fromkeys(name for row in flat for name in row)))


def _flat(row: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Cells of a row: of an object each value, of a list its JSON; what is None has no cell."""
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name} ")
        elif value is not None:
            yield f"{above}{name}", json.dumps(value) if isinstance(value, list | tuple) else value
