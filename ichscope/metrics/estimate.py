"""A figure with its 95 % interval, and the ways in which intervals are made."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, stdtrit

from ichscope.metrics.sample import Floats, Ints, Sample

Z = 1.959963984540054
# With fewer patients of a class, some intervals here cover less than 93 % (benchmarks/coverage.py).
FEW = 10

Limits = tuple[float, float, float]
Scale = Literal["logit", "plain"]
JACKKNIFE = "infinitesimal jackknife"


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval.

    value, low, high : None where not estimable; low and high may be None alone
    method : how the interval was made
    reason : why something is not estimable, or a caveat; "" where all is well
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

    def limits(self) -> Limits | None:
        """(value, low, high), or None where one of them is missing."""
        if self.value is None or self.low is None or self.high is None:
            return None
        return self.value, self.low, self.high

    def with_caveat(self, reason: str) -> Estimate:
        """Give the estimate with a caveat as its reason, unless there already is one."""
        return replace(self, reason=self.reason or reason)


def few(sample: Sample, *classes: str) -> str:
    """Say that a class ("positive" and "negative", or those given) has few patients, or ""."""
    for name in classes or ("positive", "negative"):
        chosen = sample.truth if name == "positive" else ~sample.truth
        if caveat := few_patients(sample.patients_with(chosen), name):
            return caveat
    return ""


def few_patients(count: int, name: str) -> str:
    """Say that a class has few patients, or ""."""
    patients = "patient" if count == 1 else "patients"
    return f"only {count} {name} {patients}: the interval is approximate" if count < FEW else ""


def standard_error(sums: NDArray[Any], patients: int) -> tuple[float, float]:
    """Standard error of a statistic from what each patient's rows add to it, and its degrees of freedom.

    sums : (numbers,) by the patient's number, 0 where nobody has it; `patients` is how many there are

    Patients are independent, rows of one patient need not be: the infinitesimal jackknife (Efron 1982), with
    I / (I - 1) for I patients. The degrees are the number of patients that matter, counted from how unequal their
    parts are (after Carter, Schnepel and Steigerwald 2017): with few positives most patients say little.
    """
    largest = float(np.abs(sums).max(initial=0))
    if patients < 2 or largest == 0:
        return 0.0, 0.0
    squares = (sums / largest) ** 2  # of tiny numbers these would vanish
    total = float(squares.sum())
    return largest * math.sqrt(total * patients / (patients - 1)), total**2 / float((squares**2).sum())


def jackknife(
    value: float, influence: Floats, sample: Sample, scale: Scale, bounds: tuple[float, float] = (0.0, 1.0)
) -> Estimate:
    """Make an interval from what each row adds to the value (rows,), with Student's quantile.

    On the logit scale it stays inside 0 to 1 and is not symmetric near the ends; else it is cut at the bounds.
    """
    error, degrees = standard_error(np.bincount(sample.patient, influence), sample.patients)
    if not degrees or (scale == "logit" and not 0 < value < 1):
        why = "all rows are one patient's" if sample.patients == 1 else "the patients do not differ"
        return Estimate(value, method=JACKKNIFE, reason=f"no interval: {why}")
    reach = float(stdtrit(degrees, 0.975)) * error
    if scale == "plain":
        return Estimate(value, max(bounds[0], value - reach), min(bounds[1], value + reach), JACKKNIFE)
    reach /= value * (1 - value)
    low, high = expit(logit(value) + np.array([-reach, reach]))
    return Estimate(value, float(low), float(high), f"{JACKKNIFE}, logit")


def wilson(share: float, trials: float, method: str = "Wilson", quantile: float = Z) -> Estimate:
    """Interval of a share (Wilson 1927) among a number of trials, which may be an effective one."""
    square = quantile * quantile
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    inside = share * (1 - share) / trials + square / (4 * trials * trials)
    half = quantile / (1 + square / trials) * math.sqrt(inside)
    return Estimate(share, max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share)), method)


def proportion(hit: Floats, patient: Ints) -> Estimate:
    """Share of hits, 0 or 1 (rows,), with the interval of `proportion_by_patient`; patient : (rows,) numbers."""
    return proportion_by_patient(np.bincount(patient, hit), np.bincount(patient))


def proportion_by_patient(hits: NDArray[Any], rows: Ints) -> Estimate:
    """Share of hits among rows, with Wilson's interval.

    hits, rows : (numbers,) how many of each patient; who has no rows does not count

    Where patients have several rows, the number of rows is divided by the design effect (Rao and Scott 1992), at
    least 1; where all rows agree there is none to estimate, and each patient counts once.
    """
    total, patients = int(rows.sum()), int(np.count_nonzero(rows))
    share = float(hits.sum()) / total
    if patients == total:
        return wilson(share, total)
    method = "Wilson, effective n"
    if share in (0, 1):
        return wilson(share, patients, method)
    if patients == 1:
        return Estimate(share, method=method, reason="no interval: all rows are one patient's")
    error, _ = standard_error((hits - share * rows) / total, patients)
    design = max(1.0, error * error * total / (share * (1 - share)))
    return wilson(share, total / design, method, float(stdtrit(patients - 1, 0.975)))
