"""What a report's figures show, as tables of their own."""

from __future__ import annotations

from ichscope import metrics
from ichscope.evaluation.evaluate import Evaluation
from ichscope.evaluation.selection import EvaluationSet
from ichscope.reporting.figures.formatting import label_name
from ichscope.reporting.in_force import joint
from ichscope.reporting.report_table import Cell, ReportTable


def figure_tables(evaluation_set: EvaluationSet, evaluation: Evaluation) -> list[ReportTable]:
    """Calibration by bins, subtypes taken for each other, and net benefit; none is empty."""
    made = (
        _calibration(evaluation_set, evaluation),
        _joint(evaluation_set, evaluation),
        _net_benefit(evaluation_set, evaluation),
    )
    return [table for table in made if table.rows]


def _calibration(evaluation_set: EvaluationSet, evaluation: Evaluation) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    for key, name in evaluation_set.names().items():
        for label in evaluation.models[name].labels:
            truth, probability = evaluation_set.truth[label], evaluation_set.models[key].probability[label]
            bins = metrics.calibration_curve(truth, probability, patients=evaluation_set.group)
            rows += [(name, label_name(label), bin_.rows, bin_.probability, bin_.positive) for bin_ in bins]
    columns = ("Model", "Label", "Rows", "Mean probability", "Share positive")
    return ReportTable("calibration_bins", "Calibration by bins", columns, rows, drawn=True)


def _joint(evaluation_set: EvaluationSet, evaluation: Evaluation) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    for key, name in evaluation_set.names().items():
        if both := joint(evaluation_set, key, evaluation.models[name]):
            table, thresholds_from = both
            rows += [
                (name, thresholds_from, truth, called, int(table.counts[i, j]))
                for i, truth in enumerate(table.names)
                for j, called in enumerate(table.names)
            ]
    columns = ("Model", "Each at", "By truth", "As called", "Rows")
    about = "Each row counts once, with all its subtypes together."
    return ReportTable("joint_confusion", "Subtypes, by truth and as called", columns, rows, about, drawn=True)


def _net_benefit(evaluation_set: EvaluationSet, evaluation: Evaluation) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    for key, name in evaluation_set.names().items():
        for label in list(evaluation.models[name].labels)[:1]:
            curve = metrics.decision_curve(evaluation_set.truth[label], evaluation_set.models[key].probability[label])
            if curve is not None:
                points = zip(
                    *(values.tolist() for values in (curve.threshold, curve.net_benefit, curve.call_all)), strict=True
                )
                rows += [(name, label_name(label), *point) for point in points]
    columns = ("Model", "Label", "Threshold", "Net benefit", "Net benefit of calling all")
    return ReportTable("decision_curve", "Net benefit", columns, rows, drawn=True)
