"""Stored values into Hounsfield units: unit, rescale, padding, and what the images of a series disagree on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ichscope.imaging.elements import DicomError, describe
from ichscope.imaging.series import Finding, FindingLevel
from ichscope.imaging.source import name_some
from ichscope.imaging.stored import Stored, padded

AIR_HU = -1024
_LOWEST, _HIGHEST = np.iinfo(np.int16).min, np.iinfo(np.int16).max
# PS3.3 C.11.1.1.2 has HU, HU_MOD and US; scanners also write the word, and small letters.
_HU_WORDS = ("HU", "HU_MOD", "HOUNSFIELD", "HOUNSFIELD UNIT", "HOUNSFIELD UNITS")
# Air as measured reaches up to here, see plausibility.
_MOST_AIR_HU = -965
# Soft tissue and blood: where two neighbouring slices must agree.
_TISSUE_HU = (-150, 200)
_ENOUGH_PIXELS = 50
# Another order of size shows in air and brain.
_USUAL_SLOPES = frozenset((1, 2, 4, 8, 16, 0.5, 0.25, 0.125, 0.1))
_USUAL_INTERCEPTS = frozenset((0, -1000, -1024, -2000, -2048, -3024, -4096, -8192, -10240, -32768))
# Stands for the distance of tissue from no tissue at all.
_FAR_HU = 1000.0

Rescale = tuple[float, float]


class RescaledImage(Protocol):
    """What is needed of an image to compare it with its neighbours."""

    @property
    def file(self) -> str:
        """Its name."""

    @property
    def hu(self) -> NDArray[np.int16]:
        """(rows, columns) HU."""

    @property
    def rescale(self) -> Rescale:
        """Slope and intercept."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What reading it noticed."""


def check_unit(words: Iterable[str], file: str) -> tuple[Finding, ...]:
    """Findings about Rescale Type, from wherever the file has it.

    Raises
    ------
    DicomError
        if it is another unit, such as MGML (iodine in mg/ml)

    References
    ----------
    PS3.3 C.11.1.1.2 Modality LUT and Rescale Type

    Examples
    --------
    >>> check_unit(["hu", ""], "IM0001")
    ()
    >>> check_unit(["MGML"], "IM0001")
    Traceback (most recent call last):
    ichscope.imaging.elements.DicomError: IM0001: Rescale Type (0028,1054): found MGML, expected HU (Hounsfield units)
    """
    units = [word.strip().upper() for word in words if word.strip()]
    if other := next((unit for unit in units if unit not in (*_HU_WORDS, "US")), ""):
        raise DicomError.about(file, "RescaleType", other[:16], "HU (Hounsfield units)")
    if "US" not in units:
        return ()
    text = f"{describe('RescaleType')}: found US (unspecified), expected HU; grey values may be off"
    return (Finding(FindingLevel.WARNING, "unit", text),)


def to_hu(
    stored: Stored, rescale: Rescale, padding: tuple[int, ...] = ()
) -> tuple[NDArray[np.int16], tuple[Finding, ...]]:
    """Hounsfield units in int16, and findings about padding; nothing lies below air, and padding is air.

    Examples
    --------
    >>> to_hu(np.array([[0, 1064]], np.uint16), (1, -1024))[0].tolist()
    [[-1024, 40]]
    """
    slope, intercept = rescale
    low, high = int(stored.min()), int(stored.max())
    whole = slope == 1 and intercept == int(intercept) and abs(intercept) < -_LOWEST + AIR_HU
    if whole and low >= _LOWEST and max(high, high + intercept) <= _HIGHEST:
        same_size = stored.dtype.isnative and stored.dtype.itemsize == 2
        values = stored.view(np.int16) if same_size else stored.astype(np.int16)
        if low + intercept < AIR_HU:
            values = np.maximum(values, np.int16(AIR_HU - intercept))
        hu = values + np.int16(intercept)
    else:
        wide = stored.astype(np.float64) * slope + intercept
        hu = np.rint(np.clip(wide, AIR_HU, _HIGHEST)).astype(np.int16)
    if not padding or max(value * slope + intercept for value in padding) <= _MOST_AIR_HU:
        return hu, ()  # padding that is air already
    mask, findings = padded(stored, padding, rescale)
    hu[mask] = AIR_HU
    return hu, findings


def series_findings(images: Sequence[RescaledImage]) -> list[Finding]:
    """What was noticed in single images, once for all, and what their rescale values disagree on.

    Parameters
    ----------
    images : from foot to head
    """
    noticed: dict[tuple[FindingLevel, str], list[tuple[str, str]]] = defaultdict(list)
    for image in images:
        for finding in image.findings:
            noticed[FindingLevel(finding.level), finding.code].append((finding.text, image.file))
    findings = [
        Finding(level, code, f"{cases[0][0]} ({_which([file for _, file in cases], len(images))})")
        for (level, code), cases in noticed.items()
    ]
    return findings + _rescale_findings(images)


def _which(files: list[str], total: int) -> str:
    several = list(dict.fromkeys(files))
    return "all images" if len(several) == total else f"{len(several)} of {total} images: {name_some(several)[:-1]}"


def _rescale_findings(images: Sequence[RescaledImage]) -> list[Finding]:
    """Rescale values that change from slice to slice: needed if tissue then goes on, else one of them is wrong."""
    if len({image.rescale for image in images}) < 2:
        return _unusual(images[0]) if images else []
    differing = [(lower, upper) for lower, upper in pairwise(images) if lower.rescale != upper.rescale]
    apart = np.array([_apart(lower, upper) for lower, upper in differing])
    needed = np.isfinite(apart).any() and np.nansum(apart[:, 0]) < np.nansum(apart[:, 1])
    names = f"{describe('RescaleSlope')} and {describe('RescaleIntercept')}"
    if needed:
        text = f"{names} differ between slices, as their pixels need."
        return [Finding(FindingLevel.OK, "rescale", text)]
    pairs = [f"{_words(lower)} beside {_words(upper)}" for lower, upper in differing]
    text = f"{names}: found values that differ between neighbouring slices without need, expected the "
    return [Finding(FindingLevel.WARNING, "rescale", f"{text}same: {name_some(pairs)}")]


def _unusual(image: RescaledImage) -> list[Finding]:
    """A rescale value that no scanner writes: an error of 1 % moves brain by 10 HU, and nothing else shows it."""
    slope, intercept = image.rescale
    if slope in _USUAL_SLOPES and intercept in _USUAL_INTERCEPTS:
        return []
    text = (
        f"{describe('RescaleSlope')} and {describe('RescaleIntercept')}: found {slope:g} and {intercept:g}, expected "
    )
    text += "those of scanners, such as 1 and -1024; Hounsfield units may be off"
    return [Finding(FindingLevel.WARNING, "rescale", text)]


def _words(image: RescaledImage) -> str:
    slope, intercept = image.rescale
    return f"{slope:g}, {intercept:g} ({image.file})"


def _apart(lower: RescaledImage, upper: RescaledImage) -> tuple[float, float]:
    """HU between tissue of two slices with each slice's own rescale, and with one for both; NaN without tissue."""
    first, second = (image.hu.ravel()[::3].astype(np.float64) for image in (lower, upper))
    common = (first - lower.rescale[1]) / lower.rescale[0] * upper.rescale[0] + upper.rescale[1]

    def between(values: NDArray[np.float64]) -> float:
        both = (values > _TISSUE_HU[0]) & (values < _TISSUE_HU[1]) & (second > _TISSUE_HU[0]) & (second < _TISSUE_HU[1])
        return abs(float(np.median(values[both] - second[both]))) if both.sum() >= _ENOUGH_PIXELS else np.nan

    own, one = between(first), between(common)
    if np.isnan(own) and not np.isnan(one):
        return _FAR_HU, one
    return own, _FAR_HU if np.isnan(one) and not np.isnan(own) else one
