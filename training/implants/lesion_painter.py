"""How every bleed and mimic is painted into slices, and the shapes they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.anatomy import Anatomy, masked_gaussian

Field = NDArray[np.float32]

# Steps through the thickness of a slice whose mean is what the slice shows.
THROUGH_SLICE = (-1 / 3, 0.0, 1 / 3)


@dataclass(frozen=True, eq=False)
class Lesion:
    """What to paint into the slices ``part``.

    fraction : 0..1, how much of a voxel is blood; hu : density of that blood
    push : pixels by which tissue moves (rows, columns), or None; oedema : HU added to brain around it
    whole : readers outline all of it, also where it is no denser than brain (collections of mixed age)
    """

    part: slice
    fraction: Field
    hu: Field
    push: tuple[Field, Field] | None = None
    oedema: Field | None = None
    whole: bool = False


class NoRoomError(Exception):
    """The study has no place for this kind of bleed (no brain found, no ventricles in view)."""


def paint(hu: NDArray[np.int16], head: Anatomy, bleed: Lesion) -> NDArray[np.bool_]:
    """Paint a bleed into ``hu`` in place and return the mask (n, rows, columns) of blood that shows."""
    part, inside = bleed.part, head.inside[bleed.part]
    before = hu[part].astype(np.float32)
    # The noise stays where the scanner put it: moved, it would be smoothed and give the place away.
    limit = 2.2 * head.noise_hu
    grain = np.clip(before - masked_gaussian(before, inside, 2.0), -limit, limit)
    tissue = before
    if bleed.push is not None:
        tissue = _pushed(before, head.depth[part].astype(np.float32), bleed.push)
    base = masked_gaussian(tissue, inside, 2.0)
    if bleed.oedema is not None:
        brain = np.clip((base - head.brain_hu + 16) / 10, 0, 1) * (base < 60)
        tissue = np.asarray(tissue + bleed.oedema * brain, np.float32)
    blood = bleed.hu + 1.15 * grain
    # Bone shares its edge voxels and calcifications stay: blood never makes them darker.
    blood = np.where(tissue > 75, np.maximum(blood, tissue), blood)
    after = tissue + bleed.fraction * (blood - tissue)
    hu[part] = np.where(inside, np.rint(after), before).astype(np.int16)
    shown = masked_gaussian(after, inside, 1.0)
    gain = shown - base
    seen = (bleed.fraction >= 0.4) & inside
    if not bleed.whole:
        seen &= ((shown > head.brain_hu + 6) | (gain > 18)) & (gain > 3)
    mask = np.zeros(hu.shape, bool)
    mask[part] = seen
    return mask


def _pushed(hu: Field, depth: Field, push: tuple[Field, Field]) -> Field:
    """Move tissue by ``push`` pixels; what is not moved stays as it was to the last bit."""
    rows, columns = np.indices(hu.shape[1:], dtype=np.float32)
    out = hu.copy()
    for i, pixels in enumerate(hu):
        down, across = push[0][i], push[1][i]
        # The outermost pixels share their voxel with bone and stay with it.
        share = np.clip((np.hypot(down, across) - 0.1) / 0.4, 0, 1) * (depth[i] > 1.5)
        if not share.any():
            continue
        brain = _extended(pixels, depth[i] >= 2.5)
        moved = ndimage.map_coordinates(brain, (rows - down, columns - across), order=1, mode="nearest")
        # Bilinear interpolation takes away about a third of the finest noise: give it back.
        fine = np.clip(pixels - ndimage.gaussian_filter(pixels, 0.8), -4, 4)
        out[i] = pixels + share * (moved + 0.4 * fine - pixels)
    return out


def _extended(pixels: Field, core: NDArray[np.bool_]) -> Field:
    """Continue the brain's values up to and beyond the inner table, so that no bone is dragged inside."""
    if not core.any():
        return pixels
    nearest = ndimage.distance_transform_edt(~core, return_distances=False, return_indices=True)
    return np.asarray(pixels[tuple(nearest)], np.float32)


def noise(rng: np.random.Generator, shape: tuple[int, ...], scale: tuple[float, ...]) -> Field:
    """Smooth random field of mean 0 and spread 1 whose lumps have about ``scale`` voxels: cubic B-splines."""
    weights = [_spline_weights(size, step, rng.random()) for size, step in zip(shape, scale, strict=True)]
    field = rng.standard_normal([weight.shape[1] for weight in weights], np.float32)
    for weight in weights:
        # Each product contracts the first axis and appends its result, so the axes end in their old order.
        field = np.tensordot(field, weight, axes=(0, 1))
    spread = float(field[..., ::4, ::4].std())
    return np.asarray((field - field[..., ::4, ::4].mean()) / (spread + 1e-6), np.float32)


def _spline_weights(size: int, step: float, phase: float) -> Field:
    """(size, knots) weights of a cubic B-spline with a knot every ``step`` voxels."""
    position = np.arange(size) / max(step, 1e-3) + phase + 1
    distance = np.abs(position[:, None] - np.arange(int(position[-1]) + 3))
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.maximum(2 - distance, 0) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)


def span(head: Anatomy, middle: int, reach_mm: float, spacing_mm: float) -> slice:
    """The slices within ``reach_mm`` of the middle one that show brain."""
    reach = int(np.ceil(reach_mm / spacing_mm + 0.5))
    present = np.flatnonzero(head.inside.any(axis=(1, 2)))
    return slice(max(present[0], middle - reach), min(present[-1], middle + reach) + 1)


def pick_slice(head: Anatomy, rng: np.random.Generator, smallest: float, low: float = 0, high: float = 1) -> int:
    """A slice that shows at least ``smallest`` of the widest intracranial area, low..high from base to vertex."""
    area = head.area
    fit = np.flatnonzero(area >= smallest * area.max())
    start, stop = int(low * len(fit)), max(int(np.ceil(high * len(fit))), int(low * len(fit)) + 1)
    return int(rng.choice(fit[start:stop] if len(fit[start:stop]) else fit))


def offsets(part: slice, middle: int, spacing_mm: float) -> NDArray[np.float64]:
    return (np.arange(part.start, part.stop) - middle) * spacing_mm


def soft(distance: NDArray[np.number[Any]], edge: float) -> Field:
    """0..1 across an edge of ``edge`` pixels at distance 0 (positive inside)."""
    return np.asarray(np.clip(0.5 + distance / edge, 0, 1), np.float32)


def blurred(fraction: Field, rng: np.random.Generator, inside: NDArray[np.bool_]) -> Field:
    sigma = float(rng.uniform(0.4, 0.9))
    return np.asarray(masked_gaussian(fraction, inside, sigma) * inside, np.float32)


def density(rng: np.random.Generator, fraction: Field, low: float, high: float) -> Field:
    """Lumpy blood; at times old or very dense, with darker unclotted parts, settled, or with a dense core or rim."""
    shape, age, style = fraction.shape, rng.random(), rng.random()
    mean = rng.uniform(42, 50) if age < 0.12 else rng.uniform(74, 85) if age > 0.94 else rng.uniform(low, high)
    hu = mean + rng.uniform(2, 8) * noise(rng, shape, (2, 6, 6))
    hu = hu + rng.uniform(1.5, 6.5) * noise(rng, shape, (1, 2.6, 2.6))
    if style < 0.22:
        hu = hu - rng.uniform(8, 24) * swirls(rng, shape)
    elif style < 0.32:
        hu = hu + rng.uniform(4, 12) * np.tanh((_rows_below(rng, fraction)) / 2)
    elif style < 0.5:
        core = ndimage.gaussian_filter(fraction, (0, 3.0, 3.0))
        hu = hu + rng.uniform(-10, 14) * (core - core.max() / 2)
    return np.asarray(np.clip(hu, 30, 94), np.float32)


def swirls(rng: np.random.Generator, shape: tuple[int, ...]) -> Field:
    """0..1 in winding patches, as blood that has not yet clotted shows in a clot."""
    scale = rng.uniform(5, 14)
    return soft(noise(rng, shape, (3, scale, 0.6 * scale)) - rng.uniform(0.2, 0.9), 0.8)


def _rows_below(rng: np.random.Generator, fraction: Field) -> Field:
    """Rows below a level through the body, the patient lying on the back."""
    rows = np.arange(fraction.shape[1], dtype=np.float32)
    filled = np.flatnonzero((fraction > 0.5).any(axis=(0, 2)))
    level = rng.uniform(filled[0], filled[-1]) if len(filled) else 0.0
    return np.asarray(np.broadcast_to((rows - level)[None, :, None], fraction.shape), np.float32)


def gradient(field: Field) -> tuple[Field, Field]:
    """Unit vectors (rows, columns) uphill in every slice."""
    smooth = ndimage.gaussian_filter(field, (0, 2.0, 2.0))
    rows, columns = np.gradient(smooth, axis=(1, 2))
    length = np.maximum(np.hypot(rows, columns), 1e-3)
    return np.asarray(rows / length, np.float32), np.asarray(columns / length, np.float32)


def blob(
    head: Anatomy,
    rng: np.random.Generator,
    part: slice,
    middle: int,
    centre: tuple[float, float],
    radius: float,
    spacing_mm: float,
) -> Field:
    """Signed distance in pixels (positive inside) to a lumpy, turned ellipsoid, per slice."""
    rows, columns = np.indices(head.inside.shape[1:], dtype=np.float32)
    heights = offsets(part, middle, spacing_mm)
    lumps = noise(rng, (len(heights), *rows.shape), (max(1.0, radius / spacing_mm), radius * 0.8 + 2, radius * 0.8 + 2))
    fine = 0.3 * radius + 1.5
    knobs = noise(rng, lumps.shape, (max(1.0, fine / spacing_mm), fine, fine))
    roughness, bumps = rng.uniform(0.05, 0.3), rng.uniform(0.03, 0.18)
    ragged = rng.uniform(0.1, 0.9) * min(1.0, radius / 6) * noise(rng, lumps.shape, (1.0, 2.6, 2.6))
    parts = []
    for number in range(1 + (rng.random() < 0.45) + (rng.random() < 0.3)):
        away = 0.0 if number == 0 else 0.8 * radius
        turn, shift = rng.uniform(0, np.pi), rng.normal(0, away / 1.6, 3)
        size = radius * (1.0 if number == 0 else rng.uniform(0.35, 0.8))
        axes = size * rng.uniform(0.65, 1.3), size * rng.uniform(0.55, 1.0), size * rng.uniform(0.6, 1.2)
        dy, dx = rows - centre[0] - shift[0], columns - centre[1] - shift[1]
        u = (dx * np.cos(turn) + dy * np.sin(turn)) / axes[0]
        v = (dy * np.cos(turn) - dx * np.sin(turn)) / axes[1]
        shells = []
        for step in THROUGH_SLICE:
            z = (heights - shift[2] + step * spacing_mm) / axes[2]
            shells.append(1 - np.sqrt(u[None] ** 2 + v[None] ** 2 + z[:, None, None] ** 2))
        parts.append(np.stack(shells) * min(axes[:2]))
    distance = np.max(parts, axis=0) + radius * (roughness * lumps + bumps * knobs) + ragged
    return np.asarray(distance, np.float32)


def on_inner_table(
    head: Anatomy, rng: np.random.Generator, part: slice, thickness: Field, hu: tuple[float, float]
) -> Lesion:
    """Blood from the inner table to ``thickness`` (steps, n, rows, columns) pixels deep; brain moves inwards."""
    inside = head.inside[part]
    depth = head.depth[part].astype(np.float32)
    edge = rng.uniform(0.9, 1.8)
    fraction = (soft(thickness - depth + 0.5, edge) * np.clip(thickness / 1.2, 0, 1)).mean(axis=0)
    mean = thickness.mean(axis=0)
    push = None
    if mean.max() > 2.5:
        # Between the blood and ``reach`` tissue is squeezed evenly: nothing is lost, sulci narrow.
        reach = np.maximum(4 * mean, 12)
        moved = mean * np.clip(1 - (depth - mean) / reach, 0, 1) * rng.uniform(0.6, 0.95)
        moved = ndimage.gaussian_filter(moved, (0, 1.5, 1.5))
        down, across = gradient(depth)
        push = (down * moved).astype(np.float32), (across * moved).astype(np.float32)
    return Lesion(part, blurred(fraction, rng, inside), density(rng, fraction, *hu), push)


def surface_point(head: Anatomy, rng: np.random.Generator, middle: int) -> tuple[int, int]:
    """A point of the inner table, mostly lateral (temporal and parietal)."""
    side, _ = head.frame(slice(middle, middle + 1))
    edge = np.argwhere((head.depth[middle] > 0) & (head.depth[middle] < 1.5))
    lateral = np.abs(side)[0, edge[:, 0], edge[:, 1]]
    weight = 0.15 + (lateral / lateral.max()) ** 2
    row, column = edge[rng.choice(len(edge), p=weight / weight.sum())]
    return int(row), int(column)
