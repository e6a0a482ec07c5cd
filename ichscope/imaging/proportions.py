"""Is the head as long and as wide as heads are? Wrong distances of pixels, and a head that lies on its side, show here.

Limits were set on 66 CT-ICH and two RSNA heads and 77 single slices: width to length of the body 0.71 to 1.03, its
longer side on the widest slice of a head 150 to 223 mm.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ichscope.imaging.elements import DicomError, describe, number
from ichscope.imaging.frames import Frame
from ichscope.imaging.head_check import APEX_SHARE, HeadSlice
from ichscope.imaging.series import Finding, FindingLevel

_NARROWEST, _WIDEST = 0.6, 1.15
_SHORTEST_MM = 130.0
_ENOUGH = 5
_SQUARE, _SAME_FIELD = 0.01, 0.05


def proportion_findings(slices: Sequence[HeadSlice], spacing_mm: tuple[float, float] | None) -> list[Finding]:
    """Findings about the head's width and length, with the distances of pixels that the header gives.

    Parameters
    ----------
    slices : head_slices() of a series, rows to the back
    spacing_mm : between rows and between columns

    Examples
    --------
    >>> from ichscope.imaging.head_check import head_slices
    >>> from ichscope.phantom import make
    >>> head = make(slices=8, size=64)
    >>> row_mm, column_mm = head.spacing_mm[1:]
    >>> proportion_findings(head_slices(head.hu), (row_mm, column_mm))
    []
    >>> [finding.code for finding in proportion_findings(head_slices(head.hu), (row_mm, 2 * column_mm))]
    ['pixel-spacing']
    """
    bodies = [image for image in slices if not image.is_empty and image.area >= APEX_SHARE]
    if not bodies or spacing_mm is None:
        return []
    sides = np.array([image.sides_mm(spacing_mm) for image in bodies])
    shape = float(np.median(sides[:, 1] / sides[:, 0]))
    checks = (_oblong(spacing_mm, shape) or _lying(shape), _small(sides.max(), len(bodies)))
    return [finding for finding in checks if finding]


def diameter_findings(frames: Sequence[Frame]) -> list[Finding]:
    """Whether Pixel Spacing makes square images as wide as Reconstruction Diameter says.

    References
    ----------
    PS3.3 C.8.2.1 CT Image: the diameter in mm of the region that was reconstructed
    """
    shape = frames[0].shape
    try:
        diameter = number(frames[0].dataset, "ReconstructionDiameter", "")
    except DicomError:
        return []
    if not diameter or diameter < 0 or shape.spacing is None or shape.rows != shape.columns:
        return []
    if abs((wide := shape.columns * shape.spacing[1]) / diameter - 1) <= _SAME_FIELD:
        return []
    words = (
        f"{describe('PixelSpacing')}: found {wide:.0f} mm in {shape.columns} columns, expected {diameter:.0f} mm as "
    )
    words += f"{describe('ReconstructionDiameter')} says; lengths and volumes in mm may be wrong."
    return [Finding(FindingLevel.WARNING, "pixel-spacing", words)]


def _oblong(spacing_mm: tuple[float, float], shape: float) -> Finding | None:
    """Pixels that are not square: rare, and right where the head has its shape only with them."""
    row_mm, column_mm = spacing_mm
    if abs(row_mm / column_mm - 1) <= _SQUARE:
        return None
    words = f"{describe('PixelSpacing')}: found pixels of {row_mm:.3g} x {column_mm:.3g} mm, expected square ones"
    if _is_heads(shape) and not _is_heads(shape * row_mm / column_mm):
        return Finding(FindingLevel.OK, "pixel-spacing", f"{words}; with these the head has a head's shape.")
    words += f"; with these the head is {shape:.2f} times as wide as long."
    return Finding(FindingLevel.WARNING, "pixel-spacing", words)


def _small(longest_mm: float, bodies: int) -> Finding | None:
    if bodies < _ENOUGH or longest_mm >= _SHORTEST_MM:
        return None
    words = (
        f"{describe('PixelSpacing')}: found a head {longest_mm:.0f} mm long, expected {_SHORTEST_MM:.0f} mm or more; "
    )
    return Finding(FindingLevel.WARNING, "pixel-spacing", words + "lengths and volumes in mm may be wrong.")


def _lying(shape: float) -> Finding | None:
    if _is_heads(shape):
        return None
    words = (
        f"{describe('ImageOrientationPatient')} or {describe('PixelSpacing')}: found a head {shape:.2f} times as wide "
    )
    words += f"as long, expected {_NARROWEST:g} to {_WIDEST:g}: it may lie on its side."
    return Finding(FindingLevel.WARNING, "head-shape", words)


def _is_heads(shape: float) -> bool:
    return _NARROWEST <= shape <= _WIDEST
