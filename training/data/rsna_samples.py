"""Two samples of RSNA 2019: `rsna-sdh` (pictures of bleeds) and `rsna-sample` (a few DICOM files)."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError

from ichscope.labels import LABELS
from training.data.files import grey, picture_hu, rows
from training.data.kaggle import kaggle_labels
from training.data.study import UNKNOWN, Problem, TrainingStudy, training_study


def rsna_sdh(root: Path, problems: list[Problem]) -> Iterator[TrainingStudy]:
    """RSNA slices that bleed, as pictures; an empty label is unknown."""
    for row in rows(root / "labels.csv"):
        picture = grey(root / row["file"], problems)
        if picture is None:
            continue
        labels = [[float(row[name] or "nan") for name in LABELS]]
        patient, study = f"rsna/{row['group']}", f"rsna-sdh/{Path(row['file']).stem}"
        yield training_study(
            "rsna-sdh", patient, study, picture_hu(picture[None]), labels, [row["file"]], pictures=True
        )


def rsna_sample(root: Path, problems: list[Problem]) -> Iterator[TrainingStudy]:
    """A few RSNA DICOM files, labelled in the Kaggle form."""
    labels = kaggle_labels(root / "labels.csv", problems)
    groups = defaultdict(list)
    for path in sorted((root / "dicom").rglob("*.dcm")):
        try:
            with warnings.catch_warnings():
                # RSNA's anonymised UIDs are not valid UIDs; that is known and harms nothing here.
                warnings.filterwarnings("ignore", "Invalid value for VR UI", UserWarning)
                data = pydicom.dcmread(path)
                groups[data.StudyInstanceUID].append((path, data, dicom_hu(data)))
        except (InvalidDicomError, AttributeError, ValueError, OSError) as error:
            problems.append(Problem(str(path.relative_to(root)), str(error)))
    for uid, files in sorted(groups.items()):
        files.sort(key=lambda file: float(file[1].ImagePositionPatient[2]))
        heights = np.diff([float(data.ImagePositionPatient[2]) for _, data, _ in files])
        spacing = tuple(float(value) for value in files[0][1].PixelSpacing)
        yield training_study(
            "rsna-sample",
            f"rsna/{files[0][1].PatientID}",
            f"rsna-sample/{uid}",
            np.stack([hu for _, _, hu in files]),
            [labels.get(path.stem, UNKNOWN) for path, _, _ in files],
            [str(path.relative_to(root)) for path, _, _ in files],
            spacing_mm=float(np.median(heights)) if len(heights) else None,
            pixel_spacing_mm=(spacing[0], spacing[1]),
        )


def dicom_hu(data: pydicom.Dataset) -> NDArray[np.int16]:
    """HU of one CT file: (rows, columns) int16. Padding outside the reconstruction becomes air."""
    hu = data.pixel_array.astype(np.float32) * float(data.RescaleSlope) + float(data.RescaleIntercept)
    return np.asarray(np.clip(hu, -1024, 4095), np.int16)
