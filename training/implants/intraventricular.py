"""Blood in the ventricles: settled in the horns, a cast, or a clot."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.anatomy import Anatomy, masked_gaussian
from training.implants.lesion_painter import (
    Field,
    Lesion,
    NoRoomError,
    blob,
    blurred,
    density,
    noise,
    soft,
)


def intraventricular(head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Lesion:
    """Blood settled at the back of the ventricles, or a cast or clot in them."""
    rooms = head.ventricles
    slices = np.flatnonzero(rooms.sum(axis=(1, 2)) >= 40)
    if not len(slices):
        raise NoRoomError("no ventricles wide enough to hold blood")
    part = slice(int(slices[0]), int(slices[-1]) + 1)
    room = rooms[part]
    style = rng.random()
    widened = ndimage.binary_dilation(room, np.ones((1, 3, 3))) & head.inside[part] if style > 0.6 else room
    wall = masked_gaussian(widened.astype(np.float32), head.inside[part], 0.8)
    side, _ = head.frame(part)
    if style < 0.6:
        fill = _settled(room, rng)
    elif style < 0.82:
        fill = _cast(room, side, rng)
    else:
        fill = _clot(head, rng, part, room, spacing_mm)
    fraction = np.clip(1.25 * wall, 0, 1) * fill
    if not (fraction > 0.5).sum() >= 8:
        raise NoRoomError("too little room in the ventricles")
    hu = density(rng, fraction.astype(np.float32), 48, 74)
    return Lesion(part, blurred(fraction.astype(np.float32), rng, head.inside[part]), hu)


def _settled(room: NDArray[np.bool_], rng: np.random.Generator) -> Field:
    """The lowest share of each horn of the lateral ventricles, the patient lying on the back."""
    components, count = ndimage.label(room, np.ones((3, 3, 3)))
    rows = np.indices(room.shape[1:], dtype=np.float32)[0]
    tilt = rng.normal(0, 0.06) * np.indices(room.shape[1:], dtype=np.float32)[1]
    fill = np.zeros(room.shape, np.float32)
    share = float(np.exp(rng.uniform(np.log(0.04), np.log(0.5))))
    for number in range(1, count + 1):
        here = components == number
        if here.sum() < 80:
            continue
        level = (rows + tilt)[None].repeat(len(room), 0)
        height = np.quantile(level[here], 1 - share * rng.uniform(0.6, 1.3))
        fill = np.maximum(fill, here * soft(level - height, 2.5))
    spread = ndimage.grey_dilation(fill, (1, 3, 3))
    return np.asarray(spread, np.float32)


def _cast(room: NDArray[np.bool_], side: Field, rng: np.random.Generator) -> Field:
    both = rng.random() < 0.4
    chosen = np.ones(room.shape, np.float32) if both else soft(side * rng.choice((-1, 1)), 6)
    lumps = noise(rng, room.shape, (2, 10, 10))
    return np.asarray(chosen * soft(lumps + rng.uniform(0.4, 2.0), 0.8), np.float32)


def _clot(head: Anatomy, rng: np.random.Generator, part: slice, room: NDArray[np.bool_], spacing_mm: float) -> Field:
    places = np.argwhere(room)
    z, row, column = places[rng.integers(len(places))]
    body = blob(head, rng, part, part.start + int(z), (float(row), float(column)), rng.uniform(4, 14), spacing_mm)
    return np.asarray(soft(body, 2).mean(axis=0), np.float32)
