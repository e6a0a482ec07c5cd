"""A chest for tests of what must be refused: lungs, ribs, spine, heart and great vessels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .scene import Array, Scene, Waves, bump, capsule, ellipsoid

HEIGHT_MM = 240.0
FIELD_MM = 400.0
NOISE_HU = 9.0
_FAT, _MUSCLE, _LUNG, _BLOOD, _BONE = -100, 50, -860, 42, 700
_LONG = 1e4


@dataclass(frozen=True)
class Chest:
    """Scale of a standard chest (to the left, to the back) and the pattern of its lungs."""

    scale: tuple[float, float]
    vessels: Waves


def draw_chest(seed: int) -> Chest:
    """The chest of this seed."""
    rng = np.random.default_rng([seed, 11])
    return Chest((rng.uniform(0.92, 1.05), rng.uniform(0.92, 1.08)), Waves.draw(rng, 22.0, 8))


def paint(scene: Scene, chest: Chest) -> None:
    """Paint the chest into a scene of air; z is 0 at the level of the carina."""
    x, y = scene.x / np.float32(chest.scale[0]), scene.y / np.float32(chest.scale[1])
    body = replace(scene, x=x, y=y)
    outline = ellipsoid(x, y, scene.z, (0, 0, 0), (172, 112, _LONG))
    body.paint(_FAT, body.cover(outline))
    body.paint(_MUSCLE, body.cover(outline - 14))
    _paint_lungs(body, chest)
    _paint_middle(body)
    _paint_bones(body, outline)


def _paint_lungs(body: Scene, chest: Chest) -> None:
    x, y, z = body.x, body.y, body.z
    for side in (-1, 1):
        lung = ellipsoid(x, y, z, (side * 72, 4, -15), (58, 84, 170))
        airy = np.maximum(body.cover(6 * np.abs(chest.vessels(body)) - 1, 3.0), 0.1)
        body.paint(_BLOOD + (_LUNG - _BLOOD) * airy, body.cover(lung))


def _paint_middle(body: Scene) -> None:
    x, y, z = body.x, body.y, body.z
    body.paint(-80, body.cover(ellipsoid(x, y, z, (0, -25, 0), (34, 52, 180))))
    body.paint(_BLOOD, body.cover(ellipsoid(x, y, z, (22, -30, -75), (62, 48, 62))))
    for left, back, radius in ((24, 42, 13), (-16, -34, 17), (-30, -30, 10), (6, 24, 8)):
        body.paint(_BLOOD, body.cover(ellipsoid(x, y, z, (left, back, 0), (radius, radius, _LONG))))
    body.paint(-980, body.cover(capsule(x, y, z, ((0, 2, 0), (0, 0, 130)), (9, 9))))
    for side in (-1, 1):
        body.paint(-980, body.cover(capsule(x, y, z, ((0, 2, 0), (side * 32, 12, -32)), (8, 6))))


def _paint_bones(body: Scene, outline: Array) -> None:
    x, y, z = body.x, body.y, body.z
    # Ribs run down as they come forward.
    rib = bump((z + np.float32(0.35) * y) % 28 - 14, 0, 8) * bump(outline, 24, 6)
    body.paint(_BONE, np.sqrt(rib) * (np.abs(x) > 22))
    body.paint(450, body.cover(ellipsoid(x, y, z, (0, 68, 0), (19, 15, _LONG))))
    arch = ellipsoid(x, y, z, (0, 84, 0), (17, 15, _LONG))
    body.paint(_BONE, body.cover(4 - np.abs(arch)) * (y > 80))
    body.paint(_BONE, body.cover(ellipsoid(x, y, z, (0, 101, 0), (4, 10, _LONG))))
    body.paint(500, body.cover(ellipsoid(x, y, z, (0, -92, 0), (16, 6, _LONG))))
