"""Five kinds of blood: how it pushes what is there, and how it is painted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .anatomy import Bleed, Head
from .scene import Array, Scene, bump, ellipsoid, step
from .structures import cisterns, fissure, sulci, sylvian, tentorium

_OEDEMA = 20


def push(scene: Scene, bleed: Bleed, depth: Array) -> tuple[Scene, Array]:
    """Make room: the midline gives way, and the brain's surface retreats from blood under the skull."""
    if bleed.shift:
        x, y, z = scene.x, scene.y, scene.z
        give = bump(x, 0, 75) * bump(y, -4, 82) * bump(z, 52, 55)
        scene = replace(scene, x=x + np.float32(bleed.side * bleed.shift) * give)
    if bleed.thickness:
        layer = _layer(scene, bleed)
        scene.bleed(_density(scene, bleed), scene.cover(np.minimum(depth, layer - depth)))
        depth = np.where(layer > 0, depth - layer - np.float32(0.2), depth)
        scene = replace(scene, room=scene.cover(depth))
    return scene, depth


def sulcal_width(scene: Scene, bleed: Bleed) -> Array:
    """Factor on the width of sulci: they are pressed shut near blood that takes room."""
    if bleed.kind in ("intraventricular", "subarachnoid"):
        return np.ones_like(scene.x)
    return 1 - 0.85 * step(scene.x * bleed.side, -5, 25)


def paint(scene: Scene, bleed: Bleed, head: Head, depth: Array) -> None:
    """Paint blood in the brain or in its sulci."""
    if bleed.kind == "intraparenchymal":
        _paint_lump(scene, bleed, depth)
    elif bleed.kind == "subarachnoid":
        _paint_sulci(scene, bleed, head, depth)


def paint_in_ventricles(scene: Scene, bleed: Bleed, depth: Array) -> None:
    """Paint blood that lies in the fluid of the ventricles: a level in the back, or a cast."""
    if bleed.kind != "intraventricular":
        return
    x, y = scene.x, scene.y
    level = y - bleed.centre[1] - 1.5 * bleed.waves(scene)
    filled = np.where((x * bleed.side > -4) & bleed.cast, 50, level)
    scene.bleed(_density(scene, bleed), scene.cover(np.minimum(depth, filled), 1.2))


def _layer(scene: Scene, bleed: Bleed) -> Array:
    """Thickness of blood under the skull in mm, 0 away from it."""
    x, y, z = scene.x, scene.y, scene.z
    cx, cy, cz = bleed.centre
    angle = np.arctan2(y, x * bleed.side) - np.float32(np.arctan2(cy, cx * bleed.side))
    along = angle * np.float32(68 / bleed.radii[0])
    distance = along**2 + ((z - cz) / bleed.radii[2]) ** 2
    # A lens falls off like a parabola, a crescent keeps its thickness until near its ends.
    power = 1.0 if bleed.kind == "epidural" else 0.75
    layer = bleed.thickness * np.maximum(1 - distance, 0) ** power
    # Near the middle all directions meet.
    layer = layer * step(x * x + y * y + np.maximum(z - 38, 0) ** 2, 34.0**2, 46.0**2)
    if bleed.kind == "subdural":
        layer = layer * (1 + 0.09 * bleed.waves(scene)) * step(x * bleed.side, 1, 6)
    return np.asarray(np.where(layer > 0.4, layer, 0), np.float32)


def _density(scene: Scene, bleed: Bleed) -> Array:
    """HU of the blood: swirls, and older blood that has sunk less in front."""
    wave = bleed.waves(scene)
    return bleed.hu + 2.5 * wave - bleed.mixed * 16 * step(wave - (scene.y - bleed.centre[1]) / 30, -0.6, 0.6)


def _paint_lump(scene: Scene, bleed: Bleed, depth: Array) -> None:
    x, y, z = scene.x, scene.y, scene.z
    rough = 1 + 0.16 * bleed.waves(scene) + 0.09 * bleed.waves(scene, (2.3, 2.3, 2.3))
    radii = (bleed.radii[0], bleed.radii[1], bleed.radii[2])
    lump = ellipsoid(x, y, z, bleed.centre, radii) + min(radii) * (rough - 1)
    brain_only = scene.cover(depth - 2)
    rim = 0.75 * bump(np.minimum(lump + 0.5, 0), 0, 2.5 + 0.35 * min(radii))
    scene.paint(_OEDEMA, rim * brain_only)
    scene.bleed(_density(scene, bleed), scene.cover(lump, 1.8) * brain_only)


def _paint_sulci(scene: Scene, bleed: Bleed, head: Head, depth: Array) -> None:
    """Blood where fluid was, strongest around the centre."""
    x, y, z = scene.x, scene.y, scene.z
    near = step(ellipsoid(x, y, z, bleed.centre, bleed.radii), 0, 0.25 * min(bleed.radii))
    distance, reach = sulci(scene, head)
    surface = np.minimum(0.9 + 0.6 * head.atrophy - distance, np.minimum(reach - depth, depth))
    surface = np.maximum(surface, np.minimum(1.2 + head.atrophy - depth, depth))
    fluid = np.maximum(surface, np.maximum(sylvian(scene, head) + 0.5, fissure(scene, head)))
    if scene.bottom < 46:
        hind = (z < tentorium(scene)) & (y > 10)
        fluid = np.where(hind, -5, fluid)
        stem = ellipsoid(x, y, z, (0, 12, 22), (15, 13, 30))
        fluid = np.maximum(fluid, np.minimum(cisterns(scene, head), -stem))
    share = scene.cover(np.minimum(fluid, depth), 1.6) * near
    scene.bleed(_density(scene, bleed), share)
