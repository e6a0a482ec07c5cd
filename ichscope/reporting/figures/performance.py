"""Figures of how good a model is over all thresholds: ROC and precision-recall here, calibration and net benefit.

Each is a pure function of what `ichscope.metrics` gives. What a screen reader should say stands in
`figure.layout.meta["description"]`; `description` gives it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ichscope.metrics import AtThreshold, Band, PrCurve, RocCurve
from ichscope.metrics.sample import Bools, Floats
from ichscope.reporting.figures.calibration import net_benefit, reliability
from ichscope.reporting.figures.drawing import describe, description, empty, line, reach
from ichscope.reporting.figures.formatting import interval
from ichscope.reporting.figures.theme import GRID, INK, LABEL_COLOURS

__all__ = ["Traced", "describe", "description", "net_benefit", "precision_recall", "reliability", "roc"]

# Points that no screen could tell apart are not sent; the numbers beside the curves come from all of them.
_MANY_POINTS, _CELLS = 2000, 1000
_UNIT = {"range": [-0.01, 1.01], "tickvals": [0, 0.2, 0.4, 0.6, 0.8, 1]}


@dataclass(frozen=True, eq=False)
class Traced:
    """One line of a curve's figure.

    at : what the threshold in force gives, drawn as a point on the line
    dash : solid for the model that is looked at, dash for the one beside it, or as `theme.lines` says
    tint : the line's colour, where the label's own does not do
    """

    name: str
    label: str
    roc: RocCurve | None = None
    pr: PrCurve | None = None
    at: AtThreshold | None = None
    dash: str = "solid"
    tint: str = ""

    @property
    def colour(self) -> str:
        """The label's own colour; grey for a model beside it."""
        if self.tint:
            return self.tint
        return LABEL_COLOURS.get(self.label, INK) if self.dash == "solid" else INK

    @property
    def shown(self) -> str:
        """The name as Plotly shows it: what comes from outside is no markup."""
        return escape(self.name, quote=False)


def roc(traces: Iterable[Traced]) -> go.Figure:
    """ROC curves with their 95 % bands and the points at the thresholds; traces without a curve are left out."""
    figure, sentences = _square("1 - specificity", "Sensitivity"), []
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=line(GRID, "dot"), hoverinfo="skip", showlegend=False)
    for trace in traces:
        if trace.roc is None:
            continue
        wrong = 1 - trace.roc.specificity
        if trace.roc.band is not None:
            _band(figure, trace.roc.band, trace)
        kept = _told_apart(wrong, trace.roc.sensitivity)
        hover = "sensitivity %{y:.4f}, specificity %{customdata[1]:.4f}<br>threshold %{customdata[0]:.4g}"
        beside = np.stack([trace.roc.threshold[kept], trace.roc.specificity[kept]], axis=1)
        figure.add_scatter(
            x=wrong[kept],
            y=trace.roc.sensitivity[kept],
            customdata=beside,
            **_curve(trace, hover),
        )
        if trace.at is not None and None not in (trace.at.sensitivity.value, trace.at.specificity.value):
            sentences.append(_point(figure, trace, trace.at, roc_space=True))
    return describe(figure, " ".join(["ROC curve.", *sentences]))


def precision_recall(traces: Iterable[Traced], prevalence: float | None = None) -> go.Figure:
    """PPV against sensitivity, with bands and points; a line where calling everything positive would be.

    prevalence : share of positives, 0 to 1; None for no line
    """
    figure, sentences = _square("Sensitivity (recall)", "PPV (precision)"), []
    if prevalence is not None:
        figure.add_hline(y=prevalence, line=line(INK, "dot"), opacity=0.6)
        figure.add_annotation(
            x=0, y=prevalence, text=f"prevalence {prevalence:.3f}", showarrow=False, xanchor="left", yanchor="bottom"
        )
        sentences.append(f"Prevalence {prevalence:.3f}.")
    for trace in traces:
        if trace.pr is None:
            continue
        if trace.pr.band is not None:
            _band(figure, trace.pr.band, trace)
        kept = _told_apart(trace.pr.sensitivity, trace.pr.ppv)
        hover = "sensitivity %{x:.4f}, PPV %{y:.4f}<br>threshold %{customdata:.4g}"
        figure.add_scatter(
            x=trace.pr.sensitivity[kept],
            y=trace.pr.ppv[kept],
            customdata=trace.pr.threshold[kept],
            **_curve(trace, hover, shape="vh"),  # between two scores there is no threshold to use
        )
        if trace.at is not None and None not in (trace.at.sensitivity.value, trace.at.ppv.value):
            sentences.append(_point(figure, trace, trace.at, roc_space=False))
    return describe(figure, " ".join(["Precision-recall curve.", *sentences]))


def _square(x: str, y: str) -> go.Figure:
    figure = empty({"x": 1, "xanchor": "right", "y": 0.02, "yanchor": "bottom"})
    figure.update_xaxes(title=x, **_UNIT)
    figure.update_yaxes(title=y, **_UNIT)
    return figure


def _curve(trace: Traced, hover: str, shape: str = "linear") -> dict[str, Any]:
    return {
        "mode": "lines",
        "name": trace.shown,
        "legendgroup": trace.name,
        "line": line(trace.colour, trace.dash, 2) | {"shape": shape},
        "hovertemplate": f"{trace.shown}<br>{hover}<extra></extra>",
    }


def _band(figure: go.Figure, band: Band, trace: Traced) -> None:
    """A filled outline, there and back again."""
    x = np.concatenate([band.x, band.x[::-1]])
    y = np.concatenate([band.high, band.low[::-1]])
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=_see_through(trace.colour),
        hoverinfo="skip",
        showlegend=False,
        legendgroup=trace.name,
        name=f"{trace.shown}: 95 % band",
    )


def _see_through(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, 0.22)"


def _point(figure: go.Figure, trace: Traced, at: AtThreshold, roc_space: bool) -> str:
    """Draw the point at a threshold with both its intervals; gives it in words."""
    names = ("specificity", "sensitivity") if roc_space else ("sensitivity", "ppv")
    across, up = (getattr(at, name) for name in names)
    shares = [("PPV" if name == "ppv" else name, getattr(at, name)) for name in names[:: -1 if roc_space else 1]]
    text = ", ".join(f"{name} {interval(estimate)}" for name, estimate in shares)
    figure.add_scatter(
        x=[1 - across.value if roc_space else across.value],
        y=[up.value],
        mode="markers",
        name=f"{trace.shown}: threshold {at.threshold:.4g}",
        legendgroup=trace.name,
        showlegend=False,
        marker={
            "symbol": "diamond",
            "size": 12,
            "color": trace.colour,
            "line": {"color": "#ffffff", "width": 2},
        },
        error_x=reach([across], flipped=roc_space, thickness=1, color=INK),
        error_y=reach([up], thickness=1, color=INK),
        cliponaxis=False,
        hovertemplate=f"{trace.shown} at threshold {at.threshold:.4g}<br>{text}<extra></extra>",
    )
    return f"{trace.name} at threshold {at.threshold:.4g}: {text}."


def _told_apart(x: Floats, y: Floats) -> Bools:
    """Which points of a curve to draw: all of few; of many the first and last in each of a million cells."""
    if len(x) <= _MANY_POINTS:
        return np.ones(len(x), np.bool_)
    cell = np.floor(x * _CELLS) * (2 * _CELLS) + np.floor(y * _CELLS)
    change = np.diff(cell) != 0
    return np.asarray(np.append(True, change) | np.append(change, True))
