"""Brain, its coverings and its fluid, painted from the outside inwards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import blood
from .anatomy import Bleed, Head
from .scene import Array, Scene, bump, capsule, ellipsoid, step
from .structures import cisterns, fissure, midline, sulci, sylvian, tentorium, ventricles

CSF, WHITE, DURA = 6, 28.5, 50
_RIBBON_MM = 4.3


def paint(scene: Scene, head: Head, depth: Array, bleed: Bleed | None) -> None:
    """Paint what the skull holds.

    depth : mm below the inner surface of the skull, as `scene`
    """
    skull = scene.cover(depth)
    scene = replace(scene, room=skull)
    scene.paint(CSF, skull)
    if bleed is not None:
        scene, depth = blood.push(scene, bleed, depth)
    _paint_cortex(scene, head, depth, bleed)
    for low, high, paint_part in _DEEP_PARTS:
        part = scene.cut(low, high)
        if part is not None:
            paint_part(part, head, bleed)
    _paint_dura(scene, head, depth)
    if bleed is not None:
        blood.paint(scene, bleed, head, depth)
    _harden(scene, depth, skull)


def _harden(scene: Scene, depth: Array, skull: Array) -> None:
    """Beam hardening: brighter under the skull, a dark band between the petrous bones."""
    scene.hu[...] += skull * (2.5 * np.maximum(0, 1 - np.abs(depth) * np.float32(1 / 14)))
    if scene.bottom < 21:
        scene.hu[...] -= skull * (6 * bump(scene.y, 8, 9) * bump(scene.z, 5, 16) * bump(scene.x, 0, 60))


def _paint_cortex(scene: Scene, head: Head, depth: Array, bleed: Bleed | None) -> None:
    """White matter, the grey ribbon along every surface, and fluid in sulci and Sylvian fissures."""
    squeezed = blood.sulcal_width(scene, bleed) if bleed is not None else np.float32(1)
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


def _paint_ganglia(scene: Scene, head: Head, bleed: Bleed | None) -> None:
    """Caudate, lentiform nucleus, claustrum's insula and thalamus; capsules between them stay white."""
    y, z = scene.y, scene.z
    ax = np.abs(scene.x)
    scene.paint_ellipsoid(WHITE, (20, -2, 48), (19, 34, 17), 5, mirrored=True)
    for centre, radii in (
        ((13, -19, 53), (6.5, 10, 12)), ((15, 2, 62), (3.5, 14, 6)),
        ((11, 10, 50), (8.5, 13.5, 10)), ((36, -4, 45), (2, 18, 13)),
    ):  # fmt: skip
        scene.paint_ellipsoid(head.grey_hu, centre, radii, 3, mirrored=True)
    # The lentiform nucleus lies along a line from front and middle to back and side.
    u, v = (ax - 24) * 0.94 - (y + 4) * 0.34, (ax - 24) * 0.34 + (y + 4) * 0.94
    scene.paint(head.grey_hu + 0.5, scene.cover(ellipsoid(u, v, z, (0, 0, 48), (6.5, 16, 11)), 3))


def _paint_ventricles(scene: Scene, head: Head, bleed: Bleed | None) -> None:
    wide = bleed.ventricles if bleed is not None else 1.0
    depth = ventricles(scene, head, wide)
    scene.paint(CSF, scene.cover(depth, 1.2))
    if bleed is not None:
        blood.paint_in_ventricles(scene, bleed, depth)
    x, y, z = scene.x, scene.y, scene.z
    pineal, plexus = head.calcified
    if pineal:
        scene.paint_ellipsoid(180, (0.5, 20, 45), (2.2, 2.6, 2.6))
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


def _paint_dura(scene: Scene, head: Head, depth: Array) -> None:
    """Falx, tentorium and the large sinuses, slightly denser than brain."""
    x, y, z = scene.x, scene.y, scene.z
    off = np.abs(midline(scene, head))
    beyond = np.sqrt(((y - 4) / 58) ** 2 + ((z - 42) / 36) ** 2) - 1
    falx = np.minimum(np.minimum(0.5 - off, 20 * beyond), z - 26 - 0.12 * np.maximum(y, 0))
    scene.paint(DURA, scene.cover(falx, 1.2))
    sinus = np.minimum(np.minimum(4.2 - off, 5.5 - depth - off), np.minimum(np.maximum(y - 20, z - 80), z - 34))
    scene.paint(DURA + 2, scene.cover(sinus - 0.3))
    if scene.bottom > 48:
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
