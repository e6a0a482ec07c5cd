"""Subdural bleeds: over the hemispheres, along the falx and on the tentorium; of one or of mixed age."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from training.anatomy import Anatomy
from training.implants.lesion_painter import (
    THROUGH_SLICE,
    Field,
    Lesion,
    NoRoomError,
    blurred,
    density,
    noise,
    offsets,
    on_inner_table,
    pick_slice,
    soft,
    span,
)

# From the vertex down to where the tentorium is cut.
_TENTORIUM_NEEDS_MM = 95


def subdural(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Lesion:
    where = rng.random()
    if where < 0.16:
        return _parafalcine(head, rng, spacing_mm)
    deep_enough = np.ptp(np.flatnonzero(head.inside.any(axis=(1, 2)))) * spacing_mm > _TENTORIUM_NEEDS_MM
    if where < 0.30 and deep_enough:
        return _tentorial(head, rng, spacing_mm)
    middle = pick_slice(head, rng, 0.45)
    half_height = rng.uniform(14, 62)
    part = span(head, middle, half_height, spacing_mm)
    hand = float(rng.choice((-1, 1)))
    crescent = _crescent(head, rng, part, middle, half_height, hand, spacing_mm)
    if rng.random() < 0.15:
        crescent = np.maximum(crescent, _crescent(head, rng, part, middle, half_height, -hand, spacing_mm))
    bleed = on_inner_table(head, rng, part, crescent, (38 if rng.random() < 0.2 else 50, 70))
    return _of_mixed_age(bleed, rng) if crescent.max() > 4 and rng.random() < 0.3 else bleed


def _crescent(
    head: Anatomy,
    rng: np.random.Generator,
    part: slice,
    middle: int,
    half_height: float,
    hand: float,
    spacing_mm: float,
) -> Field:
    """Thickness in pixels (steps, n, rows, columns) of a layer over one hemisphere."""
    thickness = float(np.exp(rng.uniform(np.log(2.8), np.log(21))))
    side, along = head.frame(part)
    # 0 at the front of the midline, pi at its back, on the side that bleeds.
    angle = np.arctan2(side * hand, -along)
    middle_angle, half_angle = rng.uniform(0.9, 2.3), rng.uniform(0.5, 1.7)
    ends = np.maximum(1 - ((angle - middle_angle) / half_angle) ** 2, 0) ** 0.5
    midline = np.clip(side * hand / 6, 0, 1)
    wave = np.maximum(1 + rng.uniform(0.1, 0.35) * noise(rng, side.shape, (2, 16, 16)), 0.2)
    wave = wave + rng.uniform(0.0, 0.1) * noise(rng, side.shape, (1, 4, 4))
    layer = thickness * ends * midline * wave
    heights = offsets(part, middle, spacing_mm)
    steps = [np.maximum(1 - ((heights + step * spacing_mm) / half_height) ** 2, 0) ** 0.5 for step in THROUGH_SLICE]
    return np.stack([layer * step[:, None, None] for step in steps]).astype(np.float32)


def _of_mixed_age(bleed: Lesion, rng: np.random.Generator) -> Lesion:
    """Fresh blood in an old collection: settled behind, in patches, or between membranes."""
    old, shape = rng.uniform(20, 40), bleed.hu.shape
    rows = np.arange(shape[1], dtype=np.float32)[None, :, None]
    filled = np.flatnonzero((bleed.fraction > 0.5).any(axis=(0, 2)))
    if len(filled) and rng.random() < 0.45:
        level = np.quantile(filled, rng.uniform(0.2, 0.7))
        fresh = soft(rows - level + 3 * noise(rng, shape, (2, 9, 9)), rng.uniform(3, 14))
    else:
        fresh = soft(noise(rng, shape, (2, 12, 12)) + rng.uniform(-0.2, 0.6), rng.uniform(0.8, 2.2))
    hu = old + fresh * (bleed.hu - old) + 1.5 * noise(rng, shape, (1, 3, 3))
    return replace(bleed, hu=np.asarray(hu, np.float32), whole=True)


def _tentorial(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Lesion:
    """A layer on a leaf of the tentorium, which falls from the midline to the sides."""
    below_vertex, slope = rng.uniform(56, 74), rng.uniform(0.5, 0.95)
    top = int(np.flatnonzero(head.inside.any(axis=(1, 2)))[-1])
    middle = top - round((below_vertex + 12) / spacing_mm)
    part = span(head, middle, 28, spacing_mm)
    side, along = head.frame(part)
    leaf = (top - np.arange(part.start, part.stop)) * spacing_mm - below_vertex
    across = np.abs(side) + 1.5 * noise(rng, side.shape, (2, 20, 20))
    free_edge = 14 * np.clip((38 - along) / 18, 0, 1)
    place, half_length = rng.uniform(12, 42), rng.uniform(14, 34)
    ends = np.maximum(1 - ((along - place) / half_length) ** 2, 0) ** 0.5 * soft(across - free_edge, 4)
    hand = rng.choice((-1.0, 1.0))
    ends = ends * (1.0 if rng.random() < 0.12 else soft(side * hand - 1, 3)) * soft(rng.uniform(25, 55) - across, 12)
    thickness = rng.uniform(1.8, 5) * np.maximum(1 + 0.35 * noise(rng, side.shape, (2, 12, 12)), 0.2) * ends
    steepness = np.sin(np.arctan(slope))
    layers = []
    for step in (-0.4, -0.2, 0.0, 0.2, 0.4):
        # Positive above the tentorium: a slice deeper down cuts the leaf further out.
        above = slope * across - (leaf - step * spacing_mm)[:, None, None]
        above = above * steepness / slope
        layers.append(np.minimum(soft(thickness - above, 1.2), soft(above + 0.6, 1.2)) * (thickness > 0.6))
    fraction = np.clip(1.3 * np.mean(layers, axis=0), 0, 1) * head.inside[part]
    if not (fraction > 0.5).any():
        raise NoRoomError("no tentorium in view")
    fraction = fraction.astype(np.float32)
    return Lesion(part, blurred(fraction, rng, head.inside[part]), density(rng, fraction, 52, 72))


def _parafalcine(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Lesion:
    """A thin layer along the falx."""
    middle = pick_slice(head, rng, 0.35, 0.5, 1.0)
    half_height = rng.uniform(10, 42)
    part = span(head, middle, half_height, spacing_mm)
    side, along = head.frame(part)
    inside = head.inside[part]
    length = np.maximum(np.abs(np.where(inside, along, 0)).max(axis=(1, 2), keepdims=True), 20)
    place, half_length = rng.choice((-1, 1)) * rng.uniform(0.2, 0.7), rng.uniform(0.2, 0.6)
    hand = rng.choice((-1, 1))
    thickness = rng.uniform(2.5, 8)
    curve = 2.0 * noise(rng, (1, *side.shape[1:]), (1, 60, 60))
    wave = 1 + 0.25 * noise(rng, side.shape, (2, 14, 14))
    heights = offsets(part, middle, spacing_mm)
    # Near the middle of the head the falx ends above the corpus callosum.
    central = np.clip((np.abs(along / length) - 0.25) / 0.1, 0, 1)
    layers = []
    for step in THROUGH_SLICE:
        z = ((heights + step * spacing_mm) / half_height) ** 2
        ends = np.maximum(1 - ((along / length - place) / half_length) ** 2, 0) * np.maximum(1 - z, 0)[:, None, None]
        width = thickness * np.sqrt(ends) * wave
        from_falx = (side + curve) * hand
        layers.append(np.minimum(soft(width - from_falx, 1.5), soft(from_falx + 1, 1.5)) * (width > 0.8))
    fraction = np.mean(layers, axis=0) * central * inside
    if not (fraction > 0.5).any():
        raise NoRoomError("no falx in view")
    hu = density(rng, fraction.astype(np.float32), 50, 72)
    return Lesion(part, blurred(fraction.astype(np.float32), rng, inside), hu)
