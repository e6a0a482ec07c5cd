"""Whether probabilities mean what they say: Brier score, calibration error, curve and line, and log loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit, ndtr

from ichscope.labels import LABELS
from ichscope.metrics.estimate import Estimate, few, jackknife, proportion
from ichscope.metrics.sample import Bools, Floats, Ints, Sample, known

KAGGLE_WEIGHTS = (2.0,) + (1.0,) * (len(LABELS) - 1)
# A probability of exactly 0 or 1 that is wrong would cost infinitely much; Kaggle cut at 1e-15.
_SMALLEST = 1e-15
_LONGEST_STEP = 2.0
_MANY_ROWS, _PART = 20_000, 16
_UNBOUNDED = (-math.inf, math.inf)


def brier(truth: ArrayLike, probability: ArrayLike, patients: ArrayLike | None = None) -> Estimate:
    """Mean squared difference between probability (0 to 1) and truth; 0 is perfect.

    Brier (1950), doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.

    Examples
    --------
    >>> round(brier([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).value, 4)
    0.1581
    """
    sample = known(truth, probability, patients=patients)
    return _mean((sample.score - sample.truth) ** 2, sample)


def _mean(loss: Floats, sample: Sample) -> Estimate:
    if reason := sample.missing():
        return Estimate.none(reason)
    value = float(loss.mean())
    return jackknife(value, (loss - value) / len(loss), sample, "logit").with_caveat(few(sample))


@dataclass(frozen=True)
class CalibrationBin:
    """Rows with probabilities between two edges: their number, their mean probability, and how many are positive."""

    rows: int
    probability: float
    positive: Estimate


def calibration_curve(
    truth: ArrayLike,
    probability: ArrayLike,
    bins: int = 10,
    patients: ArrayLike | None = None,
    quantile: bool = False,
) -> tuple[CalibrationBin, ...]:
    """Share of positives by probability, with Wilson's interval; empty bins are left out.

    bins : of equal width, or with `quantile` of equal numbers of rows

    Murphy and Winkler (1977), doi:10.2307/2346866.

    Examples
    --------
    >>> curve = calibration_curve([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9], bins=2)
    >>> [(part.rows, round(part.probability, 2), part.positive.value) for part in curve]
    [(2, 0.15, 0.0), (2, 0.8, 1.0)]
    """
    sample = known(truth, probability, patients=patients)
    index = _bin(sample.score, bins, quantile)
    chosen = (index == number for number in np.unique(index))
    return tuple(
        CalibrationBin(
            int(np.count_nonzero(rows)),
            float(sample.score[rows].mean()),
            proportion(sample.truth[rows].astype(np.float64), sample.patient[rows]),
        )
        for rows in chosen
    )


def expected_calibration_error(
    truth: ArrayLike,
    probability: ArrayLike,
    bins: int = 10,
    patients: ArrayLike | None = None,
    quantile: bool = False,
) -> Estimate:
    """Mean distance between probability and share of positives, over bins weighted by their rows.

    Arguments as for `calibration_curve`. Chance alone makes the error of a perfect model more than 0, and that of any
    model too large: as much as that may be is taken off both ends of the interval.

    Pakdaman Naeini, Cooper and Hauskrecht (2015), doi:10.1609/aaai.v29i1.9602.

    Examples
    --------
    >>> round(expected_calibration_error([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9], bins=2).value, 3)
    0.175
    """
    sample = known(truth, probability, patients=patients)
    if reason := sample.missing():
        return Estimate.none(reason)
    index, rows = _bin(sample.score, bins, quantile), len(sample.truth)
    gap = sample.score - sample.truth
    direction = np.sign(np.bincount(index, gap))[index]
    value = float(np.abs(np.bincount(index, gap)).sum()) / rows
    estimate = jackknife(value, (gap * direction - value) / rows, sample, "plain")
    if estimate.low is None or estimate.high is None:
        return estimate.with_caveat(few(sample))
    distance, error = _distances(gap, index, sample)
    # The true distances are not known: at the lower end they are taken to be as small as they may be.
    low = max(0.0, estimate.low - _excess(np.maximum(distance - 2 * error, 0), error))
    high = max(value, estimate.high - _excess(distance, error))
    chance = _excess(np.zeros_like(error), error)
    by_chance = f"a perfectly calibrated model would show about {chance:.2g} with as many rows"
    return replace(
        estimate, low=low, high=high, reason="; ".join(filter(None, ("" if low else by_chance, few(sample))))
    )


def _distances(gap: Floats, index: Ints, sample: Sample) -> tuple[Floats, Floats]:
    """Distance of each bin (bins,), its share of the rows in it, and its standard error; gap, index : (rows,)."""
    bins = int(index.max()) + 1
    sums = np.bincount(sample.patient * bins + index, gap, sample.patients * bins).reshape(sample.patients, bins)
    return np.abs(sums.sum(0)) / len(gap), np.sqrt((sums**2).sum(0)) / len(gap)


def _excess(distance: Floats, error: Floats) -> float:
    """By how much distances (bins,) with these standard errors are found too large on the whole: E|x| - |E x|.

    x is normal (Leone, Nelson and Nottingham 1961).
    """
    ratio = np.divide(distance, error, out=np.full_like(error, np.inf), where=error > 0)
    inside = np.exp(-(ratio**2) / 2) * math.sqrt(2 / math.pi)
    return float(np.sum(error * inside - 2 * distance * ndtr(-ratio)))


def _bin(probability: Floats, bins: int, quantile: bool) -> Ints:
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    if quantile and len(probability):
        inner = np.quantile(probability, inner)
    return np.searchsorted(inner, probability, side="right")


@dataclass(frozen=True)
class CalibrationLine:
    """Logistic recalibration.

    slope : of the truth on logit(probability); 1 is right, below 1 the probabilities are too extreme
    intercept : with the slope held at 1 ("calibration in the large"); 0 is right, above 0 they are too low
    """

    slope: Estimate
    intercept: Estimate


def calibration_line(truth: ArrayLike, probability: ArrayLike, patients: ArrayLike | None = None) -> CalibrationLine:
    """Calibration slope and intercept, with sandwich standard errors.

    Cox (1958), doi:10.1093/biomet/45.3-4.562; Van Calster et al. (2019), doi:10.1186/s12916-019-1466-7.

    Examples
    --------
    >>> line = calibration_line([0, 0, 1, 0, 1, 1], [0.1, 0.3, 0.4, 0.6, 0.7, 0.9])
    >>> round(line.slope.value, 2), round(line.intercept.value, 2)
    (1.5, 0.0)
    """
    sample = known(truth, probability, patients=patients)
    if reason := sample.missing("positives", "negatives"):
        return CalibrationLine(Estimate.none(reason), Estimate.none(reason))
    x = logit(np.clip(sample.score, _SMALLEST, 1 - _SMALLEST))
    ones = np.ones_like(x)
    intercept = _coefficient(sample, (ones,), offset=x)
    if np.ptp(x) == 0:
        return CalibrationLine(Estimate.none("all probabilities are equal"), intercept)
    positives, negatives = x[sample.truth], x[~sample.truth]
    if positives.min() >= negatives.max() or positives.max() <= negatives.min():
        return CalibrationLine(Estimate.none("the probabilities separate the classes"), intercept)
    return CalibrationLine(_coefficient(sample, (x, ones), offset=0.0), intercept)


def _coefficient(sample: Sample, columns: tuple[Floats, ...], offset: Floats | float) -> Estimate:
    """Fit a logistic regression; the first coefficient, with an interval over patients."""
    x, offset = np.stack(columns), np.broadcast_to(offset, columns[0].shape)
    starts = [np.zeros(len(columns))]
    if len(sample.truth) > _MANY_ROWS:
        # A part of the rows leads near the end, whence few steps are left.
        part = slice(None, None, _PART)
        if near := _newton(sample.truth[part], x[:, part], offset[part], starts[0]):
            starts.insert(0, near[0])
    for start in starts:
        if fit := _newton(sample.truth, x, offset, start):
            beta, influence = fit
            return jackknife(float(beta[0]), influence, sample, "plain", _UNBOUNDED).with_caveat(few(sample))
    return Estimate.none("the fit does not converge")


def _newton(truth: Bools, x: Floats, offset: Floats, beta: Floats) -> tuple[Floats, Floats] | None:
    """Logistic regression by Newton's method: coefficients, and what each row adds to the first one; None if none.

    x : (columns, rows); offset : (rows,); beta : (columns,) where to begin
    """
    # No products by BLAS here or in `ranking`: for each it wakes a thread a core, which then spins for a while and
    # takes the time of others.
    # In steps of limited length: with weights that vanish, Newton's own would lead away for ever.
    for _ in range(50):
        p = expit(np.einsum("i,ik", beta, x) + offset)
        miss = truth - p
        hessian = np.einsum("ik,jk", x * (p * (1 - p)), x)
        if not np.linalg.cond(hessian) < 1e12:
            break
        step = np.linalg.solve(hessian, np.einsum("ik,k", x, miss))
        beta = beta + step * min(1.0, _LONGEST_STEP / float(np.abs(step).max(initial=_LONGEST_STEP)))
        # The next step would be about the square of this one.
        if np.abs(step).max() < 1e-6 * max(1.0, np.abs(beta).max()):
            return beta, miss * np.einsum("i,ik", np.linalg.inv(hessian)[0], x)
    return None


def weighted_log_loss(
    truth: ArrayLike,
    probability: ArrayLike,
    weights: Sequence[float] = KAGGLE_WEIGHTS,
    patients: ArrayLike | None = None,
) -> Estimate:
    """Mean log loss over rows and labels, labels weighted: the metric of RSNA 2019.

    truth, probability : (rows, labels); cells with unknown truth or probability (nan) are left out

    Flanders et al. (2020), doi:10.1148/ryai.2020190211.

    Examples
    --------
    >>> round(weighted_log_loss([[1, 0], [0, 0]], [[0.8, 0.4], [0.1, 0.2]], weights=(2, 1)).value, 4)
    0.2318
    """
    truth, probability = np.asarray(truth, np.float64), np.asarray(probability, np.float64)
    cells = np.where(np.isnan(truth) | np.isnan(probability), 0.0, np.asarray(weights, np.float64))
    if not cells.sum():
        return Estimate.none("no rows")
    p = np.clip(probability, _SMALLEST, 1 - _SMALLEST)
    loss = np.nansum(-cells * np.log(np.where(truth == 1, p, 1 - p)), axis=1)
    row_weight = cells.sum(1)
    value = float(loss.sum() / row_weight.sum())
    rows = known(np.zeros(len(loss)), loss, patients=patients)
    influence = (loss - value * row_weight) / row_weight.sum()
    return jackknife(value, influence, rows, "plain", (0.0, math.inf))


def log_loss_floor(truth: ArrayLike, weights: Sequence[float] = KAGGLE_WEIGHTS) -> Estimate:
    """Weighted log loss of a predictor that always gives each label's prevalence: what a model must beat.

    Examples
    --------
    >>> round(log_loss_floor([[1, 0], [0, 0]], weights=(2, 1)).value, 4)
    0.4621
    """
    truth = np.asarray(truth, np.float64)
    if np.isnan(truth).all():
        return Estimate.none("no rows")
    count = np.count_nonzero(~np.isnan(truth), axis=0)
    prevalence = np.nansum(truth, axis=0) / np.maximum(count, 1)
    value = weighted_log_loss(truth, np.broadcast_to(prevalence, truth.shape), weights).value
    return Estimate(value, method="constant prevalence")
