"""Figures of how good a model is over all thresholds: ROC, precision-recall, calibration, net benefit.

Each is a pure function of what `ichscope.metrics` gives. What a screen reader should say stands in
`figure.layout.meta["description"]`; `description` gives it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ichscope.figures.look import GRID, INK, LABEL_COLOURS, TEMPLATE
from ichscope.figures.words import in_full, interval, label_name
from ichscope.metrics import AtThreshold, Band, CalibrationBin, CalibrationLine, DecisionCurve, PrCurve, RocCurve
from ichscope.metrics.sample import Bools, Floats

HEIGHT = 320
# Points that no screen could tell apart are not sent; the numbers beside the curves come from all of them.
_MANY_POINTS, _CELLS = 2000, 1000
_LEGEND = {"bgcolor": "rgba(0,0,0,0)", "font": {"size": 11}}
_UNIT = {"range": [-0.01, 1.01], "tickvals": [0, 0.2, 0.4, 0.6, 0.8, 1]}
BINS = 10


@dataclass(frozen=True, eq=False)
class Traced:
    """One line of a curve's figure.

    at : what the threshold in force gives, drawn as a point on the line
    dash : solid for the model that is looked at, dash for the one beside it
    """

    name: str
    label: str
    roc: RocCurve | None = None
    pr: PrCurve | None = None
    at: AtThreshold | None = None
    dash: Literal["solid", "dash"] = "solid"

    @property
    def colour(self) -> str:
        """The label's own colour; grey for a model beside it."""
        return LABEL_COLOURS.get(self.label, INK) if self.dash == "solid" else INK

    @property
    def shown(self) -> str:
        """The name as Plotly shows it: what comes from outside is no markup."""
        return escape(self.name, quote=False)


def description(figure: go.Figure) -> str:
    """What a screen reader says in place of a figure."""
    return str(figure.layout.meta["description"])


def describe(figure: go.Figure, text: str) -> go.Figure:
    """Give a figure its text for screen readers."""
    return figure.update_layout(meta={"description": text})


def roc(traces: Iterable[Traced]) -> go.Figure:
    """ROC curves with their 95 % bands and the points at the thresholds; traces without a curve are left out."""
    figure, words = _square("1 - specificity", "Sensitivity"), []
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=_line(GRID, "dot"), hoverinfo="skip", showlegend=False)
    for one in traces:
        if one.roc is None:
            continue
        wrong = 1 - one.roc.specificity
        if one.roc.band is not None:
            _band(figure, one.roc.band, one)
        kept = _told_apart(wrong, one.roc.sensitivity)
        hover = "sensitivity %{y:.4f}, specificity %{customdata[1]:.4f}<br>threshold %{customdata[0]:.4g}"
        beside = np.stack([one.roc.threshold[kept], one.roc.specificity[kept]], axis=1)
        figure.add_scatter(
            x=wrong[kept],
            y=one.roc.sensitivity[kept],
            customdata=beside,
            **_curve(one, hover),
        )
        if one.at is not None and None not in (one.at.sensitivity.value, one.at.specificity.value):
            words.append(_point(figure, one, one.at, roc_space=True))
    return describe(figure, " ".join(["ROC curve.", *words]))


def precision_recall(traces: Iterable[Traced], prevalence: float | None = None) -> go.Figure:
    """PPV against sensitivity, with bands and points; a line where calling everything positive would be.

    prevalence : share of positives, 0 to 1; None for no line
    """
    figure, words = _square("Sensitivity (recall)", "PPV (precision)"), []
    if prevalence is not None:
        figure.add_hline(y=prevalence, line=_line(INK, "dot"), opacity=0.6)
        figure.add_annotation(
            x=0, y=prevalence, text=f"prevalence {prevalence:.3f}", showarrow=False, xanchor="left", yanchor="bottom"
        )
        words.append(f"Prevalence {prevalence:.3f}.")
    for one in traces:
        if one.pr is None:
            continue
        if one.pr.band is not None:
            _band(figure, one.pr.band, one)
        kept = _told_apart(one.pr.sensitivity, one.pr.ppv)
        hover = "sensitivity %{x:.4f}, PPV %{y:.4f}<br>threshold %{customdata:.4g}"
        figure.add_scatter(
            x=one.pr.sensitivity[kept],
            y=one.pr.ppv[kept],
            customdata=one.pr.threshold[kept],
            **_curve(one, hover, shape="vh"),  # between two scores there is no threshold to use
        )
        if one.at is not None and None not in (one.at.sensitivity.value, one.at.ppv.value):
            words.append(_point(figure, one, one.at, roc_space=False))
    return describe(figure, " ".join(["Precision-recall curve.", *words]))


def _square(x: str, y: str) -> go.Figure:
    figure = _empty({"x": 1, "xanchor": "right", "y": 0.02, "yanchor": "bottom"})
    figure.update_xaxes(title=x, **_UNIT)
    figure.update_yaxes(title=y, **_UNIT)
    return figure


def _empty(legend: dict[str, Any]) -> go.Figure:
    layout = {"template": TEMPLATE, "height": HEIGHT, "showlegend": True, "legend": _LEGEND | legend}
    # Room for the half of "1" that stands above the plot.
    return go.Figure(layout=layout | {"margin": {"t": 12}})


def _line(colour: str, dash: str = "solid", width: float = 1.5) -> dict[str, Any]:
    return {"color": colour, "dash": dash, "width": width}


def _curve(one: Traced, hover: str, shape: str = "linear") -> dict[str, Any]:
    return {
        "mode": "lines",
        "name": one.shown,
        "legendgroup": one.name,
        "line": _line(one.colour, one.dash, 2) | {"shape": shape},
        "hovertemplate": f"{one.shown}<br>{hover}<extra></extra>",
    }


def _band(figure: go.Figure, band: Band, one: Traced) -> None:
    """A filled outline, there and back again."""
    x = np.concatenate([band.x, band.x[::-1]])
    y = np.concatenate([band.high, band.low[::-1]])
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=_see_through(one.colour),
        hoverinfo="skip",
        showlegend=False,
        legendgroup=one.name,
        name=f"{one.shown}: 95 % band",
    )


def _see_through(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, 0.22)"


def _point(figure: go.Figure, one: Traced, at: AtThreshold, roc_space: bool) -> str:
    """Draw the point at a threshold with both its intervals; gives it in words."""
    names = ("specificity", "sensitivity") if roc_space else ("sensitivity", "ppv")
    across, up = (getattr(at, name) for name in names)
    shares = [("PPV" if name == "ppv" else name, getattr(at, name)) for name in names[:: -1 if roc_space else 1]]
    words = ", ".join(f"{name} {interval(found)}" for name, found in shares)
    figure.add_scatter(
        x=[1 - across.value if roc_space else across.value],
        y=[up.value],
        mode="markers",
        name=f"{one.shown}: threshold {at.threshold:.4g}",
        legendgroup=one.name,
        showlegend=False,
        marker={
            "symbol": "diamond",
            "size": 12,
            "color": one.colour,
            "line": {"color": "#ffffff", "width": 2},
        },
        error_x=_reach(across, flipped=roc_space),
        error_y=_reach(up),
        cliponaxis=False,
        hovertemplate=f"{one.shown} at threshold {at.threshold:.4g}<br>{words}<extra></extra>",
    )
    return f"{one.name} at threshold {at.threshold:.4g}: {words}."


def _reach(found: Any, flipped: bool = False) -> dict[str, Any]:
    """Plotly's error bar of an interval; turned round where 1 minus the value is drawn."""
    limits = found.limits()
    if limits is None:
        return {"visible": False}
    up, down = limits[2] - limits[0], limits[0] - limits[1]
    if flipped:
        up, down = down, up
    return {"type": "data", "symmetric": False, "array": [up], "arrayminus": [down], "thickness": 1, "color": INK}


def _told_apart(x: Floats, y: Floats) -> Bools:
    """Which points of a curve to draw: all of few; of many the first and last in each of a million cells."""
    if len(x) <= _MANY_POINTS:
        return np.ones(len(x), np.bool_)
    cell = np.floor(x * _CELLS) * (2 * _CELLS) + np.floor(y * _CELLS)
    change = np.diff(cell) != 0
    return np.asarray(np.append(True, change) | np.append(change, True))


def reliability(bins: Sequence[CalibrationBin], label: str, line: CalibrationLine | None = None) -> go.Figure:
    """Share of positives by probability with 95 % intervals, and below it how many rows each bin has.

    bins : of equal width, as `calibration_curve` gives them with its 10 bins
    line : its slope and intercept are said in words
    """
    figure = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.75, 0.25], vertical_spacing=0.04)
    figure.update_layout(template=TEMPLATE, height=HEIGHT + 80, bargap=0.1)
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=_line(INK, "dot"), hoverinfo="skip", row=1, col=1)
    colour = LABEL_COLOURS.get(label, INK)
    limits = [one.positive.limits() for one in bins]
    figure.add_scatter(
        x=[one.probability for one in bins],
        y=[one.positive.value for one in bins],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [found[2] - found[0] if found else 0 for found in limits],
            "arrayminus": [found[0] - found[1] if found else 0 for found in limits],
            "thickness": 1.5,
        },
        mode="lines+markers",
        line=_line(colour, width=2),
        marker={"size": 8},
        text=[f"{interval(one.positive)} positive among {one.rows}" for one in bins],
        hovertemplate="mean probability %{x:.4f}<br>%{text}<extra></extra>",
        row=1,
        col=1,
    )
    places = [min(int(one.probability * BINS), BINS - 1) for one in bins]
    figure.add_bar(
        x=[(place + 0.5) / BINS for place in places],
        y=[one.rows for one in bins],
        width=0.09,
        marker={"color": INK},
        text=[f"{place / BINS:.1f} to {(place + 1) / BINS:.1f}" for place in places],
        textposition="none",
        hovertemplate="%{y} with a probability of %{text}<extra></extra>",
        row=2,
        col=1,
    )
    figure.update_xaxes(range=[-0.01, 1.01])
    figure.update_xaxes(title="Probability", row=2, col=1)
    figure.update_yaxes(title="Share of positives", range=[-0.02, 1.02], row=1, col=1)
    figure.update_yaxes(title="Rows", row=2, col=1)
    return describe(figure, f"Reliability diagram of {label_name(label)}. {_calibration_words(bins, line)}".strip())


def _calibration_words(bins: Sequence[CalibrationBin], line: CalibrationLine | None) -> str:
    words = [
        f"At a mean probability of {one.probability:.3f}: {interval(one.positive)} positive among {one.rows}."
        for one in bins
    ]
    if line is not None:
        words.append(f"Slope {in_full(line.slope)}, intercept {in_full(line.intercept)}.")
    return " ".join(words)


def net_benefit(curve: DecisionCurve, label: str, name: str, threshold: float | None = None) -> go.Figure:
    """Decision curve: net benefit by threshold probability, beside calling all and calling none positive.

    threshold : that in force, drawn as a line; None for no line
    """
    figure = _empty({"x": 1, "xanchor": "right", "y": 1, "yanchor": "top"})
    lines = (
        ("All called positive", curve.call_all, _line(INK, "dash")),
        ("None called positive", np.zeros_like(curve.threshold), _line(INK, "dot")),
        (escape(name, quote=False), curve.net_benefit, _line(LABEL_COLOURS.get(label, INK), width=2.5)),
    )
    for said, values, line in lines:
        figure.add_scatter(
            x=curve.threshold,
            y=values,
            mode="lines",
            name=said,
            line=line,
            hovertemplate=f"{said}<br>threshold probability %{{x:.3g}}, net benefit %{{y:.4f}}<extra></extra>",
        )
    if threshold is not None and 0 <= threshold <= 1:
        figure.add_vline(x=threshold, line=_line(INK), opacity=0.8)
    # Calling all positive falls without end; what matters lies between nothing and the prevalence.
    top = float(max(curve.net_benefit.max(), curve.call_all.max(), 0.01))
    figure.update_xaxes(title="Threshold probability", range=[0, 1])
    figure.update_yaxes(title="Net benefit (true positives a row)", range=[-0.25 * top, 1.1 * top])
    better = curve.threshold[curve.net_benefit > np.maximum(curve.call_all, 0) + 1e-12]
    where = f"from {better[0]:.2f} to {better[-1]:.2f}" if len(better) else "nowhere"
    return describe(
        figure, f"Decision curve of {name}, {label_name(label)}: best of the three choices at thresholds {where}."
    )
