"""The cached arrays of a collection: written study by study, so that a kill at any time loses one study at most.

A folder holds `hu.npy` and `labels.npy` (and `mask.npy` where readers drew outlines), all studies one after the
other, and `index.json`, which says where each study lies. While it is written, `journal.jsonl` says what is there.
"""

from __future__ import annotations

import fcntl
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichscope.atomic import replacing
from ichscope.imaging.preprocess import INPUT_SIZE
from ichscope.labels import LABELS
from training.data.study import TrainingStudy
from training.data.work import CollectionPart

_INDEXED = ("source", "patient", "study", "names", "spacing_mm", "pictures")
_JOURNAL, _INDEX = "journal.jsonl", "index.json"
_ARRAYS = {
    "hu": (np.int16, (INPUT_SIZE, INPUT_SIZE)),
    "labels": (np.float32, (len(LABELS),)),
    "mask": (np.uint8, (INPUT_SIZE, INPUT_SIZE)),
}


class Journal:
    """Lines of JSON. One that a kill cut off is dropped when the file is opened again."""

    def __init__(self, path: Path) -> None:
        self.lines: list[Any] = []
        whole = 0
        if path.is_file():
            with path.open("rb") as file:
                for line in file:
                    if line.endswith(b"\n"):
                        self.lines.append(json.loads(line))
                        whole += len(line)
        self._file = path.open("ab")
        self._file.truncate(whole)

    def append(self, line: Any) -> None:
        """Add a line, which stays if this process is killed the moment after."""
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class _Growing:
    """An .npy file of `count` arrays of one shape, more of which may be written behind the last."""

    def __init__(self, path: Path, dtype: type, shape: tuple[int, ...], count: int) -> None:
        self._dtype, self._shape = np.dtype(dtype), shape
        self._each = self._dtype.itemsize * math.prod(shape)
        self._file = path.open("r+b" if path.is_file() else "w+b")
        self.resize(count)

    def resize(self, count: int) -> None:
        """Have this many arrays, in the file and in its header, which has room for any count."""
        self._file.seek(0)
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (count, *self._shape)}
        np.lib.format.write_array_header_1_0(self._file, header)
        self._start = self._file.tell()
        self._file.truncate(self._start + count * self._each)

    def write(self, at: int, values: NDArray[Any]) -> None:
        """Write values as arrays number `at` and following; skipped ones are zero."""
        self._file.seek(self._start + at * self._each)
        self._file.write(np.ascontiguousarray(values, self._dtype).data)
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class CacheFolder:
    """A cache folder that is being filled; it goes on where an earlier run was stopped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._journal = Journal(folder / _JOURNAL)
        self.done = {line["key"] for line in self._journal.lines}
        self._entries = [entry for line in self._journal.lines for entry in line["studies"]]
        self._problems = [problem for line in self._journal.lines for problem in line["problems"]]
        self._count = self._entries[-1]["stop"] if self._entries else 0
        self._arrays = {name: self._open(name) for name in ("hu", "labels")}
        if (folder / "mask.npy").is_file():
            self._arrays["mask"] = self._open("mask")

    def __enter__(self) -> CacheFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.close()
        for array in self._arrays.values():
            array.close()

    def _open(self, name: str) -> _Growing:
        return _Growing(self._folder / f"{name}.npy", *_ARRAYS[name], self._count)

    @property
    def studies(self) -> int:
        """How many studies there are."""
        return len(self._entries)

    def add(self, reading: CollectionPart) -> None:
        """Write a piece: first the arrays, then the line that makes them count."""
        count, entries = self._count, []
        for study in reading.studies:
            entries.append(self._write(study, count))
            count += len(study.hu)
        problems = [vars(problem) for problem in reading.problems]
        self._journal.append({"key": reading.key, "studies": entries, "problems": problems})
        self._count = count
        self.done.add(reading.key)
        self._entries += entries
        self._problems += problems

    def _write(self, study: TrainingStudy, start: int) -> dict[str, Any]:
        self._arrays["hu"].write(start, study.hu)
        self._arrays["labels"].write(start, study.labels)
        if study.mask is not None:
            if "mask" not in self._arrays:
                self._arrays["mask"] = self._open("mask")
            self._arrays["mask"].write(start, study.mask)
        entry = {name: getattr(study, name) for name in _INDEXED}
        entry |= {"start": start, "stop": start + len(study.hu), "masked": study.mask is not None}
        return entry if study.study_labels is None else {**entry, "study_labels": study.study_labels.tolist()}

    def finish(self, complete: bool) -> None:
        """Write the index, last and in one step; without it nothing here is read."""
        for array in self._arrays.values():
            array.resize(self._count)
        index = {"complete": complete, "studies": self._entries, "problems": self._problems}
        with replacing(self._folder / _INDEX) as part:
            part.write_text(json.dumps(index, indent=1))
        if complete:
            (self._folder / _JOURNAL).unlink()


def read_index(folder: Path) -> dict[str, Any] | None:
    """Read what is in a cache folder; None where nothing can be used yet."""
    path = folder / _INDEX
    return json.loads(path.read_text()) if path.is_file() else None


def restore(folder: Path, entries: Sequence[dict[str, Any]]) -> list[TrainingStudy]:
    """Map the studies of these entries of the index into memory."""
    hu = np.load(folder / "hu.npy", mmap_mode="r")
    labels = np.load(folder / "labels.npy").astype(np.float32)
    mask = np.load(folder / "mask.npy", mmap_mode="r") if any(entry["masked"] for entry in entries) else None
    studies = []
    for entry in entries:
        part = slice(entry["start"], entry["stop"])
        fields = {name: entry[name] for name in _INDEXED} | {"names": tuple(entry["names"])}
        whole = entry.get("study_labels")
        studies.append(
            TrainingStudy(
                **fields,
                hu=hu[part],
                labels=labels[part],
                mask=mask[part] if mask is not None and entry["masked"] else None,
                study_labels=None if whole is None else np.array(whole, np.float32),
            )
        )
    return studies


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Wait until no other process writes to this folder, and keep others waiting."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
