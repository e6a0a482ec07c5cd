"""The figures of a report, model by model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import plotly.graph_objects as go

from ichscope import metrics
from ichscope.evaluation.confidence_bands import banded
from ichscope.evaluation.evaluate import ModelFigures
from ichscope.evaluation.selection import Audited
from ichscope.reporting.figures import calibration, counts, performance
from ichscope.reporting.figures.formatting import label_name
from ichscope.reporting.figures.performance import Traced
from ichscope.reporting.figures.theme import SHORT_NAMES, lines
from ichscope.reporting.report_tables import ALL, joint, point_in_force, subgroups

Drawing = tuple[str, go.Figure]
INK_ON_WHITE = "#323b43"


def drawings(audited: Audited, key: str, model: ModelFigures) -> Iterator[Drawing]:
    """Curves of all labels, then confusion and calibration label by label, subtypes, net benefit and subgroups."""
    traces = [_traced(audited, key, label, model) for label in model.labels]
    if len(traces) > 1:
        yield from _curves("All labels", _told_apart(traces))
    for one in traces:
        yield from _curves(label_name(one.label), [one])
        yield from _of_label(audited, key, one.label, model)
    yield from _joint(audited, key, model)
    yield from _net_benefit(audited, key, model)
    yield from _forest(audited, key, model)


def _curves(name: str, traces: Sequence[Traced]) -> Iterator[Drawing]:
    if any(one.roc for one in traces):
        yield f"{name}: ROC", performance.roc(traces)
    if any(one.pr for one in traces):
        yield f"{name}: precision and recall", performance.precision_recall(traces)


def _told_apart(traces: Sequence[Traced]) -> list[Traced]:
    """Each line in a look of its own, without its band: six over one another cannot be read."""
    looks = lines([one.label for one in traces])
    return [replace(_without_band(one), tint=looks[one.label][0], dash=looks[one.label][1]) for one in traces]


def _without_band(one: Traced) -> Traced:
    return replace(one, roc=one.roc and replace(one.roc, band=None), pr=one.pr and replace(one.pr, band=None))


def _traced(audited: Audited, key: str, label: str, model: ModelFigures) -> Traced:
    curves = banded(audited.truth[label], audited.models[key].probability[label], audited.group)
    point = point_in_force(model.labels[label])
    name = SHORT_NAMES.get(label, label)
    return Traced(name, label, curves.roc, curves.pr, point.found if point else None)


def _of_label(audited: Audited, key: str, label: str, model: ModelFigures) -> Iterator[Drawing]:
    if point := point_in_force(model.labels[label]):
        caption = f"{label_name(label)} at {point.name}, {point.found.threshold:.4g}"
        yield caption, _dark(counts.confusion(point.found.confusion, label))
    truth, said = audited.truth[label], audited.models[key].probability[label]
    if bins := metrics.calibration_curve(truth, said, patients=audited.group):
        line = metrics.calibration_line(truth, said, audited.group)
        yield f"{label_name(label)}: calibration", calibration.reliability(bins, label, line)


def _dark(figure: go.Figure) -> go.Figure:
    """Dark numbers in the cells: the report's page is white, on which the shades are pale."""
    return figure.update_annotations(font_color=INK_ON_WHITE)


def _joint(audited: Audited, key: str, model: ModelFigures) -> Iterator[Drawing]:
    """Subtypes taken for each other, where two or more have a threshold."""
    if found := joint(audited, key, model):
        yield f"Subtypes, by truth and as called, each at {found[1]}", _dark(counts.joint(found[0]))


def _net_benefit(audited: Audited, key: str, model: ModelFigures) -> Iterator[Drawing]:
    for label in list(model.labels)[:1]:
        curve = metrics.decision_curve(audited.truth[label], audited.models[key].probability[label])
        if curve is not None:
            point = point_in_force(model.labels[label])
            threshold = point.found.threshold if point else None
            figure = calibration.net_benefit(curve, label, audited.names()[key], threshold)
            yield f"{label_name(label)}: net benefit", figure


def _forest(audited: Audited, key: str, model: ModelFigures) -> Iterator[Drawing]:
    groups = subgroups(audited, key, model)
    if len(groups) > 1:
        overall = groups.pop(ALL)[0]
        yield f"{label_name(next(iter(model.labels)))}: subgroups", counts.forest(groups, overall)
