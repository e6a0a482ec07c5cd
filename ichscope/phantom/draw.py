"""Which head and which bleed a seed gives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from .anatomy import Bleed, Head
from .scene import Triple, Waves


def draw_head(seed: int) -> Head:
    """The head of this seed."""
    rng = np.random.default_rng([seed, 1])
    atrophy = float(rng.beta(1.6, 1.8))
    return Head(
        scale=(rng.uniform(0.94, 1.05), rng.uniform(0.93, 1.05), rng.uniform(0.96, 1.04)),
        pose_deg=(rng.normal(0, 4), rng.normal(0, 2), rng.normal(0, 4)),
        shift_mm=(rng.normal(0, 4), rng.normal(0, 3), rng.normal(0, 2)),
        field_mm=rng.uniform(225, 250),
        noise_hu=rng.uniform(3, 4.6),
        egg=rng.uniform(0.0008, 0.0018),
        thickness_mm=rng.uniform(5.8, 8),
        scalp_mm=rng.uniform(4.5, 7),
        atrophy=atrophy,
        ventricles=0.75 + 0.55 * atrophy + rng.uniform(-0.12, 0.12),
        asymmetry=rng.normal(0, 0.04),
        calcified=(rng.random() < 0.7, rng.random() < 0.6),
        grey_hu=rng.uniform(35.5, 38),
        shape=Waves.draw(rng, 130.0),
        texture=Waves.draw(rng, 11.0, 9),
        gyri=Waves.draw(rng, 25.0, 8),
        depth=Waves.draw(rng, 55.0, 5),
        folia=Waves.draw(rng, 13.0, 14),
    )


def draw_bleed(kind: str | None, seed: int, covered: tuple[float, float]) -> Bleed | None:
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
