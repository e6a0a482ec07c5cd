"""The full RSNA 2019 set as Kaggle packs it: `stage_2_train/ID_*.dcm` and `stage_2_train.csv`.

752,803 slices lie in one folder, in no order. A first pass reads the beginning of every file to learn which slices
make a study, and keeps notes. A second pass reads the pixels, study by study.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path

from ichscope.imaging.elements import DicomError, parse, text
from ichscope.imaging.intake import collect
from ichscope.imaging.source import Source, SourceError
from training.data.cache import Journal
from training.data.dicom import read_group, series_study
from training.data.kaggle import kaggle_labels
from training.data.study import UNKNOWN, Problem
from training.data.work import CollectionPart, Work

_FOLDER, _TABLE, _NOTES = "stage_2_train", "stage_2_train.csv", "headers.jsonl"
# Headers of this set have less than 1 KiB before the pixels.
_HEAD_BYTES = 1 << 13
_STUDY_UID = 0x0020000D
_FILES_A_CHUNK = 256


@dataclass(frozen=True, slots=True)
class _Header:
    """What the beginning of a file says; `problem` if it cannot be used."""

    file: str
    study: str = ""
    patient: str = ""
    problem: str = ""


@dataclass(frozen=True)
class _Study:
    """What is read at once: the files of a study, and their labels by file."""

    key: str
    patient: str
    folder: Path
    labels: dict[str, list[float] | None]


def rsna_2019(root: Path, work: Work) -> Iterator[CollectionPart]:
    """Studies of the folder `rsna-2019`; patients have the names that they have in the samples of this set."""
    folder, table = root / _FOLDER, root / _TABLE
    if not folder.is_dir() or not table.is_file():
        raise FileNotFoundError(f"{root}: expected {_FOLDER}/ and {_TABLE} in it, as Kaggle packs them")
    problems: list[Problem] = []
    labels = kaggle_labels(table, problems)
    studies = _by_study(_headers(folder, work), problems)
    yield CollectionPart("labels and headers", [], problems)
    left = {key: headers for key, headers in sorted(studies.items()) if key not in work.done}
    jobs = (
        _Study(key, headers[0].patient, folder, {header.file: labels.get(_slice(header.file)) for header in headers})
        for key, headers in left.items()
    )
    total = sum(map(len, left.values()))
    yield from work.map(_read, jobs, "rsna-2019, slices read", total, lambda job: len(job.labels))
    (work.folder / _NOTES).unlink()


def _slice(file: str) -> str:
    return file.removesuffix(".dcm")


def _headers(folder: Path, work: Work) -> Iterator[_Header]:
    """Headers of all files, those of an earlier run from its notes."""
    with closing(Journal(work.folder / _NOTES)) as notes:
        noted = [_Header(*note) for chunk in notes.lines for note in chunk]
        yield from noted
        left = sorted({path.name for path in folder.glob("*.dcm")} - {header.file for header in noted})
        chunks = (left[i : i + _FILES_A_CHUNK] for i in range(0, len(left), _FILES_A_CHUNK))
        for headers in work.map(partial(_read_headers, folder), chunks, "rsna-2019, headers read", len(left), len):
            notes.append([astuple(header) for header in headers])
            yield from headers


def _read_headers(folder: Path, files: list[str]) -> list[_Header]:
    return [_read_header(Source(file, path=folder / file)) for file in files]


def _read_header(source: Source) -> _Header:
    try:
        dataset, _ = parse(source.read(_HEAD_BYTES), source.name, _STUDY_UID)
    except (DicomError, SourceError) as error:
        return _Header(source.name, problem=str(error).removeprefix(f"{source.name}: "))
    study, patient = text(dataset, "StudyInstanceUID"), text(dataset, "PatientID")
    missing = "" if study and patient else "has no Study Instance UID or no Patient ID"
    return _Header(source.name, study, patient, missing)


def _by_study(headers: Iterator[_Header], problems: list[Problem]) -> dict[str, list[_Header]]:
    studies = defaultdict(list)
    for header in headers:
        if header.problem:
            problems.append(Problem(f"{_FOLDER}/{header.file}", header.problem))
        else:
            studies[f"rsna-2019/{header.study}"].append(header)
    return studies


def _read(study: _Study) -> CollectionPart:
    """One training study for each volume of the study; nearly always that is one."""
    problems: list[Problem] = []
    intake = collect([study.folder / file for file in sorted(study.labels)])
    problems += [Problem(rejected.name, rejected.reason) for rejected in intake.rejected]
    read = []
    for number, group in enumerate(intake.groups, 1):
        if (series := read_group(group, problems)) is None:
            continue
        files = [entry.file for entry in series.slices]
        labels = [study.labels[file] or UNKNOWN for file in files]
        key = study.key if number == 1 else f"{study.key}/{number}"
        names = [f"{_FOLDER}/{file}" for file in files]
        read.append(series_study("rsna-2019", f"rsna/{study.patient}", key, series, labels, names=names))
    problems = [Problem(f"{_FOLDER}/{problem.file}", problem.reason) for problem in problems]
    bare = sum(labels is None for labels in study.labels.values())
    if bare:
        problems.append(Problem(study.key, f"{bare} of {len(study.labels)} slices have no row in {_TABLE}: unknown"))
    return CollectionPart(study.key, read, problems)
