"""Real slices of head CT as grey pictures, by patient; read from folders that are no part of this repository."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from scipy import ndimage

from training.gate.grey import Array, as_grey

SHARES = 5
# Of the rectangle around a head: an arc of a head holder fills less, an apex shows nothing but bone.
_LEAST_FILLED, _LEAST_SOFT = 0.5, 0.2
_WINDOWS = ((40, 80), (40, 80), (35, 80), (40, 100), (40, 120), (35, 70), (45, 150), (60, 200), (36, 60))


@dataclass(frozen=True)
class HeadFile:
    """One slice on disk: its collection, its patient, and a second picture in a bone window, if there is one."""

    source: str
    patient: str
    path: Path
    bone: Path | None = None

    @property
    def test(self) -> bool:
        """Whether its patient is kept back for the test."""
        return self._draw % SHARES == 0

    @property
    def tune(self) -> bool:
        """Whether its patient is kept back to set the threshold with."""
        return self._draw % SHARES == 1

    @property
    def _draw(self) -> int:
        # The three RSNA collections share patients.
        return zlib.crc32(f"{self.source.split('-')[0]} {self.patient}".encode())


def head_files(root: Path) -> list[HeadFile]:
    """All slices below the data folder."""
    return [*_ct_ich(root / "ct-ich"), *_listed(root / "rsna-more", "patient"), *_listed(root / "rsna-sdh", "group"),
            *_listed(root / "phe-sich", "patient"), *_dicom(root / "rsna-sample")]  # fmt: skip


def _ct_ich(root: Path) -> Iterator[HeadFile]:
    for path in sorted(root.glob("Patients_CT/*/brain/*.jpg")):
        bone = path.parent.parent / "bone" / path.name
        yield HeadFile("ct-ich", path.parts[-3], path, bone if bone.exists() else None)


def _listed(root: Path, patient: str) -> Iterator[HeadFile]:
    with (root / "labels.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            path = root / row["file"]
            if "outlines" not in row["file"] and path.suffix == ".jpg" and path.exists():
                yield HeadFile(root.name, row[patient] or row.get("study") or row.get("sop") or path.stem, path)


def _dicom(root: Path) -> Iterator[HeadFile]:
    for path in sorted(root.glob("dicom/**/*.dcm")):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        yield HeadFile("rsna-sample", str(header.PatientID), path)


def head_hu(file: HeadFile) -> Array:
    """(rows, columns) HU; air and bone only where the collection has them, else black and white of its window."""
    if file.path.suffix == ".dcm":
        dataset = pydicom.dcmread(file.path)
        scaled: Array = np.float32(dataset.RescaleSlope) * dataset.pixel_array + np.float32(dataset.RescaleIntercept)
        return scaled
    grey = np.asarray(Image.open(file.path).convert("L"), np.float32)
    if file.source != "ct-ich":
        return grey * np.float32(80 / 255)
    hu = grey * np.float32(120 / 255) - 20
    if file.bone is not None:
        bone = np.asarray(Image.open(file.bone).convert("L"), np.float32) * np.float32(3200 / 255) - 900
        if bone.shape == hu.shape:
            hu = np.where((grey < 3) | (grey > 252), bone, hu)
    return hu


def head_picture(file: HeadFile, rng: np.random.Generator) -> Array:
    """Grey 0..1 in one of the windows that people show brains in."""
    level, width = map(float, _WINDOWS[rng.integers(len(_WINDOWS))] if rng.random() < 0.6 else (40, 80))
    if file.source not in ("ct-ich", "rsna-sample"):
        level, width = 40 + rng.normal(0, 3), 80 * np.exp(rng.normal(0, 0.1))
    return as_grey((head_hu(file) - (level - width / 2)) / width)


def head_box(grey: Array) -> tuple[int, int, int, int] | None:
    """Rectangle around the head, or None where there is none to be seen: apex, a head holder, all bone."""
    labelled, count = ndimage.label(ndimage.binary_opening(grey > 0.15, np.ones((5, 5))))
    if not count:
        return None
    largest = 1 + int(np.argmax(np.bincount(labelled.ravel())[1:]))
    rows, columns = ndimage.find_objects(labelled)[largest - 1]
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    filled = ndimage.binary_fill_holes(labelled[rows, columns] == largest)
    soft = np.mean((grey[rows, columns] > 0.15) & (grey[rows, columns] < 0.9))
    if area < 0.12 * grey.size or filled.mean() < _LEAST_FILLED or soft < _LEAST_SOFT:
        return None
    return rows.start, columns.start, rows.stop, columns.stop
