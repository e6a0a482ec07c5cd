"""What figures of performance are drawn with: an empty figure, lines, intervals, and words for screen readers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import plotly.graph_objects as go

from ichscope.metrics import Estimate
from ichscope.reporting.figures.theme import TEMPLATE

HEIGHT: Final = 320
_LEGEND = {"bgcolor": "rgba(0,0,0,0)", "font": {"size": 11}}


def description(figure: go.Figure) -> str:
    """What a screen reader says in place of a figure."""
    return str(figure.layout.meta["description"])


def describe(figure: go.Figure, text: str) -> go.Figure:
    """Give a figure its text for screen readers."""
    return figure.update_layout(meta={"description": text})


def empty(legend: dict[str, Any]) -> go.Figure:
    """A figure without lines, its legend in a place inside the plot."""
    layout = {"template": TEMPLATE, "height": HEIGHT, "showlegend": True, "legend": _LEGEND | legend}
    # Room for the half of "1" that stands above the plot.
    return go.Figure(layout=layout | {"margin": {"t": 12}})


def line(colour: str, dash: str = "solid", width: float = 1.5) -> dict[str, Any]:
    """Plotly's words for a line."""
    return {"color": colour, "dash": dash, "width": width}


def reach(estimates: Sequence[Estimate], flipped: bool = False, **style: Any) -> dict[str, Any]:
    """Plotly's error bars of intervals, none where there is none.

    flipped : for figures of 1 - value
    """
    limits = [estimate.limits() or (0.0, 0.0, 0.0) for estimate in estimates]
    up, down = [high - value for value, _, high in limits], [value - low for value, low, _ in limits]
    if flipped:
        up, down = down, up
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "thickness": 1.5, **style}
