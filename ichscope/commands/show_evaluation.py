"""What `ichscope evaluate` shows in a terminal: figures with their intervals, and what to beware of."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ichscope.evaluation.evaluate import CHOSEN_HERE, Evaluation, LabelFigures, ModelFigures, Point
from ichscope.labels import DISPLAY_NAMES
from ichscope.metrics import Estimate

# Wide enough for the table where the output is no terminal.
_WIDTH_OF_FILES = 150
FLATTERS = "threshold chosen on these data, which flatters a little"


class Notes:
    """Reasons that several figures share are said once, below the tables, by number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, reason: str) -> str:
        """Give the mark of a reason, as ' (1)', or ""."""
        return f" ({self._numbers.setdefault(reason, len(self._numbers) + 1)})" if reason else ""

    def lines(self) -> list[str]:
        """All reasons with their numbers."""
        return [f"({number}) {reason}" for reason, number in self._numbers.items()]


def show(evaluation: Evaluation, to_stderr: bool = False) -> None:
    """Print the tables of an evaluation."""
    console = Console(stderr=to_stderr, highlight=False)
    if not console.is_terminal:
        console = Console(stderr=to_stderr, highlight=False, width=_WIDTH_OF_FILES)
    notes = Notes()
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
    said = [
        *evaluation.header["notes"],
        *(note for model in evaluation.models.values() for note in model.rows["notes"]),
    ]
    for line in (*notes.lines(), *dict.fromkeys(said)):
        console.print(escape(line), soft_wrap=True)
    console.print("Intervals are 95 %. Research use only, not for diagnosis.")


def _rows(model: ModelFigures, level: str) -> str:
    rows = model.rows
    text = f"{rows['matched']} rows by {level}"
    if rows["grouped_by"]:
        text += f", intervals by {rows['grouped_by']}"
    for what, name in (("truth_without_prediction", "no prediction"), ("predictions_without_truth", "no truth")):
        if count := rows[what]["count"]:
            first = ", ".join(rows[what]["first"])
            text += f"; {count} with {name}: {escape(first)}{', ...' if count > len(rows[what]['first']) else ''}"
    return text


def _ranking(model: ModelFigures, notes: Notes) -> Table:
    columns = ("Label", "n+", "n-", "n?", "AUC", "by", "Average precision", "Brier score", "Calibration slope")
    rows = [_ranking_row(name, figures, notes) for name, figures in model.labels.items()]
    for name, value in model.log_loss.items():
        rows.append((f"Weighted log loss, {name}", "", "", "", _cell(value, notes), "", "", "", ""))
    return _table(columns, rows)


def _ranking_row(name: str, figures: LabelFigures, notes: Notes) -> tuple[str, ...]:
    counts = (str(figures.positives), str(figures.negatives), str(figures.unknown))
    others = (figures.average_precision, figures.brier, figures.calibration_slope)
    return (
        *(_label(name), *counts, _cell(figures.auc, notes, digits=4), figures.auc.method),
        *(_cell(one, notes) for one in others),
    )


def _points(model: ModelFigures, notes: Notes) -> Table:
    columns = ("Label", "Operating point", "Threshold", "Sensitivity", "Specificity", "PPV", "NPV")
    rows = []
    for name, figures in model.labels.items():
        labels = chain([_label(name)], repeat(""))
        rows += [(next(labels), *_point_row(point, notes)) for point in figures.operating_points]
    return _table(columns, rows)


def _point_row(point: Point, notes: Notes) -> tuple[str, ...]:
    if point.found is None:
        return (point.name + notes.mark(point.reason), "-", "-", "-", "-", "-")
    beware = FLATTERS if point.chosen_on == CHOSEN_HERE else ""
    found = (point.found.sensitivity, point.found.specificity, point.found.ppv, point.found.npv)
    return (point.name + notes.mark(beware), f"{point.found.threshold:.4g}", *(_cell(one, notes) for one in found))


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


def _cell(found: Estimate, notes: Notes, digits: int = 3) -> str:
    """Say `0.953 (0.931-0.972)`, with the mark of what to beware of."""
    text = "-" if found.value is None else f"{found.value:.{digits}f}"
    if found.low is not None and found.high is not None:
        text += f" ({found.low:.{digits}f}-{found.high:.{digits}f})"
    return text + notes.mark(found.reason)
