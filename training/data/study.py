"""What training sees of one study, and how it is made from HU."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ichscope.imaging.preprocess import head_box, resample
from ichscope.labels import LABELS

UNKNOWN = (float("nan"),) * len(LABELS)


@dataclass(frozen=True, eq=False)
class TrainingStudy:
    """One study as training sees it; slices run from foot to head.

    hu : (n, 224, 224) int16 HU, as ``ichscope.imaging.preprocess.model_input`` gives it
    labels : (n, 6) float32 in the order of LABELS; nan is unknown
    patient : prefixed by the hospital's collection; the RSNA sources share theirs, since they share patients
    mask : (n, 224, 224) uint8, 1 where readers outlined the bleed; None where nobody outlined
    names : the file of each slice, relative to the collection
    pictures : the HU come from 8-bit pictures and end at the window's limits (0 to 80 HU)
    study_labels : (6,) float32, nan is unknown, where readers judged the study as a whole; else None
    """

    source: str
    patient: str
    study: str
    hu: NDArray[np.int16]
    labels: NDArray[np.float32]
    mask: NDArray[np.uint8] | None
    names: tuple[str, ...]
    spacing_mm: float | None = None
    pictures: bool = False
    study_labels: NDArray[np.float32] | None = None

    @property
    def bleeds(self) -> NDArray[np.bool_]:
        """(6,) labels that are known to be positive somewhere in the study."""
        on_a_slice: NDArray[np.bool_] = (self.labels == 1).any(axis=0)
        return on_a_slice if self.study_labels is None else on_a_slice | (self.study_labels == 1)

    def part(self, slices: slice) -> TrainingStudy:
        """Cut out a run of slices, without outlines."""
        return replace(self, hu=self.hu[slices], labels=self.labels[slices], mask=None, names=self.names[slices])


@dataclass(frozen=True)
class Problem:
    """A file that could not be used fully, and why."""

    file: str
    reason: str


def training_study(
    source: str,
    patient: str,
    study: str,
    hu: NDArray[np.int16],
    labels: Iterable[Sequence[float]] | NDArray[np.float32],
    names: Sequence[str],
    mask: NDArray[np.bool_] | None = None,
    spacing_mm: float | None = None,
    pictures: bool = False,
    pixel_spacing_mm: tuple[float, float] | None = None,
    study_labels: NDArray[np.float32] | None = None,
) -> TrainingStudy:
    """Crop and resample (n, rows, columns) HU and readers' outlines as inference does."""
    box = head_box(hu, pixel_spacing_mm)
    small = resample(hu, box)
    if pictures:
        # Outside the picture resample puts air; a picture cannot show less than its window.
        small = np.maximum(small, 0)
    outline = None
    if mask is not None:
        # resample fills the outside with -1000: a mask drawn as -1000 and 0 keeps that outside empty.
        outline = (resample((mask * np.int16(1000) - np.int16(1000)), box) >= -500).astype(np.uint8)
    known = np.asarray(labels, np.float32)
    return TrainingStudy(
        source, patient, study, small, known, outline, tuple(names), spacing_mm, pictures, study_labels
    )
