"""Figures of what a threshold gives: confusion matrices, subtypes taken for each other, and subgroups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ichscope.metrics import Confusion, Estimate, JointConfusion, Subgroup
from ichscope.metrics.sample import Floats, Ints
from ichscope.reporting.figures.drawing import describe, reach
from ichscope.reporting.figures.formatting import group_name, in_full, interval, label_name
from ichscope.reporting.figures.theme import GRID, INK, SHADES, SHORT_NAMES, TEMPLATE

# From this share on the shade needs white letters.
_DARK = 0.45
_ROW_PX = 24
_SHARES = {"auc": "AUC", "sensitivity": "Sensitivity", "specificity": "Specificity"}


def confusion(matrix: Confusion, label: str) -> go.Figure:
    """Counts of truth by call, each with its share of the row: sensitivity and specificity on the diagonal."""
    counts = np.array([[matrix.tp, matrix.fn], [matrix.fp, matrix.tn]])
    truth, call = (
        (f"{escape(label_name(label), quote=False)}<br>by truth", "Not by truth"),
        ("Called positive", "Called negative"),
    )
    shares = _row_shares(counts)
    text = [
        [f"<b>{count:,}</b><br>{_percent(share)}" for count, share in zip(*rows, strict=True)]
        for rows in zip(counts, shares, strict=True)
    ]
    figure = _heat(shares, call, truth, text, height=240, size=15)
    names = (("true positives", "false negatives"), ("false positives", "true negatives"))
    figure.data[0].hovertext = [
        [
            f"{count:,} {name}<br>{_percent(share)} of {counts[i].sum():,}"
            for count, share, name in zip(counts[i], shares[i], names[i], strict=True)
        ]
        for i in range(2)
    ]
    text_ = f"{matrix.tp} true positives, {matrix.fn} false negatives, {matrix.fp} false positives, {matrix.tn}"
    return describe(figure, f"Confusion matrix of {label_name(label)}: {text_} true negatives.")


def joint(matrix: JointConfusion) -> go.Figure:
    """Which combination of subtypes is taken for which: counts, shaded by their share of the row."""
    names = [short_combination(name) for name in matrix.names]
    shares = _row_shares(matrix.counts)
    text = [[f"{count:,}" if count else "" for count in row] for row in matrix.counts]
    figure = _heat(shares, names, names, text, height=120 + 30 * len(names), size=12)
    figure.data[0].hovertext = [
        [
            f"truth {truth}, called {call}<br>{count:,}: {_percent(share)} of {row.sum():,}"
            for call, count, share in zip(names, row, line, strict=True)
        ]
        for truth, row, line in zip(names, matrix.counts, shares, strict=True)
    ]
    figure.update_xaxes(title="Called")
    figure.update_yaxes(title="By truth")
    right, rows = int(np.trace(matrix.counts)), int(matrix.counts.sum())
    return describe(figure, f"Subtypes by truth and as called: {right} of {rows} have the same combination.")


def short_combination(name: str) -> str:
    """Write a combination of labels briefly.

    >>> short_combination("epidural + subdural"), short_combination("none")
    ('EDH + SDH', 'none')
    """
    return " + ".join(SHORT_NAMES.get(label, label) for label in name.split(" + "))


def _row_shares(counts: Ints) -> Floats:
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), np.float64)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _heat(
    shares: Floats, x: Sequence[str], y: Sequence[str], text: list[list[str]], height: int, size: int
) -> go.Figure:
    """Cells shaded by share, the first row on top; text that reads on its shade, on dark and light pages."""
    figure = go.Figure(layout={"template": TEMPLATE, "height": height})
    figure.add_heatmap(
        z=shares,
        x=list(x),
        y=list(y),
        colorscale=SHADES,
        zmin=0,
        zmax=1,
        showscale=False,
        xgap=2,
        ygap=2,
        hovertemplate="%{hovertext}<extra></extra>",
    )
    # All at once: added one by one, a hundred of them take seconds.
    figure.layout.annotations = [
        {
            "x": other,
            "y": name,
            "text": text[row][column],
            "showarrow": False,
            "font": {"size": size, "color": "#ffffff" if shares[row][column] > _DARK else INK},
        }
        for row, name in enumerate(y)
        for column, other in enumerate(x)
    ]
    figure.update_xaxes(side="top", showgrid=False, type="category")
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    return figure


def forest(groups: Mapping[str, Sequence[Subgroup]], overall: Subgroup | None = None) -> go.Figure:
    """AUC, sensitivity and specificity of every subgroup with 95 % intervals, beside those of all rows.

    groups : what the rows are divided by -> its subgroups; withheld ones keep their line and have no point
    overall : all rows; its values are drawn as lines
    """
    rows = [("All", overall)] if overall else []
    rows += [(group_name(by, group), group) for by, subgroups in groups.items() for group in subgroups]
    places = list(range(len(rows)))
    figure = make_subplots(
        cols=3, shared_yaxes=True, horizontal_spacing=0.02, column_titles=list(_SHARES.values()), rows=1
    )
    figure.update_layout(template=TEMPLATE, height=90 + _ROW_PX * len(rows), margin={"t": 28})
    for column, (name, title) in enumerate(_SHARES.items(), 1):
        figure.add_scatter(
            **_points([getattr(group, name) for _, group in rows], [text for text, _ in rows], title), row=1, col=column
        )
        if overall and getattr(overall, name).value is not None:
            figure.add_vline(x=getattr(overall, name).value, line={"color": INK, "dash": "dot"}, row=1, col=column)
    figure.update_xaxes(range=[-0.02, 1.02], tickvals=[0, 0.25, 0.5, 0.75, 1], showgrid=True)
    figure.update_yaxes(autorange="reversed", showgrid=False, linecolor=GRID)
    figure.update_yaxes(tickvals=places, ticktext=[_beside(text, group) for text, group in rows], row=1, col=1)
    return describe(figure, "Subgroups. " + " ".join(_group_words(text, group) for text, group in rows))


def _points(estimates: Sequence[Estimate], names: Sequence[str], title: str) -> dict[str, Any]:
    """Markers by place in the list; what has no value has none."""
    there = [(place, estimate) for place, estimate in enumerate(estimates) if estimate.value is not None]
    return {
        "x": [estimate.value for _, estimate in there],
        "y": [place for place, _ in there],
        "mode": "markers",
        "marker": {"symbol": "square", "size": 8, "color": "#3d9bd4"},
        "error_x": reach([estimate for _, estimate in there]),
        "text": [f"{escape(names[place], quote=False)}<br>{title} {interval(estimate)}" for place, estimate in there],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _beside(text: str, subgroup: Subgroup) -> str:
    number = "withheld" if subgroup.withheld else f"n {subgroup.rows:,}, {subgroup.positives:,}+"
    return f"{escape(text, quote=False)} ({number})"


def _group_words(text: str, subgroup: Subgroup) -> str:
    if subgroup.withheld:
        return f"{text}: withheld, {subgroup.rows} rows."
    shares = ", ".join(f"{title} {in_full(getattr(subgroup, name))}" for name, title in _SHARES.items())
    return f"{text}: {subgroup.rows} rows, {subgroup.positives} positive, {shares}."
