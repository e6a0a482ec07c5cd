"""The two periods that monitoring compares: whole days (UTC)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from ichscope.monitor.data import MonitoringPeriod
from ichscope.store import ArrivalDay

LENGTH = 28
# The reference period starts as late as it must to have this many studies.
ENOUGH = 100


def default_periods(
    days: Sequence[ArrivalDay], since: date | None = None
) -> tuple[MonitoringPeriod, MonitoringPeriod] | None:
    """Reference and current period: the first four weeks with enough studies, and the last four.

    Where less than eight weeks are there, each gets half of the days.

    Parameters
    ----------
    days : the oldest first
    since : first day of the current period, in the place of the last four weeks; studies may be missing in it

    Returns
    -------
    None where there is no day for one of them
    """
    if not days:
        return None
    start, end = days[0].day, days[-1].day
    length = min(LENGTH, ((end - start).days + 1) // 2)
    current = since or end - timedelta(days=length - 1)
    room = (current - start).days
    if room <= 0 or not length:
        return None
    first = _with_enough(days, min(LENGTH, room), current)
    return MonitoringPeriod(first, min(first + timedelta(days=LENGTH), current) - timedelta(days=1)), MonitoringPeriod(
        current, max(current, end)
    )


def _with_enough(days: Sequence[ArrivalDay], length: int, before: date) -> date:
    """First day of the first period of a length with enough studies that ends before a day; else, of all periods."""
    start = days[0].day
    for offset in range((before - start).days - length + 1):
        first = start + timedelta(days=offset)
        if sum(row.studies for row in days if first <= row.day < first + timedelta(days=length)) >= ENOUGH:
            return first
    return start
