"""All metrics of one label of one model, and the operating points that are looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ichscope import metrics
from ichscope.metrics import AtThreshold, Estimate
from ichscope.tabular.foreign_table import Floats, Ints

CHOSEN_HERE = "these data"


# Names of operating points: the model's own threshold, and one that a user moved while looking at the metrics.
OWN = "the model's own"


MOVED = "moved"


@dataclass(frozen=True)
class WantedPoints:
    """Which operating points to look at: thresholds for all labels, or what the threshold must reach."""

    thresholds: tuple[float, ...] = ()
    sensitivities: tuple[float, ...] = (0.9, 0.95)
    specificities: tuple[float, ...] = ()


# What pages and reports look at.
SHOWN = WantedPoints(specificities=(0.9,))


@dataclass(frozen=True)
class EvaluatedPoint:
    """An operating point and what it gives; `chosen_on` is "given", "the model's own" or "these data".

    Where the threshold was chosen on these same data, what it gives flatters a little.
    """

    name: str
    chosen_on: str
    metrics: AtThreshold | None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give the point as plain values."""
        same = {"name": self.name, "chosen_on": self.chosen_on, "reason": self.reason}
        return same | (asdict(self.metrics) if self.metrics else {"threshold": None})


@dataclass(frozen=True)
class LabelMetrics:
    """All metrics of one label.

    unknown : rows of both files where the truth or the probability of this label is missing
    auc_delong : the AUC with the interval of DeLong or Obuchowski even where `auc` has a better one
    """

    positives: int
    negatives: int
    unknown: int
    auc: Estimate
    auc_delong: Estimate
    average_precision: Estimate
    brier: Estimate
    calibration_error: Estimate
    calibration_slope: Estimate
    calibration_intercept: Estimate
    operating_points: tuple[EvaluatedPoint, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the metrics as plain values."""
        return asdict(self) | {"operating_points": [point.to_json() for point in self.operating_points]}


def label_metrics(
    truth: Floats,
    probability: Floats,
    patients: Ints | None = None,
    wanted: WantedPoints | None = None,
    own_threshold: float | None = None,
    moved_threshold: float | None = None,
) -> LabelMetrics:
    """Metrics of one label.

    Parameters
    ----------
    truth : (rows,) 0, 1, or nan where unknown
    probability : (rows,) 0 to 1, or nan where unknown
    patients : (rows,) numbers of the patients that intervals go by; None where every row is another patient
    own_threshold, moved_threshold : that of the model, and one that a user set beside it; points of their own

    Examples
    --------
    >>> measured = label_metrics(np.array([0.0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9]), own_threshold=0.5)
    >>> measured.auc.value, [point.name for point in measured.operating_points][:1]
    (0.75, ["the model's own"])
    >>> measured.operating_points[0].metrics.confusion
    Confusion(tp=1, fp=1, tn=1, fn=1)
    """
    known = ~np.isnan(truth + probability)
    positives = int(np.count_nonzero(truth[known]))
    line = metrics.calibration_line(truth, probability, patients)
    auc = metrics.roc_auc(truth, probability, patients)
    # With enough patients it already is DeLong's.
    delong = (
        auc
        if auc.method in ("DeLong", "Obuchowski")
        else metrics.roc_auc(truth, probability, patients, interval="delong")
    )
    return LabelMetrics(
        positives=positives,
        negatives=int(np.count_nonzero(known)) - positives,
        unknown=int(np.count_nonzero(~known)),
        auc=auc,
        auc_delong=delong,
        average_precision=metrics.average_precision(truth, probability, patients),
        brier=metrics.brier(truth, probability, patients),
        calibration_error=metrics.expected_calibration_error(truth, probability, patients=patients),
        calibration_slope=line.slope,
        calibration_intercept=line.intercept,
        operating_points=tuple(
            _points(truth, probability, patients, wanted or WantedPoints(), (own_threshold, moved_threshold))
        ),
    )


def _points(
    truth: Floats,
    probability: Floats,
    patients: Ints | None,
    wanted: WantedPoints,
    in_force: tuple[float | None, float | None],
) -> list[EvaluatedPoint]:
    def at(name: str, chosen_on: str, threshold: float | None, reason: str = "") -> EvaluatedPoint:
        at_point = None if threshold is None else metrics.at_threshold(truth, probability, threshold, patients)
        return EvaluatedPoint(name, chosen_on, at_point, reason)

    chosen = metrics.operating_points(truth, probability, wanted.sensitivities, wanted.specificities)
    return [
        *(at(f"threshold {value:g}", "given", value) for value in wanted.thresholds),
        *(
            at(name, whence, value)
            for name, whence, value in zip((OWN, MOVED), (OWN, "given"), in_force, strict=True)
            if value is not None
        ),
        *(at(point.name, CHOSEN_HERE, point.threshold, point.reason) for point in chosen),
    ]
