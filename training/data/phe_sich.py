"""PHE-SICH-CT-IDS: pictures of patients who all bleed, with an outlined region as a proxy for parenchymal blood."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ichscope.labels import LABELS
from training.data.files import grey, picture_hu, rows
from training.data.study import Problem, TrainingStudy, training_study

# This scan starts at the chest, which would set the box of the whole study.
_HEAD_FROM = {"0163": 36}


def phe_sich(root: Path, problems: list[Problem]) -> Iterator[TrainingStudy]:
    """One study a patient, from the folder `phe-sich`."""
    patients = defaultdict(list)
    for row in rows(root / "labels.csv"):
        patients[row["patient"]].append(row)
    for patient, slices in sorted(patients.items()):
        slices.sort(key=lambda row: int(row["slice"]))
        first = _HEAD_FROM.get(patient, 0)
        if first:
            problems.append(Problem(slices[0]["file"], f"slices 0 to {first - 1} show no head: left out"))
            slices = slices[first:]
        read = [(row, grey(root / row["file"], problems)) for row in slices]
        kept = [(row, picture) for row, picture in read if picture is not None]
        if not kept:
            continue
        hu = picture_hu(np.stack([picture for _, picture in kept]))
        turned = np.rot90(hu, quarter_turns(hu), axes=(1, 2))
        labels = proxy_labels(np.array([row["perihaematomal_region"] == "1" for row, _ in kept]))
        name = f"phe-sich/{patient}"
        names = [row["file"] for row, _ in kept]
        yield training_study("phe-sich", name, name, turned, labels, names, pictures=True)


def quarter_turns(hu: NDArray[np.int16]) -> int:
    """Quarter turns for ``np.rot90`` that bring a head lying sideways upright: the head holder goes down.

    Heads of PHE-SICH face left or right; what lies beside the head (the holder) is behind it.
    """
    shown = hu[:, ::2, ::2] > 15
    components, _ = ndimage.label(shown, np.ones((3, 3, 3)))
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    head = components == sizes.argmax()
    rest = shown & ~ndimage.binary_dilation(head, iterations=3)
    if not rest.any():
        return -1
    head_column = np.nonzero(head)[2].mean()
    rest_column = np.nonzero(rest)[2].mean()
    return -1 if rest_column >= head_column else 1


def proxy_labels(outlined: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Labels (n, 6) of a patient who bleeds, from slices with an outlined perihaematomal region (n,).

    Outlined: any and intraparenchymal are 1. Next to an outline: unknown, blood may reach there. Further
    away: no intraparenchymal bleed; whether another kind is there stays unknown.
    """
    labels = np.full((len(outlined), len(LABELS)), np.nan, np.float32)
    near = ndimage.binary_dilation(outlined, iterations=1)
    parenchyma = LABELS.index("intraparenchymal")
    labels[~near, parenchyma] = 0
    labels[outlined, parenchyma] = 1
    labels[outlined, LABELS.index("any")] = 1
    return labels
