"""Other positions of the head in the scanner."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_PITCH_DEGREES, _ROLL_DEGREES, _YAW_DEGREES, _GANTRY_DEGREES = 15, 5, 8, 18
_FEWEST_SLICES = 6


def vary_host(hu: NDArray[np.int16], rng: np.random.Generator, spacing_mm: float = 5.0) -> NDArray[np.int16]:
    """Nod, roll and turn the head (or tilt the gantry), before a bleed is put into it.

    Parameters
    ----------
    hu : (n, rows, columns) int16 HU, model input from foot to head, whose pixels are near 1 mm; n stays the same.
        Where a tilted slice leaves the stack the nearest slice goes on. A few slices alone only turn in plane.

    Returns
    -------
    The same shape and type
    """
    turn = _turn(rng) if len(hu) >= _FEWEST_SLICES else _about(0, rng.uniform(-_YAW_DEGREES, _YAW_DEGREES))
    steps = np.array((spacing_mm, 1.0, 1.0))
    matrix = turn * steps[None, :] / steps[:, None]
    middle = (np.array(hu.shape) - 1) / 2
    moved = ndimage.affine_transform(
        hu, matrix, middle - matrix @ middle, output=np.float32, order=1, mode="nearest", prefilter=False
    )
    # Interpolation smooths: give back noise, where there is a head, so that its loss does not mark the study.
    middle_slice = hu[len(hu) // 2].astype(np.float32)
    fine = (middle_slice - ndimage.gaussian_filter(middle_slice, 1.0))[(middle_slice > 0) & (middle_slice < 70)]
    lost = 1.0 * float(np.median(np.abs(fine))) if fine.size else 0.0
    grain = ndimage.gaussian_filter(rng.standard_normal(hu.shape, np.float32), (0, 0.55, 0.55))
    moved += lost / float(grain.std()) * grain * ((moved > -20) & (moved < 100))
    return np.asarray(np.rint(moved), np.int16)


def _turn(rng: np.random.Generator) -> NDArray[np.float64]:
    """Matrix (z, row, column) in mm from the new stack to the old one."""
    pitch = rng.triangular(-_PITCH_DEGREES, 0, _PITCH_DEGREES)
    turn = _about(2, pitch) @ _about(1, rng.uniform(-_ROLL_DEGREES, _ROLL_DEGREES))
    turn = turn @ _about(0, rng.uniform(-_YAW_DEGREES, _YAW_DEGREES))
    if rng.random() < 0.3:
        # A tilted gantry shows slanted slices stacked straight: a shear, with rows along the slant.
        slant = np.deg2rad(rng.uniform(-_GANTRY_DEGREES, _GANTRY_DEGREES))
        shear = np.eye(3)
        shear[0, 1], shear[1, 1] = np.sin(slant), np.cos(slant)
        turn = turn @ _about(2, -0.7 * np.rad2deg(slant)) @ shear
    return turn


def _about(axis: int, degrees: float) -> NDArray[np.float64]:
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    first, second = (i for i in range(3) if i != axis)
    out = np.eye(3)
    out[first, first] = out[second, second] = cosine
    out[first, second], out[second, first] = -sine, sine
    return out
