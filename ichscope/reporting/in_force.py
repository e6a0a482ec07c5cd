"""At which thresholds a report stands: points in force, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ichscope import metrics
from ichscope.evaluation.evaluate import ModelMetrics
from ichscope.evaluation.label_metrics import MOVED, OWN, LabelMetrics
from ichscope.evaluation.selection import EvaluationSet
from ichscope.labels import SUBTYPES
from ichscope.metrics import AtThreshold, JointConfusion, Subgroup

ALL = "all"


# Which operating point is in force, by its name, and what it is called then.
_WHENCE = {
    MOVED: "the threshold moved on the page",
    OWN: "its own threshold",
    "Youden": "the Youden point of these data",
}


@dataclass(frozen=True)
class PointInForce:
    """The operating point that figures and subgroups stand on, and where it comes from, in words."""

    name: str
    metrics: AtThreshold


def point_in_force(label_metrics: LabelMetrics) -> PointInForce | None:
    """The threshold that was moved, else the model's own, else the Youden point; None where there is none of them."""
    return _first_of(label_metrics, _WHENCE)


def _first_of(label_metrics: LabelMetrics, names: Iterable[str]) -> PointInForce | None:
    points = {point.name: point.metrics for point in label_metrics.operating_points if point.metrics}
    return next((PointInForce(_WHENCE[name], points[name]) for name in names if name in points), None)


def subtype_points(labels: Mapping[str, LabelMetrics]) -> tuple[dict[str, float], str]:
    """Thresholds of the subtypes that have one, and what they are, in words; as on the page, none that was moved."""
    points = {
        label: point for label in SUBTYPES if label in labels and (point := _first_of(labels[label], (OWN, "Youden")))
    }
    whence = " or ".join(dict.fromkeys(point.name for point in points.values()))
    return {label: point.metrics.threshold for label, point in points.items()}, whence


def joint(evaluation_set: EvaluationSet, key: str, model: ModelMetrics) -> tuple[JointConfusion, str] | None:
    """Which subtypes are taken for which, and at which thresholds, in words; None with fewer than two of them."""
    thresholds, whence = subtype_points(model.labels)
    if len(thresholds) < 2:
        return None
    both = (evaluation_set.truth, evaluation_set.models[key].probability)
    truth, probability = (np.stack([values[label] for label in thresholds], axis=1) for values in both)
    return metrics.joint_confusion(truth, probability, tuple(thresholds.values()), tuple(thresholds)), whence


def subgroups(
    evaluation_set: EvaluationSet, key: str, model: ModelMetrics, label: str = ""
) -> dict[str, tuple[Subgroup, ...]]:
    """All rows, then subgroups by each column that is known: a label, the model's first, at the threshold in force."""
    label = label or next(iter(model.labels), "")
    point = point_in_force(model.labels[label]) if label in model.labels else None
    if point is None:
        return {}
    truth, probability = evaluation_set.truth[label], evaluation_set.models[key].probability[label]
    everything = {ALL: [ALL] * len(evaluation_set.keys)}
    return {
        by: metrics.subgroups(truth, probability, texts, point.metrics.threshold, evaluation_set.group)
        for by, texts in (everything | evaluation_set.columns).items()
        if any(texts)
    }
