"""Figures of what was found in a cohort, and all its figures together. One function a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ichscope.labels import DISPLAY_NAMES, LABELS, SUBTYPES
from ichscope.reporting.figures.arrivals import (
    HEIGHT,
    STATE_COLOURS,
    bars,
    breakdowns,
    dress,
    over_time,
    reasons,
    waits,
)
from ichscope.reporting.figures.cohort_tables import in_percent, part_of, share
from ichscope.reporting.figures.performance import describe
from ichscope.reporting.figures.theme import INK, LABEL_COLOURS, SHADES, SHORT_NAMES
from ichscope.store import Bin, Cohort, Prevalence, Together

_BY: Final = {"model": "models", "reader": "readers"}


def figures(cohort: Cohort) -> dict[str, go.Figure]:
    """Give every figure of a cohort, by the name of the table that it shows."""
    return {
        "days": over_time(cohort.days),
        "reasons": reasons(cohort.reasons, cohort.total),
        "prevalence": prevalence(cohort.prevalence),
        "co-occurrence": together(cohort.together),
        "scores": scores(cohort.scores),
        "breakdowns": breakdowns(cohort.breakdowns),
        "waits": waits(cohort.waits),
    }


def prevalence(found: Sequence[Prevalence]) -> go.Figure:
    """Share of studies with each label, with its interval: models as full circles, readers as open diamonds."""
    figure = dress(go.Figure(), 90 + 34 * len(LABELS), legend=True)
    said = []
    for by, offset, symbol in (("model", -0.16, "circle"), ("reader", 0.16, "diamond-open")):
        known = [(one, share(one.positives, one.studies)) for one in found if one.by == by and one.studies]
        texts = [f"{DISPLAY_NAMES[one.label]}, {_BY[by]}: {_of(one)}" for one, _ in known]
        figure.add_scatter(
            mode="markers",
            name=_BY[by],
            x=[100 * (value.value or 0) for _, value in known],
            y=[LABELS.index(one.label) + offset for one, _ in known],
            marker={
                "symbol": symbol,
                "size": 10,
                "color": [LABEL_COLOURS[one.label] for one, _ in known],
                "line": {"width": 1.5},
            },
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [100 * ((value.high or 0) - (value.value or 0)) for _, value in known],
                "arrayminus": [100 * ((value.value or 0) - (value.low or 0)) for _, value in known],
                "color": INK,
                "thickness": 1.5,
            },
            hovertext=texts,
            hovertemplate="%{hovertext}<extra></extra>",
        )
        said += texts
    figure.update_xaxes(title="Share of studies (%), with 95 % interval", rangemode="tozero")
    names = [DISPLAY_NAMES[label] for label in LABELS]
    figure.update_yaxes(tickvals=list(range(len(LABELS))), ticktext=names, range=[len(LABELS) - 0.5, -0.5])
    return describe(figure, f"Prevalence. {'; '.join(said) or 'Nothing is known.'}.")


def _of(one: Prevalence) -> str:
    return f"{in_percent(share(one.positives, one.studies))}, {one.positives:,} of {one.studies:,} studies"


def together(found: Sequence[Together]) -> go.Figure:
    """Of the studies with one subtype (rows), how many also have another (columns): by models, and by readers."""
    kinds = [by for by in _BY if any(one.by == by and one.studies for one in found)] or ["model"]
    figure = make_subplots(
        cols=len(kinds), shared_yaxes=True, subplot_titles=[_BY[by].capitalize() for by in kinds], rows=1
    )
    dress(figure, 300, titles=True)
    for column, by in enumerate(kinds, 1):
        counts = {frozenset((one.a, one.b)): one.studies for one in found if one.by == by}
        cells = [_cell(a, b, counts) for a in SUBTYPES for b in SUBTYPES]
        places = {"x": [cell.x for cell in cells], "y": [cell.y for cell in cells]}
        figure.add_heatmap(
            z=[cell.share for cell in cells],
            **places,
            hoverinfo="skip",
            colorscale=SHADES,
            zmin=0,
            zmax=1,
            showscale=False,
            xgap=2,
            ygap=2,
            row=1,
            col=column,
        )
        figure.add_scatter(
            mode="text",
            **places,
            text=[f"{cell.both:,}" for cell in cells],
            # Reads on its shade, on dark and light pages.
            textfont={"color": ["#ffffff" if (cell.share or 0) > 0.3 else INK for cell in cells]},
            hovertext=[cell.text for cell in cells],
            hovertemplate="%{hovertext}<extra></extra>",
            row=1,
            col=column,
        )
    figure.update_xaxes(title="also have", showgrid=False, type="category")
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    figure.update_yaxes(title="Studies with", col=1)
    said = [f"{one.a} and {one.b} by {_BY[one.by]} {one.studies}" for one in found if one.a != one.b and one.studies]
    return describe(figure, f"Subtypes together: {', '.join(said) or 'none'}.")


@dataclass(frozen=True)
class _Cell:
    """Studies with both labels, as a share of those with the row's; None where row and column are the same label."""

    x: str
    y: str
    both: int
    share: float | None
    text: str


def _cell(a: str, b: str, counts: Mapping[frozenset[str], int]) -> _Cell:
    both, alone = counts.get(frozenset((a, b)), 0), counts.get(frozenset((a,)), 0)
    if a == b:
        return _Cell(SHORT_NAMES[b], SHORT_NAMES[a], alone, None, f"{DISPLAY_NAMES[a]}: {alone:,} studies")
    found = share(both, alone)
    text = f"{DISPLAY_NAMES[a]} and {DISPLAY_NAMES[b]}: {both:,}<br>{in_percent(found)} of {alone:,}"
    return _Cell(SHORT_NAMES[b], SHORT_NAMES[a], both, found.value, text)


def scores(found: Sequence[Bin]) -> go.Figure:
    """How the probabilities of any haemorrhage are spread, a panel a model."""
    models = list(dict.fromkeys(one.model for one in found)) or [""]
    figure = make_subplots(rows=len(models), subplot_titles=models, shared_xaxes=True, vertical_spacing=0.16)
    dress(figure, max(HEIGHT, 150 * len(models)), titles=True)
    for row, model in enumerate(models, 1):
        bins = [one for one in found if one.model == model]
        whole = sum(one.studies for one in bins)
        bars(
            figure,
            [(one.low + one.high) / 2 for one in bins],
            [one.studies for one in bins],
            [f"{one.low:.2f} to {one.high:.2f}<br>{part_of(one.studies, whole)}" for one in bins],
            STATE_COLOURS["analysed"],
            width=[one.high - one.low for one in bins],
            row=row,
            col=1,
        )
    figure.update_xaxes(range=[0, 1], title="Probability of any haemorrhage", row=len(models))
    figure.update_yaxes(title="Studies", rangemode="tozero")
    return describe(figure, f"Distribution of the probability of any haemorrhage by {', '.join(models)}.")
