"""PhysioNet CT-ICH 1.0.0: pictures in two windows, labels a slice, readers' outlines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichscope.labels import SUBTYPES
from training.data.files import grey, rows
from training.data.study import Problem, TrainingStudy, training_study

_COLUMNS = {name: name.capitalize() for name in SUBTYPES}


def ct_ich(root: Path, problems: list[Problem]) -> Iterator[TrainingStudy]:
    """One study a patient, from the folder `ct-ich`."""
    labelled = defaultdict(list)
    for row in rows(root / "hemorrhage_diagnosis.csv"):
        labelled[int(row["PatientNumber"])].append(row)
    for folder in sorted((root / "Patients_CT").iterdir()):
        slices = sorted(labelled.get(int(folder.name), []), key=lambda row: int(row["SliceNumber"]))
        hu, mask, labels, names = [], [], [], []
        for row in slices:
            number = row["SliceNumber"]
            slice_hu = _slice(folder, number, problems)
            if slice_hu is None:
                continue
            hu.append(slice_hu)
            outline = grey(folder / "mask" / f"{number}.png", problems, missing_ok=True)
            mask.append(np.zeros(slice_hu.shape, bool) if outline is None else outline > 127)
            known = [float(row[_COLUMNS[name]]) for name in SUBTYPES]
            labels.append([max(known), *known])
            names.append(f"Patients_CT/{folder.name}/{number}")
        if hu:
            patient = f"ct-ich/{folder.name}"
            yield training_study("ct-ich", patient, patient, np.stack(hu), labels, names, np.stack(mask), 5.0)


def _slice(folder: Path, number: str, problems: list[Problem]) -> NDArray[np.int16] | None:
    brain = grey(folder / "brain" / f"{number}.jpg", problems)
    bone = grey(folder / "bone" / f"{number}.jpg", problems)
    if brain is None:
        return None
    return rebuild_hu(brain, bone)


def rebuild_hu(brain: NDArray[np.uint8], bone: NDArray[np.uint8] | None) -> NDArray[np.int16]:
    """Rebuild HU from a brain window (level 40, width 120) and a bone window (level 700, width 3200).

    The brain window is exact to 1 HU where it is not clipped; beyond its ends the bone window takes over,
    and without a bone window the values stay at its ends (-20 and 100 HU).
    """
    hu = brain / 255 * 120 - 20
    if bone is not None:
        coarse = bone / 255 * 3200 - 900
        hu = np.where(brain < 3, np.minimum(coarse, hu), np.where(brain > 252, np.maximum(coarse, hu), hu))
    return np.rint(hu).astype(np.int16)
