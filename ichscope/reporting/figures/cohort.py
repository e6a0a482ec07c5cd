"""Figures of what was found in a cohort, and all its figures together. One function a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ichscope.imaging.findings import Status
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
from ichscope.store import Cohort, Prevalence, ScoreBin, Together

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


def prevalence(prevalences: Sequence[Prevalence]) -> go.Figure:
    """Share of studies with each label, with its interval: models as full circles, readers as open diamonds."""
    figure = dress(go.Figure(), 90 + 34 * len(LABELS), legend=True)
    texts_of_all = []
    for by, offset, symbol in (("model", -0.16, "circle"), ("reader", 0.16, "diamond-open")):
        shares = [(row, share(row.positives, row.studies)) for row in prevalences if row.by == by and row.studies]
        texts = [f"{DISPLAY_NAMES[row.label]}, {_BY[by]}: {_of(row)}" for row, _ in shares]
        figure.add_scatter(
            mode="markers",
            name=_BY[by],
            x=[100 * (value.value or 0) for _, value in shares],
            y=[LABELS.index(row.label) + offset for row, _ in shares],
            marker={
                "symbol": symbol,
                "size": 10,
                "color": [LABEL_COLOURS[row.label] for row, _ in shares],
                "line": {"width": 1.5},
            },
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [100 * ((value.high or 0) - (value.value or 0)) for _, value in shares],
                "arrayminus": [100 * ((value.value or 0) - (value.low or 0)) for _, value in shares],
                "color": INK,
                "thickness": 1.5,
            },
            hovertext=texts,
            hovertemplate="%{hovertext}<extra></extra>",
        )
        texts_of_all += texts
    figure.update_xaxes(title="Share of studies (%), with 95 % interval", rangemode="tozero")
    names = [DISPLAY_NAMES[label] for label in LABELS]
    figure.update_yaxes(tickvals=list(range(len(LABELS))), ticktext=names, range=[len(LABELS) - 0.5, -0.5])
    return describe(figure, f"Prevalence. {'; '.join(texts_of_all) or 'Nothing is shares.'}.")


def _of(row: Prevalence) -> str:
    return f"{in_percent(share(row.positives, row.studies))}, {row.positives:,} of {row.studies:,} studies"


def together(pairs: Sequence[Together]) -> go.Figure:
    """Of the studies with one subtype (rows), how many also have another (columns): by models, and by readers."""
    kinds = [by for by in _BY if any(pair.by == by and pair.studies for pair in pairs)] or ["model"]
    figure = make_subplots(
        cols=len(kinds), shared_yaxes=True, subplot_titles=[_BY[by].capitalize() for by in kinds], rows=1
    )
    dress(figure, 300, titles=True)
    for column, by in enumerate(kinds, 1):
        counts = {frozenset((pair.a, pair.b)): pair.studies for pair in pairs if pair.by == by}
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
    texts = [
        f"{pair.a} and {pair.b} by {_BY[pair.by]} {pair.studies}" for pair in pairs if pair.a != pair.b and pair.studies
    ]
    return describe(figure, f"Subtypes together: {', '.join(texts) or 'none'}.")


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
    of_row = share(both, alone)
    text = f"{DISPLAY_NAMES[a]} and {DISPLAY_NAMES[b]}: {both:,}<br>{in_percent(of_row)} of {alone:,}"
    return _Cell(SHORT_NAMES[b], SHORT_NAMES[a], both, of_row.value, text)


def scores(bins_of_models: Sequence[ScoreBin]) -> go.Figure:
    """How the probabilities of any haemorrhage are spread, a panel a model."""
    models = list(dict.fromkeys(bin_.model for bin_ in bins_of_models)) or [""]
    figure = make_subplots(rows=len(models), subplot_titles=models, shared_xaxes=True, vertical_spacing=0.16)
    dress(figure, max(HEIGHT, 150 * len(models)), titles=True)
    for row, model in enumerate(models, 1):
        bins = [bin_ for bin_ in bins_of_models if bin_.model == model]
        whole = sum(bin_.studies for bin_ in bins)
        bars(
            figure,
            [(bin_.low + bin_.high) / 2 for bin_ in bins],
            [bin_.studies for bin_ in bins],
            [f"{bin_.low:.2f} to {bin_.high:.2f}<br>{part_of(bin_.studies, whole)}" for bin_ in bins],
            STATE_COLOURS[Status.ANALYSED],
            width=[bin_.high - bin_.low for bin_ in bins],
            row=row,
            col=1,
        )
    figure.update_xaxes(range=[0, 1], title="Probability of any haemorrhage", row=len(models))
    figure.update_yaxes(title="Studies", rangemode="tozero")
    return describe(figure, f"Distribution of the probability of any haemorrhage by {', '.join(models)}.")
