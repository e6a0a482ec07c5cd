"""What `ichscope evaluate` shows in a terminal: figures with their intervals, and what to beware of."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ichscope.evaluation.evaluate import Evaluation, ModelMetrics
from ichscope.evaluation.label_metrics import CHOSEN_HERE, EvaluatedPoint, LabelMetrics
from ichscope.labels import DISPLAY_NAMES
from ichscope.metrics import Estimate
from ichscope.reporting.notes import FLATTERS, NumberedNotes

# Wide enough for the table where the output is no terminal.
_WIDTH_OF_FILES = 150


def show(evaluation: Evaluation, to_stderr: bool = False) -> None:
    """Print the tables of an evaluation."""
    console = Console(stderr=to_stderr, highlight=False)
    if not console.is_terminal:
        console = Console(stderr=to_stderr, highlight=False, width=_WIDTH_OF_FILES)
    notes = NumberedNotes()
    for name, model in evaluation.models.items():
        console.print(f"[bold]{escape(name)}[/]: {_rows(model, evaluation.header['level'])}", soft_wrap=True)
        console.print(_ranking(model, notes), _points(model, notes))
    for (first, second), labels in evaluation.comparisons.items():
        console.print(f"AUC of {escape(first)} minus that of {escape(second)}, on the same rows", soft_wrap=True)
        rows = [
            (_label(name), _cell(test.difference, notes), "" if test.p is None else f"{test.p:.3g}")
            for name, test in labels.items()
        ]
        console.print(_table(("Label", "Difference", "p"), rows))
    notes_below = [
        *evaluation.header["notes"],
        *(note for model in evaluation.models.values() for note in model.rows["notes"]),
    ]
    for line in (*notes.lines(), *dict.fromkeys(notes_below)):
        console.print(escape(line), soft_wrap=True)
    console.print("Intervals are 95 %. Research use only, not for diagnosis.")


def _rows(model: ModelMetrics, level: str) -> str:
    rows = model.rows
    text = f"{rows['matched']} rows by {level}"
    if rows["grouped_by"]:
        text += f", intervals by {rows['grouped_by']}"
    for what, name in (("truth_without_prediction", "no prediction"), ("predictions_without_truth", "no truth")):
        if count := rows[what]["count"]:
            first = ", ".join(rows[what]["first"])
            text += f"; {count} with {name}: {escape(first)}{', ...' if count > len(rows[what]['first']) else ''}"
    return text


def _ranking(model: ModelMetrics, notes: NumberedNotes) -> Table:
    columns = ("Label", "n+", "n-", "unknown", "AUC", "by", "Average precision", "Brier score", "Calibration slope")
    rows = [_ranking_row(name, of_label, notes) for name, of_label in model.labels.items()]
    for name, value in model.log_loss.items():
        rows.append((f"Weighted log loss, {name}", "", "", "", _cell(value, notes), "", "", "", ""))
    return _table(columns, rows)


def _ranking_row(name: str, label_metrics: LabelMetrics, notes: NumberedNotes) -> tuple[str, ...]:
    counts = (str(label_metrics.positives), str(label_metrics.negatives), str(label_metrics.unknown))
    others = (label_metrics.average_precision, label_metrics.brier, label_metrics.calibration_slope)
    return (
        *(_label(name), *counts, _cell(label_metrics.auc, notes, digits=4), label_metrics.auc.method),
        *(_cell(estimate, notes) for estimate in others),
    )


def _points(model: ModelMetrics, notes: NumberedNotes) -> Table:
    columns = ("Label", "Operating point", "Threshold", "Sensitivity", "Specificity", "PPV", "NPV")
    rows = []
    for name, of_label in model.labels.items():
        labels = chain([_label(name)], repeat(""))
        rows += [(next(labels), *_point_row(point, notes)) for point in of_label.operating_points]
    return _table(columns, rows)


def _point_row(point: EvaluatedPoint, notes: NumberedNotes) -> tuple[str, ...]:
    if point.metrics is None:
        return (point.name + notes.mark(point.reason), "-", "-", "-", "-", "-")
    beware = FLATTERS if point.chosen_on == CHOSEN_HERE else ""
    shares = (point.metrics.sensitivity, point.metrics.specificity, point.metrics.ppv, point.metrics.npv)
    return (
        point.name + notes.mark(beware),
        f"{point.metrics.threshold:.4g}",
        *(_cell(estimate, notes) for estimate in shares),
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    return table


def _label(name: str) -> str:
    """Say the abbreviation of the field, or the name as the file spells it."""
    shown = DISPLAY_NAMES.get(name, name)
    return shown.partition("(")[2].removesuffix(")") or shown


def _cell(estimate: Estimate, notes: NumberedNotes, digits: int = 3) -> str:
    """Say `0.953 (0.931-0.972)`, with the mark of what to beware of."""
    text = "-" if estimate.value is None else f"{estimate.value:.{digits}f}"
    if estimate.low is not None and estimate.high is not None:
        text += f" ({estimate.low:.{digits}f}-{estimate.high:.{digits}f})"
    return text + notes.mark(estimate.reason)
