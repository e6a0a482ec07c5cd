"""Figures of one study."""

from __future__ import annotations

import plotly.graph_objects as go

from ichscope.labels import DISPLAY_NAMES, LABELS
from ichscope.reporting.figures.theme import INK, LABEL_COLOURS, TEMPLATE, number
from ichscope.results import reaches


def probability_bars(probability: dict[str, float], thresholds: dict[str, float]) -> go.Figure:
    """Study probabilities as horizontal bars, a tick at each label's threshold; labels in their usual order.

    Parameters
    ----------
    probability, thresholds : by label name, 0..1; a label without a threshold has no tick
    """
    labels = [label for label in LABELS if label in probability]
    ticked = [label for label in labels if label in thresholds]
    figure = go.Figure(layout={"template": TEMPLATE, "height": 92 + 22 * len(labels), "bargap": 0.35})
    figure.add_bar(
        orientation="h",
        x=[probability[label] for label in labels],
        y=[DISPLAY_NAMES[label] for label in labels],
        marker={"color": [LABEL_COLOURS[label] for label in labels], "line": {"color": INK, "width": 1}},
        hovertext=[_bar_hover(label, probability, thresholds) for label in labels],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    figure.add_scatter(
        mode="markers",
        x=[thresholds[label] for label in ticked],
        y=[DISPLAY_NAMES[label] for label in ticked],
        marker={"symbol": "line-ns", "size": 18, "line": {"width": 3, "color": INK}},
        hovertemplate="threshold %{x:.3g}<extra></extra>",
    )
    # Numbers in a column on the right of a full bar: beside short ones the ticks would cross them out.
    for label in labels:
        text = _bar_text(label, probability, thresholds)
        figure.add_annotation(x=1.03, y=DISPLAY_NAMES[label], text=text, xanchor="left", showarrow=False)
    figure.update_xaxes(range=[0, 1.18], tickvals=[0, 0.25, 0.5, 0.75, 1], title="Probability; | is the threshold")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def _bar_text(label: str, probability: dict[str, float], thresholds: dict[str, float]) -> str:
    text = number(probability[label])
    return f"<b>{text}</b>" if reaches(probability[label], thresholds.get(label, 2)) else text


def _bar_hover(label: str, probability: dict[str, float], thresholds: dict[str, float]) -> str:
    text = f"{DISPLAY_NAMES[label]}: {number(probability[label])}"
    if label not in thresholds:
        return text
    side = "at or above" if reaches(probability[label], thresholds[label]) else "below"
    return f"{text}, {side} its threshold {number(thresholds[label])}"
