"""Bleeds in the brain: haematomas of every size, with oedema and mass effect, and contusions."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from training.anatomy import Anatomy
from training.implants.lesion_painter import (
    Field,
    Lesion,
    NoRoomError,
    blob,
    blurred,
    density,
    gradient,
    noise,
    pick_slice,
    soft,
    span,
)


def intraparenchymal(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Lesion:
    if rng.random() < 0.3:
        return contusions(head, rng, spacing_mm)
    radius = float(np.exp(rng.uniform(np.log(1.6), np.log(25))))
    middle = pick_slice(head, rng, 0.35)
    part = span(head, middle, 1.6 * radius, spacing_mm)
    centre = _parenchymal_centre(head, rng, middle, radius)
    body = blob(head, rng, part, middle, centre, radius, spacing_mm)
    return with_surroundings(head, rng, part, body, radius)


def _parenchymal_centre(head: Anatomy, rng: np.random.Generator, middle: int, radius: float) -> tuple[float, float]:
    """A place in the brain; half of them around the deep grey matter, where hypertensive bleeds are."""
    side, along = head.frame(slice(middle, middle + 1))
    depth = head.depth[middle].astype(np.float32)
    weight = (head.inside[middle] & ~head.ventricles[middle] & (depth > min(3 + 0.5 * radius, 25))).astype(float)
    if not weight.any():
        raise NoRoomError("no brain tissue deep enough")
    if rng.random() < 0.5:
        deep = np.exp(-(((np.abs(side[0]) - 24) / 9) ** 2) - ((along[0] / 18) ** 2))
        weight = weight * (deep + 1e-4)
    chosen = int(rng.choice(weight.size, p=weight.ravel() / weight.sum()))
    row, column = np.unravel_index(chosen, weight.shape)
    return float(row), float(column)


def with_surroundings(head: Anatomy, rng: np.random.Generator, part: slice, body: Field, radius: float) -> Lesion:
    """Soft edge, oedema and mass effect around a body given as distances (steps, n, rows, columns)."""
    inside = head.inside[part]
    room = inside & (head.depth[part] > 1.5)
    fraction = blurred(soft(body, rng.uniform(0.8, 1.6)).mean(axis=0) * room, rng, inside)
    distance = body.mean(axis=0)
    oedema = None
    if rng.random() < 0.75:
        width = rng.uniform(0.15, 0.6) * min(radius, 14) + 1
        shape = distance + 0.35 * width * noise(rng, distance.shape, (2, 12, 12))
        oedema = -rng.uniform(3, 13) * soft(shape + width, 1 + 0.6 * width).astype(np.float32)
    push = None
    if radius > 5:
        push = _radial_push(head, part, distance, radius * rng.uniform(0.1, 0.45))
    # Brain in between: lumpier than blood that lies free.
    hu = density(rng, fraction, 50, 72) + rng.uniform(0, 5) * noise(rng, fraction.shape, (1, 3, 3))
    if radius < 5:
        hu = hu - rng.uniform(0, 5)
    return Lesion(part, fraction, hu, push, oedema)


def _radial_push(head: Anatomy, part: slice, distance: Field, most: float) -> tuple[Field, Field]:
    """Push away from a body: ``most`` at its edge, fading with distance and towards the skull."""
    down, across = gradient(-distance)
    reach = max(2.5 * most, 14.0)
    within = np.where(distance > 0, 0.5 * most + 1, reach)
    size = most * np.exp(-np.abs(distance) / within)
    size = ndimage.gaussian_filter(size, (0, 2, 2)) * np.clip(head.depth[part] / 18, 0, 1)
    return np.asarray(down * size, np.float32), np.asarray(across * size, np.float32)


def contusions(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Lesion:
    """Small ragged bleeds in the cortex: base of the frontal lobes, poles and sides of the temporal, or elsewhere."""
    basal = rng.random() < 0.7
    middle = pick_slice(head, rng, 0.4, 0.0, 0.45 if basal else 0.9)
    spread = rng.uniform(4, 14)
    part = span(head, middle, 1.5 * spread, spacing_mm)
    bodies = []
    for _ in range(1 + (rng.random() < 0.35)):
        row, column = _cortical_centre(head, rng, middle, basal)
        for _ in range(int(rng.integers(1, 6))):
            radius = float(np.exp(rng.uniform(np.log(1.4), np.log(6))))
            place = (row + rng.normal(0, spread / 2), column + rng.normal(0, spread / 2))
            height = int(np.clip(middle + rng.normal(0, spread / 2 / spacing_mm), part.start, part.stop - 1))
            bodies.append(blob(head, rng, part, height, place, radius, spacing_mm))
    bleed = with_surroundings(head, rng, part, np.max(bodies, axis=0), 4.5)
    return Lesion(part, bleed.fraction, bleed.hu - rng.uniform(0, 6), None, bleed.oedema)


def _cortical_centre(head: Anatomy, rng: np.random.Generator, middle: int, basal: bool) -> tuple[float, float]:
    depth = head.depth[middle].astype(np.float32)
    side, along = head.frame(slice(middle, middle + 1))
    near = head.inside[middle] & (depth > 3) & (depth < 15)
    if not near.any():
        raise NoRoomError("no brain near the surface")
    frontal = (along[0] < -25) & (np.abs(side[0]) < 40)
    temporal = (np.abs(side[0]) > 30) & (along[0] > -40) & (along[0] < 15)
    weight = near * np.where(frontal | temporal, 1.0, 0.05 if basal else 0.5)
    row, column = np.unravel_index(int(rng.choice(weight.size, p=weight.ravel() / weight.sum())), weight.shape)
    return float(row), float(column)
