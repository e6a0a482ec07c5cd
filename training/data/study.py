"""What training sees of one study, and how it is made from HU."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ichscope.imaging.preprocess import head_box, resample
from ichscope.labels import LABELS, SUBTYPES

UNKNOWN = (float("nan"),) * len(LABELS)
# Values of a mask; 0 is no blood. A bleed is BLOOD where its kind is not said, else KINDS of the kind.
BLOOD, DOUBT, LOOKALIKE = 1, 2, 3
KINDS = {label: 10 + number for number, label in enumerate(SUBTYPES, 1)}


def bleeding(mask: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Where a mask shows blood of any kind.

    >>> bleeding(np.array([0, BLOOD, DOUBT, LOOKALIKE, KINDS["subdural"]], np.uint8)).tolist()
    [False, True, False, False, True]
    """
    values = mask.astype(np.uint8, copy=False)
    return np.asarray((values == BLOOD) | (values >= min(KINDS.values())))


@dataclass(frozen=True, eq=False)
class TrainingStudy:
    """One study as training sees it; slices run from foot to head.

    hu : (n, 224, 224) int16 HU, as ``ichscope.imaging.preprocess.model_input`` gives it
    labels : (n, 6) float32 in the order of LABELS; nan is unknown
    patient : prefixed by the hospital's collection; the RSNA sources share theirs, since they share patients
    mask : (n, 224, 224) uint8, BLOOD (or one of KINDS) where readers outlined the bleed; None where nobody outlined
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
    def hospital(self) -> str:
        """The collection that the patient is of, which several sources may be drawn from.

        >>> training_study("rsna-sdh", "rsna/ID_1", "s", np.zeros((1, 8, 8), np.int16), [UNKNOWN], "a").hospital
        'rsna'
        """
        return hospital_of(self.patient)

    @property
    def bleeds(self) -> NDArray[np.bool_]:
        """(6,) labels that are known to be positive somewhere in the study."""
        on_a_slice: NDArray[np.bool_] = (self.labels == 1).any(axis=0)
        return on_a_slice if self.study_labels is None else on_a_slice | (self.study_labels == 1)

    def part(self, slices: slice) -> TrainingStudy:
        """Cut out a run of slices, without outlines; labels of the study as a whole are not those of a part."""
        hu = self.hu[slices]
        whole = self.study_labels if len(hu) == len(self.hu) else None
        return replace(self, hu=hu, labels=self.labels[slices], mask=None, names=self.names[slices], study_labels=whole)


def hospital_of(patient: str) -> str:
    """Hospital of a patient's name: what stands before the first "/"."""
    return patient.partition("/")[0]


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
    mask: NDArray[np.generic] | None = None,
    spacing_mm: float | None = None,
    pictures: bool = False,
    pixel_spacing_mm: tuple[float, float] | None = None,
    study_labels: NDArray[np.float32] | None = None,
) -> TrainingStudy:
    """Crop and resample (n, rows, columns) HU and readers' outlines (bool, or a mask's values) as inference does."""
    box = head_box(hu, pixel_spacing_mm)
    small = resample(hu, box)
    if pictures:
        # Outside the picture resample puts air; a picture cannot show less than its window.
        small = np.maximum(small, 0)
    outline = None
    if mask is not None:
        outline = np.zeros(small.shape, np.uint8)
        for value in np.unique(mask[mask != 0]):
            # resample fills the outside with -1000: a mask drawn as -1000 and 0 keeps that outside empty.
            drawn = np.where(mask == value, np.int16(0), np.int16(-1000))
            outline[resample(drawn, box) >= -500] = value
    known = np.asarray(labels, np.float32)
    return TrainingStudy(
        source, patient, study, small, known, outline, tuple(names), spacing_mm, pictures, study_labels
    )
