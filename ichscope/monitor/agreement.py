"""What two models say together, as a class of confidence: how often, and what readers then find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ichscope.metrics import Estimate
from ichscope.metrics.estimate import FEW, proportion

Floats = NDArray[np.float64]
Together = Literal["both flag", "they differ", "both clear"]
CLASSES: Final[tuple[Together, ...]] = ("both flag", "they differ", "both clear")


@dataclass(frozen=True)
class Class:
    """Studies on which two models say this together.

    share : among all studies that both judged
    reviewed : of how many a reader says whether they bleed; `positive` is the share of those that do
    """

    name: Together
    studies: int
    share: Estimate
    reviewed: int
    positive: Estimate


def classes(first: Floats, second: Floats, truth: Floats, patient: NDArray[np.intp]) -> tuple[Class, ...]:
    """Sort studies by what both models say; intervals are Wilson's, by patient.

    Parameters
    ----------
    first, second, truth : (studies,) 0 or 1, nan where nothing is said
    patient : (studies,) numbers of patients
    """
    both = ~np.isnan(first) & ~np.isnan(second)
    said = np.where(both, first + second, np.nan)
    found = []
    for name, total in zip(CLASSES, (2, 1, 0), strict=True):
        here = said == total
        known = here & ~np.isnan(truth)
        share = proportion(here[both].astype(np.float64), patient[both]) if both.any() else _none("judged by both")
        positive = proportion(truth[known], patient[known]) if known.any() else _none("reviewed")
        reviewed = int(known.sum())
        if 0 < reviewed < FEW:
            positive = positive.with_caveat(f"only {reviewed} reviewed: the interval is wide")
        found.append(Class(name, int(here.sum()), share, reviewed, positive))
    return tuple(found)


def _none(what: str) -> Estimate:
    return Estimate.none(f"no study was {what}")
