"""Brain, its coverings and its fluid, painted from the outside inwards."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .scene import Array, Scene, bump, capsule, ellipsoid, step

if TYPE_CHECKING:
    from .bleeds import Bleed
    from .head import Head

CSF, WHITE, DURA = 6, 28.5, 50
_RIBBON_MM = 4.3
# Chain of each lateral ventricle: x to the side, y to the back, z up, radius, all in mm.
_HORN, _NECK, _FRONT = (15, -37, 50, 3.2), (6.5, -17, 52, 5.0), (11, -28, 61, 4.4)
_BODY, _BACK, _ATRIUM = (8.5, -2, 64, 4.8), (14, 16, 65, 5.4), (26, 34, 55, 7.0)
_OCCIPITAL, _TEMPORAL, _TIP = (23, 60, 46, 3.0), (34, 14, 33, 2.3), (27, -9, 22, 2.0)
_CHAIN = (
    (_HORN, _NECK), (_FRONT, _BODY), (_HORN, _FRONT), (_NECK, _BODY), (_BODY, _BACK), (_BACK, _ATRIUM),
    (_ATRIUM, _OCCIPITAL), (_ATRIUM, _TEMPORAL), (_TEMPORAL, _TIP),
)  # fmt: skip


def paint(scene: Scene, head: Head, depth: Array, bleed: Bleed | None) -> None:
    """Paint what the skull holds.

    depth : mm below the inner surface of the skull, as `scene`
    """
    skull = scene.cover(depth)
    scene = replace(scene, room=skull)
    scene.paint(CSF, skull)
    if bleed is not None:
        scene, depth = bleed.push(scene, depth)
    _paint_cortex(scene, head, depth, bleed)
    for low, high, draw in _DEEP_PARTS:
        part = scene.cut(low, high)
        if part is not None:
            draw(part, head, bleed)
    _paint_dura(scene, head, depth)
    if bleed is not None:
        bleed.paint(scene, head, depth)
    _harden(scene, depth, skull)


def _harden(scene: Scene, depth: Array, skull: Array) -> None:
    """Beam hardening: brighter under the skull, a dark band between the petrous bones."""
    scene.hu[...] += skull * (2.5 * np.maximum(0, 1 - np.abs(depth) * np.float32(1 / 14)))
    if scene.z.min() < 21:
        scene.hu[...] -= skull * (6 * bump(scene.y, 8, 9) * bump(scene.z, 5, 16) * bump(scene.x, 0, 60))


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
    rows, columns = (_between(count) for count in scene.x.shape[1:])
    distance = np.abs(rows @ pattern @ columns.T) * np.float32(25 / (2 * np.pi) * 1.25)
    return distance, 13 + 4 * head.depth(scene)


def _between(count: int) -> Array:
    """(count, half) weights that fill in the points between every second one."""
    place = np.minimum(np.arange(count) / 2, (count - 1) // 2)
    weights: Array = np.maximum(0, 1 - np.abs(place[:, None] - np.arange((count + 1) // 2))).astype(np.float32)
    return weights


def fissure(scene: Scene, head: Head) -> Array:
    """Depth in the fluid between the halves of the brain, negative outside it."""
    y, z = scene.y, scene.z
    half = 0.1 + 0.9 * head.atrophy + 0.8 * step(y, -40, -75) * head.atrophy + 0.5 * head.depth(scene)
    beyond = np.sqrt(((y + 2) / 47) ** 2 + ((z - 47) / 29) ** 2) - 1
    depth: Array = np.minimum(half - np.abs(midline(scene, head)), 30 * beyond)
    return depth


def _paint_cortex(scene: Scene, head: Head, depth: Array, bleed: Bleed | None) -> None:
    """White matter, the grey ribbon along every surface, and fluid in sulci and Sylvian fissures."""
    squeezed = bleed.sulcal_width(scene) if bleed is not None else np.float32(1)
    below = depth - (0.3 + 2.3 * head.atrophy * step(scene.z, 20, 60)) * squeezed
    distance, reach = sulci(scene, head)
    cleft = fissure(scene, head)
    side = sylvian(scene, head)
    rest = np.maximum(below - reach, 0)
    to_sulcus = np.sqrt(distance * distance + rest * rest)
    ribbon = np.minimum(np.minimum(below, to_sulcus), np.minimum(-cleft, -side))
    tissue = WHITE + (head.grey_hu - WHITE) * scene.cover(_RIBBON_MM - ribbon, 3)
    scene.paint(tissue, scene.cover(below))
    width = (0.15 + 1.3 * head.atrophy) * np.clip(1.15 - below / reach, 0, 1) * step(scene.z, 10, 75) * squeezed
    fluid = np.maximum(np.maximum(scene.cover(width - to_sulcus, 1.3) * (width > 0.05), scene.cover(cleft, 1.2)), 0)
    scene.paint(CSF, np.maximum(fluid, scene.cover(side, 1.2)))


def sylvian(scene: Scene, head: Head) -> Array:
    """Depth in the fluid of the Sylvian fissures: a slit from the side and its floor over the insula."""
    y, z = scene.y, scene.z
    if z.min() > 62 or z.max() < 24:
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


def _paint_ganglia(scene: Scene, head: Head, bleed: Bleed | None) -> None:
    """Caudate, lentiform nucleus, claustrum's insula and thalamus; capsules between them stay white."""
    y, z = scene.y, scene.z
    ax = np.abs(scene.x)
    scene.paint(WHITE, scene.cover(ellipsoid(ax, y, z, (20, -2, 48), (19, 34, 17)), 5))
    for centre, radii in (
        ((13, -19, 53), (6.5, 10, 12)), ((15, 2, 62), (3.5, 14, 6)),
        ((11, 10, 50), (8.5, 13.5, 10)), ((36, -4, 45), (2, 18, 13)),
    ):  # fmt: skip
        scene.paint(head.grey_hu, scene.cover(ellipsoid(ax, y, z, centre, radii), 3))
    # The lentiform nucleus lies along a line from front and middle to back and side.
    u, v = (ax - 24) * 0.94 - (y + 4) * 0.34, (ax - 24) * 0.34 + (y + 4) * 0.94
    scene.paint(head.grey_hu + 0.5, scene.cover(ellipsoid(u, v, z, (0, 0, 48), (6.5, 16, 11)), 3))


def ventricles(scene: Scene, head: Head, wide: float = 1.0) -> Array:
    """Depth in the fluid of lateral, third and fourth ventricle, negative outside."""
    y, z = scene.y, scene.z
    side = np.abs(midline(scene, head)) * (1 + head.asymmetry * np.sign(scene.x))
    width = head.ventricles * wide
    depth: Array = np.full_like(y, -50)
    for a, b in _CHAIN:
        radii = (a[3] * width, b[3] * width)
        depth = np.maximum(depth, capsule(side, y, z, (a[:3], b[:3]), radii))
    depth = np.minimum(depth, side - 0.9)
    # The head of the caudate dents the frontal horn from the side.
    depth = np.minimum(depth, -ellipsoid(side, y, z, (15.5, -20, 52), (6, 8.5, 10)) + 0.6)
    third = np.minimum(2.6 * width - 0.012 * (y - 1) ** 2 - side, np.minimum(13 - np.abs(y - 1), 9 - np.abs(z - 45)))
    fourth = ellipsoid(side, y, z, (0, 27, 6), (7 * width, 4.5 * width, 10))
    depth = np.maximum(np.maximum(depth, third), fourth)
    return depth


def _paint_ventricles(scene: Scene, head: Head, bleed: Bleed | None) -> None:
    wide = bleed.ventricles if bleed is not None else 1.0
    depth = ventricles(scene, head, wide)
    scene.paint(CSF, scene.cover(depth, 1.2))
    if bleed is not None:
        bleed.paint_ventricles(scene, depth)
    x, y, z = scene.x, scene.y, scene.z
    pineal, plexus = head.calcified
    if pineal:
        scene.paint(180, scene.cover(ellipsoid(x, y, z, (0.5, 20, 45), (2.2, 2.6, 2.6))))
    if plexus:
        rough = 0.8 * head.texture(scene)
        scene.paint(110, scene.cover(ellipsoid(np.abs(x), y, z, (24, 38, 54), (2.0, 4, 2.4)) + rough))


def _paint_hindbrain(scene: Scene, head: Head, bleed: Bleed | None) -> None:
    """Cisterns, brainstem, and the cerebellum with its leaves, below the tentorium."""
    x, y, z = scene.x, scene.y, scene.z
    ax = np.abs(x)
    cerebellum = np.minimum(tentorium(scene) - z, y - 12 - 0.25 * ax)
    leaves = np.abs(head.folia(scene, (0.8, 1.2, 2.2))) * 2.2
    hu = head.grey_hu - 1 - 4 * scene.cover(1.0 - leaves, 2) * step(ax, 0, 12)
    hu -= 5 * scene.cover(ellipsoid(ax, y, z, (20, 36, 2), (13, 13, 12)), 6)
    scene.paint(hu, scene.cover(cerebellum - 1))
    scene.paint(CSF, scene.cover(cisterns(scene, head)))
    stem = np.maximum(
        capsule(x, y, z, ((0, 15, -34), (0, 14, -4)), (7.5, 9)),
        np.maximum(ellipsoid(x, y, z, (0, 9, 11), (16, 13, 16)), capsule(ax, y, z, ((5, 12, 18), (7, 8, 36)), (10, 8))),
    )
    scene.paint(head.grey_hu - 4, scene.cover(stem, 1.5))


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


def _paint_dura(scene: Scene, head: Head, depth: Array) -> None:
    """Falx, tentorium and the large sinuses, slightly denser than brain."""
    x, y, z = scene.x, scene.y, scene.z
    off = np.abs(midline(scene, head))
    beyond = np.sqrt(((y - 4) / 58) ** 2 + ((z - 42) / 36) ** 2) - 1
    falx = np.minimum(np.minimum(0.5 - off, 20 * beyond), z - 26 - 0.12 * np.maximum(y, 0))
    scene.paint(DURA, scene.cover(falx, 1.2))
    sinus = np.minimum(np.minimum(4.2 - off, 5.5 - depth - off), np.minimum(np.maximum(y - 20, z - 80), z - 34))
    scene.paint(DURA + 2, scene.cover(sinus - 0.3))
    if z.min() > 48:
        return
    sheet = np.minimum(0.7 - np.abs(z - tentorium(scene)) * 0.6, np.minimum(y - 14 - 0.2 * off, off - 2))
    away = np.sqrt(x * x + (y - 11) ** 2) - 19
    scene.paint(DURA - 6, scene.cover(np.minimum(sheet, away), 1.4))
    transverse = np.minimum(np.minimum(4.5 - depth, 4.5 - np.abs(z - 19)), y - 45)
    scene.paint(DURA, scene.cover(transverse))


_DEEP_PARTS = (
    ((-46.0, -44.0, 30.0), (46.0, 40.0, 72.0), _paint_ganglia),
    ((-80.0, -40.0, -80.0), (80.0, 90.0, 46.0), _paint_hindbrain),
    ((-50.0, -52.0, -14.0), (50.0, 78.0, 82.0), _paint_ventricles),
)
