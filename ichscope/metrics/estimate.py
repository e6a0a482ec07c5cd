"""A figure with its 95 % interval, and the few ways in which intervals are made."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, stdtrit

from ichscope.metrics.sample import Floats, Ints

Z = 1.959963984540054
# With fewer patients of a class, simulated coverage of every interval here falls below 93 % (benchmarks/coverage.py).
FEW = 10
_ONE_PATIENT = "no interval: all rows are one patient's"


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval.

    value, low, high : None where not estimable; low and high may be None alone
    method : how the interval was made
    reason : why something is not estimable, or what to beware of; "" where all is well
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    method: str = ""
    reason: str = ""

    @classmethod
    def none(cls, reason: str) -> Estimate:
        """Give the estimate of what cannot be estimated."""
        return cls(None, reason=f"not estimable: {reason}")


def cluster_sums(values: Floats, patient: Ints, patients: int) -> Floats:
    """Sum values (rows,) by patient (patients,)."""
    return np.bincount(patient, values, patients).astype(np.float64)


def standard_error(influence: Floats, patient: Ints, patients: int) -> float:
    """Standard error of a statistic from what each row adds to it, patients being independent.

    influence : (rows,), sums to 0; the infinitesimal jackknife (Efron 1982), with I / (I - 1) for I patients
    """
    sums = cluster_sums(influence, patient, patients)
    return math.sqrt(patients / (patients - 1) * float(sums @ sums)) if patients > 1 else math.nan


def normal(value: float, error: float, method: str, reason: str = "", bounds: tuple[float, float] = (0, 1)) -> Estimate:
    """Value +- z standard errors, cut at the bounds."""
    if math.isnan(error):
        return Estimate(value, method=method, reason=reason or _ONE_PATIENT)
    low, high = max(bounds[0], value - Z * error), min(bounds[1], value + Z * error)
    return Estimate(value, low, high, method, reason)


def on_logit(value: float, error: float, method: str, reason: str = "", degrees: float = math.inf) -> Estimate:
    """Make the interval on the logit scale: it stays inside 0 to 1 and is not symmetric near the ends."""
    if math.isnan(error):
        return Estimate(value, method=method, reason=reason or _ONE_PATIENT)
    if not 0 < value < 1 or not error > 0:
        return Estimate(value, method=method, reason=reason or "no interval: the value is at the end of its scale")
    reach = _quantile(degrees) * error / (value * (1 - value))
    low, high = expit(logit(value) + np.array([-reach, reach]))
    return Estimate(value, float(low), float(high), method, reason)


def _quantile(degrees: float) -> float:
    return Z if math.isinf(degrees) else float(stdtrit(degrees, 0.975))


def wilson(successes: float, trials: float, method: str = "Wilson", z: float = Z) -> Estimate:
    """Interval of a proportion (Wilson 1927); trials may be an effective number."""
    if trials <= 0:
        return Estimate.none("no rows")
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return Estimate(share, max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share)), method)
