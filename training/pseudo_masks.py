"""Pseudo-masks of haematomas for studies whose readers only marked the slices that show one.

A pseudo-mask has three classes, so that training can leave out every cell that grey values alone cannot settle:
NO_BLOOD, HAEMATOMA and UNKNOWN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

NO_BLOOD, HAEMATOMA, UNKNOWN = 0, 1, 2

# A picture ends at 80 HU; JPEG rounding keeps bone a little below.
_BONE_HU = 77
_SMALLEST_BONE_PX = 100
_AIR_HU = 2
# Grey matter lies about 4 HU above the median of the brain, fresh blood 20 to 40 HU.
_NORMAL_MARGIN_HU = 6.0
_BLOOD_MARGIN_HU = 10.0
_FAINT_MARGIN_HU = 2.0
_RIM_PX = 2
_END_SLICES = 2
# Falx and tentorium are up to 4 pixels wide; a haematoma is wider somewhere.
_CORE_PX = 5
_SMALLEST_HAEMATOMA_PX = 40
# A second haematoma counts from this share of the first.
_SECOND_SHARE = 0.3
# The brightest haematoma of PHE-SICH is white in 16 % of its pixels, calcified plexus in 40 %.
_CHALK_SHARE = 0.25
_FLAT = np.zeros((3, 3, 3), bool)
_FLAT[1] = True
_CUBE = np.ones((3, 3, 3), bool)


@dataclass(frozen=True, eq=False)
class _Head:
    """Maps of one study, (n, rows, columns) each.

    smooth : float32, HU without noise; bone, inside and outside : the skull and its two sides
    saturated : white pixels, of bone or not
    """

    smooth: NDArray[np.float32]
    bone: NDArray[np.bool_]
    saturated: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    outside: NDArray[np.bool_]


def pseudo_mask(hu: NDArray[np.int16], marked: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Segment the haematoma of a study, and what is surely no visible blood, by grey values.

    Parameters
    ----------
    hu : (n, rows, columns) int16 HU of pictures that end at 0 and 80 HU, foot to head, 1 mm pixels
    marked : (n,) bool, slices in which a reader saw the haematoma

    Returns
    -------
    (n, rows, columns) uint8: NO_BLOOD, HAEMATOMA or UNKNOWN. The haematoma stays within marked slices and
    their neighbours. Blood it runs into (the ventricles, say) cannot be told from it and counts with it.
    """
    head = _map_head(hu)
    near = ndimage.binary_dilation(marked, iterations=1)
    tissue = head.smooth[head.inside & (near | ~near.any())[:, None, None]]
    if not tissue.size:
        return np.where(head.outside, NO_BLOOD, UNKNOWN).astype(np.uint8)
    brain_hu, spread_hu = _brain(tissue)
    normal_hu = brain_hu + max(_NORMAL_MARGIN_HU, 2.5 * spread_hu)
    haematoma = np.zeros(hu.shape, bool)
    if near.any():
        blood_hu = brain_hu + max(_BLOOD_MARGIN_HU, 3.5 * spread_hu)
        haematoma[near] = _haematoma(head, near, marked[near], brain_hu, blood_hu)
    # A reader saw blood, but none was found even nearby: it may be faint.
    around = _around(haematoma)
    faint = marked & ~around.any(axis=(1, 2))
    highest = np.where(faint, brain_hu + _FAINT_MARGIN_HU, normal_hu)[:, None, None]
    mask = np.where(head.bone | head.outside | (head.smooth < highest), NO_BLOOD, UNKNOWN).astype(np.uint8)
    mask[around] = UNKNOWN
    mask[haematoma] = HAEMATOMA
    return mask


def _around(haematoma: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The rim of the haematoma, and where its thinning ends may reach in the next two slices both ways."""
    slices = np.flatnonzero(ndimage.binary_dilation(haematoma.any(axis=(1, 2)), iterations=_END_SLICES))
    around = np.zeros_like(haematoma)
    if slices.size:
        part = slice(slices[0], slices[-1] + 1)
        rim = ndimage.maximum_filter(haematoma[part], (1, 2 * _RIM_PX + 1, 2 * _RIM_PX + 1))
        empty = ~haematoma[part].any(axis=(1, 2), keepdims=True)
        ends = ndimage.maximum_filter(rim, (2 * _END_SLICES + 1, 1, 1))
        around[part] = rim | (ends & empty)
    return around


def _brain(tissue: NDArray[np.float32]) -> tuple[float, float]:
    """Median HU of brain and its spread, from the half below it that holds no blood, without fluid."""
    brain_hu = float(np.median(tissue[(tissue > 15) & (tissue < 60)]))
    below = tissue[(tissue <= brain_hu) & (tissue > brain_hu - 10)]
    return brain_hu, 1.48 * (brain_hu - float(np.median(below)))


def _map_head(hu: NDArray[np.int16]) -> _Head:
    saturated = hu >= _BONE_HU
    small = _larger_than(np.asarray(saturated.reshape(*_blocks(hu.shape)).any(axis=(2, 4))), _SMALLEST_BONE_PX // 4)
    closed, outside = (_double(field) for field in _cavity(small))
    # What is saturated but free within the skull is chalk, or blood in a narrow window.
    bone = saturated & _double(small) & ~closed
    widths = (0, 1, 1)
    weight = ndimage.gaussian_filter((~bone).astype(np.float32), widths, truncate=2)
    total = ndimage.gaussian_filter(np.where(bone, 0, hu).astype(np.float32), widths, truncate=2)
    smooth = np.where(bone, np.float32(_BONE_HU), total / np.maximum(weight, 1e-3))
    # Frontal sinuses and mastoid cells lie between bone too, but hold air.
    return _Head(smooth, bone, saturated, closed & (smooth > _AIR_HU), outside)


def _blocks(shape: tuple[int, ...]) -> tuple[int, int, int, int, int]:
    return shape[0], shape[1] // 2, 2, shape[2] // 2, 2


def _cavity(bone: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The intracranial space, and what surely lies outside the skull, both (n, rows, columns) bool.

    Where sinuses, foramina or the picture's edge leave the skull open, bone on three sides has to do; nothing
    is surely outside there.
    """
    wall = ndimage.maximum_filter(bone, (1, 3, 3))
    closed = ndimage.maximum_filter(_largest(~wall & ~_reaches_border(~wall)), (1, 3, 3))
    thick = ndimage.maximum_filter(bone, (1, 5, 5))
    between = ndimage.maximum_filter(_largest_in_slice(~thick & (_sides(bone) >= 3)), (1, 5, 5))
    whole = closed.sum(axis=(1, 2)) > between.sum(axis=(1, 2)) / 2
    cavity = _fill(np.where(whole[:, None, None], closed, between) & ~bone)
    outside = _reaches_border(~(wall | closed)) & whole[:, None, None]
    return cavity, outside


def _sides(bone: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """On how many of its four sides, along rows and columns, each pixel has bone."""
    views = [(1, np.s_[:, :]), (1, np.s_[:, ::-1]), (2, np.s_[:, :]), (2, np.s_[:, :, ::-1])]
    count = np.zeros(bone.shape, np.uint8)
    for axis, view in views:
        count[view] += np.maximum.accumulate(bone[view], axis)
    return count


def _haematoma(
    head: _Head, near: NDArray[np.bool_], marked: NDArray[np.bool_], brain_hu: float, blood_hu: float
) -> NDArray[np.bool_]:
    """The haematoma in the slices ``near``; its edge lies half-way between brain and its own HU."""
    smooth, inside, bone = head.smooth[near], head.inside[near], head.bone[near]
    candidate = inside & (smooth > blood_hu) & ~ndimage.maximum_filter(bone, (1, 7, 7))
    core = ndimage.minimum_filter(candidate, (1, _CORE_PX, _CORE_PX))
    seed = ndimage.maximum_filter(core, (1, _CORE_PX, _CORE_PX)) & candidate
    chosen = _most_blood(seed, np.where(marked[:, None, None], smooth - brain_hu, 0), head.saturated[near])
    if not chosen.any():
        return chosen
    edge_hu = max(blood_hu - 2, (brain_hu + float(np.median(smooth[chosen]))) / 2)
    room = ndimage.maximum_filter(chosen, (1, 7, 7)) & inside & ~ndimage.maximum_filter(bone, (1, 3, 3))
    grown = room & (smooth > edge_hu)
    return _fill(_larger_than(grown, _SMALLEST_HAEMATOMA_PX // 2))


def _most_blood(
    seed: NDArray[np.bool_], contrast: NDArray[np.float32], saturated: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """The component with most blood (area times contrast, in marked slices), and others not much smaller.

    A component with many white pixels is chalk.
    """
    components, count = ndimage.label(seed, _CUBE)
    blood = np.bincount(components.ravel(), contrast.ravel(), count + 1)
    in_marked = np.bincount(components.ravel(), contrast.ravel() > 0, count + 1)
    white = np.bincount(components.ravel(), saturated.ravel(), count + 1)
    fits = (in_marked >= _SMALLEST_HAEMATOMA_PX) & (white < _CHALK_SHARE * np.bincount(components.ravel()))
    fits[0] = False
    keep = fits & (blood >= _SECOND_SHARE * blood[fits].max(initial=0))
    return np.asarray(keep[components])


def _fill(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return ~_reaches_border(~mask)


def _reaches_border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What of the mask is connected, within its slice, to the picture's border."""
    components, count = ndimage.label(mask, _FLAT)
    keep = np.zeros(count + 1, bool)
    for edge in (components[:, 0], components[:, -1], components[:, :, 0], components[:, :, -1]):
        keep[edge] = True
    keep[0] = False
    return np.asarray(keep[components])


def _larger_than(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Keep components (each within its slice) of at least ``size`` pixels."""
    components, _ = ndimage.label(mask, _FLAT)
    keep = np.bincount(components.ravel()) >= size
    keep[0] = False
    return np.asarray(keep[components])


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    components, _ = ndimage.label(mask)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    return np.asarray((components == sizes.argmax()) & mask)


def _largest_in_slice(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.stack([_largest(pixels) for pixels in mask])


def _double(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return mask.repeat(2, axis=1).repeat(2, axis=2)
