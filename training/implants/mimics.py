"""What is no bleed but looks like one, by the same painter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from training.anatomy import Anatomy
from training.implants.epidural import epidural
from training.implants.intraparenchymal import intraparenchymal
from training.implants.lesion_painter import Field, Lesion, blob, blurred, noise, pick_slice, soft, span
from training.implants.subdural import subdural


def _hygroma(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Lesion:
    crescent = subdural(head, rng, spacing_mm)
    return replace(crescent, hu=_level(crescent, rng.uniform(4, 20)))


def _infarct(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Lesion:
    patch = intraparenchymal(head, rng, spacing_mm)
    return replace(patch, hu=_level(patch, head.brain_hu - rng.uniform(3, 18)), oedema=None)


def _same_density(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Lesion:
    draw = (epidural, intraparenchymal, subdural)[int(rng.integers(3))]
    patch = draw(head, rng, spacing_mm)
    return replace(patch, hu=_level(patch, head.brain_hu + rng.uniform(-3, 3)))


def _shift_alone(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Lesion:
    bleed = intraparenchymal(head, rng, spacing_mm)
    return replace(bleed, fraction=np.zeros_like(bleed.fraction))


def _calcifications(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Lesion:
    """Small and denser than blood, where they are common: ventricle walls, midline, both deep nuclei."""
    middle = pick_slice(head, rng, 0.6, 0.2, 0.8)
    part = span(head, middle, 4.0, spacing_mm)
    side, along = head.frame(part)
    walls = ndimage.binary_dilation(head.ventricles[part], np.ones((1, 3, 3)))
    walls &= (head.depth[part] > 8) & (along > 0)
    deep = (np.abs(np.abs(side) - 18) < 4) & (np.abs(along) < 12)
    places = [np.argwhere(where & head.inside[part]) for where in (walls, np.abs(side) < 1.5, deep)]
    fraction = np.zeros(side.shape, np.float32)
    for spots in rng.permutation(np.array([len(spots) > 0 for spots in places]).nonzero()[0])[:2]:
        for z, row, column in places[spots][rng.integers(len(places[spots]), size=int(rng.integers(1, 3)))]:
            body = blob(
                head,
                rng,
                part,
                part.start + int(z),
                (float(row), float(column)),
                rng.uniform(0.9, 3),
                spacing_mm,
            )
            fraction = np.maximum(fraction, soft(body, 1.0).mean(axis=0))
    # Thick slices dilute calcium to the density of blood; so small a dilute spot would be an honest doubt.
    hu = np.full(fraction.shape, rng.uniform(150, 500), np.float32)
    return Lesion(part, fraction * head.inside[part], hu)


def _level(bleed: Lesion, mean: float) -> Field:
    return np.asarray(mean + np.clip(0.6 * (bleed.hu - bleed.hu.mean()), -7, 7), np.float32)


def _dense_membranes(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Lesion:
    """A dense falx, thin and even, and at times dense edges of the tentorium."""
    part = _all_slices(head)
    side, along = head.frame(part)
    length = np.maximum(np.abs(np.where(head.inside[part], along, 0)).max(axis=(1, 2), keepdims=True), 20)
    high = soft(np.arange(part.start, part.stop) - part.start - 0.45 * (part.stop - part.start), 4)[:, None, None]
    bent = 1.5 * noise(rng, (1, *side.shape[1:]), (1, 60, 60))
    shown = np.where(along < 0, 1.0, high) * soft(np.abs(along) / length - 0.4 * (1 - high), 0.2)
    fraction = soft(rng.uniform(0.5, 1.1) - np.abs(side + bent), 1.2) * shown
    if rng.random() < 0.4:
        below = (part.stop - 1 - np.arange(part.start, part.stop)) * spacing_mm - rng.uniform(58, 72)
        leaf = np.abs(np.abs(side) - np.clip(below / rng.uniform(0.4, 0.6), 2, 60)[:, None, None])
        behind = soft(along - 14, 8) * soft(40 - np.abs(side), 10) * ((below > 0) & (below < 22))[:, None, None]
        fraction = np.maximum(fraction, soft(rng.uniform(0.4, 0.9) - leaf, 1.2) * behind)
    hu = np.full(fraction.shape, rng.uniform(48, 68), np.float32) + 3 * noise(rng, fraction.shape, (2, 6, 6))
    return Lesion(part, blurred(np.asarray(fraction, np.float32), rng, head.inside[part]), np.asarray(hu, np.float32))


def _dense_sinuses(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Lesion:
    """Venous sinuses full of thick blood: the sagittal one at the back of the midline, the transverse lower down."""
    part = _all_slices(head)
    side, along = head.frame(part)
    depth, fraction = head.depth[part].astype(np.float32), np.zeros(side.shape, np.float32)
    size, reach = rng.uniform(3, 5.5), np.abs(np.where(head.inside[part], along, 0)).max(axis=(1, 2), keepdims=True)
    torcula = part.start + int(rng.uniform(0.25, 0.4) * (part.stop - part.start))
    levels = np.arange(part.start, part.stop)[:, None, None]
    # A triangle with its base on the bone.
    back = soft(size - depth - 1.3 * np.abs(side - rng.normal(0, 2)), 1.5) * (along > 0.5 * reach) * (levels >= torcula)
    hand = rng.choice((-1, 1))
    low = (np.abs(levels - torcula) * spacing_mm <= 5) & (along > 0.2 * reach)
    transverse = soft(0.9 * size - depth, 1.5) * low * soft(side * hand + rng.uniform(0, 8), 6)
    fraction = np.maximum(back, transverse).astype(np.float32)
    hu = rng.uniform(52, 68) + 2 * noise(rng, side.shape, (2, 4, 4))
    return Lesion(part, blurred(fraction, rng, head.inside[part]), np.asarray(hu, np.float32))


def _bright_cortex(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Lesion:
    """Grey matter that stands out from dark white matter, all round or on one side."""
    part = _all_slices(head)
    depth = head.depth[part].astype(np.float32)
    ribbon = rng.uniform(4, 9) + 3 * noise(rng, depth.shape, (2, 8, 8))
    side, _ = head.frame(part)
    shown = np.ones_like(side) if rng.random() < 0.5 else soft(side * rng.choice((-1, 1)), 30)
    shade = soft(depth - ribbon, 4) * np.clip((30 - depth) / 12, 0, 1)
    oedema = rng.uniform(2, 8) * shown * (0.4 * soft(ribbon - depth, 3) - shade)
    nothing = np.zeros(depth.shape, np.float32)
    return Lesion(part, nothing, nothing, oedema=np.asarray(oedema, np.float32))


def _all_slices(head: Anatomy) -> slice:
    present = np.flatnonzero(head.inside.any(axis=(1, 2)))
    return slice(int(present[0]), int(present[-1]) + 1)


MIMICS = (
    _hygroma,
    _infarct,
    _same_density,
    _shift_alone,
    _calcifications,
    _dense_membranes,
    _dense_sinuses,
    _bright_cortex,
)
