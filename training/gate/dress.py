"""Dress a picture as the web, a viewer or a telephone shows it. Each step keeps track of where the heads are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from training.gate.grey import Array, as_grey, decoded

Box = tuple[float, float, float, float]
_WORDS = (
    "R", "L", "A", "P", "kV 120", "mA 250", "W 80", "L 40", "SE 3", "IM 12", "HOSPITAL", "HEAD", "5.0 mm", "23-Mar",
    "DFOV", "Zoom 100%", "Axial", "CT BRAIN", "S", "I",
)  # fmt: skip


@cache
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


@dataclass(frozen=True)
class Picture:
    """(rows, columns) grey 0..1, and (top, left, bottom, right) of every head in it."""

    grey: Array
    heads: tuple[Box, ...] = ()


def resized(picture: Picture, rows: int, columns: int) -> Picture:
    """The same at another size."""
    small = Image.fromarray(picture.grey).resize((columns, rows), Image.Resampling.BILINEAR)
    down, across = rows / picture.grey.shape[0], columns / picture.grey.shape[1]
    heads = tuple(
        (top * down, left * across, bottom * down, right * across) for top, left, bottom, right in picture.heads
    )
    return Picture(np.asarray(small, np.float32), heads)


def rescaled(picture: Picture, rng: np.random.Generator, most: int = 900) -> Picture:
    """Longest side 150 to `most` pixels, the aspect a little off at times."""
    rows, columns = picture.grey.shape
    factor = np.exp(rng.uniform(np.log(150), np.log(most))) / max(rows, columns)
    stretch = np.exp(rng.normal(0, 0.05)) if rng.random() < 0.3 else 1.0
    return resized(picture, max(64, round(rows * factor * stretch)), max(64, round(columns * factor / stretch)))


def turned(picture: Picture, rng: np.random.Generator) -> Picture:
    """Flipped, tilted by some degrees, seldom by a right angle; the heads' boxes are those of the tilted corners."""
    if rng.random() < 0.3:
        picture = _flipped(picture)
    quarter = 90 * int(rng.integers(1, 4)) if rng.random() < 0.12 else 0
    angle = rng.normal(0, 7) + quarter
    rows, columns = picture.grey.shape
    image = Image.fromarray(picture.grey).rotate(angle, Image.Resampling.BILINEAR)
    turn, middle = np.deg2rad(angle), np.array([rows / 2, columns / 2])
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return Picture(
        np.asarray(image, np.float32),
        tuple(_moved(box, lambda at: (at - middle) @ matrix.T + middle, 0.75) for box in picture.heads),
    )


def _flipped(picture: Picture) -> Picture:
    columns = picture.grey.shape[1]
    heads = tuple((top, columns - right, bottom, columns - left) for top, left, bottom, right in picture.heads)
    return Picture(np.ascontiguousarray(picture.grey[:, ::-1]), heads)


def _moved(box: Box, move: Callable[[Array], Array], round_corners: float = 1.0) -> Box:
    """Box of the moved outline: an ellipse for a head that was turned, or the corners."""
    top, left, bottom, right = box
    around = (
        np.linspace(0, 2 * np.pi, 16, endpoint=False) if round_corners < 1 else np.pi / 4 + np.arange(4) * np.pi / 2
    )
    reach = 1.0 if round_corners < 1 else np.sqrt(2)
    outline = np.stack(
        [
            (top + bottom) / 2 + reach * np.sin(around) * (bottom - top) / 2,
            (left + right) / 2 + reach * np.cos(around) * (right - left) / 2,
        ],
        axis=1,
    ).astype(np.float32)
    moved = move(outline)
    (top, left), (bottom, right) = moved.min(axis=0), moved.max(axis=0)
    return float(top), float(left), float(bottom), float(right)


def cropped(picture: Picture, rng: np.random.Generator, tight: float = 0.6) -> Picture:
    """Cut each side from 4 % inside the head's edge to 2 % (`tight` of all pictures) or 25 % outside it."""
    (top, left, bottom, right), (rows, columns) = picture.heads[0], picture.grey.shape
    side = max(bottom - top, right - left)
    near = rng.uniform(-0.04, 0.02, 4) if rng.random() < tight else rng.uniform(-0.04, 0.25, 4)
    first_row, first_column = max(0, int(top - near[0] * side)), max(0, int(left - near[1] * side))
    last_row, last_column = min(rows, int(bottom + near[2] * side)), min(columns, int(right + near[3] * side))
    grey = picture.grey[first_row:last_row, first_column:last_column]
    high, wide = grey.shape
    box = (
        max(0, top - first_row),
        max(0, left - first_column),
        min(high, bottom - first_row),
        min(wide, right - first_column),
    )
    return Picture(np.ascontiguousarray(grey), (box,))


def margins(picture: Picture, rng: np.random.Generator) -> Picture:
    """Margins of one grey, of any width, at one to four sides."""
    rows, columns = picture.grey.shape
    value = rng.choice([0.0, 1.0, 1.0, 0.93, rng.random()])
    widths = [int(rng.uniform(0.01, 0.35) * max(rows, columns)) if rng.random() < 0.7 else 0 for _ in range(4)]
    grey = np.full((rows + widths[0] + widths[1], columns + widths[2] + widths[3]), value, np.float32)
    return _placed(grey, picture, widths[0], widths[2])


def _placed(page: Array, picture: Picture, top: int, left: int) -> Picture:
    rows, columns = picture.grey.shape
    page[top : top + rows, left : left + columns] = picture.grey
    return Picture(page, tuple((a + top, b + left, c + top, d + left) for a, b, c, d in picture.heads))


def letters(picture: Picture, rng: np.random.Generator) -> Picture:
    """Words, arrows, a scale and a colour bar burnt in."""
    image = Image.fromarray((picture.grey * 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    wide, high = image.size
    for _ in range(rng.integers(1, 9)):
        font = _font(max(7, int(rng.uniform(0.02, 0.06) * high)))
        words = " ".join(rng.choice(_WORDS, rng.integers(1, 4)))
        corner = rng.choice([0.01, 0.75], 2) + rng.uniform(0, 0.15, 2)
        draw.text((corner[0] * wide, corner[1] * high), words, fill=int(rng.integers(150, 256)), font=font)
    for _ in range(rng.integers(0, 4)):
        start, length = rng.uniform(0.2, 0.8, 2) * (wide, high), rng.normal(0, 0.08, 2) * (wide, high)
        draw.line([*start, *(start + length)], fill=int(rng.integers(150, 256)), width=max(1, wide // 120))
    grey = decoded(image)
    if rng.random() < 0.35:
        bar = np.linspace(1, 0, max(8, int(high * rng.uniform(0.3, 0.7))), dtype=np.float32)
        top, left = int((high - len(bar)) * rng.random()), int(wide * rng.choice([0.02, 0.93]))
        grey = grey.copy()
        grey[top : top + len(bar), left : left + max(3, wide // 30)] = bar[:, None]
    return replace(picture, grey=grey)


def in_viewer(picture: Picture, rng: np.random.Generator) -> Picture:
    """A screenshot: the picture in a black panel, bars of buttons and lists of words around."""
    rows, columns = picture.grey.shape
    theme = rng.choice([0.08, 0.15, 0.25, 0.75, 0.94])
    pad = rng.uniform(0, 0.3, 4) * max(rows, columns)
    panel = np.zeros((int(rows + pad[0] + pad[1]), int(columns + pad[2] + pad[3])), np.float32)
    inside = _placed(panel, picture, int(pad[0]), int(pad[2]))
    if rng.random() < 0.7:
        inside = letters(inside, rng)
    frame = rng.uniform(0.0, 0.35, 4) * max(panel.shape)
    page = np.full(
        (int(panel.shape[0] + frame[0] + frame[1]), int(panel.shape[1] + frame[2] + frame[3])), theme, np.float32
    )
    page = _furnished(page, theme, rng)
    return _placed(page, inside, int(frame[0]), int(frame[2]))


def _furnished(page: Array, theme: float, rng: np.random.Generator) -> Array:
    image = Image.fromarray((page * 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    wide, high = image.size
    ink = 230 if theme < 0.5 else 30
    for _ in range(rng.integers(10, 60)):
        x, y, size = rng.random() * wide, rng.random() * high, rng.uniform(0.01, 0.04) * high
        if rng.random() < 0.5:
            draw.rectangle([x, y, x + size * rng.uniform(1, 5), y + size], outline=ink, fill=int(rng.integers(0, 256)))
        else:
            draw.text((x, y), " ".join(rng.choice(_WORDS, 2)), fill=ink, font=_font(max(7, int(size))))
    return decoded(image)


def photographed(picture: Picture, rng: np.random.Generator) -> Picture:
    """A photograph of a monitor: askew, black lifted, uneven light, glare, moire, noise, a room around."""
    rows, columns = picture.grey.shape
    around = rng.uniform(0.0, 0.3, 4)
    high, wide = int(rows * (1 + around[0] + around[1])), int(columns * (1 + around[2] + around[3]))
    room = np.full((high, wide), rng.uniform(0.02, 0.7), np.float32)
    room += ndimage.zoom(rng.normal(0, 0.1, (4, 4)), (high / 4, wide / 4), order=1)[:high, :wide].astype(np.float32)
    bezel = int(rng.uniform(0.0, 0.08) * rows)
    top, left = int(around[0] * rows), int(around[2] * columns)
    room[max(0, top - bezel) : top + rows + bezel, max(0, left - bezel) : left + columns + bezel] = rng.uniform(0, 0.15)
    placed = _placed(room, picture, top, left)
    askew = _askew(placed, rng)
    return replace(askew, grey=_lit(askew.grey, rng))


def _askew(picture: Picture, rng: np.random.Generator) -> Picture:
    rows, columns = picture.grey.shape
    shift = rng.normal(0, 0.025, (4, 2)) * (columns, rows)
    corners = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], float)
    back, forth = _homography(corners, corners + shift), _homography(corners + shift, corners)
    image = Image.fromarray(picture.grey).transform(
        (columns, rows), Image.Transform.PERSPECTIVE, tuple(back), Image.Resampling.BILINEAR
    )

    def move(at: Array) -> Array:
        a, b, c, d, e, f, g, h = forth
        below = g * at[:, 1] + h * at[:, 0] + 1
        return np.stack([(d * at[:, 1] + e * at[:, 0] + f) / below, (a * at[:, 1] + b * at[:, 0] + c) / below], axis=1)

    return Picture(np.asarray(image, np.float32), tuple(_moved(box, move) for box in picture.heads))


def _homography(origin: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Eight coefficients that take `origin` points (x, y) to `target`, as Pillow wants them."""
    lines, values = [], []
    for (x, y), (u, v) in zip(origin, target, strict=True):
        lines += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.linalg.solve(np.array(lines), np.array(values))


def _lit(grey: Array, rng: np.random.Generator) -> Array:
    rows, columns = grey.shape
    y, x = np.mgrid[0 : 1 : rows * 1j, 0 : 1 : columns * 1j].astype(np.float32)
    lifted = rng.uniform(0.0, 0.22) + np.clip(grey, 0, 1) ** rng.uniform(0.6, 1.3) * rng.uniform(0.6, 0.95)
    slope = 1 + rng.normal(0, 0.15) * (x - 0.5) + rng.normal(0, 0.15) * (y - 0.5)
    spot = rng.random(2)
    glare = (
        rng.uniform(0, 0.3)
        * (rng.random() < 0.4)
        * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / rng.uniform(0.005, 0.05))
    )
    wave = rng.normal(0, 60, 2)
    moire = rng.uniform(0, 0.05) * (rng.random() < 0.5) * np.sin(wave[0] * x + wave[1] * y)
    blurred = ndimage.gaussian_filter(lifted * slope + glare + moire, rng.uniform(0, rows / 300))
    return as_grey(blurred + rng.normal(0, rng.uniform(0, 0.03), grey.shape))


def compressed(picture: Picture, rng: np.random.Generator) -> Picture:
    """Through JPEG of quality 25 to 95."""
    buffer = BytesIO()
    Image.fromarray((np.clip(picture.grey, 0, 1) * 255).astype(np.uint8)).save(
        buffer, "JPEG", quality=int(rng.integers(25, 96))
    )
    return replace(picture, grey=decoded(Image.open(buffer)))


def dressed(picture: Picture, rng: np.random.Generator, kind: str, most: int = 900) -> Picture:
    """One of KINDS, then scaled and compressed."""
    return compressed(rescaled(KINDS[kind](picture, rng), rng, most), rng)


def _plain(picture: Picture, rng: np.random.Generator) -> Picture:
    return picture


KINDS: dict[str, Callable[[Picture, np.random.Generator], Picture]] = {
    "as it is": _plain,
    "cropped": cropped,
    "cropped, letters": lambda picture, rng: letters(cropped(picture, rng), rng),
    "margins": lambda picture, rng: margins(cropped(picture, rng) if rng.random() < 0.6 else picture, rng),
    "margins, letters": lambda picture, rng: letters(margins(cropped(picture, rng), rng), rng),
    "letters": letters,
    "viewer": lambda picture, rng: in_viewer(cropped(picture, rng) if rng.random() < 0.4 else picture, rng),
    "monitor": lambda picture, rng: photographed(
        in_viewer(picture, rng) if rng.random() < 0.5 else letters(picture, rng), rng
    ),
    "monitor, cropped": lambda picture, rng: photographed(cropped(picture, rng), rng),
}


def film(pictures: list[Picture], rng: np.random.Generator) -> Picture:
    """Several pictures side by side, as printed on a film."""
    side = int(rng.integers(90, 260))
    across = int(np.ceil(np.sqrt(len(pictures) * rng.uniform(0.6, 1.8))))
    gap = int(rng.choice([0, 2, 8, 20]))
    return tiled(pictures, across, side, gap, float(rng.choice([0.0, 0.0, 0.0, 0.3, 1.0])))


def tiled(pictures: list[Picture], across: int, side: int, gap: int, value: float, caption: int = 0) -> Picture:
    """Pictures in rows of `across`, each `side` pixels wide and high, on a page of one grey, words below each."""
    down = -(-len(pictures) // across)
    page = np.full((down * (side + gap + caption) + gap, across * (side + gap) + gap), value, np.float32)
    heads: list[Box] = []
    for number, picture in enumerate(pictures):
        small = resized(picture, side, side)
        top, left = gap + number // across * (side + gap + caption), gap + number % across * (side + gap)
        page[top : top + side, left : left + side] = small.grey
        if caption:
            below = slice(top + side, top + side + caption), slice(left, left + side)
            page[below] = _words(f"({number + 1})", value, side, caption)
        heads += [(a + top, b + left, c + top, d + left) for a, b, c, d in small.heads]
    return Picture(page, tuple(heads))


def _words(words: str, value: float, wide: int, high: int) -> Array:
    image = Image.new("L", (wide, high), round(value * 255))
    ink = 0 if value > 0.5 else 255
    ImageDraw.Draw(image).text((wide // 2, 0), words, fill=ink, font=_font(max(8.0, 0.75 * high)))
    return decoded(image)
