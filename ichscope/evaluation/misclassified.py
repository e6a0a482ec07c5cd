"""Where a model is wrong at a threshold: the rows to look at, the worst first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ichscope.metrics import positives
from ichscope.metrics.sample import Bools, Floats

RowNumbers = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Misclassified:
    """Numbers of the rows that are called wrongly, each array sorted by how wrong they are.

    missed : positive by truth, with a probability below the threshold: the lowest first
    false_alarms : negative by truth, at or above the threshold: the highest first
    """

    missed: RowNumbers
    false_alarms: RowNumbers


def misclassified(truth: Floats, probability: Floats, threshold: float) -> Misclassified:
    """Find the rows whose call contradicts the truth; rows where either is unknown (nan) are none.

    Parameters
    ----------
    truth : (rows,) 0, 1, nan
    probability : (rows,) called positive from the threshold on

    Examples
    --------
    >>> truth, probability = np.array([1.0, 1, 0, 0, np.nan]), np.array([0.2, 0.4, 0.9, 0.1, 0.8])
    >>> wrong = misclassified(truth, probability, 0.5)
    >>> wrong.missed, wrong.false_alarms
    (array([0, 1]), array([2]))
    """
    known = ~np.isnan(truth + probability)
    called = positives(probability, threshold)
    return Misclassified(
        missed=_sorted(known & (truth == 1) & ~called, probability),
        false_alarms=_sorted(known & (truth == 0) & called, -probability),
    )


def _sorted(chosen: Bools, worst_first: Floats) -> RowNumbers:
    rows = np.flatnonzero(chosen)
    return rows[np.argsort(worst_first[rows], kind="stable")]
