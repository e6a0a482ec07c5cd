"""Five kinds of blood: where it lies, how it pushes what is there, how it is painted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from . import brain
from .scene import Array, Scene, Triple, Waves, bump, ellipsoid, step

if TYPE_CHECKING:
    from .head import Head

_CENTRE_Z = 42.0
_OEDEMA = 20


@dataclass(frozen=True)
class Bleed:
    """A bleed in the standard head.

    centre : its middle, in mm; for blood under the skull only the direction from the head's middle counts
    radii : half of its extents in mm; for blood under the skull along it, in the slice and upwards
    thickness : mm, of blood under the skull; shift : mm that the midline gives way
    mixed : 0 (clotted) to 1 (older and fresh blood side by side)
    """

    kind: str
    centre: Triple
    radii: Triple
    hu: float
    waves: Waves
    thickness: float = 0.0
    shift: float = 0.0
    mixed: float = 0.0
    ventricles: float = 1.0
    cast: bool = False

    @property
    def side(self) -> int:
        """1 if it lies to the left, -1 to the right."""
        return 1 if self.centre[0] >= 0 else -1

    def push(self, scene: Scene, depth: Array) -> tuple[Scene, Array]:
        """Make room: the midline gives way, and the brain's surface retreats from blood under the skull."""
        if self.shift:
            x, y, z = scene.x, scene.y, scene.z
            give = bump(x, 0, 75) * bump(y, -4, 82) * bump(z, 52, 55)
            scene = replace(scene, x=x + np.float32(self.side * self.shift) * give)
        if self.thickness:
            layer = self._layer(scene)
            scene.bleed(self._density(scene), scene.cover(np.minimum(depth, layer - depth)))
            depth = np.where(layer > 0, depth - layer - np.float32(0.2), depth)
            scene = replace(scene, room=scene.cover(depth))
        return scene, depth

    def sulcal_width(self, scene: Scene) -> Array:
        """Factor on the width of sulci: they are pressed shut near blood that takes room."""
        if self.kind in ("intraventricular", "subarachnoid"):
            return np.ones_like(scene.x)
        return 1 - 0.85 * step(scene.x * self.side, -5, 25)

    def paint(self, scene: Scene, head: Head, depth: Array) -> None:
        """Paint blood in the brain or in its sulci."""
        if self.kind == "intraparenchymal":
            self._paint_lump(scene, depth)
        elif self.kind == "subarachnoid":
            self._paint_sulci(scene, head, depth)

    def paint_ventricles(self, scene: Scene, depth: Array) -> None:
        """Paint blood that lies in the fluid of the ventricles: a level in the back, or a cast."""
        if self.kind != "intraventricular":
            return
        x, y = scene.x, scene.y
        level = y - self.centre[1] - 1.5 * self.waves(scene)
        filled = np.where((x * self.side > -4) & self.cast, 50, level)
        scene.bleed(self._density(scene), scene.cover(np.minimum(depth, filled), 1.2))

    def _layer(self, scene: Scene) -> Array:
        """Thickness of blood under the skull in mm, 0 away from it."""
        x, y, z = scene.x, scene.y, scene.z
        cx, cy, cz = self.centre
        angle = np.arctan2(y, x * self.side) - np.float32(np.arctan2(cy, cx * self.side))
        along = angle * np.float32(68 / self.radii[0])
        distance = along**2 + ((z - cz) / self.radii[2]) ** 2
        # A lens falls off like a parabola, a crescent keeps its thickness until near its ends.
        power = 1.0 if self.kind == "epidural" else 0.75
        layer = self.thickness * np.maximum(1 - distance, 0) ** power
        # Near the middle all directions meet.
        layer = layer * step(x * x + y * y + np.maximum(z - 38, 0) ** 2, 34.0**2, 46.0**2)
        if self.kind == "subdural":
            layer = layer * (1 + 0.09 * self.waves(scene)) * step(x * self.side, 1, 6)
        return np.asarray(np.where(layer > 0.4, layer, 0), np.float32)

    def _density(self, scene: Scene) -> Array:
        """HU of the blood: swirls, and older blood that has sunk less in front."""
        wave = self.waves(scene)
        return self.hu + 2.5 * wave - self.mixed * 16 * step(wave - (scene.y - self.centre[1]) / 30, -0.6, 0.6)

    def _paint_lump(self, scene: Scene, depth: Array) -> None:
        x, y, z = scene.x, scene.y, scene.z
        rough = 1 + 0.16 * self.waves(scene) + 0.09 * self.waves(scene, (2.3, 2.3, 2.3))
        radii = (self.radii[0], self.radii[1], self.radii[2])
        lump = ellipsoid(x, y, z, self.centre, radii) + min(radii) * (rough - 1)
        brain_only = scene.cover(depth - 2)
        rim = 0.75 * bump(np.minimum(lump + 0.5, 0), 0, 2.5 + 0.35 * min(radii))
        scene.paint(_OEDEMA, rim * brain_only)
        scene.bleed(self._density(scene), scene.cover(lump, 1.8) * brain_only)

    def _paint_sulci(self, scene: Scene, head: Head, depth: Array) -> None:
        """Blood where fluid was, strongest around the centre."""
        x, y, z = scene.x, scene.y, scene.z
        near = step(ellipsoid(x, y, z, self.centre, self.radii), 0, 0.25 * min(self.radii))
        distance, reach = brain.sulci(scene, head)
        surface = np.minimum(0.9 + 0.6 * head.atrophy - distance, np.minimum(reach - depth, depth))
        surface = np.maximum(surface, np.minimum(1.2 + head.atrophy - depth, depth))
        fluid = np.maximum(surface, np.maximum(brain.sylvian(scene, head) + 0.5, brain.fissure(scene, head)))
        if z.min() < 46:
            hind = (z < brain.tentorium(scene)) & (y > 10)
            fluid = np.where(hind, -5, fluid)
            stem = ellipsoid(x, y, z, (0, 12, 22), (15, 13, 30))
            fluid = np.maximum(fluid, np.minimum(brain.cisterns(scene, head), -stem))
        share = scene.cover(np.minimum(fluid, depth), 1.6) * near
        scene.bleed(self._density(scene), share)


def draw(kind: str | None, seed: int, covered: tuple[float, float]) -> Bleed | None:
    """The bleed of this kind and seed, moved so that the slices from `covered[0]` to `covered[1]` mm show it."""
    if kind is None:
        return None
    rng = np.random.default_rng([seed, 2])
    bleed = _DRAW[kind](rng, 1 if rng.random() < 0.5 else -1)
    low, high = covered[0] + 4, covered[1] - 4
    x, y, z = bleed.centre
    z = float(np.clip(z, low, high)) if low < high else sum(covered) / 2
    return replace(bleed, centre=(float(x), float(y), z), radii=_floats(bleed.radii))


def _floats(values: Iterable[float]) -> Triple:
    x, y, z = (float(value) for value in values)
    return x, y, z


def _epidural(rng: np.random.Generator, side: int) -> Bleed:
    angle, thickness = np.deg2rad(rng.uniform(-50, 50)), rng.uniform(9, 24)
    half = rng.uniform(26, 36) + 0.4 * thickness
    return Bleed(
        "epidural", (side * 60 * np.cos(angle), 60 * np.sin(angle), rng.uniform(38, 70)), (half, half, 0.85 * half),
        rng.uniform(62, 74), Waves.draw(rng, 22), thickness, shift=0.28 * thickness, mixed=rng.choice([0, 0, 0.5]),
    )  # fmt: skip


def _subdural(rng: np.random.Generator, side: int) -> Bleed:
    angle, thickness = np.deg2rad(rng.uniform(-25, 30)), rng.uniform(4.5, 13)
    return Bleed(
        "subdural", (side * 60 * np.cos(angle), 60 * np.sin(angle), rng.uniform(55, 75)),
        (rng.uniform(85, 120), 0, rng.uniform(42, 55)), rng.uniform(57, 70), Waves.draw(rng, 26), thickness,
        shift=max(0.0, 0.95 * thickness - 2), mixed=rng.choice([0, 0.4, 1.0]),
    )  # fmt: skip


def _intraparenchymal(rng: np.random.Generator, side: int) -> Bleed:
    places = ((28, -2, 48), (13, 11, 50), (34, -42, 62), (40, 8, 74), (44, 2, 26), (28, 54, 56), (22, 42, 3))
    place = places[rng.choice(7, p=[0.3, 0.15, 0.12, 0.13, 0.1, 0.1, 0.1])]
    x, y, z = np.array(place) + rng.uniform(-3, 3, 3)
    small = 0.75 if place[2] < 10 or place[0] < 20 else 1.0
    radius = rng.uniform(10.5, 22) * small
    radii = radius * rng.uniform([0.7, 0.95, 0.8], [0.95, 1.35, 1.2])
    return Bleed(
        "intraparenchymal", (side * x, y, z), tuple(radii), rng.uniform(58, 73), Waves.draw(rng, 1.6 * radius + 6),
        shift=max(0.0, 0.35 * radius - 3.5),
    )  # fmt: skip


def _intraventricular(rng: np.random.Generator, side: int) -> Bleed:
    cast = bool(rng.random() < 0.4)
    return Bleed(
        "intraventricular", (side * 20.0, rng.uniform(22, 46), 52.0), (1, 1, 1), rng.uniform(56, 70),
        Waves.draw(rng, 18), ventricles=rng.uniform(1.1, 1.6), cast=cast,
    )  # fmt: skip


def _subarachnoid(rng: np.random.Generator, side: int) -> Bleed:
    if rng.random() < 0.5:
        # From a burst aneurysm: cisterns and both Sylvian fissures.
        centre, radii = (side * 6.0, -8.0, 30.0), rng.uniform([52, 46, 30], [72, 62, 46])
    else:
        angle = np.deg2rad(rng.uniform(-45, 45))
        centre = (side * 55 * np.cos(angle), 60 * np.sin(angle), rng.uniform(45, 80))
        radii = rng.uniform([32, 32, 26], [50, 50, 40])
    return Bleed("subarachnoid", centre, tuple(radii), rng.uniform(56, 66), Waves.draw(rng, 20))


_DRAW = {
    "epidural": _epidural,
    "subdural": _subdural,
    "intraparenchymal": _intraparenchymal,
    "intraventricular": _intraventricular,
    "subarachnoid": _subarachnoid,
}
