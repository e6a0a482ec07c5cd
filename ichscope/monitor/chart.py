"""A share over time with its control limits: a p-chart whose limits are exact for each number of studies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np
from scipy import stats

from ichscope.monitor.periods import Period
from ichscope.store import ArrivalDay

# As three standard deviations of a normal distribution leave outside: one point in 370.
OUTSIDE = 0.0027
# Fewer studies a day say so little that a point is a week.
_ENOUGH_A_DAY = 20
Unit = Literal["day", "week"]


@dataclass(frozen=True)
class Point:
    """One day, or the week from this Monday on: how many studies, and between which shares chance leaves them."""

    start: date
    studies: int
    hits: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """Share of hits."""
        return self.hits / self.studies

    @property
    def outside(self) -> bool:
        """Whether it lies beyond the limits."""
        return not self.low <= self.share <= self.high


@dataclass(frozen=True)
class Chart:
    """Points in time beside the share in the reference period; None, and why, where nothing is known of that."""

    unit: Unit
    centre: float | None
    points: tuple[Point, ...]
    reason: str = ""


def flag_rate(days: Sequence[ArrivalDay], reference: Period) -> Chart:
    """Chart the share of flagged studies among those that a model judged."""
    counts = [(one.day, one.judged, one.flagged) for one in days if one.judged]
    unit: Unit = "day" if counts and np.median([judged for _, judged, _ in counts]) >= _ENOUGH_A_DAY else "week"
    before = [one for one in counts if reference.first <= one[0] <= reference.last]
    judged, flagged = sum(one[1] for one in before), sum(one[2] for one in before)
    if not judged:
        return Chart(unit, None, (), "not estimable: no study of the reference period was judged")
    rows = sorted(_together(counts, unit).items())
    low, high = limits(flagged / judged, [n for _, (n, _) in rows])
    points = (Point(day, n, k, a, b) for (day, (n, k)), a, b in zip(rows, low, high, strict=True))
    return Chart(unit, flagged / judged, tuple(points))


def _together(counts: Iterable[tuple[date, int, int]], unit: Unit) -> dict[date, tuple[int, int]]:
    """Sums by the first day of the unit."""
    found: dict[date, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for day, studies, hits in counts:
        start = day if unit == "day" else day - timedelta(days=day.weekday())
        found[start] = (found[start][0] + studies, found[start][1] + hits)
    return found


def limits(share: float, studies: Sequence[int]) -> tuple[list[float], list[float]]:
    """Shares between which chance leaves so many studies, for each number, by the binomial distribution itself.

    The share of the reference is taken as known: a p-chart (Shewhart) says where to look, not what is proven.
    """
    n = np.asarray(studies)
    low, high = (stats.binom.ppf(q, n, share) / n for q in (OUTSIDE / 2, 1 - OUTSIDE / 2))
    return low.tolist(), high.tolist()
