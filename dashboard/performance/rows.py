"""What the Performance page computes from: arrays that know their own content, by which caches find them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ichscope.evaluation.label_metrics import LabelMetrics
from ichscope.evaluation.selection import EvaluationSet, ModelColumn
from ichscope.levels import Level

# Where neither the model nor the data offer a threshold.
_NEUTRAL = 0.5


@dataclass(frozen=True, eq=False)
class LabelRows:
    """Truth and one model's probability of one label, (rows,) each, and the patient that each row belongs to."""

    truth: NDArray[np.float64]
    probability: NDArray[np.float64]
    group: NDArray[np.intp]

    @cached_property
    def sha256(self) -> str:
        return _sha256(self.truth, self.probability, self.group)

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.truth + self.probability)


@dataclass(frozen=True, eq=False)
class Texts:
    """One text a row."""

    values: Sequence[str]

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256("\0".join(self.values).encode()).hexdigest()


def _sha256(*arrays: NDArray[np.generic]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()


class Audit:
    """What was loaded, seen from the model that is looked at.

    first : key of that model's source
    second : key of the model beside it, or None
    chosen : truth, and how slices become studies: a threshold that was moved is of these
    by : what the rows can be divided by, where anything is known of it
    """

    def __init__(
        self, evaluation_set: EvaluationSet, first: str, second: str | None, chosen: tuple[str, ...] = ()
    ) -> None:
        self.evaluation_set, self.first, self.second, self.chosen = evaluation_set, first, second, chosen
        self.by = {name: Texts(values) for name, values in evaluation_set.columns.items() if any(values)}
        self.everyone = Texts(["All"] * len(evaluation_set.keys))
        self._names = evaluation_set.names()
        self._rows: dict[tuple[str, str], LabelRows] = {}

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels that truth and model have, ours first."""
        return self.labels_of(self.first)

    def labels_of(self, *keys: str) -> tuple[str, ...]:
        """Labels that truth and all these models have, ours first."""
        models = [self.evaluation_set.models[key].probability for key in keys]
        return tuple(label for label in self.evaluation_set.truth if all(label in known for known in models))

    def model(self, key: str | None = None) -> ModelColumn:
        """The model of a source; the first, if none is named."""
        return self.evaluation_set.models[key or self.first]

    def name(self, key: str | None = None) -> str:
        """Name and version of a model."""
        return self._names[key or self.first]

    def rows(self, label: str, key: str | None = None) -> LabelRows:
        """Truth and a model's output for a label that it knows."""
        place = (key or self.first, label)
        if place not in self._rows:
            truth, probability = self.evaluation_set.truth[label], self.model(key).probability[label]
            self._rows[place] = LabelRows(truth, probability, self.evaluation_set.group)
        return self._rows[place]

    def shared_rows(self, label: str, second: str) -> dict[str, LabelRows]:
        """Truth and the outputs of the first model and of a second one, by key, where both know it."""
        both = {key: self.rows(label, key) for key in (self.first, second)}
        unknown = ~np.logical_and(*(label_rows.known for label_rows in both.values()))
        if all((unknown == ~label_rows.known).all() for label_rows in both.values()):
            return both
        return {
            key: replace(label_rows, probability=np.where(unknown, np.nan, label_rows.probability))
            for key, label_rows in both.items()
        }

    def own_threshold(self, label: str, key: str | None = None) -> float | None:
        """The threshold that a model brings along."""
        return self.model(key).thresholds.get(label)

    @property
    def unit(self) -> Level:
        """What a row is: study, series or slice."""
        return self.evaluation_set.level


def threshold_in_force(label_metrics: LabelMetrics, own: float | None) -> tuple[float, str]:
    """The threshold to begin with, and where it comes from, in words."""
    if own is not None:
        return own, "the model's own"
    youden = next((point.metrics for point in label_metrics.operating_points if point.name == "Youden"), None)
    if youden is not None:
        return youden.threshold, "Youden point of these data, as the model has no threshold"
    return _NEUTRAL, "no threshold is known"
