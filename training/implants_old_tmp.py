"""Synthetic haemorrhages in HU on real slices without a bleed, with masks and labels.

A bleed is drawn as a fraction 0..1 of every voxel that is blood (so edges and end slices show partial volume)
and a density in HU. Tissue is pushed aside first; the noise of the scan is kept on top.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ichscope.labels import LABELS, SUBTYPES
from training.anatomy import Anatomy, masked_gaussian, study_anatomy

Field = NDArray[np.float32]

# What often comes with a bleed, and how often, given that a second kind is drawn at all.
_COMPANIONS = {
    "epidural": ("subarachnoid", "intraparenchymal", "subdural"),
    "intraparenchymal": ("intraventricular", "subarachnoid", "intraventricular"),
    "intraventricular": ("intraparenchymal", "subarachnoid"),
    "subarachnoid": ("subdural", "intraventricular", "intraparenchymal"),
    "subdural": ("subarachnoid", "subarachnoid", "intraparenchymal"),
}
# A slice counts as positive from this visible area on (pixels, about 1 mm2 each: the 5th percentile of the
# outlines of CT-ICH is 25 to 60); with less, but some, its label is unknown.
_POSITIVE_PX = 14
_DOUBTFUL_PX = 4
_ATTEMPTS = 5
# Steps through the thickness of a slice whose mean is what the slice shows.
_THROUGH_SLICE = (-1 / 3, 0.0, 1 / 3)


@dataclass(frozen=True, eq=False)
class Bleed:
    """What to paint into the slices ``part``.

    fraction : 0..1, how much of a voxel is blood; hu : density of that blood
    push : pixels by which tissue moves (rows, columns), or None; oedema : HU added to brain around it
    """

    part: slice
    fraction: Field
    hu: Field
    push: tuple[Field, Field] | None = None
    oedema: Field | None = None


class NoRoomError(Exception):
    """The study has no place for this kind of bleed (no brain found, no ventricles in view)."""


def implant(
    hu: NDArray[np.int16],
    rng: np.random.Generator,
    kind: str,
    anatomy: Anatomy | None = None,
    spacing_mm: float = 5.0,
    companion: float = 0.2,
) -> tuple[NDArray[np.int16], NDArray[np.bool_], NDArray[np.float32]]:
    """Put a bleed of one kind (at times with a second) into a study without one.

    Parameters
    ----------
    hu : (n, rows, columns) int16 HU, model input from foot to head; one slice will do
    kind : one of SUBTYPES
    anatomy : ``study_anatomy(hu)``, when several bleeds are drawn for the same study
    companion : how often a second kind is added

    Returns
    -------
    The new HU; a bool mask of visible blood; labels (n, 6) float32, nan where too little shows to call

    Raises
    ------
    NoRoomError
        when there is no place for it
    """
    head = anatomy or study_anatomy(hu, spacing_mm)
    if not head.inside.any():
        raise NoRoomError("found no brain enclosed by a skull")
    kinds = [kind]
    if rng.random() < companion:
        kinds.append(str(rng.choice(_COMPANIONS[kind])))
    out, mask = hu.copy(), np.zeros(hu.shape, bool)
    labels = np.zeros((len(hu), len(LABELS)), np.float32)
    for number, name in enumerate(kinds):
        try:
            out, visible = _painted(out, head, rng, name, spacing_mm)
        except NoRoomError:
            if number == 0:
                raise
            continue
        mask |= visible
        _mark(labels, visible.sum(axis=(1, 2)), LABELS.index(name))
    _mark(labels, mask.sum(axis=(1, 2)), LABELS.index("any"))
    return out, mask, labels


def _painted(
    hu: NDArray[np.int16], head: Anatomy, rng: np.random.Generator, kind: str, spacing_mm: float
) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Draw until a bleed finds room and shows in at least one slice."""
    refused = NoRoomError("what was drawn is too faint to see")
    for _ in range(_ATTEMPTS):
        out = hu.copy()
        try:
            visible = paint(out, head, _DRAW[kind](head, rng, spacing_mm))
        except NoRoomError as error:
            refused = error
            continue
        if visible.sum(axis=(1, 2)).max() >= _POSITIVE_PX:
            return out, visible
    raise refused


def decoy(
    hu: NDArray[np.int16],
    rng: np.random.Generator,
    anatomy: Anatomy | None = None,
    spacing_mm: float = 5.0,
) -> NDArray[np.int16]:
    """Put something that is no bleed into a study, by the same brush; its labels stay as they are.

    Fluid under the skull, a dark or equally dense patch of brain, pushed tissue, calcifications: a model
    trained with these cannot take the marks of the brush for blood.
    """
    head = anatomy or study_anatomy(hu, spacing_mm)
    if not head.inside.any():
        raise NoRoomError("found no brain enclosed by a skull")
    draw = _DECOYS[int(rng.integers(len(_DECOYS)))]
    out = hu.copy()
    paint(out, head, draw(head, rng, spacing_mm))
    return out


def _mark(labels: NDArray[np.float32], area: NDArray[np.int64], column: int) -> None:
    labels[(area >= _DOUBTFUL_PX) & (area < _POSITIVE_PX) & (labels[:, column] != 1), column] = np.nan
    labels[area >= _POSITIVE_PX, column] = 1


def paint(hu: NDArray[np.int16], head: Anatomy, bleed: Bleed) -> NDArray[np.bool_]:
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
    seen = (bleed.fraction >= 0.4) & inside & ((shown > head.brain_hu + 6) | (gain > 18)) & (gain > 3)
    mask = np.zeros(hu.shape, bool)
    mask[part] = seen
    return mask


def _pushed(hu: Field, depth: Field, push: tuple[Field, Field]) -> Field:
    """Move tissue by ``push`` pixels; what is not moved stays as it was to the last bit."""
    rows, columns = np.indices(hu.shape[1:], dtype=np.float32)
    out = hu.copy()
    for i, one in enumerate(hu):
        down, across = push[0][i], push[1][i]
        # The outermost pixels share their voxel with bone and stay with it.
        share = np.clip((np.hypot(down, across) - 0.1) / 0.4, 0, 1) * (depth[i] > 1.5)
        if not share.any():
            continue
        brain = _extended(one, depth[i] >= 2.5)
        moved = ndimage.map_coordinates(brain, (rows - down, columns - across), order=1, mode="nearest")
        # Bilinear interpolation takes away about a third of the finest noise: give it back.
        fine = np.clip(one - ndimage.gaussian_filter(one, 0.8), -4, 4)
        out[i] = one + share * (moved + 0.4 * fine - one)
    return out


def _extended(one: Field, core: NDArray[np.bool_]) -> Field:
    """Continue the brain's values up to and beyond the inner table, so that no bone is dragged inside."""
    if not core.any():
        return one
    nearest = ndimage.distance_transform_edt(~core, return_distances=False, return_indices=True)
    return np.asarray(one[tuple(nearest)], np.float32)


# --- shared shapes -------------------------------------------------------------------------------------


def _noise(rng: np.random.Generator, shape: tuple[int, ...], scale: tuple[float, ...]) -> Field:
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


def _span(head: Anatomy, middle: int, reach_mm: float, spacing_mm: float) -> slice:
    """The slices within ``reach_mm`` of the middle one that show brain."""
    reach = int(np.ceil(reach_mm / spacing_mm + 0.5))
    present = np.flatnonzero(head.inside.any(axis=(1, 2)))
    return slice(max(present[0], middle - reach), min(present[-1], middle + reach) + 1)


def _pick_slice(head: Anatomy, rng: np.random.Generator, smallest: float, low: float = 0, high: float = 1) -> int:
    """A slice that shows at least ``smallest`` of the widest intracranial area, low..high from base to vertex."""
    area = head.area
    fit = np.flatnonzero(area >= smallest * area.max())
    start, stop = int(low * len(fit)), max(int(np.ceil(high * len(fit))), int(low * len(fit)) + 1)
    return int(rng.choice(fit[start:stop] if len(fit[start:stop]) else fit))


def _offsets(part: slice, middle: int, spacing_mm: float) -> NDArray[np.float64]:
    return (np.arange(part.start, part.stop) - middle) * spacing_mm


def _soft(distance: Field, edge: float) -> Field:
    """0..1 across an edge of ``edge`` pixels at distance 0 (positive inside)."""
    return np.asarray(np.clip(0.5 + distance / edge, 0, 1), np.float32)


def _blurred(fraction: Field, rng: np.random.Generator, inside: NDArray[np.bool_]) -> Field:
    sigma = float(rng.uniform(0.4, 0.9))
    return np.asarray(masked_gaussian(fraction, inside, sigma) * inside, np.float32)


def _density(rng: np.random.Generator, shape: tuple[int, ...], low: float, high: float) -> Field:
    """Blood of one age, a little lumpy; at times of two ages, or settled with the denser part behind."""
    mean = rng.uniform(low, high)
    hu = (
        mean
        + rng.uniform(1.5, 6.5) * _noise(rng, shape, (2, 8, 8))
        + rng.uniform(0.5, 4.5) * _noise(rng, shape, (1, 2.5, 2.5))
    )
    style = rng.random()
    if style < 0.15:
        hu = hu - rng.uniform(6, 18) * _soft(_noise(rng, shape, (3, 16, 16)) - 0.6, 0.8)
    elif style < 0.25:
        rows = np.linspace(-1, 1, shape[1], dtype=np.float32)[None, :, None]
        hu = hu + rng.uniform(4, 12) * np.tanh(6 * (rows - rng.uniform(-0.4, 0.4)))
    return np.asarray(np.clip(hu, 30, 90), np.float32)


def _gradient(field: Field) -> tuple[Field, Field]:
    """Unit vectors (rows, columns) uphill in every slice."""
    smooth = ndimage.gaussian_filter(field, (0, 2.0, 2.0))
    rows, columns = np.gradient(smooth, axis=(1, 2))
    length = np.maximum(np.hypot(rows, columns), 1e-3)
    return np.asarray(rows / length, np.float32), np.asarray(columns / length, np.float32)


# --- intraparenchymal ----------------------------------------------------------------------------------


def _intraparenchymal(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Bleed:
    if rng.random() < 0.2:
        return _contusions(head, rng, spacing_mm)
    radius = float(np.exp(rng.uniform(np.log(2.6), np.log(27))))
    middle = _pick_slice(head, rng, 0.35)
    part = _span(head, middle, 1.6 * radius, spacing_mm)
    centre = _parenchymal_centre(head, rng, middle, radius)
    body = _blob(head, rng, part, middle, centre, radius, spacing_mm)
    return _with_surroundings(head, rng, part, body, radius)


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


def _blob(
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
    heights = _offsets(part, middle, spacing_mm)
    lumps = _noise(
        rng, (len(heights), *rows.shape), (max(1.0, radius / spacing_mm), radius * 0.8 + 2, radius * 0.8 + 2)
    )
    fine = 0.3 * radius + 1.5
    knobs = _noise(rng, lumps.shape, (max(1.0, fine / spacing_mm), fine, fine))
    roughness, bumps = rng.uniform(0.05, 0.25), rng.uniform(0.02, 0.13)
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
        for step in _THROUGH_SLICE:
            z = (heights - shift[2] + step * spacing_mm) / axes[2]
            shells.append(1 - np.sqrt(u[None] ** 2 + v[None] ** 2 + z[:, None, None] ** 2))
        parts.append(np.stack(shells) * min(axes[:2]))
    distance = np.max(parts, axis=0) + radius * (roughness * lumps + bumps * knobs)
    return np.asarray(distance, np.float32)


def _with_surroundings(head: Anatomy, rng: np.random.Generator, part: slice, body: Field, radius: float) -> Bleed:
    """Soft edge, oedema and mass effect around a body given as distances (steps, n, rows, columns)."""
    inside = head.inside[part]
    room = inside & (head.depth[part] > 1.5)
    fraction = _blurred(_soft(body, rng.uniform(0.8, 1.6)).mean(axis=0) * room, rng, inside)
    distance = body.mean(axis=0)
    oedema = None
    if rng.random() < 0.75:
        width = rng.uniform(0.15, 0.6) * min(radius, 14) + 1
        shape = distance + 0.35 * width * _noise(rng, distance.shape, (2, 12, 12))
        oedema = -rng.uniform(3, 13) * _soft(shape + width, 1 + 0.6 * width).astype(np.float32)
    push = None
    if radius > 5:
        push = _radial_push(head, part, distance, radius * rng.uniform(0.1, 0.45))
    hu = _density(rng, fraction.shape, 48, 72)
    if radius < 5:
        hu = hu - rng.uniform(0, 8)
    return Bleed(part, fraction, hu, push, oedema)


def _radial_push(head: Anatomy, part: slice, distance: Field, most: float) -> tuple[Field, Field]:
    """Push away from a body: ``most`` at its edge, fading with distance and towards the skull."""
    down, across = _gradient(-distance)
    reach = max(2.5 * most, 14.0)
    within = np.where(distance > 0, 0.5 * most + 1, reach)
    size = most * np.exp(-np.abs(distance) / within)
    size = ndimage.gaussian_filter(size, (0, 2, 2)) * np.clip(head.depth[part] / 18, 0, 1)
    return np.asarray(down * size, np.float32), np.asarray(across * size, np.float32)


def _contusions(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Bleed:
    """Several small bleeds together near the surface of the brain, mostly frontal and temporal."""
    middle = _pick_slice(head, rng, 0.4, 0.0, 0.7)
    spread = rng.uniform(5, 14)
    part = _span(head, middle, 2 * spread, spacing_mm)
    depth = head.depth[middle].astype(np.float32)
    _, along = head.frame(slice(middle, middle + 1))
    near = head.inside[middle] & (depth > 4) & (depth < 16)
    weight = near * np.where(along[0] < 0, 3.0, 1.0)
    if not near.any():
        raise NoRoomError("no brain near the surface")
    row, column = np.unravel_index(int(rng.choice(weight.size, p=weight.ravel() / weight.sum())), weight.shape)
    bodies = []
    for _ in range(int(rng.integers(2, 7))):
        radius = float(rng.uniform(1.5, 5))
        place = (row + rng.normal(0, spread / 2), column + rng.normal(0, spread / 2))
        height = int(np.clip(middle + rng.normal(0, spread / 2 / spacing_mm), part.start, part.stop - 1))
        bodies.append(_blob(head, rng, part, height, place, radius, spacing_mm))
    bleed = _with_surroundings(head, rng, part, np.max(bodies, axis=0), 4.5)
    return Bleed(part, bleed.fraction, bleed.hu - rng.uniform(0, 10), None, bleed.oedema)


# --- extra-axial ---------------------------------------------------------------------------------------


def _epidural(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Bleed:
    """A lens on the inner table: thick in the middle, ending where its outline does."""
    middle = _pick_slice(head, rng, 0.3)
    half_width = float(np.exp(rng.uniform(np.log(8), np.log(48))))
    half_height = half_width * rng.uniform(0.6, 1.1)
    thickness = float(np.clip(half_width * rng.uniform(0.16, 0.6), 2.5, 26))
    part = _span(head, middle, half_height, spacing_mm)
    row, column = _surface_point(head, rng, middle)
    rows, columns = np.indices(head.inside.shape[1:], dtype=np.float32)
    depth = head.depth[part].astype(np.float32)
    square = (rows - row) ** 2 + (columns - column) ** 2
    along = np.maximum(square[None] - depth**2, 0) / half_width**2
    wave = 1 + rng.uniform(0.02, 0.15) * _noise(rng, depth.shape, (2, 14, 14))
    power = rng.uniform(0.7, 1.2)
    heights = _offsets(part, middle, spacing_mm)
    lens = []
    for step in _THROUGH_SLICE:
        z = ((heights + step * spacing_mm) / half_height) ** 2
        lens.append(thickness * np.maximum(1 - along - z[:, None, None], 0) ** power * wave)
    return _on_inner_table(head, rng, part, np.stack(lens), (50, 74))


def _surface_point(head: Anatomy, rng: np.random.Generator, middle: int) -> tuple[int, int]:
    """A point of the inner table, mostly lateral (temporal and parietal)."""
    side, _ = head.frame(slice(middle, middle + 1))
    edge = np.argwhere((head.depth[middle] > 0) & (head.depth[middle] < 1.5))
    lateral = np.abs(side)[0, edge[:, 0], edge[:, 1]]
    weight = 0.15 + (lateral / lateral.max()) ** 2
    row, column = edge[rng.choice(len(edge), p=weight / weight.sum())]
    return int(row), int(column)


def _on_inner_table(
    head: Anatomy, rng: np.random.Generator, part: slice, thickness: Field, hu: tuple[float, float]
) -> Bleed:
    """Blood from the inner table to ``thickness`` (steps, n, rows, columns) pixels deep; brain moves inwards."""
    inside = head.inside[part]
    depth = head.depth[part].astype(np.float32)
    edge = rng.uniform(0.9, 1.8)
    fraction = (_soft(thickness - depth + 0.5, edge) * np.clip(thickness / 1.2, 0, 1)).mean(axis=0)
    mean = thickness.mean(axis=0)
    push = None
    if mean.max() > 2.5:
        # Between the blood and ``reach`` tissue is squeezed evenly: nothing is lost, sulci narrow.
        reach = np.maximum(4 * mean, 12)
        moved = mean * np.clip(1 - (depth - mean) / reach, 0, 1) * rng.uniform(0.6, 0.95)
        moved = ndimage.gaussian_filter(moved, (0, 1.5, 1.5))
        down, across = _gradient(depth)
        push = (down * moved).astype(np.float32), (across * moved).astype(np.float32)
    return Bleed(part, _blurred(fraction, rng, inside), _density(rng, fraction.shape, *hu), push)


def _subdural(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Bleed:
    if rng.random() < 0.25:
        return _parafalcine(head, rng, spacing_mm)
    middle = _pick_slice(head, rng, 0.45)
    thickness = float(np.exp(rng.uniform(np.log(2.5), np.log(18))))
    half_height = rng.uniform(10, 50)
    part = _span(head, middle, half_height, spacing_mm)
    side, along = head.frame(part)
    hand = rng.choice((-1, 1))
    # 0 at the front of the midline, pi at its back, on the side that bleeds.
    angle = np.arctan2(side * hand, -along)
    middle_angle, half_angle = rng.uniform(0.9, 2.3), rng.uniform(0.45, 1.5)
    ends = 1 - ((angle - middle_angle) / half_angle) ** 2
    midline = np.clip(side * hand / 6, 0, 1)
    wave = 1 + rng.uniform(0.1, 0.3) * _noise(rng, side.shape, (2, 16, 16))
    heights = _offsets(part, middle, spacing_mm)
    crescent = []
    for step in _THROUGH_SLICE:
        z = ((heights + step * spacing_mm) / half_height) ** 2
        profile = np.maximum(ends, 0) ** 0.5 * np.maximum(1 - z, 0)[:, None, None] ** 0.5
        crescent.append(thickness * profile * midline * np.maximum(wave, 0.2))
    low = 38 if rng.random() < 0.2 else 50
    bleed = _on_inner_table(head, rng, part, np.stack(crescent), (low, 70))
    return bleed


def _parafalcine(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Bleed:
    """A thin layer along the falx."""
    middle = _pick_slice(head, rng, 0.35, 0.4, 1.0)
    half_height = rng.uniform(8, 35)
    part = _span(head, middle, half_height, spacing_mm)
    side, along = head.frame(part)
    inside = head.inside[part]
    length = np.maximum(np.abs(np.where(inside, along, 0)).max(axis=(1, 2), keepdims=True), 20)
    place, half_length = rng.choice((-1, 1)) * rng.uniform(0.2, 0.7), rng.uniform(0.2, 0.6)
    hand = rng.choice((-1, 1))
    thickness = rng.uniform(2.0, 7)
    curve = 2.0 * _noise(rng, (1, *side.shape[1:]), (1, 60, 60))
    wave = 1 + 0.25 * _noise(rng, side.shape, (2, 14, 14))
    heights = _offsets(part, middle, spacing_mm)
    # Near the middle of the head the falx ends above the corpus callosum.
    central = np.clip((np.abs(along / length) - 0.25) / 0.1, 0, 1)
    high = (heights + middle * spacing_mm > 0)[:, None, None]
    layers = []
    for step in _THROUGH_SLICE:
        z = ((heights + step * spacing_mm) / half_height) ** 2
        ends = np.maximum(1 - ((along / length - place) / half_length) ** 2, 0) * np.maximum(1 - z, 0)[:, None, None]
        width = thickness * np.sqrt(ends) * wave
        from_falx = (side + curve) * hand
        layers.append(np.minimum(_soft(width - from_falx, 1.5), _soft(from_falx + 1, 1.5)) * (width > 0.8))
    fraction = np.mean(layers, axis=0) * central * high * inside
    if not (fraction > 0.5).any():
        raise NoRoomError("no falx in view")
    hu = _density(rng, fraction.shape, 48, 70)
    return Bleed(part, _blurred(fraction.astype(np.float32), rng, inside), hu)


# --- in fluid ------------------------------------------------------------------------------------------


def _intraventricular(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Bleed:
    """Blood settled at the back of the ventricles, or a cast or clot in them."""
    rooms = head.ventricles
    slices = np.flatnonzero(rooms.sum(axis=(1, 2)) >= 40)
    if not len(slices):
        raise NoRoomError("no ventricles wide enough to hold blood")
    part = slice(int(slices[0]), int(slices[-1]) + 1)
    room = rooms[part]
    style = rng.random()
    widened = ndimage.binary_dilation(room, np.ones((1, 3, 3))) & head.inside[part] if style > 0.5 else room
    wall = masked_gaussian(widened.astype(np.float32), head.inside[part], 0.8)
    side, _ = head.frame(part)
    if style < 0.5:
        fill = _settled(room, rng)
    elif style < 0.8:
        fill = _cast(room, side, rng)
    else:
        fill = _clot(head, rng, part, room, spacing_mm)
    fraction = np.clip(1.25 * wall, 0, 1) * fill
    if not (fraction > 0.5).sum() >= _POSITIVE_PX:
        raise NoRoomError("too little room in the ventricles")
    hu = _density(rng, fraction.shape, 46, 74)
    return Bleed(part, _blurred(fraction.astype(np.float32), rng, head.inside[part]), hu)


def _settled(room: NDArray[np.bool_], rng: np.random.Generator) -> Field:
    """The lowest share of each horn of the lateral ventricles, the patient lying on the back."""
    components, count = ndimage.label(room, np.ones((3, 3, 3)))
    rows = np.indices(room.shape[1:], dtype=np.float32)[0]
    tilt = rng.normal(0, 0.06) * np.indices(room.shape[1:], dtype=np.float32)[1]
    fill = np.zeros(room.shape, np.float32)
    share = float(np.exp(rng.uniform(np.log(0.06), np.log(0.6))))
    for number in range(1, count + 1):
        here = components == number
        if here.sum() < 80:
            continue
        level = (rows + tilt)[None].repeat(len(room), 0)
        height = np.quantile(level[here], 1 - share * rng.uniform(0.6, 1.3))
        fill = np.maximum(fill, here * _soft(level - height, 2.5))
    spread = ndimage.grey_dilation(fill, (1, 3, 3))
    return np.asarray(spread, np.float32)


def _cast(room: NDArray[np.bool_], side: Field, rng: np.random.Generator) -> Field:
    both = rng.random() < 0.4
    chosen = np.ones(room.shape, np.float32) if both else _soft(side * rng.choice((-1, 1)), 6)
    lumps = _noise(rng, room.shape, (2, 10, 10))
    return np.asarray(chosen * _soft(lumps + rng.uniform(0.4, 2.0), 0.8), np.float32)


def _clot(head: Anatomy, rng: np.random.Generator, part: slice, room: NDArray[np.bool_], spacing_mm: float) -> Field:
    places = np.argwhere(room)
    z, row, column = places[rng.integers(len(places))]
    body = _blob(head, rng, part, part.start + int(z), (float(row), float(column)), rng.uniform(4, 14), spacing_mm)
    return np.asarray(_soft(body, 2).mean(axis=0), np.float32)


def _subarachnoid(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Bleed:
    """Thin blood in sulci of one region, or in the cisterns and fissures around the brain's base."""
    basal = rng.random() < 0.35
    middle = _pick_slice(head, rng, 0.5, 0.0, 0.45) if basal else _pick_slice(head, rng, 0.35, 0.1, 1.0)
    reach = rng.uniform(35, 90) if basal else float(np.exp(rng.uniform(np.log(18), np.log(60))))
    part = _span(head, middle, reach, spacing_mm)
    inside, depth = head.inside[part], head.depth[part].astype(np.float32)
    row, column = _surface_point(head, rng, middle)
    if basal:
        row, column = head.centres[middle] + rng.normal(0, 8, 2)
    rows, columns = np.indices(inside.shape[1:], dtype=np.float32)
    heights = _offsets(part, middle, spacing_mm)
    square = ((rows - row) ** 2 + (columns - column) ** 2)[None] + (heights**2)[:, None, None]
    region = _soft(1 - np.sqrt(square) / reach + 0.25 * _noise(rng, inside.shape, (2, 12, 12)), 0.5)
    grooves = head.sulci[part].astype(np.float32)
    if rng.random() < 0.6:
        grooves = np.maximum(grooves, 0.8 * ndimage.grey_dilation(grooves, (1, 3, 3)))
    grooves = np.clip(1.4 * grooves, 0, 1)
    lines = _folds(head, rng, part, depth) * (0.0 if basal and grooves.sum() > 400 else 1.0)
    patchy = np.clip(0.95 + 0.35 * _noise(rng, inside.shape, (1.5, 8, 8)), 0, 1)
    fraction = np.maximum(grooves, lines) * region * patchy * inside
    if (fraction > 0.4).sum() < _POSITIVE_PX:
        raise NoRoomError("no sulci or cisterns in the region")
    hu = _density(rng, fraction.shape, 48, 68)
    return Bleed(part, _blurred(fraction.astype(np.float32), rng, inside), hu)


def _folds(head: Anatomy, rng: np.random.Generator, part: slice, depth: Field) -> Field:
    """Narrow winding lines that run in from the surface, for brains whose sulci are closed."""
    field = _noise(rng, depth.shape, (1.6, 11, 11))
    down, across = np.gradient(field, axis=(1, 2))
    slope = np.hypot(down, across) + 0.03
    width = rng.uniform(0.9, 2.0)
    line = _soft(width - np.abs(field) / slope, 1.0)
    ends = rng.uniform(8, 20) + 5 * _noise(rng, depth.shape, (2, 12, 12))
    rim = _soft(1.2 - depth, 1.0) * _soft(_noise(rng, depth.shape, (2, 12, 12)) - 0.1, 0.5)
    return np.asarray(np.maximum(line * _soft(ends - depth, 5), rim * 0.8), np.float32)


# --- decoys --------------------------------------------------------------------------------------------


def _hygroma(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Bleed:
    crescent = _subdural(head, rng, spacing_mm)
    return replace(crescent, hu=_level(crescent, rng.uniform(4, 20)))


def _infarct(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Bleed:
    patch = _intraparenchymal(head, rng, spacing_mm)
    return replace(patch, hu=_level(patch, head.brain_hu - rng.uniform(3, 18)), oedema=None)


def _same_density(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Bleed:
    name = str(rng.choice(("epidural", "intraparenchymal", "subdural")))
    patch = _DRAW[name](head, rng, spacing_mm)
    return replace(patch, hu=_level(patch, head.brain_hu + rng.uniform(-3, 3)))


def _shift_alone(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Bleed:
    bleed = _intraparenchymal(head, rng, spacing_mm)
    return replace(bleed, fraction=np.zeros_like(bleed.fraction))


def _calcifications(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Bleed:
    """Small and denser than blood, where they are common: ventricle walls, midline, both deep nuclei."""
    middle = _pick_slice(head, rng, 0.6, 0.2, 0.8)
    part = _span(head, middle, 4.0, spacing_mm)
    side, along = head.frame(part)
    walls = ndimage.binary_dilation(head.ventricles[part], np.ones((1, 3, 3)))
    walls &= (head.depth[part] > 8) & (along > 0)
    deep = (np.abs(np.abs(side) - 18) < 4) & (np.abs(along) < 12)
    places = [np.argwhere(where & head.inside[part]) for where in (walls, np.abs(side) < 1.5, deep)]
    fraction = np.zeros(side.shape, np.float32)
    for spots in rng.permutation(np.array([len(spots) > 0 for spots in places]).nonzero()[0])[:2]:
        for z, row, column in places[spots][rng.integers(len(places[spots]), size=int(rng.integers(1, 3)))]:
            body = _blob(
                head,
                rng,
                part,
                part.start + int(z),
                (float(row), float(column)),
                rng.uniform(0.9, 3),
                spacing_mm,
            )
            fraction = np.maximum(fraction, _soft(body, 1.0).mean(axis=0))
    # Thick slices dilute calcium to the density of blood; so small a dilute spot would be an honest doubt.
    hu = np.full(fraction.shape, rng.uniform(150, 500), np.float32)
    return Bleed(part, fraction * head.inside[part], hu)


def _level(bleed: Bleed, mean: float) -> Field:
    return np.asarray(mean + 0.6 * (bleed.hu - bleed.hu.mean()), np.float32)


_DRAW: dict[str, Callable[[Anatomy, np.random.Generator, float], Bleed]] = {
    "epidural": _epidural,
    "intraparenchymal": _intraparenchymal,
    "intraventricular": _intraventricular,
    "subarachnoid": _subarachnoid,
    "subdural": _subdural,
}
_DECOYS = (_hygroma, _infarct, _same_density, _shift_alone, _calcifications)
assert set(_DRAW) == set(SUBTYPES)
