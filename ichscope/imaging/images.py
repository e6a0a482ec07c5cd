"""JPEG and PNG pictures of a brain window into a series of approximate HU."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ichscope.errors import IchscopeError
from ichscope.imaging.identity import picture_identity
from ichscope.imaging.picture_heads import find_heads
from ichscope.imaging.picture_regions import Region
from ichscope.imaging.preprocess import head_box
from ichscope.imaging.series import Finding, FindingLevel, Identity, Series, SeriesFacts, Slice
from ichscope.imaging.source import Source, SourceError, as_sources, name_some

# Grey 0..1 of the full range is taken as the brain window, level 40, width 80.
WINDOW_WIDTH_HU = 80
MAX_PIXELS = 40_000_000
_SMALLEST_SIDE = 64
# Part of the head's box by which letters or a scale beside the head may shift it.
_TOLERATED = 0.1
# Channels that differ by more than JPEG noise, in more pixels than a caption or a scale bar has.
_COLOUR_STEP = 0.1
_COLOURED_SHARE = 0.05
_PICTURE_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, ArithmeticError, AttributeError, MemoryError,
    struct.error, zlib.error,
    Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip


class ImageError(IchscopeError):
    """A picture that cannot be read; the message names file, found and expected."""


def read_pictures(sources: Sequence[Source | Path | bytes], identity: Identity | None = None) -> Series:
    """Read JPEG or PNG pictures of axial slices, in the order given, as a series of kind "picture".

    Grey is taken as the brain window (level 40, width 80), so HU are 0..80 and rough. A picture that cannot be
    read or has another size than most is left out and named in the findings. So are margins and a viewer's frame that
    would be taken for the head: they become black, and the picture keeps its size.

    Parameters
    ----------
    sources : the files
    identity : that of their group; computed in the same way if not given

    Raises
    ------
    ImageError
        if no picture can be read

    Examples
    --------
    >>> picture = BytesIO()
    >>> Image.new("L", (80, 64), 128).save(picture, "PNG")
    >>> series = read_pictures([picture.getvalue()])
    >>> series.hu.shape, int(series.hu[0, 0, 0]), series.kind
    ((1, 64, 80), 40, 'picture')
    """
    files = as_sources(sources)
    read: list[_Read] = []
    failures: list[str] = []
    for source in files:
        try:
            read.append(_read(source))
        except ImageError as error:
            failures.append(str(error))
    if not read:
        more = f" (and {len(failures) - 1} more like it)" if len(failures) > 1 else ""
        raise ImageError(failures[0] + more if failures else "found no pictures, expected JPEG or PNG")
    usual = Counter(picture.hu.shape for picture in read).most_common(1)[0][0]
    kept = [picture for picture in read if picture.hu.shape == usual]
    identity = identity or picture_identity(files)
    return Series(
        study=identity.study,
        key=identity.series,
        kind="picture",
        hu=np.stack([picture.hu for picture in kept]),
        slices=tuple(Slice(picture.name, "", None) for picture in kept),
        findings=(*_left_out(failures, read, usual), *_changed(kept)),
        facts=SeriesFacts("picture", slices=len(kept)),
    )


@dataclass(frozen=True)
class _Read:
    """One picture: (rows, columns) int16 HU, whether it is coloured, and what of it was kept if not all."""

    name: str
    hu: NDArray[np.int16]
    coloured: bool
    kept: Region | None


def _left_out(failures: list[str], read: list[_Read], usual: tuple[int, ...]) -> Iterable[Finding]:
    if failures:
        yield Finding(FindingLevel.WARNING, "unreadable-file", f"Left out, not readable: {name_some(failures)}")
    others = [f"{other.name} ({other.hu.shape[1]} x {other.hu.shape[0]})" for other in read if other.hu.shape != usual]
    if others:
        text = f"Left out, of another size than the others ({usual[1]} x {usual[0]}): {name_some(others)}"
        yield Finding(FindingLevel.WARNING, "mixed-series", text)


def _changed(kept: list[_Read]) -> Iterable[Finding]:
    if coloured := [picture.name for picture in kept if picture.coloured]:
        text = f"Coloured, where a CT slice is grey; colours were turned into grey: {name_some(coloured)}"
        yield Finding(FindingLevel.WARNING, "colour", text)
    if framed := [f"{picture.name} ({_place(picture.kept)})" for picture in kept if picture.kept]:
        text = f"Margins, a frame or other things around the head were taken away; what is left: {name_some(framed)}"
        yield Finding(FindingLevel.WARNING, "picture-frame", text)


def _place(region: Region) -> str:
    high, wide = region.bottom - region.top, region.right - region.left
    return f"{wide} x {high} pixels from column {region.left}, row {region.top}"


def _read(source: Source) -> _Read:
    """Decode one picture; black out what is around the head, where that would be taken for the head."""
    try:
        # Pillow goes by content, so only these two decoders are let near it.
        with Image.open(BytesIO(source.read()), formats=["JPEG", "PNG"]) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                actual = f"{picture.width} x {picture.height} pixels"
                raise ImageError(f"{source.name}: found {actual}, expected at most {MAX_PIXELS // 1_000_000} million")
            if min(picture.size) < _SMALLEST_SIDE:
                actual = f"{picture.width} x {picture.height} pixels"
                raise ImageError(f"{source.name}: found {actual}, expected at least {_SMALLEST_SIDE} a side")
            grey, colour = _grey(ImageOps.exif_transpose(picture))
    except SourceError as error:
        raise ImageError(f"{source.name}: {error}") from None
    except _PICTURE_ERRORS as error:
        actual = "too many pixels" if "Bomb" in type(error).__name__ else "a damaged or different file"
        raise ImageError(f"{source.name}: found {actual}, expected a JPEG or PNG picture") from None
    hu = np.rint(grey * WINDOW_WIDTH_HU).astype(np.int16)
    head = _hidden_head(hu)
    if head is not None:
        inside = hu[head.cut].copy()
        hu[:] = 0
        hu[head.cut] = inside
    return _Read(source.name, hu, colour, head)


def _hidden_head(hu: NDArray[np.int16]) -> Region | None:
    """The one head of a picture, where what is around it hides it from `preprocess.head_box`."""
    heads = find_heads(hu.astype(np.float32) / np.float32(WINDOW_WIDTH_HU)).heads
    if len(heads) != 1:
        return None
    alone = np.zeros_like(hu)
    alone[heads[0].cut] = hu[heads[0].cut]
    seen, wanted = head_box(hu[None]), head_box(alone[None])
    shifts = (seen.top - wanted.top, seen.left - wanted.left, seen.height - wanted.height)
    return heads[0] if max(map(abs, shifts)) > _TOLERATED * wanted.height else None


def _grey(picture: Image.Image) -> tuple[NDArray[np.float32], bool]:
    """Grey 0..1 of any mode, transparent parts black, and whether it is coloured."""
    if picture.mode.startswith(("I", "F")):
        return np.clip(np.asarray(picture, np.float32) / np.float32(65535), 0, 1), False
    if picture.mode in ("1", "L"):
        return np.asarray(picture.convert("L"), np.float32) / np.float32(255), False
    black = Image.new("RGBA", picture.size, "black")
    flat = Image.alpha_composite(black, picture.convert("RGBA")).convert("RGB")
    channels = np.asarray(flat, np.float32) / np.float32(255)
    spread = channels.max(axis=2) - channels.min(axis=2)
    grey: NDArray[np.float32] = channels @ np.array([0.299, 0.587, 0.114], np.float32)
    return grey, bool(np.mean(spread > _COLOUR_STEP) > _COLOURED_SHARE)
