"""A hospital's own studies: a folder `own` of DICOM files, in any order and depth, and one CSV with what readers found.

The CSV has the form that `ichscope import-truth` reads: a row a study (a column `study`: Study Instance UID, or the
name of the study's folder) or a row a slice (a column `sop`: SOP Instance UID, or Kaggle's `ID,Label`), the labels as
columns, `patient` where the files do not say it, `reader` where there are several (their majority counts).

Labels of a study say of its slices what is not there; on which slices a bleed lies stays unknown. Of the series of a
study the one that speaks for it is taken. Patients and studies are named by hashes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from ichscope.imaging import quality
from ichscope.imaging.elements import short_hash
from ichscope.imaging.findings import FindingLevel
from ichscope.imaging.intake import Group, collect
from ichscope.imaging.series import Series
from ichscope.labels import LABELS
from ichscope.tabular.annotations import agreed
from ichscope.tabular.foreign_table import read_truth
from ichscope.tabular.naming import alike, folders_of
from training.data.dicom import read_group, series_study
from training.data.study import UNKNOWN, Problem, TrainingStudy
from training.data.work import CollectionPart, Work

Labels = NDArray[np.float32]


@dataclass(frozen=True)
class _Truth:
    """What the CSV says.

    slices : SOP Instance UID -> (6,) labels; studies : hash of its UID, or name of its folder, -> (6,) labels
    patients : as `slices` or `studies`, the patient
    """

    slices: Mapping[str, Labels] = field(default_factory=dict)
    studies: Mapping[str, Labels] = field(default_factory=dict)
    patients: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Study:
    """What is read at once: the series of a study, the one that speaks for it first."""

    groups: tuple[Group, ...]
    truth: _Truth

    @property
    def key(self) -> str:
        return f"own/{self.groups[0].study}"


def own(root: Path, work: Work) -> Iterator[CollectionPart]:
    """Studies of the folder `own`."""
    problems: list[Problem] = []
    truth = _read_truth(_only_table(root), problems)
    intake = collect([root])
    problems += [Problem(rejected.name, rejected.reason) for rejected in intake.rejected]
    pictures = sum(group.kind == "picture" for group in intake.groups)
    if pictures:
        problems.append(Problem(root.name, f"{pictures} pictures: left out, they train as the collection `pictures`"))
    yield CollectionPart("table", [], problems)
    studies = [_Study(groups, truth) for groups in intake.studies if groups[0].kind == "ct"]
    left = [study for study in studies if study.key not in work.done]
    yield from work.map(_read, left, "own, studies read", len(left))


def _only_table(root: Path) -> Path:
    tables = sorted(root.glob("*.csv"))
    if len(tables) != 1:
        names = ", ".join(path.name for path in tables) or "none"
        raise FileNotFoundError(f"{root}: expected one CSV file with labels beside the DICOM files, found {names}")
    return tables[0]


def _read_truth(path: Path, problems: list[Problem]) -> _Truth:
    """Labels of ours in the table, by what its rows are about.

    Raises
    ------
    TableError, ValueError
        if it cannot be used
    """
    foreign = read_truth(path)
    if "sop" not in foreign.roles and (foreign.level == "slice" or "study" not in foreign.roles):
        raise ValueError(f"{foreign.table.header}: expected a column 'study' or 'sop'")
    by = "sop" if "sop" in foreign.roles else "study"
    names = [label for label in LABELS if label in foreign.labels]
    if not names:
        raise ValueError(f"{foreign.table.header}: found no label, expected columns such as {', '.join(LABELS)}")
    values = agreed(foreign, by, names)
    problems += [Problem(path.name, note) for note in values.notes]
    given = np.column_stack([values.labels.get(label, np.full(len(values.keys), np.nan)) for label in LABELS])
    labels = [_completed(row, path.name, problems) for row in given]
    if by == "sop":
        return _Truth(dict(zip(values.keys, labels, strict=True)), {}, _named(values.keys, values.patient))
    keys = [*map(short_hash, values.keys), *alike(values.keys)]
    return _Truth({}, dict(zip(keys, labels * 2, strict=True)), _named(keys, [*values.patient] * 2))


def _named(keys: Sequence[str], patients: Sequence[str]) -> dict[str, str]:
    return {key: patient for key, patient in zip(keys, patients, strict=True) if patient}


def _completed(row: NDArray[np.float64], file: str, problems: list[Problem]) -> Labels:
    """(6,) labels with what follows from them: `any` from its kinds, and no kind without `any`."""
    labels = row.astype(np.float32)
    if labels[0] == 0 and (labels[1:] == 1).any():
        problems.append(Problem(file, "a kind of haemorrhage, but no haemorrhage: all labels unknown"))
        return np.array(UNKNOWN, np.float32)
    if np.isnan(labels[0]) and (labels[1:] == 1).any():
        labels[0] = 1
    if np.isnan(labels[0]) and (labels[1:] == 0).all():
        labels[0] = 0
    if labels[0] == 0:
        labels[:] = 0
    return labels


def _read(study: _Study) -> CollectionPart:
    problems: list[Problem] = []
    found = _by_slices(study, problems) if study.truth.slices else _by_study(study, problems)
    if not found and not problems:
        problems.append(Problem(_folder_of(study.groups[0]), "has no row in the table: left out"))
    return CollectionPart(study.key, found, problems)


def _by_slices(study: _Study, problems: list[Problem]) -> list[TrainingStudy]:
    """Every series with a labelled slice."""
    found = []
    for number, group in enumerate(study.groups):
        if (series := _readable(group, problems)) is None:
            continue
        rows = [study.truth.slices.get(entry.sop) for entry in series.slices]
        if all(row is None for row in rows):
            continue
        if bare := sum(row is None for row in rows):
            problems.append(Problem(_folder_of(group), f"{bare} of {len(rows)} slices have no row: unknown"))
        labels = np.array([UNKNOWN if row is None else row for row in rows], np.float32)
        patient = _patient(study, series, [entry.sop for entry in series.slices])
        key = study.key if number == 0 else f"{study.key}/{number}"
        found.append(series_study("own", patient, key, series, labels, names=_files(series)))
    return found


def _by_study(study: _Study, problems: list[Problem]) -> list[TrainingStudy]:
    """The series that speaks for the study, or the next one that can be used."""
    first = study.groups[0]
    names = [first.study, *folders_of([first.sources[0].name], list(study.truth.studies))]
    whole = next((study.truth.studies[name] for name in names if name in study.truth.studies), None)
    if whole is None:
        return []
    for group in study.groups:
        if (series := _readable(group, problems)) is not None:
            # What a study does not have is on none of its slices.
            slices = np.tile(np.where(whole == 0, np.float32(0), np.float32(np.nan)), (len(series.hu), 1))
            if len(slices) == 1:
                slices[0] = whole
            patient = _patient(study, series, names)
            return [series_study("own", patient, study.key, series, slices, _files(series), whole)]
    return []


def _readable(group: Group, problems: list[Problem]) -> Series | None:
    """Read a series that models may judge."""
    series = read_group(group, problems)
    if series is None:
        return None
    refused = [finding.text for finding in quality.assess(series) if finding.level == FindingLevel.NOT_ANALYSABLE]
    if refused:
        problems.append(Problem(_folder_of(group), " ".join(refused)))
        return None
    return series


def _patient(study: _Study, series: Series, names: Sequence[str]) -> str:
    """Name the patient by a hash: of what the table says, else of what the files say, else of the study."""
    of_table = next((study.truth.patients[name] for name in names if name in study.truth.patients), "")
    return f"own/{short_hash('patient', of_table or series.patient_id or study.key)}"


def _files(series: Series) -> list[str]:
    """Names of files without those of folders, which may be a patient's."""
    return [PurePosixPath(entry.file).name for entry in series.slices]


def _folder_of(group: Group) -> str:
    return PurePosixPath(group.sources[0].name).parent.name or "own"
