"""The ground that phantoms are painted on: points in a standard body, soft edges, random waves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Triple = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Scene:
    """Some points of space and what is painted there.

    x, y, z : (sub-slices, rows, columns) mm in the standard body: to the left, to the back, to the head
    hu : HU painted so far; blood : share of each point that is blood, 0..1
    mm : distance of neighbouring points, over which edges are soft
    """

    x: Array
    y: Array
    z: Array
    hu: Array
    blood: Array
    mm: float

    def cut(self, low: Triple, high: Triple) -> Scene | None:
        """The part of the scene that holds a box of the standard body, as views; None if they do not meet."""
        middle = len(self.x) // 2
        if self.z.max() < low[2] or self.z.min() > high[2]:
            return None
        inside = (self.x[middle] >= low[0]) & (self.x[middle] <= high[0])
        inside &= (self.y[middle] >= low[1]) & (self.y[middle] <= high[1])
        rows, columns = inside.any(axis=1).nonzero()[0], inside.any(axis=0).nonzero()[0]
        if not len(rows):
            return None
        window = np.s_[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return Scene(*(a[window] for a in (self.x, self.y, self.z, self.hu, self.blood)), self.mm)

    def cover(self, distance: Array, width: float = 0.0) -> Array:
        """Share of each point that lies inside a shape, from its signed distance in mm (positive inside)."""
        return np.clip(distance * np.float32(1 / max(width, self.mm)) + np.float32(0.5), 0, 1)

    def paint(self, hu: Array | float, share: Array) -> None:
        """Mix HU into the scene."""
        self.hu[...] += (np.asarray(hu, np.float32) - self.hu) * share

    def bleed(self, hu: Array | float, share: Array) -> None:
        """Mix blood into the scene and note it as truth."""
        self.paint(hu, share)
        np.maximum(self.blood, share, out=self.blood)


def ellipsoid(x: Array, y: Array, z: Array, centre: Triple, radii: Triple) -> Array:
    """Roughly the signed distance to an ellipsoid in mm, positive inside."""
    parts = zip((x, y, z), centre, radii, strict=True)
    r = np.sqrt(sum(((axis - c) * np.float32(1 / radius)) ** 2 for axis, c, radius in parts))
    return np.asarray((1 - r) * np.float32(min(radii)), np.float32)


def capsule(x: Array, y: Array, z: Array, ends: tuple[Triple, Triple], radii: tuple[float, float]) -> Array:
    """Signed distance to a round bar whose radius changes from end to end, positive inside."""
    a, b = (np.array(end, np.float32) for end in ends)
    way = b - a
    px, py, pz = x - a[0], y - a[1], z - a[2]
    t = np.clip((px * way[0] + py * way[1] + pz * way[2]) / (way @ way), 0, 1)
    distance = np.sqrt((px - t * way[0]) ** 2 + (py - t * way[1]) ** 2 + (pz - t * way[2]) ** 2)
    return np.asarray(radii[0] + t * np.float32(radii[1] - radii[0]) - distance, np.float32)


def bump(value: Array, centre: float, width: float) -> Array:
    """A hill of height 1 around `centre` that ends at `width` on both sides; cheaper than a Gaussian."""
    t = (value - np.float32(centre)) * np.float32(1 / width)
    return np.maximum(0, 1 - t * t) ** 2


def step(value: Array, start: float, end: float) -> Array:
    """A smooth rise from 0 at `start` to 1 at `end`; falls if `end` is below `start`."""
    t = np.clip((value - np.float32(start)) * np.float32(1 / (end - start)), 0, 1)
    return t * t * (3 - 2 * t)


@dataclass(frozen=True, eq=False)
class Waves:
    """A smooth random pattern of one wavelength: a sum of plane waves, so it needs no grid and no memory."""

    vectors: Array
    phases: Array

    @classmethod
    def draw(cls, rng: np.random.Generator, wavelength: float, count: int = 6) -> Waves:
        """Waves in `count` random directions; the wavelength is in mm."""
        vectors = rng.standard_normal((count, 3))
        vectors *= 2 * np.pi / wavelength / np.linalg.norm(vectors, axis=1, keepdims=True)
        return cls(vectors.astype(np.float32), rng.uniform(0, 2 * np.pi, count).astype(np.float32))

    def __call__(self, x: Array, y: Array, z: Array) -> Array:
        """Values with a root mean square near 1."""
        total = np.zeros_like(x)
        for (kx, ky, kz), phase in zip(self.vectors, self.phases, strict=True):
            total += np.cos(x * kx + y * ky + (z * kz + phase))
        return total * np.float32(np.sqrt(2 / len(self.phases)))


def interpolation(work: int, size: int) -> Array:
    """(size, work) weights that enlarge a line of `work` points to `size` by linear interpolation."""
    if work == size:
        return np.eye(size, dtype=np.float32)
    place = np.clip((np.arange(size) + 0.5) * work / size - 0.5, 0, work - 1)
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(work))).astype(np.float32)


def rotation(degrees: Sequence[float]) -> NDArray[np.float64]:
    """Turn about x (nod), then y (tilt to the side), then z (turn in the slice)."""
    a, b, c = np.deg2rad(degrees)
    nod = [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]
    tilt = [[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]]
    turn = [[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]]
    return np.array(turn) @ np.array(tilt) @ np.array(nod)
