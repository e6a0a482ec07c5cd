"""Figures of whether probabilities mean what they say, and whether acting on them helps."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ichscope.metrics import CalibrationBin, CalibrationLine, DecisionCurve
from ichscope.reporting.figures.drawing import HEIGHT, describe, empty, line, reach
from ichscope.reporting.figures.formatting import in_full, interval, label_name
from ichscope.reporting.figures.theme import INK, LABEL_COLOURS, TEMPLATE

BINS = 10


def reliability(bins: Sequence[CalibrationBin], label: str, fit: CalibrationLine | None = None) -> go.Figure:
    """Share of positives by probability with 95 % intervals, and below it how many rows each bin has.

    bins : of equal width, as `calibration_curve` gives them with its 10 bins
    fit : its slope and intercept are said in words
    """
    figure = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.75, 0.25], vertical_spacing=0.04)
    figure.update_layout(template=TEMPLATE, height=HEIGHT + 80, bargap=0.1)
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=line(INK, "dot"), hoverinfo="skip", row=1, col=1)
    colour = LABEL_COLOURS.get(label, INK)
    figure.add_scatter(
        x=[bin_.probability for bin_ in bins],
        y=[bin_.positive.value for bin_ in bins],
        error_y=reach([bin_.positive for bin_ in bins]),
        mode="lines+markers",
        line=line(colour, width=2),
        marker={"size": 8},
        text=[f"{interval(bin_.positive)} positive among {bin_.rows}" for bin_ in bins],
        hovertemplate="mean probability %{x:.4f}<br>%{text}<extra></extra>",
        row=1,
        col=1,
    )
    places = [min(int(bin_.probability * BINS), BINS - 1) for bin_ in bins]
    figure.add_bar(
        x=[(place + 0.5) / BINS for place in places],
        y=[bin_.rows for bin_ in bins],
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
    return describe(figure, f"Reliability diagram of {label_name(label)}. {_calibration_words(bins, fit)}".strip())


def _calibration_words(bins: Sequence[CalibrationBin], fit: CalibrationLine | None) -> str:
    sentences = [
        f"At a mean probability of {bin_.probability:.3f}: {interval(bin_.positive)} positive among {bin_.rows}."
        for bin_ in bins
    ]
    if fit is not None:
        sentences.append(f"Slope {in_full(fit.slope)}, intercept {in_full(fit.intercept)}.")
    return " ".join(sentences)


def net_benefit(curve: DecisionCurve, label: str, name: str, threshold: float | None = None) -> go.Figure:
    """Decision curve: net benefit by threshold probability, beside calling all and calling none positive.

    threshold : that in force, drawn as a line; None for no line
    """
    figure = empty({"x": 1, "xanchor": "right", "y": 1, "yanchor": "top"})
    lines = (
        ("All called positive", curve.call_all, line(INK, "dash")),
        ("None called positive", np.zeros_like(curve.threshold), line(INK, "dot")),
        (escape(name, quote=False), curve.net_benefit, line(LABEL_COLOURS.get(label, INK), width=2.5)),
    )
    for title, values, style in lines:
        figure.add_scatter(
            x=curve.threshold,
            y=values,
            mode="lines",
            name=title,
            line=style,
            hovertemplate=f"{title}<br>threshold probability %{{x:.3g}}, net benefit %{{y:.4f}}<extra></extra>",
        )
    if threshold is not None and 0 <= threshold <= 1:
        figure.add_vline(x=threshold, line=line(INK), opacity=0.8)
    # Calling all positive falls without end; what matters lies between nothing and the prevalence.
    top = float(max(curve.net_benefit.max(), curve.call_all.max(), 0.01))
    figure.update_xaxes(title="Threshold probability", range=[0, 1])
    figure.update_yaxes(title="Net benefit (true positives a row)", range=[-0.25 * top, 1.1 * top])
    better = curve.threshold[curve.net_benefit > np.maximum(curve.call_all, 0) + 1e-12]
    where = f"from {better[0]:.2f} to {better[-1]:.2f}" if len(better) else "nowhere"
    return describe(
        figure, f"Decision curve of {name}, {label_name(label)}: best of the three choices at thresholds {where}."
    )
