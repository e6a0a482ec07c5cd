"""What an encoder sees in studies, kept between the stages of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichscope.atomic import replacing
from ichscope.labels import LABELS
from training.data.study import hospital_of


@dataclass(frozen=True, eq=False)
class EmbeddedStudy:
    """Features (slices, d) of one study, with its labels (slices, 6), nan where unknown.

    study_labels : (6,) where readers judged the study as a whole; None where they did not
    """

    source: str
    patient: str
    study: str
    features: NDArray[np.float32]
    labels: NDArray[np.float32]
    study_labels: NDArray[np.float32] | None = None

    @property
    def hospital(self) -> str:
        """The collection that the patient is of."""
        return hospital_of(self.patient)

    @property
    def whole_labels(self) -> NDArray[np.float32]:
        """(6,) labels of the study: 1 where any slice is, 0 where all are, else as readers judged it as a whole.

        >>> slices = np.array([[0, np.nan, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]], np.float32)
        >>> EmbeddedStudy("s", "h/p", "s", slices, slices).whole_labels.tolist()
        [0.0, nan, 1.0, 0.0, 0.0, 0.0]
        """
        of_slices = labels_of_study(self.labels[None])[0]
        return of_slices if self.study_labels is None else np.where(np.isnan(of_slices), self.study_labels, of_slices)


def labels_of_study(slices: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, slices, labels) to (n, labels): 1 where any slice is, 0 where all are, nan where that is not known."""
    positive = (slices == 1).any(axis=1)
    return np.where(positive, 1.0, np.where(np.isnan(slices).any(axis=1), np.nan, 0.0)).astype(np.float32)


def save(studies: Sequence[EmbeddedStudy], path: Path) -> None:
    """Keep features, whole or not at all."""
    unknown = np.full(len(LABELS), np.nan, np.float32)
    with replacing(path) as part:
        np.savez(
            part,
            features=np.concatenate([study.features for study in studies]),
            labels=np.concatenate([study.labels for study in studies]),
            lengths=[len(study.features) for study in studies],
            names=[(study.source, study.patient, study.study) for study in studies],
            whole=[unknown if study.study_labels is None else study.study_labels for study in studies],
        )


def restore(path: Path) -> list[EmbeddedStudy]:
    """Read what `save` wrote."""
    with np.load(path) as saved:
        ends = np.cumsum(saved["lengths"])[:-1]
        features, labels = np.split(saved["features"], ends), np.split(saved["labels"], ends)
        names, whole = saved["names"].tolist(), list(saved["whole"])
    return [
        EmbeddedStudy(source, patient, study, slices, known, None if np.isnan(judged).all() else judged)
        for (source, patient, study), slices, known, judged in zip(names, features, labels, whole, strict=True)
    ]
