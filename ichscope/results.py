"""Results as files: the JSON list, the CSV table, and writing either without ever leaving half a file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ichscope.atomic import replacing
from ichscope.labels import LABELS

if TYPE_CHECKING:
    from ichscope.analyse import ModelResult, StudyResult

CSV_COLUMNS = (
    *("name", "study", "series", "status", "reasons", "slices"),
    *("model", "version", "provider", "seconds", "operating_point", "threshold", "flagged"),
    *(f"probability_{label}" for label in LABELS),
)


def json_text(results: Iterable[Mapping[str, Any]]) -> str:
    """Give the results (StudyResult.to_json) as a JSON list, UTF-8 text with a final newline."""
    return json.dumps(list(results), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def csv_text(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = CSV_COLUMNS) -> str:
    """Give rows (as of csv_rows) as CSV with a header line; a cell without a value stays empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({column: csv_cell(value) for column, value in row.items()} for row in rows)
    return text.getvalue()


def csv_rows(result: StudyResult) -> list[dict[str, Any]]:
    """Rows of one StudyResult: one a model, or a single one with empty model cells when nothing was analysed.

    Probabilities are those of the whole study, 0 to 1; slices are in the JSON.
    """
    series = {
        "name": result.name,
        "study": result.study,
        "series": result.series,
        "status": result.status,
        "reasons": "; ".join(result.reasons),
        "slices": len(result.slices),
    }
    return [series | _model_cells(model) for model in result.models.values()] or [series]


def _model_cells(model: ModelResult) -> dict[str, Any]:
    return {
        "model": model.name,
        "version": model.version,
        "provider": model.provider,
        "seconds": round(float(model.seconds), 3),
        "operating_point": model.operating_point,
        "threshold": round(float(model.threshold), 4),
        "flagged": "yes" if model.flagged else "no",
        **{f"probability_{label}": round(float(p), 4) for label, p in model.probability.items()},
    }


def csv_cell(value: Any) -> Any:
    """Put a quote before a text that starts like a formula: a spreadsheet would run it, and names are from outside."""
    risky = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if risky else value


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    OSError
        if the folder is missing or cannot be written
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")  # a pipe or device must not be replaced by a file
        return
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
