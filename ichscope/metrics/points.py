"""What a threshold gives: confusion matrix, sensitivity, specificity, PPV, NPV; and thresholds for what is wanted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ichscope.metrics.estimate import Estimate, standard_error, wilson
from ichscope.metrics.sample import Bools, Ints, Ladder, Sample, known


@dataclass(frozen=True)
class Confusion:
    """Counts of rows: truth positive or negative, called so rightly or wrongly."""

    tp: int
    fp: int
    tn: int
    fn: int


@dataclass(frozen=True)
class AtThreshold:
    """What calling rows with score >= threshold positive gives."""

    threshold: float
    confusion: Confusion
    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate
    npv: Estimate


def at_threshold(
    truth: ArrayLike, score: ArrayLike, threshold: float, patients: ArrayLike | None = None
) -> AtThreshold:
    """Confusion matrix and its shares, rows with score >= threshold being called positive.

    Intervals are Wilson's; where patients have several rows, with the effective number of rows (`proportion`).

    Parameters
    ----------
    truth : (rows,) 0, 1, nan where unknown
    score : (rows,)
    threshold : on the scale of the score
    patients : (rows,) whose row it is; None where every row is another patient
    """
    sample = known(truth, score, patients=patients)
    called = sample.score >= threshold
    tp = int(np.count_nonzero(called & sample.truth))
    fp = int(np.count_nonzero(called)) - tp
    return AtThreshold(
        float(threshold),
        Confusion(tp, fp, sample.negatives - fp, sample.positives - tp),
        sensitivity=_share(sample, called, sample.truth, "positives"),
        specificity=_share(sample, ~called, ~sample.truth, "negatives"),
        ppv=_share(sample, sample.truth, called, "rows called positive"),
        npv=_share(sample, ~sample.truth, ~called, "rows called negative"),
    )


def _share(sample: Sample, hit: Bools, among: Bools, what: str) -> Estimate:
    if not among.any():
        return Estimate.none(f"no {what}")
    return proportion(hit[among], sample.patient[among])


def proportion(hit: Bools, patient: Ints) -> Estimate:
    """Share of hits (rows,), with Wilson's interval.

    Where patients have several rows, their number is divided by the design effect (Rao and Scott 1992), at least 1;
    where all rows agree there is none to estimate, and each patient counts once.
    """
    rows, hits = len(hit), int(np.count_nonzero(hit))
    present, number = np.unique(patient, return_inverse=True)
    if len(present) == rows:
        return wilson(hits, rows)
    share, method = hits / rows, "Wilson, effective n"
    if hits in (0, rows):
        return wilson(share * len(present), len(present), method)
    if len(present) == 1:
        return Estimate(share, method=method, reason="no interval: all rows are one patient's")
    error = standard_error((hit - share) / rows, number, len(present))
    effective = rows / max(1.0, error * error * rows / (share * (1 - share)))
    return wilson(share * effective, effective, method)


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and what it gives; threshold None (with the reason) where there is none."""

    name: str
    threshold: float | None
    sensitivity: float | None = None
    specificity: float | None = None
    reason: str = ""


def operating_point_at_sensitivity(truth: ArrayLike, score: ArrayLike, wanted: float) -> OperatingPoint:
    """Give the highest threshold that finds at least the wanted share of positives (0 to 1)."""
    return _first(known(truth, score), f"sensitivity {wanted:.2f}", sensitivity=wanted)


def operating_point_at_specificity(truth: ArrayLike, score: ArrayLike, wanted: float) -> OperatingPoint:
    """Give the lowest threshold that leaves at least the wanted share of negatives alone (0 to 1)."""
    return _first(known(truth, score), f"specificity {wanted:.2f}", specificity=wanted)


def youden(truth: ArrayLike, score: ArrayLike) -> OperatingPoint:
    """Give the threshold with the greatest sensitivity + specificity (Youden 1950); of equals, the most sensitive."""
    return _first(known(truth, score), "Youden")


def _first(
    sample: Sample, name: str, sensitivity: float | None = None, specificity: float | None = None
) -> OperatingPoint:
    if reason := sample.missing("positives", "negatives"):
        return OperatingPoint(name, None, reason=f"not estimable: {reason}")
    ladder = Ladder.of(sample)
    # Counts, not shares: 0.9 * 10 positives is 9 of them, whatever the last bit of a quotient says.
    found = np.r_[0, ladder.true_positives]
    wrong = np.r_[0, ladder.false_positives]
    if sensitivity is not None:
        step = int(np.argmax(found >= sensitivity * sample.positives - 1e-9))
    elif specificity is not None:
        step = int(np.searchsorted(wrong, (1 - specificity) * sample.negatives + 1e-9, side="right")) - 1
    else:
        gain = found * sample.negatives - wrong * sample.positives
        step = len(gain) - 1 - int(np.argmax(gain[::-1]))
    return OperatingPoint(
        name,
        _between(ladder, step),
        float(found[step] / sample.positives),
        float(1 - wrong[step] / sample.negatives),
    )


def _between(ladder: Ladder, step: int) -> float:
    """Half-way from the score of the last step that is called positive to the next lower one.

    A new score a hair below the lowest known one is then still on the same side. Step 0 calls nothing positive.
    """
    scores = ladder.threshold
    if step == 0:
        return math.nextafter(float(scores[0]), math.inf)
    if step == len(scores):
        return float(scores[-1])
    half = float(scores[step - 1] + scores[step]) / 2
    # Of two neighbours among the floating-point numbers there is no middle.
    return half if half > scores[step] else float(scores[step - 1])
