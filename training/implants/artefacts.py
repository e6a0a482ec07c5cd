"""What the scanner adds: streaks between the petrous bones, motion, bone that shines through from the next slice.

Each takes and returns float32 HU of the whole study, (n, rows, columns).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from training.anatomy import Anatomy
from training.implants.lesion_painter import Field, NoRoomError, noise, soft

_BONE_HU = 150


def beam_hardening(hu: Field, head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Field:
    """Dark and bright bands from side to side through the low slices."""
    present = np.flatnonzero(head.inside.any(axis=(1, 2)))
    first = int(present[0] + rng.integers(0, max(int(15 / spacing_mm), 1)))
    out = hu.copy()
    row = float(head.centres[first, 0] + rng.uniform(-12, 25))
    for i in range(first, min(first + int(rng.integers(2, 6)), len(hu))):
        rows, columns = np.indices(hu.shape[1:], dtype=np.float32)
        across = columns - head.centres[i, 1]
        bands = np.zeros(hu.shape[1:], np.float32)
        for sign in (-1, 1, rng.choice((-1, 1))):
            line = rows - row - rng.normal(0, 7) - rng.normal(0, 0.12) * across
            bands += sign * rng.uniform(4, 12) * np.exp(-((line / rng.uniform(1.5, 5)) ** 2))
        bands *= soft(55 - np.abs(across), 40) * (hu[i] > -100) * (hu[i] < _BONE_HU)
        out[i] += bands
    return out


def motion(hu: Field, head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Field:
    """A few slices seen twice, a little apart, with arcs that follow the skull."""
    present = np.flatnonzero(head.inside.any(axis=(1, 2)))
    first, out = int(rng.choice(present)), hu.copy()
    for i in range(first, min(first + int(rng.integers(1, 6)), int(present[-1]) + 1)):
        shift = rng.normal(0, 1.6, 2)
        turned = ndimage.rotate(hu[i], float(rng.normal(0, 1.5)), reshape=False, order=1, mode="nearest")
        again = ndimage.shift(turned, shift, order=1, mode="nearest")
        out[i] += rng.uniform(0.25, 0.5) * (again - hu[i])
        # The edge of the bone, smeared along the direction of the movement, is what streaks are made of.
        edge = np.clip(again, -200, 600) - np.clip(hu[i], -200, 600)
        streaks = ndimage.uniform_filter1d(edge, int(rng.integers(25, 60)), axis=int(rng.integers(2)))
        out[i] += rng.uniform(0.3, 1.0) * np.clip(streaks, -10, 10) * head.inside[i]
    return out


def partial_volume(hu: Field, head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> Field:
    """Bone of the slice below (skull base, roof of the orbits) or above shines through in one or two slices."""
    bone = [0.0]
    bone += [float(((below > _BONE_HU) & inside).sum()) for below, inside in zip(hu, head.inside[1:], strict=False)]
    weight = np.minimum(np.array(bone), 600)
    if weight.sum() < 100:
        raise NoRoomError("no bone below the brain")
    out = hu.copy()
    for i in rng.choice(len(hu), size=int(rng.integers(1, 3)), p=weight / weight.sum()):
        share = rng.uniform(0.15, 0.45) * soft(noise(rng, hu.shape[1:], (14, 14)) + 0.7, 0.8)
        gain = np.maximum(ndimage.gaussian_filter(np.clip(hu[i - 1], 20, 500), 1.0) - hu[i], 0)
        out[i] += share * gain * head.inside[i]
    return out
