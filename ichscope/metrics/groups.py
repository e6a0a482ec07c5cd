"""Where a model fails: subgroups, subtypes taken for each other, and slices put together to studies."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ichscope.metrics.estimate import Estimate
from ichscope.metrics.points import at_threshold, positives
from ichscope.metrics.ranking import roc_auc
from ichscope.metrics.sample import Floats, Ints, known

MINIMUM_PATIENTS = 20
UNKNOWN = "unknown"
Rule = Literal["max", "top-k", "noisy-or"]


@dataclass(frozen=True)
class Subgroup:
    """Figures of the rows of one group. Where too few patients are in it only their number is told (withheld)."""

    name: str
    rows: int
    patients: int
    positives: int | None
    auc: Estimate
    sensitivity: Estimate
    specificity: Estimate
    withheld: bool = False


def subgroups(
    truth: ArrayLike,
    score: ArrayLike,
    groups: Sequence[Hashable] | NDArray[np.generic],
    threshold: float,
    patients: ArrayLike | None = None,
    minimum: int = MINIMUM_PATIENTS,
) -> tuple[Subgroup, ...]:
    """AUC, sensitivity and specificity of each group, in the order of their names.

    Parameters
    ----------
    groups : (rows,) name of each row's group; None, "" and nan become "unknown"
    minimum : patients; smaller groups are withheld

    Examples
    --------
    >>> truth, score = [0, 1] * 20, [0.2, 0.9] * 20
    >>> for group in subgroups(truth, score, ["A"] * 30 + ["B"] * 10, threshold=0.5):
    ...     print(group.name, group.rows, group.sensitivity.value, group.withheld)
    A 30 1.0 False
    B 10 None True
    """
    rows = len(np.asarray(truth))
    patient = np.arange(rows) if patients is None else np.asarray(patients)
    truth, score = np.asarray(truth, np.float64), np.asarray(score, np.float64)
    # Few names stand for many rows: each is looked at once.
    groups = list(groups)
    name_of = {group: _group_name(group) for group in dict.fromkeys(groups)}
    names = sorted(set(name_of.values()))
    place = {group: names.index(name) for group, name in name_of.items()}
    number = np.fromiter(map(place.__getitem__, groups), np.intp, rows)
    return tuple(
        _subgroup(name, truth[chosen], score[chosen], patient[chosen], threshold, minimum)
        for i, name in enumerate(names)
        if (chosen := number == i).any()
    )


def _group_name(group: Hashable) -> str:
    return UNKNOWN if group is None or group == "" or group != group else str(group)


def _subgroup(
    name: str, truth: Floats, score: Floats, patient: NDArray[np.generic], threshold: float, minimum: int
) -> Subgroup:
    sample = known(truth, score, patients=patient)
    if sample.patients < minimum:
        none = Estimate(None, reason=f"withheld: fewer than {minimum} patients")
        return Subgroup(name, len(sample.truth), sample.patients, None, none, none, none, withheld=True)
    point = at_threshold(truth, score, threshold, patient)
    auc = roc_auc(truth, score, patient)
    return Subgroup(
        name, len(sample.truth), sample.patients, sample.positives, auc, point.sensitivity, point.specificity
    )


@dataclass(frozen=True, eq=False)
class JointConfusion:
    """Which combinations of subtypes are taken for which: each row counts once.

    names : combinations, the most frequent first; "none" first of all, and "other" last where some were merged
    counts : (names, names), truth by call
    """

    names: tuple[str, ...]
    counts: Ints


def joint_confusion(
    truth: ArrayLike, probability: ArrayLike, thresholds: Sequence[float], labels: Sequence[str], most: int = 12
) -> JointConfusion:
    """Cross-tabulate the true combination of labels with the one that is called.

    Parameters
    ----------
    truth : (rows, labels) 0, 1; rows with an unknown (nan) truth or probability are left out
    probability : (rows, labels); a label is called from its threshold on
    most : combinations to show; the rarer ones are merged

    Examples
    --------
    >>> probability = [[0.9, 0.1], [0.6, 0.7], [0.2, 0.1]]
    >>> matrix = joint_confusion([[1, 0], [1, 0], [0, 0]], probability, (0.5, 0.5), ("epidural", "subdural"))
    >>> matrix.names
    ('none', 'epidural', 'epidural + subdural')
    >>> matrix.counts.tolist()
    [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
    """
    truth, probability = np.asarray(truth, np.float64), np.asarray(probability, np.float64)
    keep = ~np.isnan(truth + probability).any(axis=1)
    # A combination is a number with one bit a label: a hundred thousand rows are counted at once.
    bits = 1 << np.arange(len(labels))
    real, called = (truth[keep] == 1) @ bits, positives(probability[keep], thresholds) @ bits
    codes, times = np.unique(np.concatenate([real, called]), return_counts=True)
    combinations = [_combination(code & bits > 0, labels) for code in codes]
    frequent = dict(zip(combinations, times.tolist(), strict=True))
    names = ["none", *(name for name, _ in sorted(frequent.items(), key=_rarest_last) if name != "none")]
    if len(names) > most:
        names = [*names[: most - 1], "other"]
    number = {name: i for i, name in enumerate(names)}
    place = np.array([number.get(name, len(names) - 1) for name in combinations], np.intp)
    counts = np.zeros((len(names), len(names)), np.intp)
    np.add.at(counts, tuple(place[np.searchsorted(codes, side)] for side in (real, called)), 1)
    return JointConfusion(tuple(names), counts)


def _combination(row: NDArray[np.bool_], labels: Sequence[str]) -> str:
    return " + ".join(label for label, there in zip(labels, row, strict=True) if there) or "none"


def _rarest_last(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def study_score(
    probability: ArrayLike, study: ArrayLike, rule: Rule = "max", k: int = 3
) -> tuple[NDArray[np.generic], Floats]:
    """Put the probabilities of slices together to one a study, for models that give none of their own.

    Parameters
    ----------
    probability : (slices,), none unknown
    study : (slices,) number or name of each slice's study
    rule : the highest; the mean of the k highest (of all, where a study has fewer); or the chance that at least
        one slice bleeds if slices were independent, which they are not: its scores rank, they are no probabilities

    Returns
    -------
    studies (studies,) in rising order, and their scores (studies,)

    Examples
    --------
    >>> studies, scores = study_score([0.1, 0.7, 0.5, 0.2], ["a", "a", "a", "b"], "top-k", k=2)
    >>> studies.tolist(), scores.tolist()
    (['a', 'b'], [0.6, 0.2])
    """
    p = np.asarray(probability, np.float64)
    names, number = np.unique(np.asarray(study), return_inverse=True)
    if rule == "noisy-or":
        with np.errstate(divide="ignore"):  # a slice with probability 1 decides
            return names, -np.expm1(np.bincount(number, np.log1p(-p), len(names)))
    # Slices by study, the highest first; `place` counts from 0 within each study.
    order = np.lexsort((-p, number))
    sizes = np.bincount(number, minlength=len(names))
    place = np.arange(len(p)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    taken = order[place < (1 if rule == "max" else k)]
    return names, np.bincount(number[taken], p[taken], len(names)) / np.bincount(number[taken], minlength=len(names))


def study_truth(truth: ArrayLike, study: ArrayLike) -> tuple[NDArray[np.generic], Floats]:
    """Truth of studies from their slices: 1 if any slice is positive, else nan if any is unknown, else 0.

    truth, study : (slices,); gives studies (studies,) in rising order, and their truth

    Examples
    --------
    >>> studies, truth = study_truth([0, 1, 0, float("nan")], ["a", "a", "b", "c"])
    >>> studies.tolist(), truth.tolist()
    (['a', 'b', 'c'], [1.0, 0.0, nan])
    """
    values = np.asarray(truth, np.float64)
    names, number = np.unique(np.asarray(study), return_inverse=True)
    positive = np.bincount(number, values == 1, len(names)) > 0
    unknown = np.bincount(number, np.isnan(values), len(names)) > 0
    return names, np.where(positive, 1.0, np.where(unknown, np.nan, 0.0))
