"""Thin slices go to the models as slabs of some 5 mm, as readers look at them and as training has them.

A scanner gives slices of 0.5 to 1.25 mm: noisier than what the models learned on, and ten times as many. Neighbours
are averaged along the normal; what the models say of a slab holds for each of its slices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichscope.imaging.preprocess import Box, model_input
from ichscope.imaging.series import Series

SLAB_MM = 5.0
# Beyond this many of the usual steps between two slices some are missing: no slab bridges that.
_GAP_STEPS = 1.5


@dataclass(frozen=True, eq=False)
class Seen:
    """What the models see of a series.

    hu : (seen, size, size) int16 HU, slices or slabs of them
    box : the square of each slice that it covers
    slab_of : (slices,) which of `seen` shows each slice of the series; None where that is its own
    """

    hu: NDArray[np.int16]
    box: Box
    slab_of: NDArray[np.intp] | None = None

    def by_slice(self, values: NDArray[Any]) -> NDArray[Any]:
        """(seen, ...) values to (slices, ...): each slice has those of its slab."""
        return values if self.slab_of is None else values[self.slab_of]


def seen_by_models(series: Series) -> Seen:
    """Make the models' input of a series: its slices, or slabs of thin ones, cropped to the head and resampled."""
    slab_of = slabs(series)
    hu = series.hu if slab_of is None else averaged(series.hu, slab_of)
    return Seen(*model_input(hu, series.pixel_spacing_mm), slab_of)


def slabs(series: Series) -> NDArray[np.intp] | None:
    """Tell which slab each slice belongs to: (slices,), rising from 0.

    Slabs are as even as their number allows, and cover 5 mm where slices are contiguous; where they overlap, fewer of
    them cover as much.

    Returns
    -------
    None where slices stay as they are: two of them are thicker than a slab, or the places of some are not known
    """
    positions = [place.position_mm for place in series.slices]
    if series.kind != "ct" or len(positions) < 2 or None in positions:
        return None
    steps = np.abs(np.diff(np.array(positions, np.float64)))
    step = float(np.median(steps))
    each = _slices_a_slab(step, series.header.slice_thickness_mm)
    if each < 2:
        return None
    numbers, first = [], 0
    for run in np.split(np.arange(len(positions)), np.flatnonzero(steps > _GAP_STEPS * step) + 1):
        numbers.append(first + evenly(len(run), each))
        first = int(numbers[-1][-1]) + 1
    return np.concatenate(numbers)


def evenly(slices: int, each: int) -> NDArray[np.intp]:
    """Number slabs of so many slices, (slices,), as even as their number allows.

    Examples
    --------
    >>> evenly(8, 3)
    array([0, 0, 0, 1, 1, 1, 2, 2])
    """
    return np.arange(slices) * max(1, round(slices / each)) // slices


def _slices_a_slab(step_mm: float, thickness_mm: float | None) -> int:
    """How many slices cover a slab, each of a thickness (that of its step where it is not known)."""
    # Slices that leave gaps between them are no slab.
    if step_mm <= 0 or (thickness_mm and thickness_mm < step_mm / _GAP_STEPS):
        return 1
    return 1 + round((SLAB_MM - max(thickness_mm or 0.0, step_mm)) / step_mm)


def averaged(hu: NDArray[np.int16], slab_of: NDArray[np.intp]) -> NDArray[np.int16]:
    """(slices, rows, columns) int16 HU to the mean of each slab, (slabs, rows, columns).

    Examples
    --------
    >>> hu = np.array([10, 20, 60], np.int16).reshape(3, 1, 1)
    >>> averaged(hu, np.array([0, 0, 1])).ravel()
    array([15, 60], dtype=int16)
    """
    starts = np.flatnonzero(np.diff(slab_of, prepend=-1))
    ends = [*starts[1:], len(hu)]
    out = np.empty((len(starts), *hu.shape[1:]), np.int16)
    for slab, (start, end) in enumerate(zip(starts, ends, strict=True)):
        out[slab] = np.rint(hu[start:end].mean(axis=0, dtype=np.float32))
    return out
