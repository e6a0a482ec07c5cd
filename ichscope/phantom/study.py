"""What a phantom is, and how one is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..labels import LABELS, SUBTYPES
from . import chest, head
from .draw import draw_bleed, draw_head
from .scene import Array, Scene, interpolation

# Less blood than this on a slice is no finding that a reader could name.
LEAST_MM2 = 20.0
_LARGEST_WORK = 256
_SUB_SLICES = 3
# A point is blood if blood fills most of it: at the skull's edge less would be mostly bone.
_MOSTLY = 0.6
_Placement = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Phantom:
    """A synthetic series with the truth about its bleed.

    hu : (slices, rows, columns) int16 HU, foot to head; rows run to the back, columns to the left
    mask : (slices, rows, columns) bool, where blood is
    bleed : one of ichscope.labels.SUBTYPES, or None
    spacing_mm : between slices, rows, columns; bottom_mm : place of the first slice
    """

    hu: NDArray[np.int16]
    mask: NDArray[np.bool_]
    bleed: str | None
    seed: int
    spacing_mm: tuple[float, float, float]
    bottom_mm: float = 0.0
    body_part: str = "HEAD"

    @property
    def labels(self) -> NDArray[np.bool_]:
        """(slices, 6) truth in the order of LABELS."""
        bleeding = self.mask.any(axis=(1, 2))
        return np.stack([bleeding & (label in ("any", self.bleed)) for label in LABELS], axis=1)


def make(bleed: str | None = None, seed: int = 0, slices: int = 32, size: int = 512) -> Phantom:
    """Make a head CT. The same arguments give the same phantom; the seed alone decides the head and its place.

    Parameters
    ----------
    bleed : one of ichscope.labels.SUBTYPES, or None for a head without haemorrhage
    seed : any number from 0
    slices : up to 31 slices are 5 mm thick and lie around the ventricles; more are thinner and span the head
    size : rows and columns

    Raises
    ------
    ValueError
        for an unknown bleed or a size or number of slices below 1
    """
    if bleed is not None and bleed not in SUBTYPES:
        raise ValueError(f"bleed: expected one of {', '.join(SUBTYPES)} or None, found {bleed!r}")
    if slices < 1 or size < 1:
        raise ValueError(f"expected at least one slice and one pixel, found {slices} slices of {size} x {size}")
    anatomy = draw_head(seed)
    between = min(5.0, head.HEIGHT_MM / slices)
    bottom = head.MIDDLE_MM - between * (slices - 1) / 2
    lesion = draw_bleed(bleed, seed, (bottom, bottom + between * (slices - 1)))
    spacing = (between, anatomy.field_mm / size, anatomy.field_mm / size)

    def paint(scene: Scene) -> None:
        head.paint(scene, anatomy, lesion)

    hu, mask = _render(paint, head.placement(anatomy), bottom, spacing, (slices, size))
    _add_noise(hu, np.random.default_rng([seed, 3]), anatomy.noise_hu)
    mask[mask.sum(axis=(1, 2)) * spacing[1] * spacing[2] < LEAST_MM2] = False
    return Phantom(_as_hu(hu), mask, bleed, seed, spacing, bottom)


def make_chest(seed: int = 0, slices: int = 16, size: int = 512) -> Phantom:
    """Make a chest CT, which no head model may answer; arguments as for `make`."""
    body = chest.draw_chest(seed)
    between = min(5.0, chest.HEIGHT_MM / slices)
    spacing = (between, chest.FIELD_MM / size, chest.FIELD_MM / size)
    bottom = -between * (slices - 1) / 2

    def paint(scene: Scene) -> None:
        chest.paint(scene, body)

    hu, mask = _render(paint, (np.eye(3), np.zeros(3)), bottom, spacing, (slices, size))
    _add_noise(hu, np.random.default_rng([seed, 13]), chest.NOISE_HU)
    return Phantom(_as_hu(hu), mask, None, seed, spacing, bottom, "CHEST")


def _render(
    paint: Callable[[Scene], None],
    placement: _Placement,
    bottom: float,
    spacing: tuple[float, float, float],
    shape: tuple[int, int],
) -> tuple[Array, NDArray[np.bool_]]:
    """Paint slice by slice, large slices at half their resolution (a scanner resolves no more), each as the
    mean of sub-slices: partial volume.
    """
    slices, size = shape
    work = size if size <= _LARGEST_WORK else -(-size // 2)
    sub = _SUB_SLICES if size > _LARGEST_WORK / 2 else _SUB_SLICES - 1
    hu = np.empty((slices, size, size), np.float32)
    mask = np.zeros((slices, size, size), np.bool_)
    for i in range(slices):
        z = bottom + spacing[0] * (i + (np.arange(sub) + 0.5) / sub - 0.5)
        scene = _blank(z, work, spacing[1] * size / work, placement)
        paint(scene)
        hu[i] = _enlarged(scene.hu.mean(axis=0), size)
        if scene.blood.any():
            mask[i] = _enlarged(scene.blood.mean(axis=0), size) > _MOSTLY
    return hu, mask


def _enlarged(image: Array, size: int) -> Array:
    """(work, work) as (size, size)."""
    if len(image) == size:
        return image
    weights = interpolation(len(image), size)
    enlarged: Array = weights @ image @ weights.T
    return enlarged


def _blank(z: NDArray[np.float64], work: int, mm: float, placement: _Placement) -> Scene:
    """Air at sub-slices z of a scan, with the places that its points have in the standard body."""
    matrix, shift = placement
    line = (np.arange(work) - (work - 1) / 2) * mm
    steps = (z - shift[2], line - shift[1], line - shift[0])
    sub, rows, columns = (np.outer(matrix[:, axis], steps[2 - axis]).astype(np.float32) for axis in (2, 1, 0))
    return Scene.of_air((sub, rows, columns), mm)


def _add_noise(hu: Array, rng: np.random.Generator, sigma: float) -> None:
    """Add noise that is correlated over neighbouring pixels, as reconstruction leaves it."""
    size = hu.shape[1]
    for image in hu:
        noise = rng.standard_normal((size + 2, size + 2), np.float32)
        noise = noise[:-2] + 2 * noise[1:-1] + noise[2:]
        noise = noise[:, :-2] + 2 * noise[:, 1:-1] + noise[:, 2:]
        image += noise * np.float32(sigma / 6)


def _as_hu(hu: Array) -> NDArray[np.int16]:
    return np.rint(np.clip(hu, -1024, 3071)).astype(np.int16)
