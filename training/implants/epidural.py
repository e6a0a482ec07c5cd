"""Epidural bleeds: lenses on the inner table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from training.anatomy import Anatomy
from training.implants.lesion_painter import (
    THROUGH_SLICE,
    Lesion,
    noise,
    offsets,
    on_inner_table,
    pick_slice,
    span,
    surface_point,
    swirls,
)


def epidural(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Lesion:
    """A lens on the inner table: thick in the middle, ending where its outline does."""
    middle = pick_slice(head, rng, 0.3)
    half_width = float(np.exp(rng.uniform(np.log(9), np.log(52))))
    half_height = half_width * rng.uniform(0.7, 1.25)
    thickness = float(np.clip(half_width * rng.uniform(0.16, 0.6), 2.5, 28))
    part = span(head, middle, half_height, spacing_mm)
    row, column = surface_point(head, rng, middle)
    rows, columns = np.indices(head.inside.shape[1:], dtype=np.float32)
    depth = head.depth[part].astype(np.float32)
    square = np.asarray((rows - row) ** 2 + (columns - column) ** 2)
    along = np.maximum(square[None] - depth**2, 0) / half_width**2
    wave = 1 + rng.uniform(0.02, 0.15) * noise(rng, depth.shape, (2, 14, 14))
    power = rng.uniform(0.7, 1.2)
    heights = offsets(part, middle, spacing_mm)
    lens = []
    for step in THROUGH_SLICE:
        z = ((heights + step * spacing_mm) / half_height) ** 2
        lens.append(thickness * np.maximum(1 - along - z[:, None, None], 0) ** power * wave)
    bleed = on_inner_table(head, rng, part, np.stack(lens), (50, 74))
    if thickness > 6 and bleed.hu.mean() > 55 and rng.random() < 0.35:
        # Blood still flowing in: less dense swirls in the clot.
        hu = np.maximum(bleed.hu - rng.uniform(10, 26) * swirls(rng, bleed.hu.shape), 32)
        bleed = replace(bleed, hu=hu.astype(np.float32), whole=True)
    return bleed
