"""Whole pictures for the gate, of either kind, drawn at random from one part of the patients and files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ichscope.phantom import make
from training.gate.dress import KINDS, Picture, compressed, cropped, dressed, film, resized, turned
from training.gate.grey import as_grey, decoded
from training.gate.heads import HeadFile, head_box, head_files, head_hu, head_picture
from training.gate.others import DRAWN, mri_of, mri_ring

_PHANTOM_SHARE = 0.04
_FIRST_PHANTOM = 1000
# Small, since the gate sees little of it and the drawing takes the time.
_BASE, _LARGEST = 256, 400
PARTS = ("train", "tune", "test")


@dataclass(frozen=True)
class Made:
    """A dressed picture, what it shows, and how it was dressed."""

    picture: Picture
    kind: str
    dress: str


@dataclass
class Drawer:
    """Draws the pictures of one part: patients and package pictures of one part are in no other."""

    data: Path
    others: Path
    part: str
    rng: np.random.Generator
    heads: list[HeadFile] = field(init=False)
    real: dict[str, list[Path]] = field(init=False)
    brains: list[Path] = field(init=False)

    def __post_init__(self) -> None:
        self.heads = [file for file in head_files(self.data) if part_of(file) == self.part]
        folder = self.others / ("test" if self.part == "test" else "train")
        self.real = {kind.name: sorted(kind.glob("*.png")) for kind in sorted(folder.iterdir()) if kind.is_dir()}
        # One template of the brain: its slices train, and none measures.
        self.brains = sorted((self.others / "brains").glob("*.png")) if self.part != "test" else []

    def head(self) -> Picture:
        """One slice as it is."""
        while True:
            if self.rng.random() < _PHANTOM_SHARE:
                grey = _phantom(int(self.rng.integers(6)) + 6 * PARTS.index(self.part), int(self.rng.integers(24)))
            else:
                grey = head_picture(self.heads[self.rng.integers(len(self.heads))], self.rng)
            small = _small(Picture(grey))
            if (box := head_box(small.grey)) is not None:
                return turned(replace(small, heads=(box,)), self.rng)

    def heads_dressed(self, number: int, dresses_each: int = 1) -> Iterator[Made]:
        """Heads in every dress, one dress after the other, each head in so many of them."""
        head = self.head()
        for count, dress in enumerate(_cycled(list(KINDS), number)):
            head = self.head() if count % dresses_each == 0 else head
            yield Made(dressed(head, self.rng, dress, _LARGEST), "head CT", dress)

    def films(self, number: int) -> Iterator[Made]:
        """Several heads on one picture, on half of the films cropped; a few heads, each printed more than once."""
        for _ in range(number):
            heads = [self.head() for _ in range(self.rng.integers(2, 7))]
            if self.rng.random() < 0.5:
                heads = [cropped(head, self.rng) for head in heads]
            tiles = [heads[place % len(heads)] for place in range(self.rng.integers(2, 21))]
            yield Made(compressed(film(tiles, self.rng), self.rng), "film", "film")

    def others_dressed(self, number: int, dresses_each: int = 1) -> Iterator[Made]:
        """Everything else, dressed in the same ways, each in so many of them."""
        kinds = [*DRAWN, "MRI of a head", *(["MRI of a brain", "MRI of a brain"] if self.brains else [])]
        kinds += [f"real {kind}" for kind in self.real]
        dresses = list(KINDS)
        for kind in _cycled(kinds, number // dresses_each):
            grey = self.other(kind)
            rows, columns = grey.shape
            for _ in range(dresses_each):
                dress = dresses[self.rng.integers(len(dresses))] if self.rng.random() < 0.6 else "as it is"
                whole = turned_or_not(Picture(grey, ((0, 0, rows, columns),)), self.rng)
                picture = dressed(whole, self.rng, dress, _LARGEST)
                yield Made(Picture(picture.grey), kind, dress)

    def other(self, kind: str) -> NDArray[np.float32]:
        """(rows, columns) grey of one picture that is no head CT."""
        if kind in DRAWN:
            return DRAWN[kind](self.rng)
        if kind == "MRI of a head":
            files = [file for file in self.heads if file.bone is not None]
            while True:
                hu = head_hu(files[self.rng.integers(len(files))])
                grey = mri_of(np.ascontiguousarray(hu[::2, ::2]), self.rng)
                if head_box(grey) is not None:
                    return grey
        if kind == "MRI of a brain":
            return mri_ring(_opened(self.brains[self.rng.integers(len(self.brains))]), self.rng)
        files_of = self.real[kind.removeprefix("real ")]
        return _any_cut(_opened(files_of[self.rng.integers(len(files_of))]), self.rng)


def _small(picture: Picture) -> Picture:
    """At most _BASE pixels a side: the gate looks at 48."""
    rows, columns = picture.grey.shape
    factor = _BASE / max(rows, columns)
    return resized(picture, round(rows * factor), round(columns * factor)) if factor < 1 else picture


def part_of(file: HeadFile) -> str:
    """Test, tune (for the threshold) or train, by patient."""
    return "test" if file.test else "tune" if file.tune else "train"


def turned_or_not(picture: Picture, rng: np.random.Generator) -> Picture:
    """Most pictures stand upright; the heads of `turned` are not needed here."""
    return Picture(turned(picture, rng).grey, picture.heads) if rng.random() < 0.4 else picture


def _cycled(kinds: list[str], number: int) -> Iterator[str]:
    return (kinds[count % len(kinds)] for count in range(number))


@cache
def _volume(seed: int) -> NDArray[np.int16]:
    bleeds = (None, "intraparenchymal", "subdural", "epidural")
    return make(bleeds[seed % 4], _FIRST_PHANTOM + seed, slices=24, size=256).hu


def _phantom(seed: int, place: int) -> NDArray[np.float32]:
    return as_grey(_volume(seed)[place] / np.float32(80))


@cache
def _opened(path: Path) -> NDArray[np.float32]:
    return decoded(Image.open(path))


def _any_cut(grey: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """The picture, or any part of a large one."""
    rows, columns = grey.shape
    if min(rows, columns) < 200 or rng.random() < 0.4:
        return grey
    high, wide = (int(side * rng.uniform(0.35, 1)) for side in (rows, columns))
    top, left = int(rng.integers(rows - high + 1)), int(rng.integers(columns - wide + 1))
    return np.ascontiguousarray(grey[top : top + high, left : left + wide])
