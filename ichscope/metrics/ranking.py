"""How well scores rank positives above negatives: ROC AUC, the test of two AUCs, and average precision."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from ichscope.metrics.estimate import Estimate, Z, few, jackknife
from ichscope.metrics.sample import Floats, Sample, ThresholdCounts, known

# The normal interval of an AUC needs this many patients of the rarer class that are ranked wrongly, so to speak:
# their number times the distance of the AUC from the nearer end of its scale (benchmarks/coverage.py).
_ENOUGH = 7
# Standard errors beyond which a p of 0 is as good.
_FARTHEST = 40.0


def roc_auc(
    truth: ArrayLike,
    score: ArrayLike,
    patients: ArrayLike | None = None,
    interval: Literal["auto", "delong"] = "auto",
) -> Estimate:
    """Area under the ROC curve: how often a positive scores above a negative, ties counting half.

    Parameters
    ----------
    truth : (rows,) 0, 1, nan where unknown
    score : (rows,)
    patients : (rows,) whose row it is; None where every row is another patient
    interval : "delong" is value +- 1.96 standard errors by DeLong et al. (1988), computed from ranks as by Sun and
        Xu (2014), or by Obuchowski (1997) where patients have several rows. With few patients or an AUC near 1 that
        covers far less than 95 %; "auto" then takes `_newcombe` instead.

    DeLong, DeLong and Clarke-Pearson (1988), doi:10.2307/2531595; Sun and Xu (2014), doi:10.1109/LSP.2014.2337313;
    Obuchowski (1997), doi:10.2307/2533958; Newcombe (2006), doi:10.1002/sim.2324.

    Examples
    --------
    >>> auc = roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> auc.value, auc.method
    (0.75, 'Newcombe, DeLong variance')
    """
    sample = known(truth, score, patients=patients)
    if reason := sample.missing("positives", "negatives"):
        return Estimate.none(reason)
    (auc,), covariance = areas(sample)
    area = _Area(auc, float(covariance[0, 0]), *_patients(sample))
    method = "Obuchowski" if sample.clustered else "DeLong"
    if interval == "auto" and not area.enough:
        return Estimate(auc, *area.limits(Z), f"Newcombe, {method} variance", few(sample))
    if math.isnan(area.variance):
        return Estimate(auc, method=method, reason="no interval: all of one class are one patient's")
    low, high = area.symmetric(Z)
    return Estimate(auc, max(0.0, low), min(1.0, high), method, few(sample))


def _patients(sample: Sample) -> tuple[int, int]:
    """How many patients have positive rows, and how many negative ones."""
    return sample.patients_with(sample.truth), sample.patients_with(~sample.truth)


@dataclass(frozen=True)
class _Area:
    """An AUC, its variance by DeLong or Obuchowski (nan if none), and the patients of both classes."""

    auc: float
    variance: float
    positives: int
    negatives: int

    @property
    def enough(self) -> bool:
        """Whether patients are many enough for the normal interval."""
        return self.variance > 0 and min(self.positives, self.negatives) * min(self.auc, 1 - self.auc) >= _ENOUGH

    def limits(self, z: float) -> tuple[float, float]:
        """Interval of so many standard errors; the normal one may reach beyond 0 to 1."""
        if self.enough:
            return self.symmetric(z)
        return _newcombe(self.auc, self.variance, self.positives, self.negatives, z)

    def symmetric(self, z: float) -> tuple[float, float]:
        """The normal interval, whatever the number of patients."""
        reach = z * math.sqrt(self.variance)
        return self.auc - reach, self.auc + reach


def _newcombe(auc: float, variance: float, positives: int, negatives: int, z: float) -> tuple[float, float]:
    """Interval for few patients: all areas from which the one found is less than z standard errors away.

    How the standard error depends on the area is Newcombe's method 5 (2006, after Hanley and McNeil 1982), which
    alone is right for a handful of patients, even at an AUC of 1. The more patients are ranked wrongly, the more
    the variance that was found counts; in simulations the mixture covers 93 to 98 % from 3 positives on.
    """
    half = (positives + negatives) / 2 - 1

    def model(area: float) -> float:
        spread = (1 - area) / (2 - area) + area / (1 + area)
        return area * (1 - area) * (1 + half * spread) / (positives * negatives)

    weight = (wrong := min(positives, negatives) * min(auc, 1 - auc)) / (wrong + 2)
    trusted = variance > 0 and wrong > 0
    ratio = weight * variance / model(auc) + 1 - weight if trusted else 1.0

    def too_far(area: float) -> bool:
        return (auc - area) ** 2 > z * z * model(area) * ratio

    return _edge(too_far, 0.0, auc), _edge(too_far, 1.0, auc)


def _edge(too_far: Callable[[float], bool], outside: float, inside: float) -> float:
    """Where an interval ends between two areas, by halving."""
    for _ in range(60):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if too_far(middle) else (outside, middle)
    return inside


def areas(sample: Sample) -> tuple[list[float], Floats]:
    """AUC of every score of a sample, and their (scores, scores) covariance; nan if a class is one patient's."""
    auc, placed = zip(*(_components(sample, score) for score in sample.scores), strict=True)
    return list(auc), _covariance(sample, np.array(placed))


def _components(sample: Sample, score: Floats) -> tuple[float, Floats]:
    """AUC, and per row how far its placement is from the AUC, divided by the number of rows of its class."""
    counts = ThresholdCounts.of(sample, score)
    above = (counts.true_positives - counts.positives / 2) / sample.positives
    below = 1 - (counts.false_positives - counts.negatives / 2) / sample.negatives
    auc = float(np.einsum("i,i", below, counts.positives)) / sample.positives
    placement = np.where(sample.truth, below[counts.step], above[counts.step])
    return auc, (placement - auc) / np.where(sample.truth, sample.positives, sample.negatives)


def _covariance(sample: Sample, placed: Floats) -> Floats:
    """Obuchowski's covariance from placements (scores, rows): positives, negatives, and both within a patient.

    With one row a patient the third part is 0 and the rest is DeLong's.
    """
    i = sample.patients
    i10, i01 = (sample.patients_with(chosen) for chosen in (sample.truth, ~sample.truth))
    if min(i10, i01) < 2:
        return np.full((len(placed), len(placed)), np.nan)
    positive = _sums(placed * sample.truth, sample)
    negative = _sums(placed * ~sample.truth, sample)
    both = _products(positive, negative)
    covariance = _products(positive, positive) * (i10 / (i10 - 1)) + _products(negative, negative) * (i01 / (i01 - 1))
    return covariance + (both + both.T) * (i / (i - 1))


def _products(first: Floats, second: Floats) -> Floats:
    """Give the sums of products of each two rows, (i, k) and (j, k) to (i, j)."""
    return np.asarray(np.einsum("ik,jk", first, second))


def _sums(values: Floats, sample: Sample) -> Floats:
    return np.array([np.bincount(sample.patient, row, sample.patients) for row in values])


@dataclass(frozen=True)
class AucComparison:
    """Two scores on the same rows.

    first, second : AUC of each
    difference : first - second
    p : two-sided, of no difference; None where not estimable
    p_delong : of the paired test of DeLong or Obuchowski even where `p` has a better one
    """

    first: Estimate
    second: Estimate
    difference: Estimate
    p: float | None
    p_delong: float | None = None


def compare_auc(
    truth: ArrayLike, first: ArrayLike, second: ArrayLike, patients: ArrayLike | None = None
) -> AucComparison:
    """Compare two AUCs by the paired test of DeLong et al. (1988), clustered as by Obuchowski (1997).

    Arguments as for `roc_auc`; rows count where the truth and both scores are known. With few patients that test
    finds too much; interval and p then are those of Zou and Yue (2013), made of the intervals of both AUCs and their
    correlation. With enough patients both are the same.

    Zou and Yue (2013), Statistics in Medicine 32, 5077-5090.

    Examples
    --------
    >>> truth = [0, 0, 0, 1, 1, 1]
    >>> compared = compare_auc(truth, [0.1, 0.4, 0.2, 0.3, 0.8, 0.9], [0.5, 0.4, 0.2, 0.3, 0.1, 0.9])
    >>> round(compared.difference.value, 3)
    0.444
    """
    sample = known(truth, first, second, patients=patients)
    first_auc, second_auc = (roc_auc(sample.truth, score, sample.patient) for score in sample.scores)
    if reason := sample.missing("positives", "negatives"):
        return AucComparison(first_auc, second_auc, Estimate.none(reason), None)
    auc, covariance = areas(sample)
    difference, variance = auc[0] - auc[1], float(np.array([1, -1]) @ covariance @ np.array([1, -1]))
    method = "paired Obuchowski" if sample.clustered else "paired DeLong"
    # A variance that is only rounding error is none: both scores rank alike.
    if not variance > 1e-15:
        why = "all of one class are one patient's" if math.isnan(variance) else "both rank all rows alike"
        return AucComparison(first_auc, second_auc, Estimate(difference, method=method, reason=f"no test: {why}"), None)
    error = math.sqrt(variance)
    p_delong = float(2 * ndtr(-abs(difference / error)))
    both = [_Area(auc[i], float(covariance[i, i]), *_patients(sample)) for i in range(2)]
    if all(area.enough for area in both):
        interval = Estimate(difference, difference - Z * error, difference + Z * error, method, few(sample))
        return AucComparison(first_auc, second_auc, interval, p_delong, p_delong)
    correlation = _correlation(covariance)
    low, high = _zou_yue(both[0], both[1], correlation, Z)
    interval = Estimate(difference, low, high, f"Zou and Yue, {method} correlation", few(sample))
    return AucComparison(first_auc, second_auc, interval, _p_of_zou_yue(both[0], both[1], correlation), p_delong)


def _correlation(covariance: Floats) -> float:
    product = float(covariance[0, 0] * covariance[1, 1])
    return float(covariance[0, 1]) / math.sqrt(product) if product > 0 else 0.0


def _zou_yue(first: _Area, second: _Area, correlation: float, z: float) -> tuple[float, float]:
    """Interval of the difference of two correlated areas, from an interval of each (Zou and Yue 2013)."""
    (low, high), (other_low, other_high) = first.limits(z), second.limits(z)

    def reach(a: float, b: float) -> float:
        return math.sqrt(max(0.0, a * a + b * b - 2 * correlation * a * b))

    difference = first.auc - second.auc
    below = reach(first.auc - low, other_high - second.auc)
    return difference - below, difference + reach(high - first.auc, second.auc - other_low)


def _p_of_zou_yue(first: _Area, second: _Area, correlation: float) -> float:
    """Give the chance beyond the interval that just reaches 0, on both sides."""
    upwards = first.auc > second.auc

    def reaches(z: float) -> bool:
        low, high = _zou_yue(first, second, correlation, z)
        return low <= 0 if upwards else high >= 0

    return float(2 * ndtr(-_edge(lambda z: not reaches(z), 0.0, _FARTHEST)))


def average_precision(truth: ArrayLike, score: ArrayLike, patients: ArrayLike | None = None) -> Estimate:
    """Average precision: the mean, over positives, of the PPV at their score (no interpolation, as scikit-learn).

    Arguments as for `roc_auc`. Zhu (2004), "Recall, precision and average precision".

    Examples
    --------
    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).value, 4)
    0.8333
    """
    sample = known(truth, score, patients=patients)
    if reason := sample.missing("positives"):
        return Estimate.none(reason)
    counts = ThresholdCounts.of(sample)
    called = counts.true_positives + counts.false_positives
    precision = counts.true_positives / called
    value = float(np.einsum("i,i", precision, counts.positives)) / sample.positives
    # A row changes the precision at its own score and at all lower ones.
    gain = _from_here_down(counts.positives / called)[counts.step]
    loss = _from_here_down(counts.positives * precision / called)[counts.step]
    influence = np.where(sample.truth, precision[counts.step] - value + gain, 0.0) - loss
    return jackknife(value, influence / sample.positives, sample, "logit").with_caveat(few(sample))


def _from_here_down(values: Floats) -> Floats:
    return np.asarray(np.cumsum(values[::-1])[::-1])
