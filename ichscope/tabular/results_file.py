"""The JSON that `ichscope analyse` writes, as a table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ichscope.errors import barrier
from ichscope.labels import LABELS
from ichscope.levels import Level
from ichscope.tabular.table import Table, TableError
from ichscope.texts import writable

_CELL = (str, int, float, type(None))


def read_results(path: Path, level: Level) -> Table:
    """Read the JSON of `ichscope analyse`: a row a series and model, or a row a slice and model.

    Raises
    ------
    TableError
        if the file is missing or is something else
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TableError(f"{path}: expected a file, found none ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise TableError(f"{path.name}: found no JSON ({error}), expected that of `ichscope analyse --json`") from None
    if not isinstance(entries, list):
        raise TableError(f"{path.name}: found no list, expected the JSON of `ichscope analyse --json`")
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    for number, entry in enumerate(entries, start=1):
        new = _rows_of_entry(entry, level, f"{path.name}: entry {number}")
        rows += new
        lines += [number] * len(new)
    if not rows:
        raise TableError(f"{path.name}: found no result with probabilities, expected at least one")
    names = dict.fromkeys(name for row in rows for name in row)
    columns: dict[str, Sequence[Any]] = {name: [row.get(name, "") for row in rows] for name in names}
    missed = sum(not entry["models"] for entry in entries)
    notes = [f"{missed} of {len(entries)} results hold no probabilities (not analysed)"] if missed else []
    return Table(writable(path.name), columns, lines, "entry", notes)


def _rows_of_entry(entry: Any, level: Level, place: str) -> list[dict[str, Any]]:
    def refusal(what: str) -> TableError:
        return TableError(f"{place}: found {what}, expected a result of `ichscope analyse --json`")

    with barrier(lambda kind: refusal(f"something else ({kind})")):
        try:
            rows = list(_rows(entry, level))
        except KeyError as error:
            raise refusal(f"no {error}") from None
    if not all(isinstance(cell, _CELL) for row in rows for cell in row.values()):
        raise refusal("a list or an object as a value")
    return rows


def _rows(entry: dict[str, Any], level: Level) -> Iterator[dict[str, Any]]:
    for name, model in entry["models"].items():
        thresholds = {"any": model.get("threshold", ""), **model.get("thresholds", {})}
        same = {
            "study": entry["study"],
            "series": entry["series"],
            "role": entry.get("role", ""),
            "name": entry.get("name", ""),
            "model": name,
            "version": model.get("version", ""),
            **{f"threshold_{label}": thresholds[label] for label in LABELS if label in thresholds},
        }
        if level != "slice":
            yield same | dict(model["probability"])
        else:
            # Pictures have no SOP Instance UID; their file is all they can be known by.
            yield from (
                same | {"sop": slice_["sop"] or slice_["file"], **slice_["probability"]}
                for slice_ in model["per_slice"]
            )
