"""RSNA 2019 labels as Kaggle publishes them: a long table of `ID_<slice>_<label>,0|1`."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from ichscope.labels import LABELS
from training.data.study import UNKNOWN, Problem

_VALUES = {"0": 0.0, "1": 1.0}


def kaggle_labels(path: Path, problems: list[Problem] | None = None) -> dict[str, list[float]]:
    """Read the table into slice -> six labels in the order of LABELS, nan where there is no row.

    Rows may stand in any order and come twice. A label whose rows disagree is unknown, and a problem; so are rows
    that cannot be understood.

    Raises
    ------
    ValueError
        if the table has other columns than ID and Label
    """
    labels: dict[str, list[float]] = {}
    disagreeing: set[tuple[str, str]] = set()
    odd: list[int] = []
    with path.open(newline="", encoding="utf-8-sig") as file:
        table = csv.reader(file)
        if (header := next(table, [])) != ["ID", "Label"]:
            raise ValueError(f"{path.name}: found columns {header[:8]}, expected ID and Label")
        for row in filter(None, table):
            name, _, label = row[0].rpartition("_")
            value = _VALUES.get(row[1].strip()) if len(row) == 2 else None
            if value is None or label not in LABELS:
                odd.append(table.line_num)
                continue
            column, known = LABELS.index(label), labels.setdefault(name, list(UNKNOWN))
            if not math.isnan(known[column]) and known[column] != value:
                disagreeing.add((name, label))
            known[column] = value
    for name, label in disagreeing:
        labels[name][LABELS.index(label)] = math.nan
    if problems is not None:
        problems += [Problem(name, f"rows disagree on {label}: unknown") for name, label in sorted(disagreeing)]
        if odd:
            text = f"{len(odd)} rows are not <slice>_<label>,0|1 and say nothing (the first is line {odd[0]})"
            problems.append(Problem(path.name, text))
    return labels
