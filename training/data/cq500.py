"""CQ500 (Chilamkurthy et al., Lancet 2018) as qure.ai publishes it: `reads.csv`, and a folder or ZIP file a patient.

    CQ500CT0 CQ500CT0/Unknown Study/<series>/CT000000.dcm

Three radiologists read each head as a whole, so the truth is a study's (the majority of three) and slices are
unknown, except that every slice of a head without haemorrhage is known to have none.

Of a patient's series one is taken: without contrast agent, in a soft-tissue kernel, axial, and with slices as close
to 5 mm as there are, since that is what the other collections have. Series that contrast agent or a bone kernel
made, by name or by header, are left out, and so are those whose name ends in "C" ("C+" and "C-" both lost their sign
when the set was packed).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ichscope.imaging import quality
from ichscope.imaging.elements import DicomError, parse, text
from ichscope.imaging.findings import FindingLevel
from ichscope.imaging.header import header_of
from ichscope.imaging.intake import Group, collect
from ichscope.imaging.source import SourceError
from ichscope.labels import LABELS
from training.data.dicom import read_group, series_study
from training.data.files import rows
from training.data.study import Problem, TrainingStudy
from training.data.work import CollectionPart, Work

_COLUMNS = {
    "any": "ICH",
    "epidural": "EDH",
    "intraparenchymal": "IPH",
    "intraventricular": "IVH",
    "subarachnoid": "SAH",
    "subdural": "SDH",
}
_READERS = ("R1", "R2", "R3")
_NUMBER = re.compile(r"CQ500-?CT-?(\d+)")
_HEAD_BYTES = 1 << 16
_WANTED_MM = 5.0
_FEWEST_SLICES = 10
_PLAIN = re.compile(r"\bPLAIN\b|\b(PRE|NON|NO|WITHOUT)[ -]?CONTRAST\b|\bNCCT\b")
_CONTRAST = re.compile(
    r"CONTRAST|CECT|\bPOST\b|\bCTA\b|ANGIO|VENO|PERF|DELAY|\bDE\b|\bIV\b|\bORAL\b|\d ?CC\b|(\b|MM)C\b"
)
_BONE = re.compile(r"BONE|\bPNS\b|\bHRCT\b|ORBIT|HI ?RES")


@dataclass(frozen=True)
class _Patient:
    name: str
    path: Path
    labels: NDArray[np.float32]


def cq500(root: Path, work: Work) -> Iterator[CollectionPart]:
    """One study a patient of the folder `cq500`."""
    problems: list[Problem] = []
    truth = _majorities(root / "reads.csv", problems)
    paths = {match[1]: path for path in sorted(root.iterdir()) if (match := _NUMBER.match(path.name))}
    for number in paths.keys() - truth.keys():
        problems.append(Problem(paths[number].name, "has no row in reads.csv: left out"))
    if missing := truth.keys() - paths.keys():
        problems.append(Problem("reads.csv", f"{len(missing)} of {len(truth)} scans are not here"))
    yield CollectionPart("reads", [], problems)
    patients = [_Patient(f"CQ500-CT-{n}", paths[n], truth[n]) for n in sorted(paths.keys() & truth.keys(), key=int)]
    left = [patient for patient in patients if patient.name not in work.done]
    yield from work.map(_read, left, "cq500, patients read", len(left))


def _majorities(path: Path, problems: list[Problem]) -> dict[str, NDArray[np.float32]]:
    """Number of the scan -> (6,) what two of three readers agree on, nan where they do not."""
    truth = {}
    for row in rows(path):
        match = _NUMBER.match(row["name"])
        if match is None:
            problems.append(Problem(path.name, f"the row {row['name'][:20]!r} names no scan"))
            continue
        labels = np.array([_majority([row.get(f"{r}:{_COLUMNS[name]}") for r in _READERS]) for name in LABELS])
        if labels[0] == 0 and (labels[1:] == 1).any():
            problems.append(Problem(row["name"], "a kind of haemorrhage, but no haemorrhage: all labels unknown"))
            labels[:] = np.nan
        elif np.isnan(labels).any():
            problems.append(Problem(row["name"], "no two readers agree on every label: those are unknown"))
        truth[match[1]] = labels.astype(np.float32)
    return truth


def _majority(votes: list[str | None]) -> float:
    for value in ("0", "1"):
        if sum((vote or "").strip() == value for vote in votes) >= 2:
            return float(value)
    return math.nan


def _read(patient: _Patient) -> CollectionPart:
    problems: list[Problem] = []
    study = _study(patient, problems)
    if study is None:
        problems.append(Problem(patient.path.name, "no plain axial series of a head: left out"))
    return CollectionPart(patient.name, [study] if study else [], problems)


def _study(patient: _Patient, problems: list[Problem]) -> TrainingStudy | None:
    intake = collect([patient.path])
    problems += [Problem(rejected.name, rejected.reason) for rejected in intake.rejected]
    ranked = [(rank, group) for group in intake.groups if (rank := _rank(group)) is not None]
    for _, group in sorted(ranked, key=lambda pair: pair[0]):
        series = read_group(group, problems)
        if series is None:
            continue
        refused = [finding.text for finding in quality.assess(series) if finding.level == FindingLevel.NOT_ANALYSABLE]
        if refused:
            problems.append(Problem(_folder_of(group), " ".join(refused)))
            continue
        labels = np.full((len(series.hu), len(LABELS)), 0 if patient.labels[0] == 0 else np.nan, np.float32)
        name = f"cq500/{patient.name}"
        return series_study("cq500", name, name, series, labels, study_labels=patient.labels)
    return None


def _folder_of(group: Group) -> str:
    return str(PurePosixPath(group.sources[0].name).parent)


def _rank(group: Group) -> tuple[bool, float, int, str] | None:
    """How well a series suits, least first; None if it must not be taken."""
    if group.kind != "ct" or len(group.sources) < _FEWEST_SLICES:
        return None
    first = group.sources[0]
    dataset = Dataset()
    with suppress(DicomError, SourceError):
        dataset, _ = parse(first.read(_HEAD_BYTES), first.name)
    header = header_of(dataset, Dataset())
    folder = PurePosixPath(_folder_of(group)).name
    words = f"{folder} | {text(dataset, 'SeriesDescription')}".upper()
    rest = _PLAIN.sub("", words)
    if header.contrast or _CONTRAST.search(rest) or _BONE.search(f"{rest} | {header.kernel.upper()}"):
        return None
    thickness = header.slice_thickness_mm
    off = math.inf if thickness is None else abs(thickness - _WANTED_MM)
    return rest == words, off, len(group.sources), first.name
