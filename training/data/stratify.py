"""Folds of patients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ichscope.labels import LABELS
from training.data.study import TrainingStudy


def folds(studies: Sequence[TrainingStudy], k: int = 5, seed: int = 0) -> NDArray[np.int64]:
    """Fold of each study: all studies of a patient together, each label spread evenly in each source.

    Iterative stratification (Sechidis et al., ECML PKDD 2011): patients with the rarest label go first, each
    to the fold that has fewest of that label.
    """
    source_of: dict[str, str] = {}
    for study in studies:
        source_of.setdefault(study.patient, study.source)
    fold_of: dict[str, int] = {}
    for source in sorted(set(source_of.values())):
        fold_of |= _source_folds([study for study in studies if source_of[study.patient] == source], k, seed)
    return np.array([fold_of[study.patient] for study in studies], np.int64)


def _source_folds(studies: Sequence[TrainingStudy], k: int, seed: int) -> dict[str, int]:
    positive: dict[str, NDArray[np.bool_]] = {}
    for study in studies:
        positive[study.patient] = positive.get(study.patient, np.zeros(len(LABELS), bool)) | study.bleeds
    patients = sorted(positive)
    np.random.default_rng(seed).shuffle(patients)
    table = np.array([positive[patient] for patient in patients])
    counts, sizes, fold_of = np.zeros((k, len(LABELS))), np.zeros(k), {}
    totals = np.where(table.any(axis=0), table.sum(axis=0), np.inf)
    rarest = [int(np.argmin(np.where(row, totals, np.inf))) if row.any() else -1 for row in table]
    order = sorted(range(len(patients)), key=lambda i: totals[rarest[i]] if rarest[i] >= 0 else np.inf)
    for i in order:
        wanted = counts[:, rarest[i]] if rarest[i] >= 0 else counts[:, 0]
        fold = int(np.lexsort((sizes, counts.sum(axis=1), wanted))[0]) if rarest[i] >= 0 else int(sizes.argmin())
        counts[fold] += table[i]
        sizes[fold] += 1
        fold_of[patients[i]] = fold
    return fold_of
