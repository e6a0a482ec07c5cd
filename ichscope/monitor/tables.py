"""Everything that was monitored, as CSV tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from ichscope.monitor.report import Monitored
from ichscope.results import csv_text

Row = dict[str, Any]


def csv_tables(found: Monitored) -> dict[str, str]:
    """CSV by the name of its table, those without rows left out; a value with an interval has several columns."""
    by_period = ("before", "now")
    times = zip(by_period, (found.reference_times, found.current_times), strict=True)
    unheard = zip(by_period, (found.unheard_before, found.unheard), strict=True)
    tables: dict[str, list[Row]] = {
        "alerts": [asdict(one) for one in found.alerts],
        "comparisons": [{**asdict(one), "bins": None} for one in found.drifts],
        "bins": [{"comparison": one.name, **asdict(of)} for one in found.drifts for of in one.bins],
        "flag_rate": [{"unit": found.chart.unit, **asdict(one)} for one in found.chart.points],
        "agreement": _both(found.agreement_before, found.agreement),
        "expected": _both(found.expected_before, found.expected),
        "no_result": [{"period": p, "model": name, **asdict(one)} for p, of in unheard for name, one in of.items()],
        "reviews": [asdict(one) for one in found.reviews],
        "times": [{"period": period, **asdict(one)} for period, one in times],
        "shares": [{"of": name, **asdict(getattr(found, name))} for name in ("not_analysed", "failures", "overrides")],
        "limits": [{"rule": rule, "limit": limit} for rule, limit in found.limits.items()],
    }
    return {name: _csv(rows) for name, rows in tables.items() if rows}


def _both(before: Any, now: Any) -> list[Row]:
    return [{"period": name, **asdict(one)} for name, part in (("before", before), ("now", now)) for one in part]


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
