"""Where the parts of the brain lie: signed distances in mm over a scene, positive inside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .anatomy import Head
from .scene import Array, Scene, capsule, ellipsoid, step

# Edges of fluid are drawn over at most so much, or over one point.
_SOFT_MM = 1.6
# Chain of each lateral ventricle: x to the side, y to the back, z up, radius, all in mm.
_HORN, _NECK, _FRONT = (15, -37, 50, 3.2), (6.5, -17, 52, 5.0), (11, -28, 61, 4.4)
_BODY, _BACK, _ATRIUM = (8.5, -2, 64, 4.8), (14, 16, 65, 5.4), (26, 34, 55, 7.0)
_OCCIPITAL, _TEMPORAL, _TIP = (23, 60, 46, 3.0), (34, 14, 33, 2.3), (27, -9, 22, 2.0)
_CHAIN = (
    (_HORN, _NECK), (_FRONT, _BODY), (_HORN, _FRONT), (_NECK, _BODY), (_BODY, _BACK), (_BACK, _ATRIUM),
    (_ATRIUM, _OCCIPITAL), (_ATRIUM, _TEMPORAL), (_TEMPORAL, _TIP),
)  # fmt: skip


def midline(scene: Scene, head: Head) -> Array:
    """Distance to the left of the plane between the halves of the brain, which is never quite flat."""
    y, z = scene.y, scene.z
    wobble: Array = 0.6 * np.sin(y * np.float32(0.06) + head.egg * 3000) * np.sin(z * np.float32(0.05))
    return scene.x + wobble


def sulci(scene: Scene, head: Head) -> tuple[Array, Array]:
    """Distance to the nearest sulcus in mm, and how deep sulci reach there."""
    # The pattern is smooth enough to be computed for every second point.
    x, y, z = (axis[:, ::2, ::2] for axis in (scene.x, scene.y, scene.z - 38))
    # The pattern of the surface reaches inwards along the radius: sulci stand upright on the skull.
    out = 66 / np.sqrt(x * x + y * y * np.float32(0.7) + z * z + 60) + np.float32(0.12)
    pattern = head.gyri.bent(x * out, y * out, z * out)
    rows, columns = scene.x.shape[1:]
    pattern = _filled_in(_filled_in(pattern, rows, axis=1), columns, axis=2)
    distance = np.abs(pattern) * np.float32(25 / (2 * np.pi) * 1.25)
    return distance, 13 + 4 * head.depth(scene)


def _filled_in(pattern: Array, count: int, axis: int) -> Array:
    """Points along an axis, of which every second one is given; those between are the means of their neighbours."""
    given = np.moveaxis(pattern, axis, 0)
    filled = np.empty((count, *given.shape[1:]), given.dtype)
    filled[::2] = given
    half = np.float32(0.5)
    between = filled[1::2]
    between[: len(given) - 1] = half * given[:-1] + half * given[1:]
    if count % 2 == 0:
        between[-1] = given[-1]
    return np.moveaxis(filled, 0, axis)


def fissure(scene: Scene, head: Head) -> Array:
    """Depth in the fluid between the halves of the brain, negative outside it."""
    y, z = scene.y, scene.z
    half = 0.1 + 0.9 * head.atrophy + 0.8 * step(y, -40, -75) * head.atrophy + 0.5 * head.depth(scene)
    beyond = np.sqrt(((y + 2) / 47) ** 2 + ((z - 47) / 29) ** 2) - 1
    depth: Array = np.minimum(half - np.abs(midline(scene, head)), 30 * beyond)
    return depth


def sylvian(scene: Scene, head: Head) -> Array:
    """Depth in the fluid of the Sylvian fissures: a slit from the side and its floor over the insula."""
    y, z = scene.y, scene.z
    if scene.bottom > 62 or scene.top < 24:
        return np.full_like(y, -50)
    ax = np.abs(scene.x)
    wave = head.texture(scene, (0.7, 0.7, 0.7))
    half = 0.4 + 1.5 * head.atrophy + 0.5 * wave
    slit = half + 0.5 - np.abs(y + 9 - 0.75 * (z - 42) + 2 * np.sin(ax * np.float32(0.35)) + wave)
    slit = np.minimum(slit, np.minimum(ax - 39, 14 - np.abs(z - 43)))
    floor = half - np.abs(ax - 41 + 0.016 * (y + 4) ** 2 + wave)
    floor = np.minimum(floor, np.minimum(15 - np.abs(y + 6), 12 - np.abs(z - 44)))
    depth: Array = np.maximum(slit, floor)
    return depth


def ventricles(scene: Scene, head: Head, wide: float = 1.0) -> Array:
    """Depth in the fluid of lateral, third and fourth ventricle, negative outside."""
    y, z = scene.y, scene.z
    side = np.abs(midline(scene, head)) * (1 + head.asymmetry * np.sign(scene.x))
    width = head.ventricles * wide
    depth: Array = np.full_like(y, -50)
    for a, b in _CHAIN:
        radii = (a[3] * width, b[3] * width)
        if _is_far(scene, a, b, max(radii)):
            continue
        depth = np.maximum(depth, capsule(side, y, z, (a[:3], b[:3]), radii))
    depth = np.minimum(depth, side - 0.9)
    # The head of the caudate dents the frontal horn from the side.
    depth = np.minimum(depth, -ellipsoid(side, y, z, (15.5, -20, 52), (6, 8.5, 10)) + 0.6)
    third = np.minimum(2.6 * width - 0.012 * (y - 1) ** 2 - side, np.minimum(13 - np.abs(y - 1), 9 - np.abs(z - 45)))
    fourth = ellipsoid(side, y, z, (0, 27, 6), (7 * width, 4.5 * width, 10))
    depth = np.maximum(np.maximum(depth, third), fourth)
    return depth


def _is_far(scene: Scene, a: Sequence[float], b: Sequence[float], radius: float) -> bool:
    """Whether no point of the scene is painted by a bar between two ends, by its height alone."""
    reach = radius + max(_SOFT_MM, scene.mm)
    return scene.top < min(a[2], b[2]) - reach or scene.bottom > max(a[2], b[2]) + reach


def tentorium(scene: Scene) -> Array:
    """Height of the roof over the posterior fossa: highest in the middle, sloping to the petrous ridges."""
    ax, y = np.abs(scene.x), scene.y
    return 17 + 25 * np.exp(-((ax / 24) ** 1.5)) * step(y, 100, 28) + 4 * step(y, 20, 70)


def cisterns(scene: Scene, head: Head) -> Array:
    """Depth in the fluid around brainstem and sella."""
    x, y, z = scene.x, scene.y, scene.z
    ax = np.abs(x)
    wide = 0.8 + 0.5 * head.atrophy
    ring = 0.9 * wide - np.abs(np.sqrt(x * x * 0.9 + (y - 11) ** 2) - 17.5 + 0.6 * head.texture(scene))
    ring = np.minimum(ring, np.minimum(6 - np.abs(z - 31), y - 6))
    parts = (
        ring,
        ellipsoid(x, y, z, (0, -13, 24), (10 * wide, 9 * wide, 7)),
        ellipsoid(ax, y, z, (9, -17, 25), (14, 3.5 * wide, 4)),
        ellipsoid(x, y, z, (0, -6, 8), (13, 5 * wide, 15)),
        ellipsoid(ax, y, z, (22, 12, 3), (9, 4 * wide, 9)),
        ellipsoid(x, y, z, (0, 27, 37), (10 * wide, 4 * wide, 6)),
        ellipsoid(x, y, z, (0, 62, -14), (13, 7 * wide, 9)),
    )
    return np.asarray(np.max(parts, axis=0), np.float32)
