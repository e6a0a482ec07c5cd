"""Head holder, scalp, skull and what lies below the skull base."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import Head
from .scene import Array, Scene, bump, capsule, ellipsoid, step

_WIDTH, _LENGTH, _HEIGHT = 71.0, 90.0, 77.0
_VAULT_FROM = 35.0
_SKIN, _FAT, _MUSCLE, _AIR = 48, -95, 56, -1000
_TABLE, _DIPLOE = 1500, 500
_FACE_BELOW, _BASE_BELOW = 30.0, 54.0
_ALL = 200.0


@dataclass(frozen=True, eq=False)
class _Surface:
    """Depth in mm below the outline of the skull without its temporal hollows (`outline`), and with them (`bone`)."""

    outline: Array
    bone: Array


def paint(scene: Scene, head: Head) -> Array:
    """Paint all but the brain; returns the depth in the skull's cavity in mm, negative outside it."""
    surface = _surface(scene, head)
    _paint_scalp(scene, head, surface)
    return _paint_bone(scene, head, surface)


def _surface(scene: Scene, head: Head) -> _Surface:
    x, y, z = scene.x, scene.y, scene.z
    up = np.maximum(z - _VAULT_FROM, 0)
    narrow = 1 - 0.0022 * np.maximum(12 - z, 0)
    a = x / ((_WIDTH + (_WIDTH * head.egg) * y) * narrow)
    b = y / (_LENGTH * narrow)
    c = up * np.float32(1 / _HEIGHT)
    a, b, c = a * a, b * b, c * c
    # Fuller than an ellipsoid between its axes, as skulls are.
    r2 = np.sqrt((a + b + c) ** 2 - np.float32(0.45) * (a * b + b * c + a * c)) + np.float32(1e-4)
    length = np.sqrt(x * x + y * y + up * up)
    outline = length * (1 / np.sqrt(r2) - 1) + np.float32(1.3) * head.shape(scene)
    if scene.bottom > 58:
        return _Surface(outline, outline)
    pinch = bump(y, -36, 34) * bump(z, 14, 44) * step(np.abs(x), 25, 45)
    return _Surface(outline, outline - 9 * pinch)


def paint_holder(scene: Scene) -> None:
    """A thin curved shell with foam in it, under the head."""
    part = scene.cut((-105, 55, -_ALL), (105, 120, _ALL))
    if part is None:
        return
    shell = 118 - np.sqrt(part.x * part.x + (part.y + 6) ** 2)
    back = step(part.y, 74, 88)
    part.paint(-965, part.cover(shell) * back)
    part.paint(-180, part.cover(1.2 - np.abs(shell)) * back)


def _paint_scalp(scene: Scene, head: Head, surface: _Surface) -> None:
    """Skin, fat and the muscle sheet over the skull, the temporal muscle in its hollow; nose, lids and ears."""
    y, z = scene.y, scene.z
    skin = surface.outline + head.scalp_mm * (1 + np.float32(0.2) * head.depth(scene))
    if scene.bottom < _FACE_BELOW:
        ax = np.abs(scene.x)
        ear = ellipsoid(ax, y, z, (80, 17, 3), (10, 14, 26))
        scene.paint(-10, scene.cover(1.5 - np.abs(ear + 1), 2) * step(ax, 68, 74))
        skin += 4 * bump(y, 92, 40) * step(z, 30, -5)
        nose = ellipsoid(ax, y, z, (0, -90, -16), (9, 13, 19))
        skin = np.maximum(skin, np.maximum(nose, ellipsoid(ax, y, z, (32, -79, 4), (16.5, 15.5, 15))))
    scene.paint(_SKIN, scene.cover(skin))
    scene.paint(_FAT, scene.cover(np.minimum(skin - 3.0, -1.4 - surface.outline)))
    muscle = np.minimum(surface.outline + 1.6, skin - 3.6)
    scene.paint(_MUSCLE + 4 * head.texture(scene), scene.cover(muscle))


def _paint_bone(scene: Scene, head: Head, surface: _Surface) -> Array:
    """Vault, base and what lies below it; returns the depth in the cavity."""
    texture = head.texture(scene)
    thick = _thickness(scene, head)
    cavity = surface.bone - thick
    share = np.clip(surface.bone / thick, 0, 1)
    table = _TABLE + (_DIPLOE - _TABLE + 160 * texture) * bump(share, 0.52, 0.42)
    if scene.bottom > _BASE_BELOW:
        scene.paint(table, scene.cover(surface.bone))
        return np.asarray(cavity, np.float32)
    floor = _floor(scene)
    below = floor - scene.z
    if scene.bottom < _FACE_BELOW:
        _paint_face(scene, head, surface)
    # The vault runs down to its base only; below lie jaw and neck muscles.
    scene.paint(table, scene.cover(np.minimum(surface.bone, 5 - below)))
    slab = 4 - 1.8 * step(scene.y, -20, -40) + 10 * bump(np.abs(scene.x), 26, 30) * bump(scene.y, 0, 32)
    base = np.minimum(np.minimum(surface.bone - 1, slab - below), below + 1)
    scene.paint(850 + 350 * texture, scene.cover(base, 1.6))
    _paint_petrous(scene, head, cavity)
    return np.asarray(np.minimum(cavity, -0.75 * below), np.float32)


def _thickness(scene: Scene, head: Head) -> Array:
    x, y, z = scene.x, scene.y, scene.z
    temporal = step(np.abs(x), 45, 64) * step(z, 62, 30)
    middle = bump(x, 0, 9) * (bump(y, 82, 30) + 0.7 * bump(y, -84, 24))
    thickness: Array = 1 - 0.42 * temporal + 0.55 * middle + np.float32(0.08) * head.depth(scene)
    return thickness * np.float32(head.thickness_mm)


def _floor(scene: Scene) -> Array:
    """Height of the skull base: three steps down from front to back, with petrous ridges between the last two."""
    x, y = scene.x, scene.y
    ax = np.abs(x)
    front = 12 + 17 * np.maximum(0, 1 - np.sqrt(((ax - 31) / 27) ** 2 + ((y + 70) / 42) ** 2))
    middle = np.minimum(-6 + 0.6 * np.sqrt((ax - 38) ** 2 + (y + 16) ** 2), 14)
    back = -22 + 0.0085 * (x * x + (y - 34) ** 2)
    clivus = 15 - 1.45 * np.maximum(y + 6, 0) - 40 * step(ax, 13, 20)
    across, along = (y + 2) * 0.897 - (ax - 9) * 0.44, (ax - 9) * 0.897 + (y + 2) * 0.44
    floor = middle + (np.maximum(back, clivus) - middle) * step(across, -6, 6)
    floor += np.maximum(15 + 0.06 * along - floor, 0) * bump(across, 0, 12) * step(along, -6, 4)
    floor += (front - floor) * step(y + 0.36 * ax, -20, -29)
    hole = step(x * x + (y - 33) ** 2, 17.0**2, 13.0**2)
    return np.asarray(floor - 90 * hole, np.float32)


def _paint_face(scene: Scene, head: Head, surface: _Surface) -> None:
    """Muscles with fat between them, jaw, throat, sinuses and orbits."""
    within = scene.cover(surface.outline - 1)
    rough = 1.2 * head.texture(scene, (0.6, 0.6, 0.6)) - 0.6
    planes = scene.cover(8 * np.abs(head.folia(scene, (0.55, 0.75, 0.3))) + rough, 3)
    scene.paint(_FAT + (_MUSCLE + 6 * head.depth(scene, (1.5, 1.5, 1.5)) - _FAT) * planes, within)
    _paint_jaw(scene)
    nasal = scene.cut((-48, -90, -_ALL), (48, 0, 45))
    if nasal is not None:
        _paint_sinuses(nasal, head)
    orbits = scene.cut((-56, -96, -22), (56, -26, 30))
    if orbits is not None:
        _paint_orbits(orbits)


def _paint_jaw(scene: Scene) -> None:
    """Fat of the cheeks, rami of the mandible, zygomatic arches, first vertebra, throat."""
    ax, y, z = np.abs(scene.x), scene.y, scene.z
    scene.paint_ellipsoid(-90, (47, -50, -22), (13, 13, 18), 4, mirrored=True)
    scene.paint_ellipsoid(1000, (50, -12, -26), (4.5, 11, 22), 1.5, mirrored=True)
    scene.paint(1000, scene.cover(capsule(ax, y, z, ((48, -70, -8), (68, -22, -8)), (4, 2.5)), 1.5))
    scene.paint_ellipsoid(800, (20, 27, -36), (9, 12, 10), 1.5, mirrored=True)
    scene.paint_ellipsoid(_AIR, (0, -20, -30), (11, 6, 16), mirrored=True)


def _paint_sinuses(scene: Scene, head: Head) -> None:
    """Nose, ethmoid, sphenoid, frontal and maxillary sinuses: air within thin walls."""
    ax, y, z = np.abs(scene.x), scene.y, scene.z
    nose = np.minimum(11.5 - ax - 0.004 * (y + 60) ** 2, np.minimum(13 - z, np.minimum(y + 84, -36 - y)))
    sphenoid = ellipsoid(scene.x, y, z, (2, -24, 2), (13, 13, 11))
    frontal = ellipsoid(ax, y, z, (11, -83, 27), (15, 4.5, 13))
    maxillary = ellipsoid(ax, y, z, (29, -60, -24), (14, 17, 16))
    hollow = np.maximum(np.maximum(nose, sphenoid), np.maximum(frontal, maxillary))
    hollow += 1.3 * head.texture(scene, (0.8, 0.8, 0.8))
    scene.paint(450, scene.cover(hollow + 0.9))
    scene.paint(_AIR, scene.cover(hollow))
    bend = np.float32(1.5) * head.depth(scene)
    walls = np.minimum(1.0 - np.abs(head.texture(scene, (0.9, 0.7, 0.5))) * 2.2, 14 - ax)
    septum = np.maximum(0.9 - np.abs(scene.x + bend), walls)
    scene.paint(260, scene.cover(np.minimum(septum, hollow + 1), 1.4))
    # Turbinates: soft tissue that fills much of the lower nose.
    shells = 2.5 - np.abs(ax - 6.5 + bend)
    scene.paint(40, scene.cover(np.minimum(np.minimum(shells, nose), -4 - z), 1.4))


def _paint_orbits(scene: Scene) -> None:
    """Fat cone within thin walls, muscles and nerve in it, globe with its wall and lens."""
    ax, y, z = np.abs(scene.x), scene.y, scene.z
    cone = capsule(ax, y, z, ((13, -34, 6), (32, -74, 3)), (4, 19))
    scene.paint(700, scene.cover(cone + 2) * step(y, -86, -76))
    scene.paint(-90, scene.cover(cone))
    scene.paint(_MUSCLE, scene.cover(1.7 - np.abs(cone - 3.5)) * bump(z, 4, 8) * step(y, -76, -66))
    scene.paint(38, scene.cover(capsule(ax, y, z, ((13, -34, 7), (31, -66, 4)), (2.2, 2.2))))
    globe = ellipsoid(ax, y, z, (32, -79, 4), (12.3, 12.3, 12.3))
    scene.paint(52, scene.cover(globe))
    scene.paint(10, scene.cover(globe - 1.4))
    scene.paint_ellipsoid(75, (32, -88, 4), (4.6, 2.2, 4.6), mirrored=True)


def _paint_petrous(scene: Scene, head: Head, cavity: Array) -> None:
    """Dense pyramids, mastoid cells, ear canals."""
    ax, y, z = np.abs(scene.x), scene.y, scene.z
    if scene.bottom > 24:
        return
    pyramid = capsule(ax, y, z, ((12, 2, 4), (50, 17, 4)), (5, 11))
    pyramid = np.maximum(pyramid, ellipsoid(ax, y, z, (56, 24, -4), (13, 17, 20)))
    pyramid = np.minimum(pyramid, cavity + 7)
    scene.paint(1050 + 250 * head.texture(scene), scene.cover(pyramid, 1.5))
    cells = np.minimum(ellipsoid(ax, y, z, (57, 25, -3), (10, 13, 16)), 0.5 + 1.5 * head.texture(scene, (2, 2, 1.3)))
    scene.paint(-750, scene.cover(cells, 1.5))
    scene.paint(_AIR, scene.cover(capsule(ax, y, z, ((50, 8, -4), (79, 9, -6)), (2.5, 2.5))))
