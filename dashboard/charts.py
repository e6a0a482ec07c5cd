"""From numbers to figures: one Plotly template and one colour a label for every page."""

from __future__ import annotations

from typing import Final

import plotly.graph_objects as go

from ichscope.labels import DISPLAY_NAMES, LABELS

# Okabe and Ito, "Color Universal Design" (2008), without its vermilion: red means "flagged" and nothing else.
LABEL_COLOURS: Final = {
    "any": "#E69F00",
    "epidural": "#56B4E9",
    "intraparenchymal": "#CC79A7",
    "intraventricular": "#009E73",
    "subarachnoid": "#F0E442",
    "subdural": "#0072B2",
}
SHORT_NAMES: Final = {
    "any": "Any",
    "epidural": "EDH",
    "intraparenchymal": "IPH",
    "intraventricular": "IVH",
    "subarachnoid": "SAH",
    "subdural": "SDH",
}
# Mid-grey reads on the dark and on the light page alike.
_INK = "#84919c"
_GRID = "rgba(132, 145, 156, 0.3)"

_AXIS = {
    "gridcolor": _GRID,
    "zeroline": False,
    "linecolor": _GRID,
    "ticks": "",
    "automargin": True,
    "title": {"standoff": 6},
}
TEMPLATE: Final = go.layout.Template(
    layout={
        "font": {"family": "Source Sans, sans-serif", "size": 12, "color": _INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 4, "r": 8, "t": 4, "b": 4},
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "hoverlabel": {"bgcolor": "#1a2127", "font": {"color": "#e6e9ec"}},
        "showlegend": False,
    }
)
DOWNLOAD_ONLY: Final = ("toImage",)


def config(file_name: str) -> dict[str, object]:
    """Plotly's settings for a chart whose only button saves it as a picture."""
    return {
        "displaylogo": False,
        "modeBarButtons": [list(DOWNLOAD_ONLY)],
        "toImageButtonOptions": {"filename": file_name, "scale": 2},
    }


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
        marker={"color": [LABEL_COLOURS[label] for label in labels], "line": {"color": _INK, "width": 1}},
        text=[_bar_text(label, probability, thresholds) for label in labels],
        textposition="outside",
        cliponaxis=False,
        hovertext=[_bar_hover(label, probability, thresholds) for label in labels],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    figure.add_scatter(
        mode="markers",
        x=[thresholds[label] for label in ticked],
        y=[DISPLAY_NAMES[label] for label in ticked],
        marker={"symbol": "line-ns", "size": 18, "line": {"width": 3, "color": _INK}},
        hovertemplate="threshold %{x:.3g}<extra></extra>",
    )
    # Room on the right of a full bar for its number.
    figure.update_xaxes(range=[0, 1.18], tickvals=[0, 0.25, 0.5, 0.75, 1], title="Probability; | is the threshold")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def _bar_text(label: str, probability: dict[str, float], thresholds: dict[str, float]) -> str:
    text = number(probability[label])
    return f"<b>{text}</b>" if probability[label] >= thresholds.get(label, 2) else text


def _bar_hover(label: str, probability: dict[str, float], thresholds: dict[str, float]) -> str:
    text = f"{DISPLAY_NAMES[label]}: {number(probability[label])}"
    if label not in thresholds:
        return text
    side = "at or above" if probability[label] >= thresholds[label] else "below"
    return f"{text}, {side} its threshold {number(thresholds[label])}"


def number(probability: float) -> str:
    """A probability in three decimals, never rounded to an impossibility or a certainty.

    >>> number(0.12345), number(0.9999), number(0.00002)
    ('0.123', '>0.999', '<0.001')
    """
    if probability < 0.001:
        return "<0.001"
    return ">0.999" if probability > 0.999 else f"{probability:.3f}"
