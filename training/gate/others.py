"""Pictures that are no head CT: drawn documents, plots, textures, bodies, radiographs, heads as MRI shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from ichscope.phantom import make_chest
from training.gate.grey import Array, as_grey, decoded

_LETTERS = "etaoinshrdlucmfwypvbgk"
_SIDE = 192


def document(rng: np.random.Generator) -> Array:
    """A page of words, at times with a table, a heading, a photograph's grey box."""
    wide, high = int(rng.integers(240, 480)), int(rng.integers(240, 560))
    dark = rng.random() < 0.2
    image = Image.new("L", (wide, high), int(rng.integers(0, 40)) if dark else int(rng.integers(200, 256)))
    draw = ImageDraw.Draw(image)
    ink, y = (230 if dark else int(rng.integers(0, 90))), float(rng.uniform(5, 40))
    size = rng.uniform(8, 22)
    usual = ImageFont.load_default(size=size)
    while y < high - size:
        font = ImageFont.load_default(size=size * 1.8) if rng.random() < 0.1 else usual
        words = ("".join(rng.choice(list(_LETTERS), rng.integers(1, 10))) for _ in range(14))
        if rng.random() < 0.88:
            draw.text(
                (rng.uniform(8, 30), y),
                " ".join(words)[: int(wide / size * rng.uniform(0.4, 1.9))],
                fill=ink,
                font=font,
            )
        y += size * rng.uniform(1.1, 1.6)
    for _ in range(rng.integers(0, 4)):
        x, top = rng.uniform(0, wide), rng.uniform(0, high)
        draw.rectangle(
            [x, top, x + rng.uniform(20, 200), top + rng.uniform(20, 160)],
            outline=ink,
            fill=int(rng.integers(0, 256)) if rng.random() < 0.5 else None,
        )
    return decoded(image)


def plot(rng: np.random.Generator) -> Array:
    """Lines, bars, pies, scattered points between two axes."""
    dark = rng.random() < 0.3
    image = Image.new("L", (_SIDE, int(rng.integers(200, 340))), 20 if dark else 255)
    draw = ImageDraw.Draw(image)
    wide, high = image.size
    ink = 220 if dark else 20
    draw.line([30, 10, 30, high - 25, wide - 10, high - 25], fill=ink, width=2)
    style = rng.integers(0, 4)
    for _ in range(rng.integers(1, 5)):
        fill = int(rng.integers(0, 256))
        if style == 0:
            y = high / 2 + np.cumsum(rng.normal(0, 6, 60))
            draw.line([(30 + 4.5 * i, float(v)) for i, v in enumerate(y)], fill=fill, width=int(rng.integers(1, 5)))
        elif style == 1:
            for i in range(12):
                draw.rectangle([40 + i * 22, high - 25 - rng.uniform(5, high * 0.8), 55 + i * 22, high - 25], fill=fill)
        elif style == 2:
            start, radius = rng.uniform(0, 360), high * 0.4
            draw.pieslice(
                [wide / 2 - radius, high / 2 - radius, wide / 2 + radius, high / 2 + radius],
                start,
                start + rng.uniform(40, 300),
                fill=fill,
                outline=ink,
            )
        else:
            for x, y in rng.normal(0.5, 0.2, (60, 2)):
                draw.ellipse([x * wide, y * high, x * wide + 7, y * high + 7], fill=fill)
    return decoded(image)


def texture(rng: np.random.Generator) -> Array:
    """Noise of any grain, stripes, checks, gradients, cells; or several of them."""
    y, x = np.mgrid[0 : 1 : _SIDE * 1j, 0 : 1 : _SIDE * 1j]
    out = np.zeros((_SIDE, _SIDE))
    for _ in range(rng.integers(1, 4)):
        style = rng.integers(0, 6)
        if style == 0:
            layer = ndimage.gaussian_filter(rng.normal(0, 1, (_SIDE, _SIDE)), rng.uniform(0, 12, 2))
        elif style == 1:
            layer = np.sin(rng.normal(0, 80) * x + rng.normal(0, 80) * y + rng.uniform(0, 3) * np.sin(20 * x))
        elif style == 2:
            layer = np.sign(np.sin(rng.uniform(5, 60) * x) * np.sin(rng.uniform(5, 60) * y))
        elif style == 3:
            layer = rng.normal() * x + rng.normal() * y + rng.normal() * np.hypot(x - rng.random(), y - rng.random())
        elif style == 4:
            points = rng.random((int(rng.integers(5, 120)), 2))
            layer = np.min([np.hypot(x - a, y - b) for a, b in points], axis=0)
        else:
            layer = np.zeros_like(out)
            for a, b, radius in rng.random((int(rng.integers(3, 40)), 3)):
                layer[np.hypot(x - a, y - b) < radius * 0.15] = rng.normal()
        out += rng.random() * (layer - layer.mean()) / (layer.std() + 1e-6)
    low, high = np.percentile(out, rng.uniform(0, 8)), np.percentile(out, rng.uniform(92, 100))
    return as_grey((out - low) / (high - low + 1e-6))


def rings(rng: np.random.Generator) -> Array:
    """Round things with a rim: plates, coins, wheels, fruit, eyes, logos, cells; one or a few."""
    page = np.full((_SIDE, _SIDE), rng.choice([0.0, 0.05, rng.random(), 1.0]), np.float32)
    y, x = np.mgrid[0 : 1 : _SIDE * 1j, 0 : 1 : _SIDE * 1j]
    for _ in range(int(rng.choice([1, 1, 1, 2, 4]))):
        angle, aspect = rng.uniform(0, np.pi), np.exp(rng.normal(0, 0.15))
        radius, middle = rng.uniform(0.15, 0.5), rng.uniform(0.4, 0.6, 2)
        u = (np.cos(angle) * (x - middle[0]) + np.sin(angle) * (y - middle[1])) * aspect
        v = (-np.sin(angle) * (x - middle[0]) + np.cos(angle) * (y - middle[1])) / aspect
        distance = np.hypot(u, v) / radius
        around = np.arctan2(v, u)
        page[distance < 1] = rng.random()
        for at in np.sort(rng.uniform(0.1, 1.0, rng.integers(0, 7)))[::-1]:
            page[distance < at] = rng.random()
        if rng.random() < 0.5:
            spokes = np.sin(around * rng.integers(2, 14)) > rng.uniform(-0.5, 0.9)
            page[(distance < rng.uniform(0.4, 1)) & spokes] = rng.random()
    grain = ndimage.gaussian_filter(rng.normal(0, 1, page.shape), rng.uniform(0.5, 4))
    noise = rng.uniform(0, 0.15) * grain / grain.std()
    return as_grey(ndimage.gaussian_filter(page, rng.uniform(0, 2)) + noise)


def _ellipse(
    x: Array,
    y: Array,
    at: Sequence[float] | NDArray[np.float64],
    radii: Sequence[float] | NDArray[np.float64],
    angle: float = 0.0,
) -> NDArray[np.bool_]:
    u = np.cos(angle) * (x - at[0]) + np.sin(angle) * (y - at[1])
    v = -np.sin(angle) * (x - at[0]) + np.cos(angle) * (y - at[1])
    inside: NDArray[np.bool_] = np.hypot(u / radii[0], v / radii[1]) < 1
    return inside


def abdomen(rng: np.random.Generator) -> Array:
    """An axial abdomen or pelvis, in HU, through a soft-tissue window (or a narrow one)."""
    y, x = (axis.astype(np.float32) for axis in np.mgrid[-1 : 1 : _SIDE * 1j, -1 : 1 : _SIDE * 1j])
    warp = np.stack([ndimage.zoom(rng.normal(0, 0.05, (6, 6)), _SIDE / 6, order=1) for _ in range(2)])
    x, y = x + warp[0].astype(np.float32), y + warp[1].astype(np.float32)
    wide, high = rng.uniform(0.75, 0.97), rng.uniform(0.5, 0.75)
    hu = np.full(x.shape, -1000.0)
    hu[_ellipse(x, y, (0, 0), (wide, high))] = rng.uniform(-115, -85)
    rim = rng.uniform(0.05, 0.25)
    hu[_ellipse(x, y, (0, 0.03), (wide - rim, high - rim))] = rng.uniform(40, 60)
    inner = rim + rng.uniform(0.04, 0.09)
    cavity = _ellipse(x, y, (0, -0.02), (wide - inner, high - inner))
    hu[cavity] = rng.uniform(-110, 0)
    organs = [((-0.35, -0.05), (0.33, 0.3), rng.uniform(40, 120)), ((0.45, 0.05), (0.14, 0.22), rng.uniform(40, 120)),
              ((-0.3, 0.22), (0.1, 0.14), rng.uniform(25, 200)), ((0.3, 0.22), (0.1, 0.14), rng.uniform(25, 200)),
              ((0.15, -0.2), (0.2, 0.12), rng.uniform(-5, 60))]  # fmt: skip
    for at, radii, value in organs:
        if rng.random() < 0.8:
            hu[
                _ellipse(
                    x,
                    y,
                    at + rng.normal(0, 0.05, 2),
                    radii * np.exp(rng.normal(0, 0.2, 2)),
                    rng.normal(0, 0.4),
                )
                & cavity
            ] = value
    for _ in range(rng.integers(2, 12)):
        hu[_ellipse(x, y, rng.uniform(-0.5, 0.5, 2) * (1, 0.6), rng.uniform(0.03, 0.1, 2)) & cavity] = rng.choice(
            [-900.0, 30.0, 40.0, 250.0]
        )
    back = high - inner
    hu[_ellipse(x, y, (0, back * 0.72), (0.13, 0.11))] = rng.uniform(180, 400)
    hu[_ellipse(x, y, (0, back * 0.72 + 0.15), (0.05, 0.13))] = 400
    hu[_ellipse(x, y, (0, back * 0.72 + 0.1), (0.05, 0.05))] = 30
    hu[_ellipse(x, y, (0.04, back * 0.45), (0.06, 0.06))] = rng.choice([45.0, 250.0])
    for side in (-1, 1):
        hu[_ellipse(x, y, (side * 0.17, back * 0.65), (0.08, 0.1))] = 55
        for angle in rng.uniform(0.1, 2.9, rng.integers(0, 5)):
            at = (side * np.cos(angle) * (wide - inner), np.sin(angle) * (high - inner))
            hu[_ellipse(x, y, at, (0.07, 0.025), side * (angle + 1.5))] = 500
    return _windowed(hu, rng)


def _windowed(hu: NDArray[np.float64], rng: np.random.Generator) -> Array:
    hu = ndimage.gaussian_filter(hu, 0.8) + rng.normal(0, rng.uniform(4, 20), hu.shape)
    level, width = rng.choice(
        [[40, 400], [50, 350], [40, 80], [40, 200], [-550, 1600], [300, 1500]], p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.1]
    )
    return as_grey((hu - level + width / 2) / width)


@cache
def _chest(seed: int) -> NDArray[np.float32]:
    hu: NDArray[np.float32] = make_chest(seed, slices=32, size=128).hu.astype(np.float32)
    return hu


def chest_ct(rng: np.random.Generator, seeds: tuple[int, int] = (0, 6)) -> Array:
    """A slice of the phantom's chest in any window."""
    volume = _chest(int(rng.integers(*seeds)))
    return _windowed(volume[rng.integers(len(volume))].astype(float), rng)


def chest_radiograph(rng: np.random.Generator, seeds: tuple[int, int] = (0, 6)) -> Array:
    """The phantom's chest seen from the front, as a radiograph."""
    volume = np.clip(_chest(int(rng.integers(*seeds))) + 1000, 0, None)
    axis = 1 if rng.random() < 0.75 else 2
    shadow = ndimage.zoom((volume ** rng.uniform(1, 1.3)).sum(axis=axis)[::-1], (6.0, 2.0), order=1)
    y, x = np.mgrid[-1 : 1 : shadow.shape[0] * 1j, -1 : 1 : shadow.shape[1] * 1j]
    shadow = shadow * (1 + 0.35 * (y > rng.uniform(0.3, 0.8)) * _soft(x, rng))
    for number in range(9):
        bow = 0.22 * np.abs(x) ** 1.5 * np.sign(rng.random() - 0.1)
        shadow = shadow + 0.06 * shadow.max() * np.exp(-(((y - bow + 0.9 - number * 0.2) / 0.025) ** 2)) * (
            np.abs(x) < 0.75
        )
    low, high = np.percentile(shadow, (rng.uniform(0, 10), rng.uniform(95, 100)))
    grey = np.clip((shadow - low) / (high - low), 0, 1) ** rng.uniform(0.7, 1.6)
    grey = ndimage.gaussian_filter(grey, 1) + rng.normal(0, 0.01, grey.shape)
    return as_grey(1 - grey if rng.random() < 0.1 else grey)


def _soft(x: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    fading: NDArray[np.float64] = ndimage.gaussian_filter(1.0 - 0.3 * np.abs(x), 5) * rng.uniform(0.3, 1)
    return fading


def bones(rng: np.random.Generator) -> Array:
    """A radiograph of limbs: bright tubes with brighter walls in grey soft tissue; a hand has many."""
    page = np.full((_SIDE, _SIDE), rng.uniform(0, 0.15))
    y, x = np.mgrid[-1 : 1 : _SIDE * 1j, -1 : 1 : _SIDE * 1j]
    tilt, number = rng.normal(0, 0.4), int(rng.choice([1, 2, 2, 5, 5]))
    for at in np.linspace(-0.7, 0.7, number) if number > 2 else rng.normal(0, 0.3, number):
        bend, width = rng.normal(0, 0.15), rng.uniform(0.05, 0.2) * (2.5 / (number + 1.5))
        across = x * np.cos(tilt) + y * np.sin(tilt) - at * (1 - 0.4 * (y + 1) / 2) - bend * y**2
        joint = 1 + 0.6 * np.exp(-(((y - rng.uniform(-1, 1)) / 0.15) ** 2))
        depth = np.clip(1 - (across / (width * joint * rng.uniform(1.8, 3.2))) ** 2, 0, None) ** 0.5
        wall = np.clip(1 - (across / (width * joint)) ** 2, 0, None) ** 0.5
        marrow = np.clip(1 - (across / (width * joint * 0.7)) ** 2, 0, None) ** 0.5
        page = page + 0.3 * depth + rng.uniform(0.3, 0.7) * wall - rng.uniform(0.1, 0.35) * marrow
        gap = np.abs(np.sin(4 * y + rng.uniform(0, 6))) < 0.06
        page = page - 0.25 * gap * (wall > 0)
    page = ndimage.gaussian_filter(page, rng.uniform(0.5, 2)) + rng.normal(0, 0.015, page.shape)
    page = np.clip(page / np.percentile(page, 99.5), 0, 1)
    return as_grey(1 - page if rng.random() < 0.12 else page)


def ultrasound(rng: np.random.Generator) -> Array:
    """A grainy fan on black."""
    y, x = np.mgrid[0 : 1 : _SIDE * 1j, -0.5 : 0.5 : _SIDE * 1j]
    angle, depth = np.arctan2(x, y + 0.15), np.hypot(x, y + 0.15)
    fan = (np.abs(angle) < rng.uniform(0.4, 0.8)) & (depth > 0.2) & (depth < 1.0)
    grain = np.abs(ndimage.gaussian_filter(rng.normal(0, 1, fan.shape), (1.0, 2.5)))
    tissue = ndimage.zoom(rng.random((6, 6)), _SIDE / 6, order=1)
    return as_grey(fan * grain / grain.std() * tissue * rng.uniform(0.2, 0.5))


def mri_of(hu: Array, rng: np.random.Generator) -> Array:
    """What an MRI might show of this slice of HU: bone and air dark, fat bright, the brain by its contrast."""
    smooth = ndimage.gaussian_filter(hu, 1.2)
    brain = np.clip((smooth - 10) / 30, -0.3, 1.3)
    sign, gain = rng.choice([-1, 1]), rng.uniform(0.3, 0.9)
    grey = rng.uniform(0.35, 0.6) + sign * gain * (brain - 0.7)
    fluid = smooth < rng.uniform(10, 18)
    grey = np.where(fluid, rng.choice([0.05, 0.15, 0.95]), grey)
    grey = np.where(smooth < -20, rng.uniform(0.6, 1.0), grey)
    grey = np.where((smooth > rng.uniform(95, 180)) | (smooth < -250), rng.uniform(0, 0.08), grey)
    grain = ndimage.gaussian_filter(rng.normal(0, 1, hu.shape), rng.uniform(1, 6))
    grey = grey * (1 + rng.uniform(0, 0.25) * grain / grain.std() * (grey > 0.1))
    grey = ndimage.gaussian_filter(grey, rng.uniform(0.3, 1.5)) + rng.normal(0, rng.uniform(0, 0.04), hu.shape)
    return as_grey(grey)


def mri_ring(brain: Array, rng: np.random.Generator) -> Array:
    """Put a skull-stripped MRI slice (0..1, black around) into a dark skull and a scalp, with another contrast."""
    inside = ndimage.binary_fill_holes(ndimage.binary_closing(brain > 0.05, iterations=4))
    if inside.mean() < 0.05 or rng.random() < 0.2:
        return brain
    distance = ndimage.distance_transform_edt(~inside)
    scale = brain.shape[0] / 256
    fluid, skull, scalp = rng.uniform(1, 5) * scale, rng.uniform(4, 10) * scale, rng.uniform(3, 9) * scale
    style = rng.random()
    grey = brain ** rng.uniform(0.6, 2.0)
    if style < 0.5:  # T2-like: white matter dark, fluid bright
        grey = np.where(inside, np.clip(1.05 - brain * rng.uniform(0.6, 0.9), 0, 1), 0)
    grey = np.where((distance > 0) & (distance <= fluid), 0.9 if style < 0.35 else 0.1, grey)
    wave = 1 + 0.1 * ndimage.gaussian_filter(rng.normal(0, 12, brain.shape), 12)
    outer = (distance > (fluid + skull) * wave) & (distance <= (fluid + skull) * wave + scalp)
    grey = np.where(outer, rng.uniform(0.4, 1.0), grey)
    grey = ndimage.gaussian_filter(grey, rng.uniform(0.4, 1.2)) + rng.normal(0, rng.uniform(0, 0.03), brain.shape)
    return as_grey(grey)


DRAWN: dict[str, Callable[[np.random.Generator], Array]] = {
    "document": document,
    "plot": plot,
    "texture": texture,
    "rings": rings,
    "abdominal CT": abdomen,
    "chest CT": chest_ct,
    "chest radiograph": chest_radiograph,
    "bones": bones,
    "ultrasound": ultrasound,
}
