"""What a report's figures show, as tables of their own."""

from __future__ import annotations

from ichscope import metrics
from ichscope.evaluation.evaluate import Evaluation
from ichscope.evaluation.selection import Audited
from ichscope.reporting.figures.formatting import label_name
from ichscope.reporting.report_tables import Cell, ReportTable, joint


def drawn_tables(audited: Audited, found: Evaluation) -> list[ReportTable]:
    """Calibration by bins, subtypes taken for each other, and net benefit; none is empty."""
    made = (_calibration(audited, found), _joint(audited, found), _net_benefit(audited, found))
    return [table for table in made if table.rows]


def _calibration(audited: Audited, found: Evaluation) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    for key, name in audited.names().items():
        for label in found.models[name].labels:
            truth, said = audited.truth[label], audited.models[key].probability[label]
            bins = metrics.calibration_curve(truth, said, patients=audited.group)
            rows += [(name, label_name(label), one.rows, one.probability, one.positive) for one in bins]
    columns = ("Model", "Label", "Rows", "Mean probability", "Share positive")
    return ReportTable("calibration_bins", "Calibration by bins", columns, rows, drawn=True)


def _joint(audited: Audited, found: Evaluation) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    for key, name in audited.names().items():
        if both := joint(audited, key, found.models[name]):
            table, words = both
            rows += [
                (name, words, truth, called, int(table.counts[i, j]))
                for i, truth in enumerate(table.names)
                for j, called in enumerate(table.names)
            ]
    columns = ("Model", "Each at", "By truth", "As called", "Rows")
    about = "A row counts once, by all its subtypes together."
    return ReportTable("joint_confusion", "Subtypes, by truth and as called", columns, rows, about, drawn=True)


def _net_benefit(audited: Audited, found: Evaluation) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    for key, name in audited.names().items():
        for label in list(found.models[name].labels)[:1]:
            curve = metrics.decision_curve(audited.truth[label], audited.models[key].probability[label])
            if curve is not None:
                points = zip(
                    *(one.tolist() for one in (curve.threshold, curve.net_benefit, curve.call_all)), strict=True
                )
                rows += [(name, label_name(label), *point) for point in points]
    columns = ("Model", "Label", "Threshold", "Net benefit", "Net benefit of calling all")
    return ReportTable("decision_curve", "Net benefit", columns, rows, drawn=True)
