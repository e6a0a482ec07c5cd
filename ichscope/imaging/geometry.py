"""Where slices lie in the patient, whose axes are x to the left, y to the back, z to the head (PS3.3 C.7.6.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ichscope.imaging.series import Finding, FindingLevel

Numbers = tuple[float, ...]
# Slices whose normal is within 45 degrees of the body axis count as axial; gantry tilt reaches 30.
_AXIAL = np.cos(np.deg2rad(45))
_SAME_DIRECTION = 0.05
_SAME_SPACING_MM = 0.01
# Spacing may vary by a tenth (rounded positions, table steps) before it is called uneven.
_EVEN = 0.1


@dataclass(frozen=True)
class Shape:
    """What slices must share to be one volume."""

    rows: int
    columns: int
    orientation: Numbers | None = None
    spacing: Numbers | None = None
    localizer: bool = False

    def fits(self, other: Shape) -> bool:
        """Whether both may be slices of one volume."""
        return not self.differences(other)

    def __str__(self) -> str:
        plane = "scout" if self.localizer else plane_name(self.orientation)
        return f"{self.columns} x {self.rows}{', ' + plane if plane else ''}"

    def differences(self, other: Shape) -> tuple[str, ...]:
        """Keywords of the tags by which both are no slices of one volume.

        Examples
        --------
        >>> Shape(512, 512, spacing=(0.5, 0.5)).differences(Shape(512, 256, spacing=(1.0, 1.0)))
        ('Columns', 'PixelSpacing')
        """
        same = {
            "Rows": self.rows == other.rows,
            "Columns": self.columns == other.columns,
            "ImageType": self.localizer == other.localizer,
            "ImageOrientationPatient": _close(self.orientation, other.orientation, _SAME_DIRECTION),
            "PixelSpacing": _close(self.spacing, other.spacing, _SAME_SPACING_MM),
        }
        return tuple(keyword for keyword, agrees in same.items() if not agrees)


def _close(first: Numbers | None, second: Numbers | None, tolerance: float) -> bool:
    if first is None or second is None:
        return first is second
    return all(abs(a - b) <= tolerance for a, b in zip(first, second, strict=True))


def clusters(shapes: Sequence[Shape]) -> list[list[int]]:
    """Indices of the shapes that fit together, the largest cluster first.

    Examples
    --------
    >>> clusters([Shape(64, 64, localizer=True), Shape(512, 512), Shape(512, 512)])
    [[1, 2], [0]]
    """
    groups: list[list[int]] = []
    for index, shape in enumerate(shapes):
        for members in groups:
            if shape.fits(shapes[members[0]]):
                members.append(index)
                break
        else:
            groups.append([index])
    return sorted(groups, key=len, reverse=True)


def normal(orientation: Numbers) -> NDArray[np.float64]:
    """Unit normal of a slice, pointing to the head (or, of an upright slice, to left or back).

    References
    ----------
    PS3.3 C.7.6.2.1.1

    Examples
    --------
    >>> normal((1, 0, 0, 0, 1, 0)).tolist()
    [0.0, 0.0, 1.0]
    """
    rx, ry, rz, cx, cy, cz = orientation
    vector = np.array([ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx], float)
    vector /= np.linalg.norm(vector)
    leading = vector[2] if abs(vector[2]) >= _AXIAL else vector[np.argmax(np.abs(vector))]
    return vector if leading > 0 else -vector


def is_direction(orientation: Numbers) -> bool:
    """Whether these six numbers are two unit vectors at a right angle.

    References
    ----------
    PS3.3 C.7.6.2.1.1

    Examples
    --------
    >>> is_direction((1, 0, 0, 0, 1, 0)), is_direction((1, 0, 0, 1, 0, 0))
    (True, False)
    """
    row, column = orientation[:3], orientation[3:]
    across = sum(a * b for a, b in zip(row, column, strict=True))
    return abs(math.hypot(*row) - 1) < 0.02 and abs(math.hypot(*column) - 1) < 0.02 and abs(across) < 0.02


def plane_name(orientation: Numbers | None) -> str:
    """'axial', 'coronal' or 'sagittal', whichever is nearest; "" where unknown.

    Examples
    --------
    >>> plane_name((1, 0, 0, 0, 1, 0)), plane_name((1, 0, 0, 0, 0, -1)), plane_name(None)
    ('axial', 'coronal', '')
    """
    if orientation is None:
        return ""
    return ("sagittal", "coronal", "axial")[int(np.argmax(np.abs(normal(orientation))))]


def is_axial(orientation: Numbers) -> bool:
    """Whether the slice is within 45 degrees of axial.

    Examples
    --------
    >>> is_axial((1, 0, 0, 0, 1, 0)), is_axial((1, 0, 0, 0, 0, -1))
    (True, False)
    """
    return bool(abs(normal(orientation)[2]) >= _AXIAL)


def tilt_degrees(orientation: Numbers) -> float:
    """Angle between the slice's normal and the body axis about the left-right axis, signed.

    Examples
    --------
    >>> round(tilt_degrees((1, 0, 0, 0, 0.9659, 0.2588)))
    15
    """
    _, y, z = normal(orientation)
    return float(np.rad2deg(np.arctan2(-y, z)))


def position_mm(position: Numbers, orientation: Numbers | None) -> float:
    """Place of a slice along the slice normal; of a tilted slice this is not its z.

    References
    ----------
    PS3.3 C.7.6.2.1.1

    Examples
    --------
    >>> position_mm((-100, -100, 35), (1, 0, 0, 0, 1, 0))
    35.0
    """
    return float(np.dot(position, normal(orientation))) if orientation else float(position[2])


def upright(volume: NDArray[np.int16], orientation: Numbers) -> NDArray[np.int16]:
    """View of (slices, rows, columns) whose rows run to the back and columns to the left of the patient.

    Examples
    --------
    >>> rows_to_the_front = (1, 0, 0, 0, -1, 0)
    >>> upright(np.array([[[1, 2], [3, 4]]], np.int16), rows_to_the_front).tolist()
    [[[3, 4], [1, 2]]]
    """
    along_columns, along_rows = np.array(orientation[:3]), np.array(orientation[3:])
    if abs(along_columns[0]) < abs(along_rows[0]):
        volume = volume.transpose(0, 2, 1)
        along_columns, along_rows = along_rows, along_columns
    return volume[:, :: 1 if along_rows[1] > 0 else -1, :: 1 if along_columns[0] > 0 else -1]


def is_transposed(orientation: Numbers) -> bool:
    """Whether `upright` exchanges rows and columns.

    Examples
    --------
    >>> is_transposed((1, 0, 0, 0, 1, 0)), is_transposed((0, 1, 0, 1, 0, 0))
    (False, True)
    """
    return abs(orientation[0]) < abs(orientation[3])


def upright_plane(
    position: Numbers, orientation: Numbers, spacing_mm: Numbers, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Where the pixels of a slice lie in the patient after `upright`, which turns axial slices only.

    Parameters
    ----------
    position, orientation, spacing_mm : of the file, before it
    shape : rows and columns of the file

    Returns
    -------
    centre of the first pixel, the step from row to row and the step from column to column, each (3,) float64 in mm

    References
    ----------
    PS3.3 C.7.6.2.1.1

    Examples
    --------
    >>> rows_to_the_front = (1, 0, 0, 0, -1, 0)
    >>> origin, down, across = upright_plane((0, 0, 5), rows_to_the_front, (2, 1), (10, 20))
    >>> origin.tolist(), down.tolist(), across.tolist()
    ([0.0, -18.0, 5.0], [-0.0, 2.0, -0.0], [1.0, 0.0, 0.0])
    """
    origin = np.array(position, float)
    across, down = np.array(orientation[:3], float) * spacing_mm[1], np.array(orientation[3:], float) * spacing_mm[0]
    if not is_axial(orientation):
        return origin, down, across
    rows, columns = shape
    if is_transposed(orientation):
        across, down, rows, columns = down, across, columns, rows
    if down[1] <= 0:
        origin, down = origin + (rows - 1) * down, -down
    if across[0] <= 0:
        origin, across = origin + (columns - 1) * across, -across
    return origin, down, across


def check_spacing(
    positions: Sequence[float], names: Sequence[str], of: str = "Image Position (Patient) (0020,0032)"
) -> list[Finding]:
    """Find missing slices and uneven spacing in sorted positions in mm; `of` is the tag that says them.

    A gap of a whole multiple of the usual distance is a missing slice; anything else is uneven spacing.

    Examples
    --------
    >>> [finding] = check_spacing([0, 5, 10, 20, 25], ["a", "b", "c", "d", "e"])
    >>> finding.text
    '1 slice seems to be missing (after c): gap of 10.0 mm in Image Position (Patient) (0020,0032) where slices \
are 5.0 mm apart.'
    """
    steps = np.diff(positions)
    if len(steps) < 2:
        return []
    usual = float(np.sort(steps)[(len(steps) - 1) // 2])
    ratio = steps / usual
    odd = np.flatnonzero(np.abs(ratio - 1) > _EVEN)
    if not len(odd):
        return []
    whole = (np.abs(ratio[odd] - np.round(ratio[odd])) < _EVEN) & (ratio[odd] > 1.5)
    if whole.all() and len(odd) <= max(2, len(steps) // 4):
        missing = int(np.sum(np.round(ratio[odd]) - 1))
        where = ", ".join(f"after {names[i]}" for i in odd[:3]) + (" and elsewhere" if len(odd) > 3 else "")
        text = f"{missing} slice{'s' * (missing > 1)} seem{'s' * (missing == 1)} to be missing ({where}): "
        text += f"gap of {steps[odd].max():.1f} mm in {of} where slices are {usual:.1f} mm apart."
        return [Finding(FindingLevel.WARNING, "missing-slices", text)]
    text = (
        f"Slices are unevenly spaced by {of}: {steps.min():.1f} to {steps.max():.1f} mm apart, mostly {usual:.1f} mm."
    )
    return [Finding(FindingLevel.WARNING, "uneven-spacing", text)]
