"""The ground that phantoms are painted on: points in a standard body, soft edges, random waves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Triple = tuple[float, float, float]
Window = tuple[slice, slice, slice]

# Up to so many multiplications OpenBLAS multiplies matrices in the calling thread (its interface/gemm.c).
_ONE_THREAD = 1 << 18
_BESIDE_MM = 2.0


@dataclass(frozen=True, eq=False)
class Scene:
    """Some points of space and what is painted there.

    x, y, z : (sub-slices, rows, columns) mm in the standard body: to the left, to the back, to the head
    hu : HU painted so far; blood : share of each point that is blood, 0..1
    room : share of each point that may be painted on, 0..1, or None for all
    lines : parts (3, n) of x, y, z that depend on sub-slice, row and column; they add up to x, y, z
    mm : distance of neighbouring points, over which edges are soft
    """

    x: Array
    y: Array
    z: Array
    hu: Array
    blood: Array
    room: Array | None
    lines: tuple[Array, Array, Array]
    mm: float

    @classmethod
    def of_air(cls, lines: tuple[Array, Array, Array], mm: float) -> Scene:
        """Air where the lines meet."""
        x, y, z = (lines[0][i][:, None, None] + lines[1][i][:, None] + lines[2][i] for i in range(3))
        return cls(x, y, z, np.full_like(x, -1000), np.zeros_like(x), None, lines, mm)

    @cached_property
    def bottom(self) -> float:
        """The lowest z, in mm."""
        return float(self.z.min())

    @cached_property
    def top(self) -> float:
        """The highest z, in mm."""
        return float(self.z.max())

    def window(self, inside: NDArray[np.bool_]) -> Window | None:
        """The smallest window of rows and columns that holds `inside` (rows, columns); None if that is empty."""
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if not len(rows):
            return None
        return slice(None), slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)

    def at(self, window: Window) -> Scene:
        """The part of the scene in a window, as views."""
        x, y, z, hu, blood = (array[window] for array in (self.x, self.y, self.z, self.hu, self.blood))
        lines = (self.lines[0], self.lines[1][:, window[1]], self.lines[2][:, window[2]])
        return Scene(x, y, z, hu, blood, None if self.room is None else self.room[window], lines, self.mm)

    def cut(self, low: Triple, high: Triple) -> Scene | None:
        """The part of the scene that holds a box of the standard body, as views; None if they do not meet."""
        if self.top < low[2] or self.bottom > high[2]:
            return None
        x, y = self.x[len(self.x) // 2], self.y[len(self.y) // 2]
        window = self.window((x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1]))
        return None if window is None else self.at(window)

    def cover(self, distance: Array, width: float = 0.0) -> Array:
        """Share of each point that lies inside a shape, from its signed distance in mm (positive inside)."""
        share = distance * np.float32(1 / max(width, self.mm))
        share += np.float32(0.5)
        return np.clip(share, 0, 1, out=share)

    def paint(self, hu: Array | float, share: Array) -> None:
        """Mix HU into the scene."""
        if self.room is not None:
            share = share * self.room
        change = np.asarray(hu, np.float32) - self.hu
        change *= share
        np.add(self.hu, change, out=self.hu)

    def paint_ellipsoid(
        self, hu: Array | float, centre: Triple, radii: Triple, width: float = 0.0, mirrored: bool = False
    ) -> None:
        """Mix HU into an ellipsoid, or a pair of them on both sides; only points near it are looked at."""
        # Beyond 1 + reach radii its share is 0. Sub-slices of a tilted head lie a little beside the middle one.
        reach = max(width, self.mm) / (2 * min(radii))
        (x, y, z), (a, b, c) = centre, (radius * (1 + reach) + _BESIDE_MM for radius in radii)
        part = self.cut((-x - a if mirrored else x - a, y - b, z - c), (x + a, y + b, z + c))
        if part is not None:
            across = np.abs(part.x) if mirrored else part.x
            part.paint(hu, part.cover(ellipsoid(across, part.y, part.z, centre, radii), width))

    def bleed(self, hu: Array | float, share: Array) -> None:
        """Mix blood into the scene and note it as truth."""
        self.paint(hu, share)
        np.maximum(self.blood, share if self.room is None else share * self.room, out=self.blood)


def ellipsoid(x: Array, y: Array, z: Array, centre: Triple, radii: Triple) -> Array:
    """Roughly the signed distance to an ellipsoid in mm, positive inside."""
    total = np.zeros_like(x)
    for axis, middle, radius in zip((x, y, z), centre, radii, strict=True):
        part = axis - np.float32(middle)
        part *= np.float32(1 / radius)
        part *= part
        total += part
    least = np.float32(min(radii))
    return np.sqrt(total, out=total) * -least + least


def capsule(x: Array, y: Array, z: Array, ends: tuple[Triple, Triple], radii: tuple[float, float]) -> Array:
    """Signed distance to a round bar whose radius changes from end to end, positive inside."""
    a, b = (np.array(end, np.float32) for end in ends)
    way = b - a
    px, py, pz = x - a[0], y - a[1], z - a[2]
    t = px * way[0]
    t += py * way[1]
    t += pz * way[2]
    t /= way @ way
    np.clip(t, 0, 1, out=t)
    for part, length in ((px, way[0]), (py, way[1]), (pz, way[2])):
        part -= t * length
        part *= part
    px += py
    px += pz
    depth: Array = t * np.float32(radii[1] - radii[0])
    depth += np.float32(radii[0])
    depth -= np.sqrt(px, out=px)
    return depth


def bump(value: Array, centre: float, width: float) -> Array:
    """A hill of height 1 around `centre` that ends at `width` on both sides; cheaper than a Gaussian."""
    hill = (value - np.float32(centre)) * np.float32(1 / width)
    hill *= hill
    np.subtract(1, hill, out=hill)
    np.maximum(0, hill, out=hill)
    hill *= hill
    return hill


def step(value: Array, start: float, end: float) -> Array:
    """A smooth rise from 0 at `start` to 1 at `end`; falls if `end` is below `start`."""
    t = (value - np.float32(start)) * np.float32(1 / (end - start))
    np.clip(t, 0, 1, out=t)
    rise: Array = t * t
    t *= 2
    rise *= np.subtract(3, t, out=t)
    return rise


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

    def __call__(self, scene: Scene, scale: Triple = (1, 1, 1)) -> Array:
        """Values over a scene, with a root mean square near 1.

        Every wave is a product of one factor a sub-slice, a row and a column, so their sum is a matrix product.
        """
        vectors = self.vectors * np.array(scale, np.float32)
        sub, rows, columns = (np.exp(1j * (vectors @ line)) for line in scene.lines)
        sub = sub * (np.exp(1j * self.phases) * np.float32(np.sqrt(2 / len(self.phases))))[:, None]
        left = (sub[:, :, None] * rows[:, None, :]).reshape(len(vectors), -1).T
        left, right = np.concatenate([left.real, -left.imag], axis=1), np.concatenate([columns.real, columns.imag])
        return np.asarray(_product(left, right).reshape(scene.x.shape), np.float32)

    def bent(self, x: Array, y: Array, z: Array) -> Array:
        """Values at points that lie on no straight grid."""
        total = np.zeros_like(x)
        for (kx, ky, kz), phase in zip(self.vectors, self.phases, strict=True):
            angle = x * kx
            angle += y * ky
            angle += z * kz
            angle += phase
            total += np.cos(angle, out=angle)
        return total * np.float32(np.sqrt(2 / len(self.phases)))


def _product(left: Array, right: Array) -> Array:
    """The matrix product, in parts so small that BLAS wakes no threads: they spin, and take the time of others."""
    rows = max(1, _ONE_THREAD // right.size)
    product = np.empty((len(left), right.shape[1]), left.dtype)
    for start in range(0, len(left), rows):
        np.matmul(left[start : start + rows], right, out=product[start : start + rows])
    return product


def interpolation(work: int, size: int) -> Array:
    """(size, work) weights that enlarge a line of `work` points to `size` by linear interpolation."""
    if work == size:
        return np.eye(size, dtype=np.float32)
    place = np.clip((np.arange(size) + 0.5) * work / size - 0.5, 0, work - 1)
    weights: Array = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(work))).astype(np.float32)
    return weights


def rotation(degrees: Sequence[float]) -> NDArray[np.float64]:
    """Turn about x (nod), then y (tilt to the side), then z (turn in the slice)."""
    a, b, c = np.deg2rad(degrees)
    nod = [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]
    tilt = [[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]]
    turn = [[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]]
    return np.array(turn) @ np.array(tilt) @ np.array(nod)
