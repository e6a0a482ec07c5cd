"""Swelling and blood under the scalp, at times over a fracture: with a bleed in the head or without."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.anatomy import Anatomy
from training.implants.lesion_painter import Field, noise, soft

_BONE_HU = 120
_SKULL_PX = 16
_SCALP_PX = 12


def swelling(hu: Field, head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Field:
    """Lift the scalp off the skull at one place; float32 HU of the whole study in and out, (n, rows, columns)."""
    present = np.flatnonzero(head.inside.any(axis=(1, 2)))
    middle = int(rng.choice(present[len(present) // 4 :]))
    half_width, thickness = rng.uniform(14, 48), rng.uniform(2.5, 12)
    half_height = half_width * rng.uniform(0.7, 1.3)
    skull = _skull(hu[middle], head.inside[middle])
    edge = np.argwhere(skull & ~ndimage.binary_erosion(skull))
    place = edge[rng.integers(len(edge))].astype(float)
    mean, fat = rng.uniform(30, 62), rng.random() < 0.3
    fracture = _Fracture(rng, place, head.centres[middle]) if rng.random() < 0.4 else None
    out, reach = hu.copy(), int(half_height / spacing_mm)
    for i in range(max(middle - reach, present[0]), min(middle + reach, present[-1]) + 1):
        height = (i - middle) * spacing_mm
        skull = _skull(hu[i], head.inside[i])
        if fracture is not None and abs(height) < 0.8 * half_height:
            out[i] = fracture.through(out[i], skull & ~head.inside[i], height)
        level = 1 - (height / half_height) ** 2
        out[i] = _lifted(out[i], skull, place, (half_width, thickness, level), rng, mean, fat, head.noise_hu)
    return out


def _skull(hu: Field, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What lies within the outer table of a slice."""
    near = ndimage.distance_transform_edt(~inside) <= _SKULL_PX if inside.any() else inside
    skull = ndimage.binary_fill_holes((near & (hu > _BONE_HU)) | inside)
    return np.asarray(ndimage.binary_opening(skull, iterations=2))


def _lifted(
    hu: Field,
    skull: NDArray[np.bool_],
    place: NDArray[np.float64],
    size: tuple[float, float, float],
    rng: np.random.Generator,
    mean: float,
    fat: bool,
    noise_hu: float,
) -> Field:
    half_width, thickness, level = size
    reach = int(half_width + thickness + _SCALP_PX + 2)
    top, left = (max(int(value) - reach, 0) for value in place)
    box = slice(top, top + 2 * reach), slice(left, left + 2 * reach)
    before, within = hu[box], skull[box]
    if not within.any() or within.all():
        return hu
    away = ndimage.distance_transform_edt(~within).astype(np.float32)
    rows, columns = np.indices(before.shape, dtype=np.float32)
    square = (rows + top - place[0]) ** 2 + (columns + left - place[1]) ** 2
    profile = np.maximum(level - np.maximum(square - away**2, 0) / half_width**2, 0) ** 0.7
    lift = thickness * profile * np.maximum(1 + 0.12 * noise(rng, before.shape, (9, 9)), 0.2)
    down, across = np.gradient(ndimage.gaussian_filter(away, 1.5))
    back = np.clip(np.minimum(lift, away - 2.5), 0, None)
    moved = ndimage.map_coordinates(before, (rows - down * back, columns - across * back), order=1, mode="nearest")
    inner = (
        mean
        + rng.uniform(4, 10) * noise(rng, before.shape, (3, 5))
        + rng.standard_normal(before.shape) * 0.8 * noise_hu
    )
    if fat:
        inner = inner - 90 * soft(noise(rng, before.shape, (4, 7)) - 1.0, 0.8)
    filled = soft(lift - away + 0.5, 1.5) * np.clip(lift / 1.5, 0, 1)
    # Only the scalp moves: a head holder further out stays, and so do bone and the voxels it shares.
    free = np.where(before < mean, np.clip(away + 0.5, 0, 1) * (away > 0), np.clip(away - 0.7, 0, 1))
    share = free * (lift > 0.3) * soft(lift + _SCALP_PX - away, 2)
    out = hu.copy()
    # Skin and fat are not bone: what the shift drags out of the skull's edge is cut off.
    new = moved * (1 - filled) + inner * filled
    out[box] = before + share * (np.minimum(new, np.maximum(before, 55)) - before)
    return out


class _Fracture:
    """A dark line through the bone near a place, moving a little from slice to slice."""

    def __init__(self, rng: np.random.Generator, place: NDArray[np.float64], centre: NDArray[np.float64]) -> None:
        angle = np.arctan2(*(centre - place)) + rng.normal(0, 0.5)
        self._normal = np.array((np.cos(angle), -np.sin(angle)))
        self._place, self._slope = place, rng.normal(0, 0.4)
        self._width, self._hu = rng.uniform(0.4, 1.3), rng.uniform(10, 90)

    def through(self, hu: Field, bone: NDArray[np.bool_], height: float) -> Field:
        rows, columns = np.indices(hu.shape, dtype=np.float32)
        dy, dx = rows - self._place[0], columns - self._place[1]
        away = np.abs(dy * self._normal[0] + dx * self._normal[1] - self._slope * height)
        gap = soft(self._width - away, 1.2) * bone * (np.hypot(dy, dx) < 26)
        return np.asarray(hu + 0.85 * gap * (np.minimum(self._hu, hu) - hu), np.float32)
