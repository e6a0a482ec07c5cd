"""Did all images of a series come? Counts, numbers and distances that the headers claim, against what is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ichscope.imaging.elements import describe
from ichscope.imaging.frames import Frame
from ichscope.imaging.series import Finding, FindingLevel
from ichscope.imaging.witness import witness

# Slices further apart than this many times their thickness leave tissue out: every second one is gone.
_GAP = 1.5
# As measured and as Spacing Between Slices says; a tilt of 30 degrees makes 0.87.
_SAME_SPACING = 0.2


def missing_images(frames: Sequence[Frame], places: Sequence[float | None]) -> list[Finding]:
    """Whether as many images are there as the headers say, in steps as large as they say.

    Parameters
    ----------
    frames : in order
    places : of these in mm, None where unknown

    References
    ----------
    PS3.3 C.7.6.1 Images in Acquisition, C.7.6.2 Slice Thickness, C.7.6.16.2.1 and C.8.8 Spacing Between Slices
    """
    known = [place for place in places if place is not None]
    steps = np.abs(np.diff(known)) if len(known) == len(places) else np.array([])
    checks = (_count(frames), _distances(frames, steps), _numbers(frames, steps))
    return [Finding(FindingLevel.WARNING, code, text) for code, text in checks if text]


def _count(frames: Sequence[Frame]) -> tuple[str, str]:
    """Images in Acquisition against the images of each acquisition."""
    claimed = witness(frames, "ImagesInAcquisition").values
    acquisitions = witness(frames, "AcquisitionNumber").values
    there = Counter(acquisitions.tolist()) if not np.isnan(acquisitions).any() else Counter({np.nan: len(frames)})
    for count, acquisition in zip(claimed, acquisitions.tolist(), strict=True):
        here = there.get(acquisition, len(frames))
        if count > here:
            text = f"{describe('ImagesInAcquisition')}: found {here} images, expected {count:.0f}: the series is "
            return "incomplete", text + "incomplete, and a bleed on the others cannot be seen."
    return "incomplete", ""


def _distances(frames: Sequence[Frame], steps: NDArray[np.float64]) -> tuple[str, str]:
    """Distance of slices against Spacing Between Slices and Slice Thickness."""
    if not len(steps):
        return "", ""
    between = float(np.median(steps))
    said = witness(frames, "SpacingBetweenSlices").values[0]
    thickness = frames[0].facts.slice_thickness_mm
    if not np.isnan(said) and said and abs(between / abs(said) - 1) > _SAME_SPACING:
        text = f"{describe('SpacingBetweenSlices')}: found slices {between:.1f} mm apart, expected {abs(said):.1f} mm"
        return "slice-gaps", text + ": slices may be missing."
    if thickness and between > _GAP * thickness:
        text = f"{describe('SliceThickness')}: found slices {between:.1f} mm apart that are {thickness:.1f} mm thick, "
        return "slice-gaps", text + "expected no gaps: slices may be missing."
    return "", ""


def _numbers(frames: Sequence[Frame], steps: NDArray[np.float64]) -> tuple[str, str]:
    """Gaps in Instance Number: a few, where distances are not known; or at most steps, which distances cannot show."""
    numbers = witness(frames, "InstanceNumber")
    jumps = np.abs(np.diff(numbers.values))
    if numbers.keyword != "InstanceNumber" or not numbers.orders or not len(jumps):
        return "", ""
    gaps = jumps > 1
    ascending = np.all(np.diff(numbers.values) > 0) or np.all(np.diff(numbers.values) < 0)
    if not ascending or not gaps.any() or (len(steps) and 2 * gaps.sum() < len(gaps)):
        return "", ""
    missing = int(np.sum(jumps - 1))
    text = f"{numbers.name}: found {len(frames)} images with numbers from {numbers.values.min():.0f} to "
    text += f"{numbers.values.max():.0f}, expected one for each number: {missing} may be missing."
    return "missing-numbers", text
