"""Where in a picture may a head be? Rectangles that stand out from what is around them.

A picture from the web has margins, letters, colour bars, a viewer's frame. Each rectangle found here is judged by
`picture_gate`; none is taken because of its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from ichscope.imaging.preprocess import opened

# A head is found on a coarse copy: of what a reader sees at a glance, nothing is lost.
_GRID = 160
# Darker than a brain on a good display; darker than one on a photograph of a monitor, whose black is grey.
_LEVELS = (0.12, 0.2, 0.3, 0.42)
_BACKGROUND_STEP = 0.08
_UNIFORM = 0.02
# A head on a film of seven columns is smaller still, and is one of many.
_SMALLEST_SHARE = 0.09
_LONGEST_ASPECT = 2.2
_SAME = 0.85
_PANELS, _MOST = 12, 32
_MOST_ROWS, _TILE_ASPECT = 6, 1.35


@dataclass(frozen=True)
class Region:
    """A rectangle of a picture in pixels: top, left (inclusive) and bottom, right (exclusive)."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def area(self) -> int:
        """Pixels inside."""
        return max(0, self.bottom - self.top) * max(0, self.right - self.left)

    @property
    def cut(self) -> tuple[slice, slice]:
        """Rows and columns, to index the picture with."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def overlap(self, other: Region) -> int:
        """Pixels that both hold."""
        return Region(
            max(self.top, other.top), max(self.left, other.left),
            min(self.bottom, other.bottom), min(self.right, other.right),
        ).area  # fmt: skip

    def likeness(self, other: Region) -> float:
        """Intersection over union, 0..1."""
        shared = self.overlap(other)
        return shared / max(1, self.area + other.area - shared)

    def scaled(self, factor: float, rows: int, columns: int) -> Region:
        """The same rectangle on another grid, kept inside (rows, columns)."""
        return Region(
            max(0, int(np.floor(self.top * factor))), max(0, int(np.floor(self.left * factor))),
            min(rows, int(np.ceil(self.bottom * factor))), min(columns, int(np.ceil(self.right * factor))),
        )  # fmt: skip


def regions(grey: NDArray[np.float32]) -> list[Region]:
    """Rectangles of (rows, columns) grey 0..1 that may hold a head, the largest first.

    Examples
    --------
    >>> grey = np.ones((200, 300), np.float32)
    >>> grey[50:150, 100:200] = 0.4
    >>> regions(grey)[1]
    Region(top=48, left=99, bottom=152, right=201)
    """
    rows, columns = grey.shape
    factor = max(1.0, max(rows, columns) / _GRID)
    coarse = shrunk(grey, max(1, round(rows / factor)), max(1, round(columns / factor)))
    whole = Region(0, 0, *coarse.shape)
    panels = [whole, trimmed(coarse), *_parts(coarse, whole, _stands_out(coarse))]
    panels = _distinct([panel for panel in panels if _plausible(panel, coarse.shape)])
    inner = [part for panel in panels[:_PANELS] for level in _LEVELS for part in _parts(coarse, panel, coarse > level)]
    kept = _distinct([region for region in (*panels, *inner) if _plausible(region, coarse.shape)])
    return [region.scaled(factor, rows, columns) for region in kept[:_MOST]]


def shrunk(grey: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """(rows, columns) of a picture, antialiased."""
    small = Image.fromarray(grey).resize((columns, rows), Image.Resampling.BILINEAR)
    return np.asarray(small, np.float32)


def _stands_out(grey: NDArray[np.float32]) -> NDArray[np.bool_]:
    """What differs from the commonest grey of the picture's edge."""
    edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    counts, steps = np.histogram(edge, bins=32, range=(0, 1))
    background = steps[counts.argmax()] + 1 / 64
    outside: NDArray[np.bool_] = np.abs(grey - background) > _BACKGROUND_STEP
    return outside


def grids(grey: NDArray[np.float32]) -> Iterator[list[Region]]:
    """Cut what is inside the margins of (rows, columns) grey into tiles of one size, each way that a film may be laid.

    Examples
    --------
    >>> tiles = next(grids(np.random.default_rng(0).random((200, 400), np.float32)))
    >>> len(tiles), tiles[1]
    (2, Region(top=0, left=200, bottom=200, right=400))
    """
    whole = trimmed(grey)
    high, wide = whole.bottom - whole.top, whole.right - whole.left
    for down, across in product(range(1, _MOST_ROWS + 1), repeat=2):
        if down * across > 1 and 1 / _TILE_ASPECT <= (wide / across) / (high / down) <= _TILE_ASPECT:
            rows, columns = (
                np.linspace(whole.top, whole.bottom, down + 1),
                np.linspace(whole.left, whole.right, across + 1),
            )
            edges = product(pairwise(map(int, rows)), pairwise(map(int, columns)))
            yield [Region(top, left, bottom, right) for (top, bottom), (left, right) in edges]


def trimmed(grey: NDArray[np.float32]) -> Region:
    """The picture without the rows and columns at its edges that are of one grey."""
    top, left, bottom, right = 0, 0, *grey.shape
    for _ in range(3):
        rows = np.flatnonzero(grey[:, left:right].std(axis=1) > _UNIFORM)
        if not len(rows):
            return Region(0, 0, *grey.shape)
        top, bottom = int(rows[0]), int(rows[-1]) + 1
        columns = np.flatnonzero(grey[top:bottom].std(axis=0) > _UNIFORM)
        if not len(columns):
            return Region(0, 0, *grey.shape)
        left, right = int(columns[0]), int(columns[-1]) + 1
    return Region(top, left, bottom, right)


def _parts(grey: NDArray[np.float32], panel: Region, mask: NDArray[np.bool_]) -> list[Region]:
    """Rectangles around the connected parts of a mask inside one panel, thin lines and letters left out."""
    labelled, _ = ndimage.label(opened(mask[panel.cut][None])[0])
    return [
        Region(panel.top + rows.start, panel.left + columns.start, panel.top + rows.stop, panel.left + columns.stop)
        for rows, columns in ndimage.find_objects(labelled)
    ]


def _plausible(region: Region, shape: tuple[int, ...]) -> bool:
    high, wide = region.bottom - region.top, region.right - region.left
    return min(high, wide) >= max(8, _SMALLEST_SHARE * min(shape)) and max(high, wide) <= _LONGEST_ASPECT * min(
        high, wide
    )


def _distinct(found: list[Region]) -> list[Region]:
    """The largest first, without those nearly equal to one before."""
    kept: list[Region] = []
    for region in sorted(found, key=lambda region: -region.area):
        if all(region.likeness(other) < _SAME for other in kept):
            kept.append(region)
    return kept
