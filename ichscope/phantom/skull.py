"""Head holder, scalp, skull and what lies below the skull base."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .scene import Array, Scene, bump, capsule, ellipsoid, step

if TYPE_CHECKING:
    from .head import Head

_WIDTH, _LENGTH, _HEIGHT = 71.0, 90.0, 77.0
_VAULT_FROM = 35.0
_SKIN, _FAT, _MUSCLE, _AIR = 45, -95, 55, -1000
_TABLE, _DIPLOE = 1450, 550
_BASE_BELOW = 52.0


@dataclass(frozen=True, eq=False)
class Surface:
    """Depth in mm below the outline of the skull without its temporal hollows (`outline`), and with them (`bone`)."""

    outline: Array
    bone: Array


def surface(scene: Scene, head: Head) -> Surface:
    """How deep each point lies below the skull's outer surface, negative outside."""
    x, y, z = scene.x, scene.y, scene.z
    up = np.maximum(z - _VAULT_FROM, 0)
    narrow = 1 - 0.0022 * np.maximum(12 - z, 0)
    a = x / (_WIDTH * (1 + head.egg * y) * narrow)
    b = y / (_LENGTH * narrow)
    c = up * np.float32(1 / _HEIGHT)
    a, b, c = a * a, b * b, c * c
    # Fuller than an ellipsoid between its axes, as skulls are.
    r2 = np.sqrt((a + b + c) ** 2 - np.float32(0.45) * (a * b + b * c + a * c)) + np.float32(1e-4)
    length = np.sqrt(x * x + y * y + up * up)
    outline = length * (1 / np.sqrt(r2) - 1) + 1.1 * head.shape(x, y, z)
    pinch = 9 * bump(y, -36, 34) * bump(z, 14, 44) * step(np.abs(x), 25, 45)
    return Surface(outline, outline - pinch)


def paint_holder(scene: Scene) -> None:
    """A thin curved shell with foam in it, under the head."""
    x, y = scene.x, scene.y
    shell = 118 - np.sqrt(x * x + (y + 6) ** 2)
    back = step(y, 60, 75)
    scene.paint(-960, scene.cover(shell) * back)
    scene.paint(-180, scene.cover(1.2 - np.abs(shell)) * back)


def paint_scalp(scene: Scene, head: Head, surface: Surface) -> None:
    """Skin, fat and the muscle sheet over the skull, the temporal muscle in its hollow; nose and ears."""
    x, y, z = scene.x, scene.y, scene.z
    ax = np.abs(x)
    if z.min() < 28:
        ear = ellipsoid(ax, y, z, (81, 16, 4), (9, 13, 24))
        scene.paint(_SKIN - 60, scene.cover(1.3 - np.abs(ear + 1), 2) * step(ax, 68, 74))
        scene.paint(_SKIN, scene.cover(ellipsoid(x, y, z, (0, -96, -16), (13, 16, 26))))
    thick = head.scalp_mm * (1 + 0.2 * head.depth(x, y, z)) + 4 * bump(y, 92, 40) * step(z, 30, -5)
    skin = surface.outline + thick
    scene.paint(_SKIN, scene.cover(skin))
    scene.paint(_FAT, scene.cover(np.minimum(skin - 1.9, -1.3 - surface.outline)))
    muscle = np.minimum(surface.outline + 1.5, skin - 3)
    scene.paint(_MUSCLE + 5 * head.texture(x, y, z), scene.cover(muscle))


def paint_bone(scene: Scene, head: Head, surface: Surface) -> Array:
    """Vault and base with what lies below it; returns the depth in the skull's cavity, negative outside it."""
    x, y, z = scene.x, scene.y, scene.z
    thick = _thickness(scene, head)
    cavity = surface.bone - thick
    share = np.clip(surface.bone / thick, 0, 1)
    table = _TABLE + (_DIPLOE - _TABLE + 160 * head.texture(x, y, z)) * bump(share, 0.52, 0.42)
    if z.min() > _BASE_BELOW:
        scene.paint(table, scene.cover(surface.bone))
        return cavity
    floor = _floor(scene)
    below = floor - z
    _paint_face(scene, head, surface)
    # The vault runs down to its base only; below lie jaw and neck muscles.
    scene.paint(table, scene.cover(np.minimum(surface.bone, 5 - below)))
    base = np.minimum(np.minimum(surface.bone - 1, 5.5 - below), below + 1)
    scene.paint(900 + 150 * head.texture(x, y, z), scene.cover(base, 1.6))
    _paint_petrous(scene, head, cavity)
    return np.minimum(cavity, -0.75 * below)


def _thickness(scene: Scene, head: Head) -> Array:
    x, y, z = scene.x, scene.y, scene.z
    ax = np.abs(x)
    temporal = 0.42 * step(ax, 45, 64) * step(z, 62, 30)
    middle = 0.55 * bump(x, 0, 9) * (bump(y, 82, 30) + 0.7 * bump(y, -84, 24)) + 0.12 * step(z, 60, 95)
    return head.thickness_mm * (1 - temporal + middle + 0.08 * head.depth(x, y, z))


def _floor(scene: Scene) -> Array:
    """Height of the skull base: three steps down from front to back, with petrous ridges between the last two."""
    x, y = scene.x, scene.y
    ax = np.abs(x)
    front = 15 + 10 * step(ax, 6, 22) + 0.06 * np.maximum(-y - 55, 0)
    middle = np.minimum(-3 + 0.013 * (ax - 38) ** 2, 14)
    back = -22 + 0.0085 * (ax**2 + (y - 34) ** 2)
    clivus = 15 - 1.45 * np.maximum(y + 6, 0) - 40 * step(ax, 13, 20)
    across, along = (y + 2) * 0.897 - (ax - 9) * 0.44, (ax - 9) * 0.897 + (y + 2) * 0.44
    floor = middle + (np.maximum(back, clivus) - middle) * step(across, -6, 6)
    floor += np.maximum(15 + 0.06 * along - floor, 0) * bump(across, 0, 13) * step(along, -6, 4)
    floor += (front - floor) * step(y + 0.36 * ax, -20, -29)
    hole = step(ax**2 + (y - 33) ** 2, 17.0**2, 13.0**2)
    return np.asarray(floor - 90 * hole, np.float32)


def _paint_face(scene: Scene, head: Head, surface: Surface) -> None:
    """Muscles with fat between them, nasal cavity and sinuses, orbits."""
    x, y, z = scene.x, scene.y, scene.z
    ax = np.abs(x)
    within = scene.cover(surface.outline - 1)
    planes = scene.cover(np.abs(head.folia(x * 0.5, y * 0.5, z * 0.3)) * 3 - 1.1)
    scene.paint(_FAT + (_MUSCLE + 5 - _FAT) * planes, within)
    sinus = _sinuses(scene)
    scene.paint(650, scene.cover(sinus + 1.6) * within)
    scene.paint(_AIR, scene.cover(sinus))
    septum = 0.7 - np.abs((np.abs(x + 1.2 * head.depth(x, y, z)) % 7.0) - 0.7)
    scene.paint(350, scene.cover(np.minimum(septum, sinus), 1.2))
    _paint_orbits(scene, ax, y, z)


def _sinuses(scene: Scene) -> Array:
    """Depth in the air of nose, ethmoid, sphenoid, frontal and maxillary sinuses."""
    x, y, z = scene.x, scene.y, scene.z
    ax = np.abs(x)
    nose = np.minimum(np.minimum(12.5 - ax, 14 - z), np.minimum(y + 80, -36 - y))
    sphenoid = ellipsoid(x, y, z, (2, -24, 2), (13, 13, 11))
    frontal = ellipsoid(ax, y, z, (11, -84, 27), (15, 4.5, 13))
    maxillary = ellipsoid(ax, y, z, (29, -60, -24), (14, 17, 16))
    return np.maximum(np.maximum(nose, sphenoid), np.maximum(frontal, maxillary))


def _paint_orbits(scene: Scene, ax: Array, y: Array, z: Array) -> None:
    cone = capsule(ax, y, z, ((13, -34, 6), (32, -74, 3)), (4, 19))
    scene.paint(700, scene.cover(cone + 2) * step(y, -84, -74))
    scene.paint(-90, scene.cover(cone))
    scene.paint(_MUSCLE, scene.cover(2 - np.abs(cone - 3)) * bump(np.abs(z - 5), 0, 7) * step(y, -78, -66))
    scene.paint(38, scene.cover(capsule(ax, y, z, ((13, -34, 7), (31, -66, 4)), (2.2, 2.2))))
    globe = ellipsoid(ax, y, z, (32, -79, 4), (12.3, 12.3, 12.3))
    scene.paint(52, scene.cover(globe))
    scene.paint(10, scene.cover(globe - 1.4))
    scene.paint(75, scene.cover(ellipsoid(ax, y, z, (32, -88, 4), (4.6, 2.2, 4.6))))


def _paint_petrous(scene: Scene, head: Head, cavity: Array) -> None:
    """Dense pyramids, mastoid cells, ear canals."""
    x, y, z = scene.x, scene.y, scene.z
    part = np.abs(x)
    pyramid = np.maximum(
        capsule(part, y, z, ((12, 2, 4), (50, 17, 4)), (5, 11)), ellipsoid(part, y, z, (56, 24, -4), (13, 17, 20))
    )
    pyramid = np.minimum(pyramid, cavity + 7)
    scene.paint(1050 + 250 * head.texture(x, y, z), scene.cover(pyramid, 1.5))
    cells = np.minimum(ellipsoid(part, y, z, (57, 25, -3), (10, 13, 16)), 1.2 + 2 * head.texture(2.4 * x, 2.4 * y, z))
    scene.paint(-750, scene.cover(cells, 1.5))
    scene.paint(_AIR, scene.cover(capsule(part, y, z, ((50, 8, -4), (84, 9, -6)), (3, 3))))
