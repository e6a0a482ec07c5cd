"""What the Performance page computes from: arrays that know their own content, by which caches find them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ichscope.evaluation.evaluate import LabelFigures
from ichscope.evaluation.selection import Audited, ModelColumn

# Where neither the model nor the data offer a threshold.
_NEUTRAL = 0.5


@dataclass(frozen=True, eq=False)
class Rows:
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

    def __init__(self, audited: Audited, first: str, second: str | None, chosen: tuple[str, ...] = ()) -> None:
        self.audited, self.first, self.second, self.chosen = audited, first, second, chosen
        self.by = {name: Texts(values) for name, values in audited.columns.items() if any(values)}
        self.everyone = Texts(["All"] * len(audited.keys))
        self._names = audited.names()
        self._rows: dict[tuple[str, str], Rows] = {}

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels that truth and model have, ours first."""
        return self.labels_of(self.first)

    def labels_of(self, *keys: str) -> tuple[str, ...]:
        """Labels that truth and all these models have, ours first."""
        models = [self.audited.models[key].probability for key in keys]
        return tuple(label for label in self.audited.truth if all(label in said for said in models))

    def model(self, key: str | None = None) -> ModelColumn:
        """The model of a source; the first, if none is named."""
        return self.audited.models[key or self.first]

    def name(self, key: str | None = None) -> str:
        """Name and version of a model."""
        return self._names[key or self.first]

    def rows(self, label: str, key: str | None = None) -> Rows:
        """Truth and a model's word on a label that it knows."""
        place = (key or self.first, label)
        if place not in self._rows:
            truth, said = self.audited.truth[label], self.model(key).probability[label]
            self._rows[place] = Rows(truth, said, self.audited.group)
        return self._rows[place]

    def shared_rows(self, label: str, second: str) -> dict[str, Rows]:
        """Truth and the words of the first model and of a second one, by key, where both know it."""
        both = {key: self.rows(label, key) for key in (self.first, second)}
        unknown = ~np.logical_and(*(one.known for one in both.values()))
        if all((unknown == ~one.known).all() for one in both.values()):
            return both
        return {key: replace(one, probability=np.where(unknown, np.nan, one.probability)) for key, one in both.items()}

    def own_threshold(self, label: str, key: str | None = None) -> float | None:
        """The threshold that a model brings along."""
        return self.model(key).thresholds.get(label)

    @property
    def unit(self) -> str:
        """What a row is: study or slice."""
        return self.audited.level


def threshold_in_force(found: LabelFigures, own: float | None) -> tuple[float, str]:
    """The threshold to begin with, and where it comes from, in words."""
    if own is not None:
        return own, "the model's own"
    youden = next((point.found for point in found.operating_points if point.name == "Youden"), None)
    if youden is not None:
        return youden.threshold, "Youden point of these data, for the model brings no threshold"
    return _NEUTRAL, "no threshold is known"
