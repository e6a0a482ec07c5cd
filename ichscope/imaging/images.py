"""JPEG and PNG pictures of a brain window into a series of approximate HU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichscope.errors import IchscopeError, UnexpectedError, barrier
from ichscope.imaging.decoding import WINDOW_WIDTH_HU, DecodingError, decoders
from ichscope.imaging.identity import picture_identity
from ichscope.imaging.limits import most_voxels, too_many_voxels
from ichscope.imaging.picture_contrast import Greys, shifted_greys
from ichscope.imaging.picture_heads import find_heads
from ichscope.imaging.picture_regions import Region
from ichscope.imaging.preprocess import Box, head_box
from ichscope.imaging.series import Finding, FindingLevel, Identity, Series, SeriesFacts, Slice
from ichscope.imaging.source import Source, SourceError, as_sources, name_some

__all__ = ["WINDOW_WIDTH_HU", "ImageError", "read_pictures"]

MAX_PIXELS = 40_000_000
_SMALLEST_SIDE = 64
# Part of the head's box by which letters or a scale beside the head may shift it.
_TOLERATED = 0.1


class ImageError(IchscopeError):
    """A picture that cannot be read; the message names file, found and expected."""


def read_pictures(sources: Sequence[Source | Path | bytes], identity: Identity | None = None) -> Series:
    """Read JPEG or PNG pictures of axial slices, in the order given, as a series of kind "picture".

    Grey is taken as the brain window (level 40, width 80), so HU are 0..80 and rough. A picture that cannot be
    read or has another size than most is left out and named in the findings. So are margins and a viewer's frame that
    would be taken for the head: they become black, and the picture keeps its size. Where air around the head is not
    black or bone not white, as on a photograph of a monitor, both are made so.

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
    >>> from io import BytesIO
    >>> from PIL import Image
    >>> picture = BytesIO()
    >>> Image.new("L", (80, 64), 128).save(picture, "PNG")
    >>> series = read_pictures([picture.getvalue()])
    >>> series.hu.shape, int(series.hu[0, 0, 0]), series.kind
    ((1, 64, 80), 40, 'picture')
    """
    files = as_sources(sources)
    read: list[_Read] = []
    failures: list[str] = []
    pixels = packed = 0
    for source in files:
        try:
            with barrier():
                read.append(_read(source))
        except UnexpectedError as error:
            failures.append(f"{source.name}: {error}")
        except ImageError as error:
            failures.append(str(error))
        else:
            pixels += read[-1].hu.size
            packed += source.size
        if problem := too_many_voxels(pixels, packed):
            raise ImageError(f"{source.name}{' and the pictures before it' * (len(read) > 1)}: {problem}")
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
    """One picture: (rows, columns) int16 HU, whether it is coloured, and what was done with it.

    kept : what of it was kept, if not all
    greys : what was black and white on it, if that was changed
    """

    name: str
    hu: NDArray[np.int16]
    coloured: bool
    kept: Region | None = None
    greys: Greys | None = None


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
    if shifted := [f"{picture.name} ({_shift(picture.greys)})" for picture in kept if picture.greys]:
        text = f"Air is not black or bone not white, as on a photograph of a monitor; corrected: {name_some(shifted)}"
        yield Finding(FindingLevel.WARNING, "picture-contrast", text)


def _shift(greys: Greys) -> str:
    return f"black at {greys.black:.0%}, white at {greys.white:.0%}"


def _place(region: Region) -> str:
    high, wide = region.bottom - region.top, region.right - region.left
    return f"{wide} x {high} pixels from column {region.left}, row {region.top}"


def _read(source: Source) -> _Read:
    """Decode one picture; mend its contrast; black out what is around the head, where it would be taken for that."""
    try:
        data = source.read()
        most = min(MAX_PIXELS, most_voxels(len(data)))
        picture = decoders().picture(data, most, _SMALLEST_SIDE)
    except SourceError as error:
        raise ImageError(f"{source.name}: {error}") from None
    except DecodingError as error:
        actual = str(error) or "a damaged or different file"
        raise ImageError(f"{source.name}: found {actual}, expected a JPEG or PNG picture") from None
    if picture.hu is None:
        actual = f"{picture.width} x {picture.height} pixels"
        if min(picture.width, picture.height) < _SMALLEST_SIDE:
            expected = f"at least {_SMALLEST_SIDE} a side"
        elif picture.width * picture.height > MAX_PIXELS:
            expected = f"at most {MAX_PIXELS // 1_000_000} million"
        else:
            expected = f"at most {most // 1_000_000} million in {len(data)} bytes"
        raise ImageError(f"{source.name}: found {actual}, expected {expected}")
    heads = find_heads(_as_grey(picture.hu)).heads
    if len(heads) != 1:
        return _Read(source.name, picture.hu, picture.coloured)
    greys = shifted_greys(_as_grey(picture.hu)[heads[0].cut])
    hu = _as_hu(greys.stretched(_as_grey(picture.hu))) if greys else picture.hu
    alone = np.zeros_like(hu)
    alone[heads[0].cut] = hu[heads[0].cut]
    hidden = _differ(head_box(hu[None]), head_box(alone[None]))
    return _Read(source.name, alone if hidden else hu, picture.coloured, heads[0] if hidden else None, greys)


def _as_grey(hu: NDArray[np.int16]) -> NDArray[np.float32]:
    return hu.astype(np.float32) / np.float32(WINDOW_WIDTH_HU)


def _as_hu(grey: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.rint(grey * WINDOW_WIDTH_HU).astype(np.int16)


def _differ(seen: Box, wanted: Box) -> bool:
    """Whether what is around the head would be taken for a part of it."""
    shifts = (seen.top - wanted.top, seen.left - wanted.left, seen.height - wanted.height)
    return max(map(abs, shifts)) > _TOLERATED * wanted.height
