"""Every table of a report: cells as values, which a page shows with their intervals and a CSV file gives in full."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ichscope import metrics
from ichscope.access import named
from ichscope.evaluation.evaluate import Evaluation
from ichscope.evaluation.label_metrics import CHOSEN_HERE, MOVED, EvaluatedPoint, LabelMetrics
from ichscope.evaluation.selection import EvaluationSet
from ichscope.metrics import AtThreshold, Estimate
from ichscope.metrics.groups import MINIMUM_PATIENTS
from ichscope.reporting.figures.formatting import NO_VALUE, group_name, label_name
from ichscope.reporting.in_force import ALL, point_in_force, subgroups
from ichscope.reporting.report_table import Cell, ReportTable

# Of a hundred emergency head CTs 6 to 15 show a haemorrhage.
USUAL_PREVALENCE = 0.1
AT_THEIR_PREVALENCE = "PPV, NPV and the share flagged are at the prevalence of these data."


def all_tables(evaluation_set: EvaluationSet, evaluation: Evaluation) -> list[ReportTable]:
    """Population, models, figures, operating points, subgroups and comparisons, in this order; none is empty."""
    made = [
        _population(evaluation_set),
        _labels(evaluation_set),
        _models(evaluation_set),
        _set_thresholds(evaluation_set),
        _moved_thresholds(evaluation),
        _ranking(evaluation),
    ]
    made += [
        _log_loss(evaluation),
        _points(evaluation),
        _elsewhere(evaluation),
        *_subgroup_tables(evaluation_set, evaluation),
        _comparisons(evaluation),
    ]
    return [table for table in made if table.rows]


def _population(evaluation_set: EvaluationSet) -> ReportTable:
    columns = {ALL: [ALL] * len(evaluation_set.keys)} | evaluation_set.columns
    label = next(iter(evaluation_set.truth), "")
    positive = evaluation_set.truth.get(label, np.zeros(len(evaluation_set.keys))) == 1
    rows: list[tuple[Cell, ...]] = []
    for name, texts in columns.items():
        groups = np.array([text or "unknown" for text in texts], object)
        for group in sorted(set(groups)) if any(texts) else ():
            chosen = groups == group
            patients = len(np.unique(evaluation_set.group[chosen]))
            told = patients >= MINIMUM_PATIENTS or name == ALL
            rows.append((name, group, int(chosen.sum()), patients, int((chosen & positive).sum()) if told else None))
    whose = f"by {evaluation_set.grouped_by}" if evaluation_set.grouped_by else "by row, as nothing names them"
    about = (
        f"A row is a {evaluation_set.level}. Patients are told apart {whose}. "
        f"Of groups of fewer than {MINIMUM_PATIENTS} patients only the size is given."
    )
    heads = ("By", "Group", "Rows", "Patients", f"Positive: {label_name(label)}")
    return ReportTable("population", "Population", heads, rows, about)


def _labels(evaluation_set: EvaluationSet) -> ReportTable:
    rows = [
        (label_name(label), int((values == 1).sum()), int((values == 0).sum()), int(np.isnan(values).sum()))
        for label, values in evaluation_set.truth.items()
    ]
    return ReportTable("truth", "Truth", ("Label", "Positive", "Negative", "Unknown"), rows)


def _models(evaluation_set: EvaluationSet) -> ReportTable:
    rows = [
        (
            *(
                name,
                key,
                evaluation_set.models[key].sha256 or "not known",
                evaluation_set.models[key].operating_point or NO_VALUE,
            ),
            ", ".join(f"{label} {value:.4g}" for label, value in evaluation_set.models[key].thresholds.items())
            or NO_VALUE,
            evaluation_set.missing[key],
        )
        for key, name in evaluation_set.names().items()
    ]
    columns = ("Model", "Source", "SHA-256", "Operating point", "Thresholds in force", "Rows without a probability")
    return ReportTable("models", "Models", columns, rows)


def _set_thresholds(evaluation_set: EvaluationSet) -> ReportTable:
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            adjustment.id,
            label_name(adjustment.name),
            adjustment.value,
            named(adjustment.who, adjustment.signed),
            f"{adjustment.created_at:%Y-%m-%d %H:%M}",
            adjustment.why,
        )
        for key, name in evaluation_set.names().items()
        for adjustment in evaluation_set.models[key].set_by_users
    ]
    columns = ("Model", "No.", "Label", "Threshold", "Who", "When (UTC)", "Why")
    about = "Of the operating points in force; all other thresholds are the model's own."
    return ReportTable("set_thresholds", "Thresholds set by users", columns, rows, about)


def _moved_points(evaluation: Evaluation) -> Iterator[tuple[str, str, AtThreshold]]:
    """Thresholds that a user moved: model, label, and what they give."""
    for name, label, of_label in _of_labels(evaluation):
        yield from (
            (name, label, point.metrics) for point in of_label.operating_points if point.name == MOVED and point.metrics
        )


def _moved_thresholds(evaluation: Evaluation) -> ReportTable:
    rows = [(name, label_name(label), at.threshold) for name, label, at in _moved_points(evaluation)]
    about = "In force in this report, in place of the model's own."
    return ReportTable("moved_thresholds", "Thresholds moved on the page", ("Model", "Label", "Threshold"), rows, about)


def _of_labels(evaluation: Evaluation) -> Iterator[tuple[str, str, LabelMetrics]]:
    for name, model in evaluation.models.items():
        for label, of_label in model.labels.items():
            yield name, label, of_label


def _ranking(evaluation: Evaluation) -> ReportTable:
    rows = [
        (
            *(name, label_name(label), of_label.positives, of_label.negatives, of_label.unknown, of_label.auc),
            *(of_label.average_precision, of_label.brier, of_label.calibration_error),
            *(of_label.calibration_slope, of_label.calibration_intercept),
        )
        for name, label, of_label in _of_labels(evaluation)
    ]
    columns = (
        *("Model", "Label", "n+", "n-", "Unknown", "AUC", "Average precision", "Brier score"),
        *("Calibration error", "Calibration slope", "Calibration intercept"),
    )
    methods = dict.fromkeys(of_label.auc.method for _, _, of_label in _of_labels(evaluation) if of_label.auc.method)
    about = f"Unknown: truth or probability missing. Intervals are 95 %; AUC by {' or '.join(methods) or 'nothing'}."
    return ReportTable("figures", "Metrics of all labels", columns, rows, about)


def _log_loss(evaluation: Evaluation) -> ReportTable:
    rows = [(name, what, value) for name, model in evaluation.models.items() for what, value in model.log_loss.items()]
    about = "The floor is what predicting each label's prevalence would give."
    return ReportTable("log_loss", "Weighted log loss of all six labels", ("Model", "Measure", "Value"), rows, about)


def _points(evaluation: Evaluation) -> ReportTable:
    rows = [
        (name, label_name(label), *_point(point))
        for name, label, of_label in _of_labels(evaluation)
        for point in of_label.operating_points
    ]
    columns = (
        *("Model", "Label", "Operating point", "Chosen on", "Threshold", "TP", "FN", "FP", "TN"),
        *("Sensitivity", "Specificity", "PPV", "NPV", "Flagged"),
    )
    about = f"A threshold chosen on these data looks slightly better than it is. {AT_THEIR_PREVALENCE}"
    return ReportTable("operating_points", "Operating points and confusion", columns, rows, about)


def _point(point: EvaluatedPoint) -> tuple[Cell, ...]:
    if point.metrics is None:
        return (point.name, point.chosen_on, *[None] * 5, *[Estimate(None, reason=point.reason)] * 5)
    at, counts = point.metrics, point.metrics.confusion
    return (
        *(point.name, "these data" if point.chosen_on == CHOSEN_HERE else point.chosen_on, at.threshold),
        *(counts.tp, counts.fn, counts.fp, counts.tn, at.sensitivity, at.specificity, at.ppv, at.npv, at.flagged),
    )


def _elsewhere(evaluation: Evaluation) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    for name, label, of_label in _of_labels(evaluation):
        if (point := point_in_force(of_label)) is not None:
            there = metrics.at_prevalence(point.metrics, USUAL_PREVALENCE)
            shares = (there.ppv, there.npv, there.flagged)
            rows.append((name, label_name(label), point.name, point.metrics.threshold, *shares))
    columns = ("Model", "Label", "Operating point", "Threshold", "PPV", "NPV", "Flagged")
    about = "By Bayes' rule, from the sensitivity and specificity in these data."
    return ReportTable("elsewhere", f"At a prevalence of {USUAL_PREVALENCE:.0%}", columns, rows, about)


def _subgroup_tables(evaluation_set: EvaluationSet, evaluation: Evaluation) -> Iterator[ReportTable]:
    """One of the first label, and one of each other label whose threshold was moved."""
    first = next((label for model in evaluation.models.values() for label in model.labels), "")
    yield _subgroups(evaluation_set, evaluation, first, "subgroups", "Subgroups")
    moved = dict.fromkeys(label for _, label, _ in _moved_points(evaluation) if label != first)
    for number, label in enumerate(moved, 1):
        yield _subgroups(evaluation_set, evaluation, label, f"subgroups_{number}", f"Subgroups: {label_name(label)}")


def _subgroups(
    evaluation_set: EvaluationSet, evaluation: Evaluation, label: str, key_of_table: str, title: str
) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    for key, name in evaluation_set.names().items():
        for by, groups in subgroups(evaluation_set, key, evaluation.models[name], label).items():
            for group in groups:
                counts = (group.rows, group.patients, group.positives)
                shown = "All" if by == ALL else group_name(by, group)
                rows.append((name, shown, *counts, group.auc, group.sensitivity, group.specificity))
    columns = ("Model", "Group", "n", "Patients", "n+", "AUC", "Sensitivity", "Specificity")
    about = f"{label_name(label)}, at the threshold in force. Small groups are withheld."
    return ReportTable(key_of_table, title, columns, rows, about)


def _comparisons(evaluation: Evaluation) -> ReportTable:
    rows = [
        (first, second, label_name(label), test.first, test.second, test.difference, test.p)
        for (first, second), labels in evaluation.comparisons.items()
        for label, test in labels.items()
    ]
    columns = ("First", "Second", "Label", "AUC of the first", "AUC of the second", "Difference", "p")
    about = "Paired, on the rows that both models cover. p is not corrected for multiple tests."
    return ReportTable("comparisons", "Models compared", columns, rows, about)
