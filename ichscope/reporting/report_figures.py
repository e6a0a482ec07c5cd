"""The figures of a report, model by model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import plotly.graph_objects as go

from ichscope import metrics
from ichscope.evaluation.confidence_bands import curves_with_bands
from ichscope.evaluation.evaluate import ModelMetrics
from ichscope.evaluation.selection import EvaluationSet
from ichscope.reporting.figures import calibration, counts, performance
from ichscope.reporting.figures.formatting import label_name
from ichscope.reporting.figures.performance import Traced
from ichscope.reporting.figures.theme import SHORT_NAMES, lines
from ichscope.reporting.in_force import ALL, joint, point_in_force, subgroups

Drawing = tuple[str, go.Figure]
INK_ON_WHITE = "#323b43"


def drawings(evaluation_set: EvaluationSet, key: str, model: ModelMetrics) -> Iterator[Drawing]:
    """Curves of all labels, then confusion and calibration label by label, subtypes, net benefit and subgroups."""
    traces = [_traced(evaluation_set, key, label, model) for label in model.labels]
    if len(traces) > 1:
        yield from _curves("All labels", _told_apart(traces))
    for trace in traces:
        yield from _curves(label_name(trace.label), [trace])
        yield from _of_label(evaluation_set, key, trace.label, model)
    yield from _joint(evaluation_set, key, model)
    yield from _net_benefit(evaluation_set, key, model)
    yield from _forest(evaluation_set, key, model)


def _curves(name: str, traces: Sequence[Traced]) -> Iterator[Drawing]:
    if any(trace.roc for trace in traces):
        yield f"{name}: ROC", performance.roc(traces)
    if any(trace.pr for trace in traces):
        yield f"{name}: precision and recall", performance.precision_recall(traces)


def _told_apart(traces: Sequence[Traced]) -> list[Traced]:
    """Each line in a look of its own, without its band: six over one another cannot be read."""
    styles = lines([trace.label for trace in traces])
    return [replace(_without_band(trace), tint=styles[trace.label][0], dash=styles[trace.label][1]) for trace in traces]


def _without_band(trace: Traced) -> Traced:
    return replace(trace, roc=trace.roc and replace(trace.roc, band=None), pr=trace.pr and replace(trace.pr, band=None))


def _traced(evaluation_set: EvaluationSet, key: str, label: str, model: ModelMetrics) -> Traced:
    curves = curves_with_bands(
        evaluation_set.truth[label], evaluation_set.models[key].probability[label], evaluation_set.group
    )
    point = point_in_force(model.labels[label])
    name = SHORT_NAMES.get(label, label)
    return Traced(name, label, curves.roc, curves.pr, point.metrics if point else None)


def _of_label(evaluation_set: EvaluationSet, key: str, label: str, model: ModelMetrics) -> Iterator[Drawing]:
    if point := point_in_force(model.labels[label]):
        caption = f"{label_name(label)} at {point.name}, {point.metrics.threshold:.4g}"
        yield caption, _dark(counts.confusion(point.metrics.confusion, label))
    truth, probability = evaluation_set.truth[label], evaluation_set.models[key].probability[label]
    if bins := metrics.calibration_curve(truth, probability, patients=evaluation_set.group):
        line = metrics.calibration_line(truth, probability, evaluation_set.group)
        yield f"{label_name(label)}: calibration", calibration.reliability(bins, label, line)


def _dark(figure: go.Figure) -> go.Figure:
    """Dark numbers in the cells: the report's page is white, on which the shades are pale."""
    return figure.update_annotations(font_color=INK_ON_WHITE)


def _joint(evaluation_set: EvaluationSet, key: str, model: ModelMetrics) -> Iterator[Drawing]:
    """Subtypes taken for each other, where two or more have a threshold."""
    if confusion := joint(evaluation_set, key, model):
        yield f"Subtypes, by truth and as called, each at {confusion[1]}", _dark(counts.joint(confusion[0]))


def _net_benefit(evaluation_set: EvaluationSet, key: str, model: ModelMetrics) -> Iterator[Drawing]:
    for label in list(model.labels)[:1]:
        curve = metrics.decision_curve(evaluation_set.truth[label], evaluation_set.models[key].probability[label])
        if curve is not None:
            point = point_in_force(model.labels[label])
            threshold = point.metrics.threshold if point else None
            figure = calibration.net_benefit(curve, label, evaluation_set.names()[key], threshold)
            yield f"{label_name(label)}: net benefit", figure


def _forest(evaluation_set: EvaluationSet, key: str, model: ModelMetrics) -> Iterator[Drawing]:
    groups = subgroups(evaluation_set, key, model)
    if len(groups) > 1:
        overall = groups.pop(ALL)[0]
        yield f"{label_name(next(iter(model.labels)))}: subgroups", counts.forest(groups, overall)
