"""A page of slices: brain window, the outline of the evidence, and the words that no copy of it can lose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from ichscope.imaging.preprocess import Box, resample

# Level 40, width 80 HU: the brain window in which bleeds are looked for.
_LOW_HU, _HIGH_HU = 0.0, 80.0
# Half of the strongest evidence that a cell can have: inside of the outline signs of haemorrhage prevail.
OUTLINE = 0.5
TILE, COLUMNS, _MARGIN, _BAR = 352, 3, 12, 34
_TITLE, _TEXT, _SMALL = 30, 20, 18
_WHITE, _GREY = (255, 255, 255), (190, 190, 190)
# Vermillion and yellow of the palette that colour-blind people tell apart (Okabe and Ito, 2008).
_WARNING, _LINE = (213, 94, 0), (240, 228, 66)


@dataclass(frozen=True, eq=False)
class Tile:
    """One slice of the page.

    hu : (rows, columns) int16 HU, upright
    evidence : (h, w) float32, 0 to 1, over `box`
    sides : whether left and right of the patient are known: rows then run from right to left
    """

    caption: str
    hu: NDArray[np.int16]
    evidence: NDArray[np.float32]
    box: Box
    sides: bool


def page(title: str, lines: Sequence[str], warning: str, tiles: Sequence[Tile]) -> NDArray[np.uint8]:
    """Draw a page: the warning, a title, lines of text, and the slices.

    Returns
    -------
    (rows, columns, 3) uint8 RGB

    Examples
    --------
    >>> tile = Tile("Slice 1 of 1", np.zeros((8, 8), np.int16), np.zeros((2, 2), np.float32), Box(0, 0, 8, 8), True)
    >>> page("Flagged", ["..."], "Research use only", [tile]).shape
    (566, 1104, 3)
    """
    words = _wrapped(lines)
    head = _BAR + _TITLE + 3 * _MARGIN + len(words) * (_TEXT + 6)
    row = TILE + _SMALL + 2 * _MARGIN
    width = COLUMNS * (TILE + _MARGIN) + _MARGIN
    image = Image.new("RGB", (width, head + row * -(-len(tiles) // COLUMNS) + _BAR + _MARGIN))
    draw = ImageDraw.Draw(image)
    for top in (0, image.height - _BAR):  # twice, so that no crop of the page is without it
        draw.rectangle((0, top, width, top + _BAR), fill=_WARNING)
        draw.text((width / 2, top + _BAR / 2), warning, _WHITE, _font(_TEXT + 2), anchor="mm")
    draw.text((_MARGIN, _BAR + _MARGIN), title, _WHITE, _font(_TITLE))
    for number, line in enumerate(words):
        draw.text((_MARGIN, _BAR + _TITLE + 2 * _MARGIN + number * (_TEXT + 6)), line, _GREY, _font(_TEXT))
    for number, tile in enumerate(tiles):
        place = _MARGIN + number % COLUMNS * (TILE + _MARGIN), head + number // COLUMNS * row
        image.paste(_picture(tile), place)
        draw.text((place[0], place[1] + TILE + 4), tile.caption, _WHITE, _font(_SMALL))
    return np.asarray(image)


def _picture(tile: Tile) -> Image.Image:
    """What the model saw of the slice, in the brain window, with the outline of the evidence."""
    hu = resample(tile.hu[np.newaxis], tile.box, TILE)[0].astype(np.float32)
    grey = np.clip((hu - _LOW_HU) / (_HIGH_HU - _LOW_HU), 0, 1) * 255
    rgb = np.repeat(np.rint(grey).astype(np.uint8)[..., np.newaxis], 3, axis=-1)
    rgb[outline(tile.evidence, TILE)] = _LINE
    picture = Image.fromarray(rgb)
    if tile.sides:
        draw = ImageDraw.Draw(picture)
        draw.text((6, TILE / 2), "R", _GREY, _font(_TEXT), anchor="lm")
        draw.text((TILE - 6, TILE / 2), "L", _GREY, _font(_TEXT), anchor="rm")
    return picture


def outline(evidence: NDArray[np.float32], size: int) -> NDArray[np.bool_]:
    """Where the line around the evidence runs in a square of so many pixels; nowhere if all of it is weak.

    Examples
    --------
    >>> int(outline(np.ones((1, 1), np.float32), 8).sum()), int(outline(np.zeros((1, 1), np.float32), 8).sum())
    (48, 0)
    """
    zoom = (size / evidence.shape[0], size / evidence.shape[1])
    fine = ndimage.zoom(evidence.astype(np.float32), zoom, order=1, mode="nearest", grid_mode=True)
    inside = fine >= OUTLINE
    line: NDArray[np.bool_] = inside & ~ndimage.binary_erosion(inside, iterations=2)
    return line


def _wrapped(lines: Sequence[str]) -> list[str]:
    """Lines that fit the page, broken between words; a word that is longer than a line is cut."""
    font, width = _font(_TEXT), COLUMNS * (TILE + _MARGIN) - _MARGIN
    fitting: list[str] = []
    for line in lines:
        current = ""
        for word in line.split():
            longer = f"{current} {word}".strip()
            if font.getlength(longer) > width and current:
                fitting.append(current)
                longer = word
            while font.getlength(longer) > width:
                longer = longer[:-1]
            current = longer
        fitting.append(current)
    return fitting


def _font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own typeface: the same on every machine."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow is built with FreeType"
    return font
