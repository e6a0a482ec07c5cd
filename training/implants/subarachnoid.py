"""Subarachnoid bleeds: in sulci, and in the cisterns and fissures around the base of the brain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.anatomy import Anatomy
from training.implants.lesion_painter import (
    Field,
    Lesion,
    NoRoomError,
    blurred,
    density,
    noise,
    offsets,
    pick_slice,
    soft,
    span,
    surface_point,
)

_SMALLEST_PX, _COMMON_PX = 12, 500
# Fissures and cisterns around the base of the brain as lines (across, along; pixels from the middle of the brain,
# front negative) on the right, with the reach in mm above the suprasellar level to which each is seen.
_CISTERNS = (
    ((0, -8), (0, -48), 4.0, 25.0),  # between the frontal lobes
    ((0, -8), (16, -16), 6.0, 8.0),  # suprasellar
    ((16, -16), (34, -20), 4.5, 14.0),  # stem of the Sylvian fissure
    ((34, -20), (46, -6), 4.5, 24.0),  # Sylvian fissure
    ((0, -8), (13, 6), 5.0, 6.0),  # interpeduncular
    ((13, 6), (11, 20), 3.5, 8.0),  # ambient
    ((11, 20), (0, 27), 4.0, 8.0),  # quadrigeminal
)
_SUPRASELLAR_BELOW_VERTEX_MM = (72.0, 92.0)


def subarachnoid(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Lesion:
    """Blood in sulci of one region, or in the cisterns and fissures around the brain's base."""
    return _basal(head, rng, spacing_mm) if rng.random() < 0.45 else _convexity(head, rng, spacing_mm)


def _basal(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Lesion:
    """A star of cisterns and fissures, filled evenly or more on one side."""
    present = np.flatnonzero(head.inside.any(axis=(1, 2)))
    level = present[-1] - round(rng.uniform(*_SUPRASELLAR_BELOW_VERTEX_MM) / spacing_mm)
    if len(present) * spacing_mm < 60 or level < present[0]:
        raise NoRoomError("no basal cisterns in view")
    part = span(head, int(level), 30, spacing_mm)
    heights = offsets(part, int(level), spacing_mm)
    side, along = head.frame(part)
    lines = _star(head, rng, side, along, heights)
    fluid = np.clip(1.3 * head.sulci[part].astype(np.float32), 0, 1)
    near = soft(rng.uniform(34, 62) - np.hypot(side, 0.8 * (along + 8)), 16)
    amount = np.clip(rng.uniform(0.85, 1.4) + 0.35 * noise(rng, side.shape, (2, 12, 12)), 0, 1)
    lean = soft(side * rng.choice((-1, 1)) + rng.uniform(0, 30), 30)
    higher = np.exp(-((np.maximum(np.abs(heights) - 6, 0) / rng.uniform(8, 22)) ** 2))[:, None, None]
    fraction = np.clip(np.maximum(lines, fluid * near) * amount * lean * higher, 0, 1) * head.inside[part]
    return _painted_in(head, rng, part, fraction)


def _star(head: Anatomy, rng: np.random.Generator, side: Field, along: Field, heights: NDArray[np.float64]) -> Field:
    """0..1 where blood fills the cisterns whether or not fluid shows there, a little different in each head."""
    size = np.sqrt(head.area.max() / 14500) * rng.uniform(0.9, 1.1)
    width = rng.uniform(0.7, 1.4)
    bent = [3.0 * noise(rng, side.shape, (3, 16, 16)) + 1.6 * noise(rng, side.shape, (2, 7, 7)) for _ in range(2)]
    across, down = np.abs(side / size + bent[0]), along / size + bent[1]
    out = np.zeros(side.shape, np.float32)
    uneven = 0.95 + 0.55 * noise(rng, side.shape, (1.5, 7, 7))
    for start, end, wide, reach in _CISTERNS:
        if rng.random() < 0.12:
            continue
        shown = np.clip((reach + 5 - np.abs(heights)) / 6, 0, 1)[:, None, None]
        away = _from_line(across, down, start, end)
        body = soft(0.5 * wide * width * uneven - away, rng.uniform(1.5, 4))
        out = np.maximum(out, body * shown * rng.uniform(0.75, 1.0))
    return np.asarray(out, np.float32)


def _from_line(x: Field, y: Field, start: tuple[int, int], end: tuple[int, int]) -> Field:
    dx, dy = end[0] - start[0], end[1] - start[1]
    t = np.clip(((x - start[0]) * dx + (y - start[1]) * dy) / (dx * dx + dy * dy), 0, 1)
    return np.asarray(np.hypot(x - start[0] - t * dx, y - start[1] - t * dy), np.float32)


def _convexity(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Lesion:
    """Blood in the sulci around a point of the surface, where they are open and, in part, where they are closed."""
    middle = pick_slice(head, rng, 0.35, 0.1, 1.0)
    reach = float(np.exp(rng.uniform(np.log(26), np.log(85))))
    part = span(head, middle, 0.7 * reach, spacing_mm)
    inside, depth = head.inside[part], head.depth[part].astype(np.float32)
    row, column = surface_point(head, rng, middle)
    rows, columns = np.indices(inside.shape[1:], dtype=np.float32)
    heights = offsets(part, middle, spacing_mm)
    square = np.asarray((rows - row) ** 2 + (columns - column) ** 2)[None] + (2 * heights**2)[:, None, None]
    region = soft(1 - np.sqrt(square) / reach + 0.25 * noise(rng, inside.shape, (2, 12, 12)), 0.5)
    grooves = head.sulci[part].astype(np.float32)
    if rng.random() < 0.75:
        grooves = np.maximum(grooves, 0.85 * ndimage.grey_dilation(grooves, (1, 3, 3)))
    grooves = np.clip(1.5 * grooves, 0, 1)
    patchy = np.clip(0.95 + 0.35 * noise(rng, inside.shape, (1.5, 8, 8)), 0, 1)
    # Where sulci are open blood is seen in them; only closed ones are made up.
    made_up = rng.uniform(0.45, 0.9) if (grooves * region).sum() > 150 else rng.uniform(0.8, 1.0)
    fraction = np.maximum(grooves, made_up * _folds(head, rng, part, depth)) * region * patchy * inside
    return _painted_in(head, rng, part, fraction)


def _painted_in(head: Anatomy, rng: np.random.Generator, part: slice, fraction: NDArray[np.floating]) -> Lesion:
    # Most are seen on several slices; some are a single small streak.
    wanted = np.exp(rng.uniform(np.log(_SMALLEST_PX), np.log(_COMMON_PX)))
    if (fraction > 0.5).sum() < wanted:
        raise NoRoomError("no sulci or cisterns in the region")
    fraction = fraction.astype(np.float32)
    hu = density(rng, fraction, 48, 70)
    return Lesion(part, blurred(fraction, rng, head.inside[part]), hu)


def _folds(head: Anatomy, rng: np.random.Generator, part: slice, depth: Field) -> Field:
    """Narrow winding lines that run in from the surface, for brains whose sulci are closed."""
    field = noise(rng, depth.shape, (1.6, 11, 11))
    down, across = np.gradient(field, axis=(1, 2))
    slope = np.hypot(down, across) + 0.03
    width = rng.uniform(1.2, 2.9)
    line = soft(width - np.abs(field) / slope, rng.uniform(1.0, 2.2))
    # Broken, as a slice cuts a fold here and there.
    line = line * soft(noise(rng, depth.shape, (1.5, 7, 7)) + 0.9, 1.2)
    ends = rng.uniform(8, 24) + 5 * noise(rng, depth.shape, (2, 12, 12))
    rim = soft(1.2 - depth, 1.0) * soft(noise(rng, depth.shape, (2, 12, 12)) - 0.1, 0.5)
    return np.asarray(np.maximum(line * soft(ends - depth, 5), rim * 0.8), np.float32)
