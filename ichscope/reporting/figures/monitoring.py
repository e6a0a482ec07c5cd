"""Figures of monitoring: a distribution in two periods, the flag rate with its limits, and readers' overrides."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Final

import plotly.graph_objects as go

from ichscope.imaging.findings import Status
from ichscope.monitor import Drift, MonitoringPeriod, MonitoringReport
from ichscope.reporting.figures.arrivals import STATE_COLOURS, dress
from ichscope.reporting.figures.cohort_tables import in_percent, share
from ichscope.reporting.figures.performance import describe
from ichscope.reporting.figures.theme import GRID, INK
from ichscope.store import ReviewWeek

BEFORE: Final = STATE_COLOURS[Status.NOT_ANALYSED]
NOW: Final = STATE_COLOURS[Status.ANALYSED]
_LINE: Final = "#3d9bd4"
_OUTSIDE: Final = "#E69F00"
_AXES: Final = {"age": "Age (years)", "kVp": "Tube voltage (kVp)"}


def drift(measure: Drift) -> go.Figure:
    """Share of studies in each bin: the reference period beside the current one."""
    figure = dress(go.Figure(), legend=True)
    names = [escape(part.name, quote=False) for part in measure.bins]
    periods = []
    for period, colour in (("reference", BEFORE), ("current", NOW)):
        counts = [getattr(part, period) for part in measure.bins]
        whole = sum(counts) or 1
        shares = [100 * n / whole for n in counts]
        figure.add_bar(
            x=names,
            y=shares,
            name=f"{period} period",
            marker={"color": colour, "line": {"width": 0.5, "color": INK}},
            hovertext=[
                f"{name}<br>{period}: {value:.1f} %, {n:,} of {whole:,}"
                for name, value, n in zip(names, shares, counts, strict=True)
            ],
            hovertemplate="%{hovertext}<extra></extra>",
        )
        bins = (f"{part.name} {value:.1f} %" for part, value in zip(measure.bins, shares, strict=True))
        periods.append(f"{period}: {', '.join(bins)}")
    figure.update_layout(barmode="group", bargap=0.2)
    title = escape(_AXES.get(measure.name, measure.title), quote=False)
    figure.update_xaxes(type="category", showgrid=False, title=title)
    figure.update_yaxes(title="Share of studies (%)", rangemode="tozero")
    return describe(figure, f"{measure.name} in both periods. {'. '.join(periods)}.")


def flag_rate(report: MonitoringReport) -> go.Figure:
    """Share of flagged studies by day or week, with control limits, both periods, and where thresholds were set."""
    chart = report.chart
    figure = dress(go.Figure(), height=280)
    days = [point.start for point in chart.points]
    for period, name in ((report.reference, "reference"), (report.current, "current")):
        _shade(figure, period, name)
    for bound, fill in (("low", None), ("high", "tonexty")):
        figure.add_scatter(
            x=days,
            y=[100 * getattr(point, bound) for point in chart.points],
            mode="lines",
            line={"width": 1, "color": GRID, "shape": "hvh"},
            fill=fill,
            fillcolor="rgba(132, 145, 156, 0.14)",
            hoverinfo="skip",
        )
    if chart.centre is not None:
        figure.add_hline(y=100 * chart.centre, line={"color": INK, "dash": "dot", "width": 1})
    figure.add_scatter(
        x=days,
        y=[100 * point.share for point in chart.points],
        mode="lines+markers",
        line={"color": _LINE, "width": 1},
        marker={
            "size": [11 if point.outside else 5 for point in chart.points],
            "symbol": ["diamond" if point.outside else "circle" for point in chart.points],
            "color": [_OUTSIDE if point.outside else _LINE for point in chart.points],
        },
        hovertext=[
            f"{chart.unit} of {point.start}: {point.hits:,} of {point.studies:,} flagged, {100 * point.share:.1f} %"
            f"<br>limits {100 * point.low:.1f} to {100 * point.high:.1f} %"
            for point in chart.points
        ],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    for setting in report.settings:
        text = f"{setting.model}: {setting.name} {'own again' if setting.value is None else f'{setting.value:.3g}'}"
        figure.add_vline(x=setting.created_at.timestamp() * 1000, line={"color": INK, "dash": "dash", "width": 1})
        figure.add_annotation(
            x=setting.created_at, y=1, yref="paper", yanchor="bottom", showarrow=False, text=escape(text, quote=False)
        )
    figure.update_xaxes(title=f"Arrival, by {chart.unit} (UTC)", type="date")
    figure.update_yaxes(title="Flagged (%)", rangemode="tozero")
    outside = [str(point.start) for point in chart.points if point.outside]
    centre = chart.reason if chart.centre is None else f"Share in the reference period {100 * chart.centre:.1f} %."
    return describe(figure, f"Flag rate by {chart.unit}. {centre} Outside the limits: {', '.join(outside) or 'none'}.")


def _shade(figure: go.Figure, period: MonitoringPeriod, name: str) -> None:
    figure.add_vrect(
        x0=period.since,
        x1=period.until,
        fillcolor=BEFORE if name == "reference" else "rgba(61, 155, 212, 0.10)",
        opacity=0.5,
        line_width=0,
        layer="below",
        annotation={"text": name, "font": {"size": 11}, "yanchor": "top"},
        annotation_position="top left",
    )


def overrides(weeks: Sequence[ReviewWeek]) -> go.Figure:
    """Share of reviews that reject what the models say, by week, with 95 % intervals."""
    figure = dress(go.Figure())
    shares = [share(week.disagree, week.agree + week.disagree) for week in weeks]
    texts = [
        f"week of {week.week}: {in_percent(rate)}, {week.disagree:,} of {week.agree + week.disagree:,} reviews"
        for week, rate in zip(weeks, shares, strict=True)
    ]
    figure.add_scatter(
        x=[week.week for week in weeks],
        y=[100 * (rate.value or 0) for rate in shares],
        mode="markers",
        marker={"color": _LINE, "size": 8},
        error_y=_reach(shares),
        hovertext=texts,
        hovertemplate="%{hovertext}<extra></extra>",
    )
    figure.update_xaxes(title="Week of the newest review (UTC)", type="date")
    figure.update_yaxes(title="Reviews that reject the models (%)", rangemode="tozero")
    return describe(figure, f"Overrides. {'; '.join(texts) or 'No review yet.'}.")


def _reach(shares: Sequence[Any]) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [100 * ((rate.high or 0) - (rate.value or 0)) for rate in shares],
        "arrayminus": [100 * ((rate.value or 0) - (rate.low or 0)) for rate in shares],
        "color": INK,
        "thickness": 1.5,
    }
