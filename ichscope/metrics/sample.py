"""Truth and score of the rows that can be used, and their patients: the one place where unknowns are left out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows whose truth and scores are known.

    truth : (rows,) bool
    scores : one (rows,) float64 array a score
    patient : (rows,) int, 0 to patients - 1
    """

    truth: Bools
    scores: tuple[Floats, ...]
    patient: Ints
    patients: int

    @property
    def score(self) -> Floats:
        """The first score, (rows,)."""
        return self.scores[0]

    @property
    def clustered(self) -> bool:
        """Whether a patient has several rows."""
        return self.patients < len(self.truth)

    @cached_property
    def positives(self) -> int:
        """How many rows are positive."""
        return int(np.count_nonzero(self.truth))

    @property
    def negatives(self) -> int:
        """How many rows are negative."""
        return len(self.truth) - self.positives

    def patients_with(self, chosen: Bools) -> int:
        """How many patients have a chosen row."""
        return int(np.count_nonzero(np.bincount(self.patient[chosen], minlength=1)))

    def missing(self, *classes: str) -> str:
        """Say which of the classes ("positives", "negatives", "rows") has no row, or ""."""
        counts = {"rows": len(self.truth), "positives": self.positives, "negatives": self.negatives}
        return next((f"no {name}" for name in ("rows", *classes) if not counts[name]), "")


def known(truth: ArrayLike, *scores: ArrayLike, patients: ArrayLike | None = None) -> Sample:
    """Keep the rows where truth and every score are known (not nan).

    Parameters
    ----------
    truth : (rows,) 0, 1 or nan
    scores : (rows,) each, nan where unknown
    patients : (rows,) numbers or names; None where every row is another patient

    Raises
    ------
    ValueError
        if lengths differ or a truth is something else
    """
    values = [np.asarray(values, np.float64) for values in (truth, *scores)]
    if any(column.shape != (len(values[0]),) for column in values):
        raise ValueError(f"expected arrays of one length, found {', '.join(str(column.shape) for column in values)}")
    keep = ~np.isnan(values[0])
    for column in values[1:]:
        keep &= ~np.isnan(column)
    everything = bool(keep.all())
    values = values if everything else [column[keep] for column in values]
    is_true = values[0] == 1
    if not np.all(is_true | (values[0] == 0)):
        raise ValueError("expected 0, 1 or nan as truth")
    rows = len(is_true)
    if patients is None:
        return Sample(is_true, tuple(values[1:]), np.arange(rows), rows)
    names = np.asarray(patients)
    return Sample(is_true, tuple(values[1:]), *_numbered(names if everything else names[keep]))


def _numbered(names: NDArray[np.generic]) -> tuple[Ints, int]:
    """Number patients from 0 without gaps; small numbers need no sort, which is what 750,000 rows wait for."""
    if names.dtype.kind in "iu" and len(names) and names.min() >= 0 and names.max() <= 4 * len(names):
        there = np.bincount(names.astype(np.intp, copy=False)) > 0
        number = names.astype(np.intp, copy=False) if there.all() else (np.cumsum(there) - 1)[names]
        return number, int(there.sum())
    patients, number = np.unique(names, return_inverse=True)
    return number.astype(np.intp), len(patients)


@dataclass(frozen=True, eq=False)
class ThresholdCounts:
    """The distinct scores from high to low, and what is called positive at each.

    threshold : (steps,) falling
    positives, negatives : (steps,) rows of that class at this very score
    step : (rows,) where each row stands
    """

    threshold: Floats
    positives: Ints
    negatives: Ints
    step: Ints

    @classmethod
    def of(cls, sample: Sample, score: Floats | None = None) -> ThresholdCounts:
        """Sort once: all curves and rank statistics follow from the counts, ties included."""
        rising, step = np.unique(sample.score if score is None else score, return_inverse=True)
        step = len(rising) - 1 - step
        positives = np.bincount(step[sample.truth], minlength=len(rising))
        return cls(rising[::-1], positives, np.bincount(step, minlength=len(rising)) - positives, step)

    @cached_property
    def true_positives(self) -> Ints:
        """(steps,) positives with at least this score."""
        return np.cumsum(self.positives)

    @cached_property
    def false_positives(self) -> Ints:
        """(steps,) negatives with at least this score."""
        return np.cumsum(self.negatives)
