"""The look of every figure: one Plotly template, one colour a label, one way to write a probability."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle
from typing import Final

import plotly.graph_objects as go

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
INK: Final = "#84919c"
GRID: Final = "rgba(132, 145, 156, 0.3)"
# Shares and counts of cells, from the page itself to the accent of the pages; red means "flagged" and nothing else.
SHADES: Final = [[0, "rgba(61, 155, 212, 0.04)"], [1, "rgba(61, 155, 212, 0.95)"]]
# Lines of labels of other kinds (fracture, midline shift) beside each other: some of Paul Tol's "muted" colours
# (2021), told apart from the colours above, and from themselves, by their dashes.
OTHER_LINES: Final = tuple(
    (colour, dash) for dash in ("dashdot", "longdash", "dot") for colour in ("#44AA99", "#AA4499", "#999933", INK)
)

_AXIS = {
    "gridcolor": GRID,
    "zeroline": False,
    "linecolor": GRID,
    "ticks": "",
    "automargin": True,
    "title": {"standoff": 6},
}
TEMPLATE: Final = go.layout.Template(
    layout={
        "font": {"family": "Source Sans, sans-serif", "size": 12, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 4, "r": 8, "t": 4, "b": 4},
        "xaxis": _AXIS,
        "yaxis": _AXIS | {"ticklabelstandoff": 4},
        "hoverlabel": {"bgcolor": "#1a2127", "font": {"color": "#e6e9ec"}},
        "showlegend": False,
    }
)
DOWNLOAD_ONLY: Final = ("toImage",)


def lines(labels: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and dash of every label's line, where several are in one figure.

    >>> lines(["fracture", "any"])
    {'fracture': ('#44AA99', 'dashdot'), 'any': ('#E69F00', 'solid')}
    """
    others = cycle(OTHER_LINES)
    return {label: (LABEL_COLOURS[label], "solid") if label in LABEL_COLOURS else next(others) for label in labels}


def config(file_name: str, picture: str = "png") -> dict[str, object]:
    """Plotly's settings for a chart whose only button saves it as a picture, "png" or "svg"."""
    return {
        "displaylogo": False,
        "modeBarButtons": [list(DOWNLOAD_ONLY)],
        "toImageButtonOptions": {"filename": file_name, "format": picture, "scale": 2},
    }


def number(probability: float) -> str:
    """A probability in three decimals, never rounded to an impossibility or a certainty.

    >>> number(0.12345), number(0.9999), number(0.00002)
    ('0.123', '>0.999', '<0.001')
    """
    if probability < 0.001:
        return "<0.001"
    return ">0.999" if probability > 0.999 else f"{probability:.3f}"
