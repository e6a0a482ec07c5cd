"""Do neighbouring slices resemble each other? The pixels as a witness to the order that the tags claim."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import cdist

Distances = NDArray[np.float64]
# In the right order of 66 CT-ICH heads, an RSNA head and phantoms no change makes neighbours more alike (gain 0.00);
# two slices exchanged give 0.22 to 1.8 steps, one moved to the end 2.4 or more, a shuffled head 1.4 or more.
_MOST_GAIN = 0.15
# A step between neighbours against the larger of the steps before and behind it: 1.6 at most in 66 CT-ICH heads, two
# RSNA heads and phantoms, and in 117 of 119 PHE-SICH heads; where half of another head follows, more in nine of ten.
_BREAK, _BREAK_SLICES = 1.75, 8
_TISSUE_HU = (-200, 300)
_GRID, _FEW_SLICES_GRID = 32, 64
# Slices further apart than this many times the usual distance are no neighbours: one between them is missing.
_GAP = 1.5
_MANY = 400


def distances(hu: Sequence[NDArray[np.int16]]) -> Distances:
    """(slices, slices) mean difference in HU between any two slices of (rows, columns), on a coarse grid.

    Examples
    --------
    >>> distances([np.full((64, 64), value, np.int16) for value in (0, 10, 30)]).round().tolist()
    [[0.0, 10.0, 30.0], [10.0, 0.0, 20.0], [30.0, 20.0, 0.0]]
    """
    step = max(1, max(hu[0].shape) // (_GRID if len(hu) > _MANY else _FEW_SLICES_GRID))
    coarse = np.clip(np.stack([image[::step, ::step] for image in hu]), *_TISSUE_HU).astype(np.float32)
    smooth = ndimage.uniform_filter(coarse, (0, 3, 3)).reshape(len(hu), -1)
    apart: Distances = cdist(smooth, smooth, "cityblock") / smooth.shape[1]
    return apart


def in_order(apart: Distances, order: NDArray[np.int64]) -> bool:
    """Whether no slice fits clearly better elsewhere, nor any run of slices turned round.

    Examples
    --------
    >>> line = np.abs(np.subtract.outer(np.arange(6.0), np.arange(6.0)))
    >>> in_order(line, np.arange(6)), in_order(line, np.array([0, 1, 4, 3, 2, 5]))
    (True, False)
    """
    if len(order) < 3:
        return True
    apart = apart[np.ix_(order, order)]
    usual = float(np.median(np.diagonal(apart, 1)))
    return max(_gain_of_turning(apart), _gain_of_moving(apart)) <= _MOST_GAIN * usual


def moves_on(apart: Distances, order: NDArray[np.int64]) -> bool:
    """Whether slices far apart differ much more than neighbours: a head from end to end, not one place many times."""
    apart = apart[np.ix_(order, order)]
    far = np.diagonal(apart, len(order) // 2)
    return bool(len(order) > 3 and np.median(far) > 2 * np.median(np.diagonal(apart, 1)))


def breaks_at(apart: Distances, places_mm: Sequence[float | None]) -> tuple[int, float] | None:
    """Where a head does not go on as slices before and behind do: half of another one, a patient who moved.

    Parameters
    ----------
    apart : of slices in order
    places_mm : of these, None where unknown; where one is missing, the slices at both sides of it are no neighbours

    Returns
    -------
    the slice before the break, and how many times as much as its neighbours the step differs; None if there is none

    Examples
    --------
    >>> line = np.array([0.0, 1, 2, 3, 6, 7, 8, 9])
    >>> breaks_at(np.abs(np.subtract.outer(line, line)), [None] * 8)
    (3, 3.0)
    """
    if len(apart) < _BREAK_SLICES:
        return None
    steps = np.diagonal(apart, 1)
    usual = np.maximum(steps[:-2], steps[2:])
    ratio = steps[1:-1] / np.maximum(usual, np.finfo(float).eps)
    distances_mm = np.abs(np.diff(np.array(places_mm, float)))
    ratio[distances_mm[1:-1] > _GAP * np.median(distances_mm)] = 0
    worst = int(np.argmax(ratio))
    return (worst + 1, round(float(ratio[worst]), 1)) if ratio[worst] > _BREAK else None


def _gain_of_turning(apart: Distances) -> float:
    """Most that the way through all slices gets shorter when the run from i to j is turned round."""
    count = len(apart)
    steps = np.diagonal(apart, 1)
    before = np.zeros((count, count))
    before[1:] = steps[:, None] - apart[:-1]
    behind = np.zeros((count, count))
    behind[:, :-1] = steps[None] - apart[:, 1:]
    gain = np.triu(before + behind, 1)
    gain[0, -1] = 0
    return float(gain.max())


def _gain_of_moving(apart: Distances) -> float:
    """Most that the way gets shorter when one slice goes elsewhere."""
    steps = np.diagonal(apart, 1)
    best = 0.0
    for index, row in enumerate(apart):
        saved = steps[index - 1 : index + 1].sum() if index else steps[0]
        if 0 < index < len(apart) - 1:
            saved -= apart[index - 1, index + 1]
        detours = row[:-1] + row[1:] - steps
        away = np.abs(np.arange(len(detours)) - index + 0.5) > 1
        ends = [row[0]] * (index > 1) + [row[-1]] * (index < len(apart) - 2)
        best = max(best, saved - min([*detours[away], *ends], default=np.inf))
    return float(best)
