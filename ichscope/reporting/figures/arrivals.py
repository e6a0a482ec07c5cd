"""Figures of what came in: when, in what state, in whom, from where, and how long it took. One function a figure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from html import escape
from textwrap import wrap
from typing import Any, Final

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ichscope.imaging.findings import FindingLevel, Status
from ichscope.reporting.figures.cohort_tables import (
    BREAKDOWNS,
    STATUSES,
    in_percent,
    part_of,
    reason_name,
    share,
    step_name,
    wait_name,
)
from ichscope.reporting.figures.performance import describe
from ichscope.reporting.figures.theme import INK, TEMPLATE
from ichscope.store import Day, Reason, Share, Wait

FLAGGED: Final = "#d64550"
# States differ in lightness, not in hue: hues are for labels, and red is for what is flagged.
STATE_COLOURS: Final[dict[str, str]] = {
    Status.ANALYSED: "#3d7ea6",
    Status.LIMITED: "#8fb8d0",
    Status.NOT_ANALYSED: "rgba(132, 145, 156, 0.25)",
}
HEIGHT: Final = 260
_LEGEND: Final = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"}
_LEVELS: Final[dict[str, tuple[str, Status]]] = {
    FindingLevel.NOT_ANALYSABLE: ("prevents", Status.NOT_ANALYSED),
    FindingLevel.WARNING: ("limits", Status.LIMITED),
}
# More days than these are shown as weeks, more weeks as months.
_MOST_DAYS, _MOST_WEEKS = 120, 120
_FEW_DAYS, _DAY_MS = 14, 86_400_000
_MOST_STEPS, _MOST_SCANNERS, _MOST_REASONS = 40, 7, 12
_LONGEST_LINE = 18


def over_time(days: Sequence[Day]) -> go.Figure:
    """Studies by the day (UTC), week or month of their arrival, stacked by what became of them."""
    first, last = (days[0].day, days[-1].day) if days else (date.min, date.min)
    unit = _unit((last - first).days)
    counts: dict[str, dict[date, int]] = {status: defaultdict(int) for status in STATUSES}
    for day in days:
        counts[day.status][_start(day.day, unit)] += day.studies
    figure = dress(go.Figure(), legend=True)
    for status, by_start in counts.items():
        texts = [f"{unit} of {start}<br>{count:,} {status}" for start, count in by_start.items()]
        bars(figure, list(by_start), list(by_start.values()), texts, STATE_COLOURS[status], name=status)
    figure.update_layout(barmode="stack", bargap=0.1)
    figure.update_xaxes(title=f"Arrival, by {unit} (UTC)", type="date")
    if days and (last - first).days < _FEW_DAYS:
        # Left to itself, the axis of a single day is one of milliseconds.
        figure.update_traces(width=0.9 * _DAY_MS)
        figure.update_xaxes(dtick=_DAY_MS, tickformat="%b %d\n%Y", range=_around(first, last))
    figure.update_yaxes(title="Studies", rangemode="tozero")
    totals = ", ".join(f"{sum(by_start.values())} {status}" for status, by_start in counts.items())
    return describe(figure, f"Studies by {unit} of their arrival, {first} to {last}: {totals}.")


def _around(first: date, last: date) -> list[datetime]:
    """The axis of these days, whose bars stand around midnight."""
    half = timedelta(hours=12)
    return [datetime.combine(first, time()) - half, datetime.combine(last, time()) + half]


def _unit(days: int) -> str:
    if days <= _MOST_DAYS:
        return "day"
    return "week" if days <= 7 * _MOST_WEEKS else "month"


def _start(day: date, unit: str) -> date:
    if unit == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if unit == "month" else day


def reasons(reasons_of_studies: Sequence[Reason], total: int) -> go.Figure:
    """Studies by what limits or prevents their analysis, the commonest first; one study may have several."""
    shown = sorted(reasons_of_studies, key=lambda reason: -reason.studies)[:_MOST_REASONS]
    names = [f"{reason_name(reason)} ({_LEVELS[reason.level][0]})" for reason in shown]
    figure = dress(go.Figure(), max(120, 70 + 24 * len(shown)))
    for level, (_, status) in _LEVELS.items():
        of_level = [(name, reason) for name, reason in zip(names, shown, strict=True) if reason.level == level]
        bars(
            figure,
            [reason.studies for _, reason in of_level],
            [name for name, _ in of_level],
            [f"{name}<br>{part_of(reason.studies, total)}" for name, reason in of_level],
            STATE_COLOURS[status],
            orientation="h",
        )
    figure.update_layout(barmode="overlay")
    figure.update_xaxes(title="Studies", rangemode="tozero")
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1], showgrid=False)
    if not shown:
        figure.update_layout(xaxis_visible=False, yaxis_visible=False)
        figure.add_annotation(text="Nothing did.", showarrow=False)
    text = ", ".join(f"{name} {reason.studies}" for name, reason in zip(names, shown, strict=True))
    return describe(figure, f"Reasons that limit or prevent the analysis, of {total} studies: {text or 'none'}.")


def breakdowns(by_name: Mapping[str, Sequence[Share]]) -> go.Figure:
    """Studies by age, sex, scanner and protocol, a panel each: flagged ones, other analysed ones, and the rest."""
    figure = make_subplots(rows=2, cols=3, vertical_spacing=0.3, horizontal_spacing=0.07)
    dress(figure, 500, legend=True)
    for place, (of, shares) in enumerate(by_name.items()):
        _panel(figure, of, _shown(of, shares), {"row": place // 3 + 1, "col": place % 3 + 1})
    figure.update_layout(barmode="stack", bargap=0.08)
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(rangemode="tozero", nticks=5)
    figure.update_yaxes(title="Studies", col=1)
    texts = [
        f"{BREAKDOWNS[of][0]}: " + ", ".join(f"{step_name(of, group)} {group.studies}" for group in shares)
        for of, shares in by_name.items()
    ]
    return describe(figure, f"Studies and flagged ones. {'. '.join(texts)}.")


def _panel(figure: go.Figure, of: str, shares: Sequence[Share], place: dict[str, int]) -> None:
    # Names of scanners come from files, and Plotly takes tags in its texts.
    names = [escape(step_name(of, group), quote=False) for group in shares]
    texts = [
        f"{name}: {group.studies:,} studies"
        f"<br>{group.studies - group.analysed:,} not analysed"
        f"<br>flagged {in_percent(share(group.flagged, group.analysed))}, {group.flagged:,} of {group.analysed:,}"
        for name, group in zip(names, shares, strict=True)
    ]
    parts = {
        "flagged": ([group.flagged for group in shares], FLAGGED),
        "not flagged": ([group.analysed - group.flagged for group in shares], STATE_COLOURS[Status.ANALYSED]),
        "not analysed": ([group.studies - group.analysed for group in shares], STATE_COLOURS[Status.NOT_ANALYSED]),
    }
    figure.update_xaxes(title=BREAKDOWNS[of][0], **place)
    if of == "scanner":
        figure.update_xaxes(tickvals=names, ticktext=[_two_lines(step_name(of, group)) for group in shares], **place)
    first = place == {"row": 1, "col": 1}
    for name, (counts, colour) in parts.items():
        bars(figure, names, counts, texts, colour, name=name, legendgroup=name, showlegend=first, **place)


def _shown(of: str, shares: Sequence[Share]) -> list[Share]:
    """Put steps that no study lies in between the others, and what is rare among many scanners together."""
    if of == "scanner" and len(shares) > _MOST_SCANNERS + 1:
        common = sorted(shares, key=lambda group: -group.studies)[:_MOST_SCANNERS]
        return [*common, _sum("others", [group for group in shares if group not in common])]
    width = BREAKDOWNS[of][1]
    by_value = {float(group.value): group for group in shares if width and isinstance(group.value, (int, float))}
    if not width or not by_value or (steps := round((max(by_value) - min(by_value)) / width)) > _MOST_STEPS:
        return list(shares)
    filled = (round(min(by_value) + i * width, 6) for i in range(steps + 1))
    unknown = [group for group in shares if group.value is None]
    return [*(by_value.get(value, Share(value, 0, 0, 0)) for value in filled), *unknown]


def _sum(value: str, shares: Sequence[Share]) -> Share:
    return Share(value, *(sum(getattr(group, name) for group in shares) for name in ("studies", "analysed", "flagged")))


def _two_lines(name: str) -> str:
    return "<br>".join(escape(line, quote=False) for line in wrap(name, _LONGEST_LINE, max_lines=2, placeholder="…"))


def waits(all_waits: Sequence[Wait]) -> go.Figure:
    """How long studies waited from their arrival to their result, and to their first review."""
    of = {"result": "From arrival to result", "review": "From arrival to first review"}
    figure = make_subplots(cols=2, subplot_titles=list(of.values()), horizontal_spacing=0.04, rows=1, shared_yaxes=True)
    dress(figure, titles=True)
    for column, name in enumerate(of, 1):
        steps = [wait for wait in all_waits if wait.of == name]
        whole = sum(wait.studies for wait in steps)
        texts = [f"{wait_name(wait)}: {part_of(wait.studies, whole)}" for wait in steps]
        counts, names = [wait.studies for wait in steps], [wait_name(wait) for wait in steps]
        bars(figure, counts, names, texts, STATE_COLOURS[Status.ANALYSED], orientation="h", row=1, col=column)
    figure.update_xaxes(rangemode="tozero", title="Studies")
    figure.update_yaxes(type="category", showgrid=False, autorange="reversed")
    figure.update_yaxes(title="Time waited", col=1)
    texts = [f"{of[wait.of]} {wait_name(wait)} {wait.studies}" for wait in all_waits if wait.studies]
    return describe(figure, f"Waits. {', '.join(texts) or 'None'}.")


def bars(
    figure: go.Figure, x: Sequence[Any], y: Sequence[Any], texts: Sequence[str], colour: str, **options: Any
) -> None:
    """Add bars in a colour, each with its own text on hover."""
    outline = {"width": 0.5, "color": INK}
    figure.add_bar(
        x=list(x),
        y=list(y),
        marker={"color": colour, "line": outline},
        hovertext=list(texts),
        hovertemplate="%{hovertext}<extra></extra>",
        **options,
    )


def dress(figure: go.Figure, height: int = HEIGHT, legend: bool = False, titles: bool = False) -> go.Figure:
    """Give a figure its look, with room for a legend or for titles of panels, hardly larger than those of axes."""
    figure.update_annotations(font_size=13)
    top = {"margin": {"t": 28}} if legend or titles else {}
    return figure.update_layout(template=TEMPLATE, height=height, showlegend=legend, legend=_LEGEND, **top)
