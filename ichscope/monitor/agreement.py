"""What two models say together, as a class of confidence: how often, and what readers then find."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ichscope.metrics import Estimate
from ichscope.metrics.estimate import FEW, proportion
from ichscope.monitor.data import AgreementClass, Together

Floats = NDArray[np.float64]
CLASSES: Final[tuple[Together, ...]] = ("both flag", "they differ", "both clear")


def classes(first: Floats, second: Floats, truth: Floats, patient: NDArray[np.intp]) -> tuple[AgreementClass, ...]:
    """Sort studies by what both models say; intervals are Wilson's, by patient.

    Parameters
    ----------
    first, second, truth : (studies,) 0 or 1, nan where nothing is said
    patient : (studies,) numbers of patients
    """
    both = ~np.isnan(first) & ~np.isnan(second)
    flags = np.where(both, first + second, np.nan)
    sorted_studies = []
    for name, total in zip(CLASSES, (2, 1, 0), strict=True):
        here = flags == total
        known = here & ~np.isnan(truth)
        share = proportion(here[both].astype(np.float64), patient[both]) if both.any() else _none("judged by both")
        positive = proportion(truth[known], patient[known]) if known.any() else _none("reviewed")
        reviewed = int(known.sum())
        if 0 < reviewed < FEW:
            positive = positive.with_caveat(f"only {reviewed} reviewed: the interval is wide")
        sorted_studies.append(AgreementClass(name, int(here.sum()), share, reviewed, positive))
    return tuple(sorted_studies)


def _none(what: str) -> Estimate:
    return Estimate.none(f"no study was {what}")
