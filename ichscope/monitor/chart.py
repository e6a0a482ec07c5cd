"""A share over time with its control limits: a p-chart whose limits are exact for each number of studies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta

import numpy as np
from scipy import stats

from ichscope.monitor.data import ChartPoint, ChartUnit, ControlChart, MonitoringPeriod
from ichscope.store import ArrivalDay

# As three standard deviations of a normal distribution leave outside: one point in 370.
OUTSIDE = 0.0027
# Fewer studies a day say so little that a point is a week.
_ENOUGH_A_DAY = 20


def flag_rate(days: Sequence[ArrivalDay], reference: MonitoringPeriod) -> ControlChart:
    """Chart the share of flagged studies among those that a model judged."""
    counts = [(row.day, row.judged, row.flagged) for row in days if row.judged]
    unit: ChartUnit = "day" if counts and np.median([judged for _, judged, _ in counts]) >= _ENOUGH_A_DAY else "week"
    before = [(judged, flagged) for day, judged, flagged in counts if reference.first <= day <= reference.last]
    judged, flagged = sum(n for n, _ in before), sum(k for _, k in before)
    if not judged:
        return ControlChart(unit, None, (), "not estimable: no study of the reference period was judged")
    rows = sorted(_together(counts, unit).items())
    low, high = limits(flagged / judged, [n for _, (n, _) in rows])
    points = (ChartPoint(day, n, k, a, b) for (day, (n, k)), a, b in zip(rows, low, high, strict=True))
    return ControlChart(unit, flagged / judged, tuple(points))


def _together(counts: Iterable[tuple[date, int, int]], unit: ChartUnit) -> dict[date, tuple[int, int]]:
    """Sums by the first day of the unit."""
    sums: dict[date, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for day, studies, hits in counts:
        start = day if unit == "day" else day - timedelta(days=day.weekday())
        sums[start] = (sums[start][0] + studies, sums[start][1] + hits)
    return sums


def limits(share: float, studies: Sequence[int]) -> tuple[list[float], list[float]]:
    """Shares between which chance leaves so many studies, for each number, by the binomial distribution itself.

    The share of the reference is taken as known: a p-chart (Shewhart) says where to look, not what is proven.
    """
    n = np.asarray(studies)
    low, high = (stats.binom.ppf(q, n, share) / n for q in (OUTSIDE / 2, 1 - OUTSIDE / 2))
    return low.tolist(), high.tolist()
