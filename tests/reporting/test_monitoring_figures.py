"""Figures of monitoring: what they draw, what they say without eyes, and that names from files are no markup."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

from ichscope.monitor import ChartPoint, ControlChart, Drift, DriftBin, MonitoringPeriod
from ichscope.reporting.figures import monitoring as figures
from ichscope.reporting.figures.performance import description
from ichscope.store import Adjustment, ReviewWeek

DAY = date(2026, 3, 2)


def test_a_distribution_is_drawn_as_shares_of_each_period() -> None:
    bins = (DriftBin("<b>A</b>", 30, 10), DriftBin("B", 10, 30))
    drawn = figures.drift(Drift("scanner", "input", "chi-squared", (40, 40), bins=bins))
    assert [list(trace.y) for trace in drawn.data] == [[75, 25], [25, 75]]
    assert "<b>" not in "".join((*drawn.data[0].x, *drawn.data[0].hovertext)).replace("<br>", "")
    assert "current: <b>A</b> 25.0 %, B 75.0 %" in description(drawn)


def test_the_flag_rate_marks_what_is_outside_and_who_set_what() -> None:
    points = (ChartPoint(DAY, 50, 5, 0.02, 0.3), ChartPoint(DAY + timedelta(days=7), 50, 25, 0.02, 0.3))
    changed = Adjustment(1, "threshold", "<i>m</i>", "1", "any", 0.7, "Ann", "x", datetime(2026, 3, 9, tzinfo=UTC))
    found = SimpleNamespace(
        chart=ControlChart("week", 0.1, points),
        reference=MonitoringPeriod(DAY, DAY + timedelta(days=6)),
        current=MonitoringPeriod(DAY + timedelta(days=7), DAY + timedelta(days=13)),
        settings=(changed,),
    )
    drawn = figures.flag_rate(found)
    assert list(drawn.data[-1].y) == [10, 50]
    assert list(drawn.data[-1].marker.symbol) == ["circle", "diamond"]
    assert description(drawn).endswith("Outside the limits: 2026-03-09.")
    texts = [one.text for one in drawn.layout.annotations]
    assert texts == ["reference", "current", "&lt;i&gt;m&lt;/i&gt;: any 0.7"]


def test_overrides_by_week_with_their_intervals() -> None:
    drawn = figures.overrides([ReviewWeek(DAY, 30, 10)])
    assert list(drawn.data[0].y) == [25]
    assert 10 < drawn.data[0].error_y.arrayminus[0] < 15
    assert "10 of 40 reviews" in description(drawn)
    assert "No review yet" in description(figures.overrides([]))
