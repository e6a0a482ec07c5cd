"""Slices of RSNA 2019 with and without a bleed, of many scanners, and two small sets that come with them.

    rsna-more/   labels.csv  images/ID_*.jpg  whole-study/ID_*.dcm  outlines/  ischaemic/

`rsna-more` are the slices of `labels.csv`, nearly all of them alone: pictures of the brain window, and one study as
DICOM. `bhsd` are the slices in `outlines/`, of RSNA patients too, on which BHSD's readers outlined every bleed by its
kind. `cpaisd` are the slices in `ischaemic/`: acute ischaemic strokes of CPAISD, hard negatives.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichscope.imaging.intake import collect
from ichscope.labels import LABELS, SUBTYPES
from training.data.dicom import read_group, series_study
from training.data.files import grey, picture_hu, rows
from training.data.study import KINDS, UNKNOWN, Problem, TrainingStudy, training_study

_WHOLE_STUDY = "whole-study"
_PICTURE_HU = 80
# Values of BHSD's masks, in the order of the columns.
_OUTLINES = dict(enumerate(SUBTYPES, 1))


def rsna_more(root: Path, problems: list[Problem]) -> Iterator[TrainingStudy]:
    """RSNA slices with RSNA's own labels: the whole study in its order, all others alone."""
    table = rows(root / "labels.csv")
    whole = _whole_studies(root, {row["sop"]: row for row in table}, problems)
    yield from whole
    together = {Path(name).stem for study in whole for name in study.names}
    for row in table:
        if row["sop"] in together or (picture := grey(root / row["file"], problems)) is None:
            continue
        hu = picture_hu(picture[None], float(row["window_centre"]))
        name = f"rsna-more/{row['sop']}"
        yield training_study("rsna-more", patient_of(row), name, hu, [labels_of(row)], [row["file"]], pictures=True)


def _whole_studies(root: Path, table: dict[str, dict[str, str]], problems: list[Problem]) -> list[TrainingStudy]:
    folder = root / _WHOLE_STUDY
    intake = collect([folder] if folder.is_dir() else [])
    problems += [Problem(rejected.name, rejected.reason) for rejected in intake.rejected]
    studies = []
    for group in intake.groups:
        if (series := read_group(group, problems)) is None:
            continue
        files = [Path(entry.file).name for entry in series.slices]
        found = [table.get(Path(file).stem) for file in files]
        if not (known := [row for row in found if row]):
            problems.append(Problem(f"{_WHOLE_STUDY}/{files[0]}", f"{len(files)} slices have no row in labels.csv"))
            continue
        labels = [labels_of(row) if row else UNKNOWN for row in found]
        names = [f"{_WHOLE_STUDY}/{file}" for file in files]
        name = f"rsna-more/{known[0]['study'] or group.study}"
        studies.append(series_study("rsna-more", patient_of(known[0]), name, series, labels, names=names))
    return studies


def patient_of(row: dict[str, str]) -> str:
    """Name the patient; of one without a name, the study, and of a slice without a study, the slice.

    >>> patient_of({"patient": "", "study": "ID_a", "sop": "ID_b"})
    'rsna/ID_a'
    """
    return f"rsna/{row['patient'] or row['study'] or row['sop']}"


def labels_of(row: dict[str, str]) -> list[float]:
    """Six labels in the order of LABELS; what is empty is unknown."""
    return [float(row[name] or "nan") for name in LABELS]


def bhsd(root: Path, problems: list[Problem]) -> Iterator[TrainingStudy]:
    """Slices with every bleed outlined by its kind, from the folder `outlines`."""
    for row in rows(root / "labels.csv"):
        picture, outlined = (grey(root / row[column], problems) for column in ("file", "mask"))
        if picture is None or outlined is None:
            continue
        name = f"bhsd/{Path(row['file']).stem}"
        mask = np.zeros(outlined.shape, np.uint8)
        for value, kind in _OUTLINES.items():
            mask[outlined == value] = KINDS[kind]
        patient = f"rsna/{row['patient']}" if row["patient"] else name
        hu, labels = _as_window(picture[None]), [labels_of(row)]
        yield training_study("bhsd", patient, name, hu, labels, [row["file"]], mask[None], pictures=True)


def cpaisd(root: Path, problems: list[Problem]) -> Iterator[TrainingStudy]:
    """Ischaemic strokes without a bleed, from the folder `ischaemic`; each slice counts as a patient."""
    for row in rows(root / "labels.csv"):
        if (picture := grey(root / row["file"], problems)) is None:
            continue
        name = f"cpaisd/{row['patient'] or Path(row['file']).stem}"
        study = f"cpaisd/{Path(row['file']).stem}"
        yield training_study(
            "cpaisd", name, study, _as_window(picture[None]), [labels_of(row)], [row["file"]], pictures=True
        )


def _as_window(hu: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Grey that is HU, cut to 0 to 255, as a picture of the brain window: what is below 0 is lost in both."""
    return np.minimum(hu, _PICTURE_HU).astype(np.int16)
