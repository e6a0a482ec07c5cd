"""Whether two periods differ: distributions, categories and shares, with a correction for so many tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ichscope.monitor.data import Drift, DriftBin, DriftOf

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Below so many studies in one of the periods nothing is said.
ENOUGH = 30
_BINS = 10
# A chi-squared test wants this many expected studies of every category in both periods (Cochran 1954).
_EXPECTED = 5
# Added to each bin, so that an empty one does not make the index infinite.
_SMOOTH = 0.5
UNKNOWN = "not said"


def numbers(name: str, of: DriftOf, reference: Floats, current: Floats) -> Drift:
    """Compare numbers, nan where unknown: Kolmogorov-Smirnov, and PSI over tenths of the reference.

    Unknown counts as lower than any number, so that it shows when a header begins to lack something. Ties make the
    test careful: it then rejects less often than it might.
    """
    method = "Kolmogorov-Smirnov"
    known = [values[~np.isnan(values)] for values in (reference, current)]
    studies = (len(reference), len(current))
    if reason := _too_few(*studies) or ("" if all(map(len, known)) else "no study of a period has it"):
        return Drift(name, of, method, studies, reason=f"not estimable: {reason}")
    filled = [np.where(np.isnan(values), -np.inf, values) for values in (reference, current)]
    edges = np.unique(np.quantile(known[0], np.arange(1, _BINS) / _BINS))
    bins = _numbered(filled, edges)
    test = stats.ks_2samp(*filled, method="asymp")
    psi, chance = stability(bins)
    middle = (float(np.median(known[0])), float(np.median(known[1])))
    return Drift(name, of, method, studies, middle, bins, psi, chance, float(test.pvalue))


def _numbered(values: Sequence[Floats], edges: Floats) -> tuple[DriftBin, ...]:
    """Counts between edges; the lower edge belongs to its bin, and unknown (-inf) is one of its own."""
    first, rest = edges[0], edges[1:]
    names = [f"below {first:.3g}", *(f"{a:.3g} to {b:.3g}" for a, b in zip(edges, rest, strict=False))]
    names.append(f"{edges[-1]:.3g} and more")
    counts = []
    for of_period in values:
        there = of_period[of_period > -np.inf]
        of_bin = np.bincount(np.searchsorted(edges, there, side="right"), minlength=len(names))
        counts.append([*of_bin.tolist(), len(of_period) - len(there)])
    rows = zip([*names, UNKNOWN], *counts, strict=True)
    return tuple(DriftBin(*row) for row in rows if row[1] or row[2])


def categories(name: str, reference: Mapping[str, int], current: Mapping[str, int]) -> Drift:
    """Compare counts of categories, "" where unknown: Pearson's chi-squared test, rare ones put together, and PSI."""
    method = "chi-squared"
    studies = (sum(reference.values()), sum(current.values()))
    if reason := _too_few(*studies):
        return Drift(name, "input", method, studies, reason=f"not estimable: {reason}")
    bins = _pooled(reference, current, min(studies) / sum(studies))
    if len(bins) < 2:
        return Drift(name, "input", method, studies, bins=bins, reason="not estimable: nearly all are alike")
    test = stats.chi2_contingency([[part.reference, part.current] for part in bins], correction=False)
    psi, chance = stability(bins)
    return Drift(name, "input", method, studies, None, bins, psi, chance, float(test.pvalue))


def _pooled(reference: Mapping[str, int], current: Mapping[str, int], smaller: float) -> tuple[DriftBin, ...]:
    """Counts by category, the commonest first; too rare ones together, with the rarest of the others if need be."""
    names = sorted({*reference, *current}, key=lambda name: (-reference.get(name, 0) - current.get(name, 0), name))
    bins = [DriftBin(name or UNKNOWN, reference.get(name, 0), current.get(name, 0)) for name in names]
    rare: list[DriftBin] = []
    while bins and (not _common([bins[-1]], smaller) or (rare and not _common(rare, smaller))):
        rare.append(bins.pop())
    if len(rare) == 1:
        return (*bins, *rare)
    others = DriftBin("others", sum(part.reference for part in rare), sum(part.current for part in rare))
    return (*bins, others) if rare else tuple(bins)


def _common(bins: Sequence[DriftBin], smaller: float) -> bool:
    return sum(part.reference + part.current for part in bins) * smaller >= _EXPECTED


def stability(bins: Sequence[DriftBin]) -> tuple[float, float]:
    """Population stability index of counts, and what it would be on average without any change.

    The mean under no change, (bins - 1)(1/n + 1/m), is after Yurdakul and Naranjo (2020), "Statistical properties of
    the population stability index", Journal of Risk Model Validation 14(4).
    """
    counts = np.array([[part.reference, part.current] for part in bins], np.float64)
    shares = (counts + _SMOOTH) / (counts + _SMOOTH).sum(axis=0)
    psi = float(((shares[:, 1] - shares[:, 0]) * np.log(shares[:, 1] / shares[:, 0])).sum())
    return psi, float((len(bins) - 1) * (1 / counts.sum(axis=0)).sum())


def share(name: str, reference: Floats, current: Floats) -> Drift:
    """Compare shares of 1 among 0 and 1 (nan: not counted) by Fisher's exact test."""
    method = "Fisher's exact test"
    known = [values[~np.isnan(values)] for values in (reference, current)]
    studies = (len(known[0]), len(known[1]))
    if reason := _too_few(*studies):
        return Drift(name, "share", method, studies, reason=f"not estimable: {reason}")
    hits = [int(flags.sum()) for flags in known]
    middle = (hits[0] / studies[0], hits[1] / studies[1])
    return Drift(name, "share", method, studies, middle, p=_fisher(hits, studies))


def worst(name: str, reference: Floats, current: Floats, when: Floats) -> Drift:
    """Compare the share in each part of the current period with the reference; the one that differs most counts.

    Fisher's exact test of each, the smallest p times their number (Bonferroni).

    when : (current,) number of the day or week
    """
    method = "Fisher's exact test, Bonferroni"
    first, known = reference[~np.isnan(reference)], ~np.isnan(current)
    if reason := _too_few(len(first), int(known.sum())):
        return Drift(name, "share", method, (len(first), int(known.sum())), reason=f"not estimable: {reason}")
    parts = [current[known & (when == unit)] for unit in np.unique(when[known])]
    hits = int(first.sum())
    p = [_fisher((hits, int(part.sum())), (len(first), len(part))) for part in parts]
    at = int(np.argmin(p))
    middle = (hits / len(first), float(parts[at].mean()))
    return Drift(name, "share", method, (len(first), len(parts[at])), middle, p=min(1.0, p[at] * len(p)))


def _fisher(hits: Sequence[int], studies: Sequence[int]) -> float:
    table = [hits, [n - k for k, n in zip(hits, studies, strict=True)]]
    return float(stats.fisher_exact(table).pvalue)


def _too_few(reference: int, current: int) -> str:
    for name, studies in (("reference", reference), ("current", current)):
        if studies < ENOUGH:
            return f"{studies} of {ENOUGH} studies needed in the {name} period"
    return ""


def holm(drifts: Sequence[Drift]) -> tuple[Drift, ...]:
    """Adjust p for all comparisons together: with limit a, a false alarm among them has at most probability a.

    Holm (1979), "A simple sequentially rejective multiple test procedure".
    """
    tested = sorted((drift.p, i) for i, drift in enumerate(drifts) if drift.p is not None)
    adjusted: dict[int, float] = {}
    highest = 0.0
    for place, (p, i) in enumerate(tested):
        adjusted[i] = highest = max(highest, min(1.0, p * (len(tested) - place)))
    return tuple(replace(drift, adjusted=adjusted.get(i)) for i, drift in enumerate(drifts))
