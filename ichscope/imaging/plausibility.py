"""Are the Hounsfield units those of a head, in every slice? Air and brain at their place, and neighbours that agree.

Limits were set on 144 RSNA 2019 slices (two whole studies among them) and 22 CT-ICH patients. Seen there, as medians
of a series: air -1003 to -993 HU, brain 24 to 45; from slice to slice air changed by 3 HU and brain by 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ichscope.imaging.elements import describe
from ichscope.imaging.head_check import HeadSlice
from ichscope.imaging.series import Finding, FindingLevel, Series
from ichscope.imaging.source import name_some

_AIR_HU, _LOWEST_HU, _METAL_HU = -700, -1024, 1800
# Wide, so that brain in the wrong place is still seen as brain.
_BRAIN_HU = (-120, 180)
_AIR_LEVEL, _BRAIN_LEVEL = (-1018, -965), (14, 54)
_AIR_STEP, _BRAIN_STEP = 18, 12
_ENOUGH_AIR, _ENOUGH_BRAIN = 0.05, 0.3
# Metal in air is rare (0.0005 of a slice at most); values that wrap around lie there in numbers.
_MOST_WRAPPED = 0.004
_CUT_OFF, _MEASURED = 0.5, 0.25
_WHOLE = 5


@dataclass(frozen=True)
class _Levels:
    """Of one slice: share of air, HU of air and brain (None where there is too little), share of metal beside air."""

    share: float
    air: float | None
    brain: float | None
    wrapped: float


def implausible(series: Series, slices: Sequence[HeadSlice]) -> list[Finding]:
    """Findings about slices unlike their neighbours, and about air and brain of the whole series.

    slices : head_slices() of the series

    Examples
    --------
    >>> from ichscope.imaging.dicom import read_series
    >>> from ichscope.imaging.head_check import head_slices
    >>> from ichscope.phantom import datasets, make, to_bytes
    >>> files = datasets(make(slices=8, size=64))
    >>> series = read_series([to_bytes(dataset) for dataset in files])
    >>> implausible(series, head_slices(series.hu))
    []
    >>> files[4].RescaleIntercept = -900
    >>> series = read_series([to_bytes(dataset) for dataset in files])
    >>> [finding.code for finding in implausible(series, head_slices(series.hu))]
    ['hu-slices']
    """
    levels = [_measure(image) for image in slices]
    return _odd_slices(series, levels) + _odd_series(levels)


def _measure(image: HeadSlice) -> _Levels:
    hu = image.hu
    air = hu < _AIR_HU
    real = hu[air & (hu > _LOWEST_HU)]
    level = None
    if air.mean() >= _ENOUGH_AIR:
        level = float(np.median(real)) if real.size >= _MEASURED * air.sum() else float(_LOWEST_HU)
    if level is not None and real.size and np.mean(real == real.min()) > _CUT_OFF:
        level = None  # the lowest grey of a window, not measured
    mask, share = image.brain_inside(_BRAIN_HU)
    brain = float(np.median(hu[mask])) if share >= _ENOUGH_BRAIN else None
    metal = hu > _METAL_HU
    wrapped = float(np.mean(metal & ndimage.binary_dilation(air))) if metal.any() else 0.0
    return _Levels(float(air.mean()), level, brain, wrapped)


def _odd_slices(series: Series, levels: Sequence[_Levels]) -> list[Finding]:
    """Slices whose air or brain is not where that of their neighbours is."""
    most_air = max(own.share for own in levels)
    odd = {
        number: "values of metal all over the air, as where numbers wrap around"
        for number, own in enumerate(levels)
        if own.wrapped > _MOST_WRAPPED
    }
    for number, own in enumerate(levels):
        if own.share < min(most_air / 4, _ENOUGH_AIR):
            odd.setdefault(number, "no air, which other slices have")
    for name, limit, values in (
        ("air", _AIR_STEP, [own.air for own in levels]),
        ("brain", _BRAIN_STEP, [own.brain for own in levels]),
    ):
        for number, words in _beyond_a_step(values, limit):
            odd.setdefault(number, f"{name} at {words}")
    if not odd:
        return []
    text = f"{describe('PixelData')} with {describe('RescaleIntercept')}: found Hounsfield units unlike those of "
    text += f"neighbouring slices in {len(odd)} of {len(levels)} slices, expected air and brain at one level: "
    level = FindingLevel.NOT_ANALYSABLE if 4 * len(odd) > len(levels) else FindingLevel.WARNING
    names = [f"{series.slices[number].file} ({odd[number]})" for number in sorted(odd)]
    return [Finding(level, "hu-slices", text + name_some(names))]


def _beyond_a_step(values: Sequence[float | None], limit: float) -> Iterator[tuple[int, str]]:
    """Numbers of slices that a step in HU sets apart from the longest run without one."""
    runs: list[list[int]] = []
    known = {number: value for number, value in enumerate(values) if value is not None}
    last = None
    for number, value in known.items():
        if last is None or abs(value - last) > limit:
            runs.append([])
        runs[-1].append(number)
        last = value
    if len(runs) < 2:
        return
    usual = float(np.median([known[number] for number in max(runs, key=len)]))
    for run in runs:
        if run is not max(runs, key=len) and abs(float(np.median([known[number] for number in run])) - usual) > limit:
            yield from ((number, f"{known[number]:.0f} HU, elsewhere {usual:.0f}") for number in run)


def _odd_series(levels: Sequence[_Levels]) -> list[Finding]:
    """Air or brain of the whole series where neither belongs."""
    findings = []
    for name, limits, values in (
        ("air", _AIR_LEVEL, [slice_.air for slice_ in levels if slice_.air is not None]),
        ("brain", _BRAIN_LEVEL, [slice_.brain for slice_ in levels if slice_.brain is not None]),
    ):
        # Air that is cut off at -1024 in all slices, as some scanners write it, says nothing.
        if len(values) < _WHOLE or (level := float(np.median(values))) == _LOWEST_HU:
            continue
        if not limits[0] <= level <= limits[1]:
            text = f"{describe('RescaleSlope')} or {describe('RescaleIntercept')}: found {name} at {level:.0f} HU, "
            text += f"expected {limits[0]} to {limits[1]}; Hounsfield units may be off"
            findings.append(Finding(FindingLevel.WARNING, "hu-level", text))
    return findings
