"""Does Image Orientation fit how the patient lay? Of what is mirrored the pixels show nothing: a head has two sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ichscope.imaging.elements import describe, text
from ichscope.imaging.frames import Frame
from ichscope.imaging.geometry import Numbers, is_axial, tilt_degrees
from ichscope.imaging.series import Finding, FindingLevel

_TILTED_DEG = 1.0
_SIDES = (("left", "right"), ("back", "front"), ("head", "feet"))
_USUAL = ("left", "back")
# Where rows and columns run as scanners write it: the picture's upper edge is up in the room, seen from the feet; of a
# patient who came feet first some see it from the head (PS3.3 C.7.3.1.1.2 has the positions).
_LYING = {"S": _USUAL, "P": ("right", "front"), "DR": ("back", "right"), "DL": ("front", "left")}
_FEET_FIRST = {"S": ("right", "back"), "P": ("left", "front"), "DR": ("front", "right"), "DL": ("back", "left")}


def orientation_findings(frames: Sequence[Frame]) -> list[Finding]:
    """What is to be said of the orientation that the frames of one volume share.

    References
    ----------
    PS3.3 C.7.6.2.1.1 Image Orientation (Patient), C.7.3.1.1.2 Patient Position

    Examples
    --------
    >>> from ichscope.imaging.frames import read_frames
    >>> from ichscope.phantom import datasets, make, to_bytes
    >>> files = datasets(make(slices=4, size=64), ImageOrientationPatient=[-1, 0, 0, 0, -1, 0])
    >>> [finding.level.value for finding in orientation_findings(read_frames(to_bytes(files[0]), "IM1"))]
    ['warning']
    """
    orientation = frames[0].shape.orientation
    if orientation is None:
        words = f"{describe('ImageOrientationPatient')} is missing: slices are shown as stored, left may be right."
        return [Finding(FindingLevel.WARNING, "no-orientation", words)]
    if not is_axial(orientation):
        return []
    findings = _direction(orientation, frames)
    if abs(tilt := tilt_degrees(orientation)) > _TILTED_DEG:
        words = f"Slices are tilted by {abs(tilt):.0f} degrees; their places are measured along the slice normal."
        findings.append(Finding(FindingLevel.OK, "tilt", words))
    return findings


def _direction(orientation: Numbers, frames: Sequence[Frame]) -> list[Finding]:
    """Rows and columns that run otherwise than in a patient who lies on the back."""
    ways = _way(orientation[:3]), _way(orientation[3:])
    if ways == _USUAL:
        return []
    positions = {position for frame in frames if (position := text(frame.dataset, "PatientPosition").upper())}
    found = f"{describe('ImageOrientationPatient')}: found rows that run to the {ways[0]} and columns to the {ways[1]}"
    said = f"{describe('PatientPosition')} {' and '.join(sorted(positions)) or 'is missing'}"
    if len(positions) == 1 and ways in _expected(*positions):
        return [Finding(FindingLevel.OK, "orientation", f"{found}, as {said} has them.")]
    words = f"{found}, expected the left and the back; {said}. Slices are turned as the orientation says: if it is "
    return [Finding(FindingLevel.WARNING, "orientation", words + "wrong, left may be right and front back.")]


def _way(direction: Numbers) -> str:
    """The side of the body that a direction points to most."""
    axis = int(np.argmax(np.abs(direction)))
    return _SIDES[axis][int(direction[axis] < 0)]


def _expected(position: str) -> list[tuple[str, str]]:
    """Where rows and columns may run in a position such as HFS."""
    entry, lying = position[:2], position[2:]
    tables = {"HF": (_LYING,), "FF": (_LYING, _FEET_FIRST)}.get(entry, ())
    return [table[lying] for table in tables if lying in table]
