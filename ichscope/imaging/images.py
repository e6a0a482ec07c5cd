"""JPEG and PNG pictures of a brain window into a series of approximate HU."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ichscope.errors import IchscopeError
from ichscope.imaging.identity import picture_identity
from ichscope.imaging.series import Finding, FindingLevel, Identity, Series, SeriesFacts, Slice
from ichscope.imaging.source import Source, SourceError, as_sources, name_some

# Grey 0..1 of the full range is taken as the brain window, level 40, width 80.
WINDOW_WIDTH_HU = 80
MAX_PIXELS = 40_000_000
_SMALLEST_SIDE = 64
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
    read or has another size than most is left out and named in the findings.

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
    read: list[tuple[Source, NDArray[np.int16], bool]] = []
    failures: list[str] = []
    for source in files:
        try:
            read.append((source, *_read(source)))
        except ImageError as error:
            failures.append(str(error))
    if not read:
        more = f" (and {len(failures) - 1} more like it)" if len(failures) > 1 else ""
        raise ImageError(failures[0] + more if failures else "found no pictures, expected JPEG or PNG")
    usual = Counter(hu.shape for _, hu, _ in read).most_common(1)[0][0]
    kept = [entry for entry in read if entry[1].shape == usual]
    coloured = [source.name for source, _, colour in kept if colour]
    left_out = [f"{source.name} ({hu.shape[1]} x {hu.shape[0]})" for source, hu, _ in read if hu.shape != usual]
    identity = identity or picture_identity(files)
    return Series(
        study=identity.study,
        key=identity.series,
        kind="picture",
        hu=np.stack([hu for _, hu, _ in kept]),
        slices=tuple(Slice(source.name, "", None) for source, _, _ in kept),
        findings=tuple(_findings(failures, left_out, coloured, usual)),
        facts=SeriesFacts("picture", slices=len(kept)),
    )


def _findings(failures: list[str], left_out: list[str], coloured: list[str], usual: tuple[int, ...]) -> list[Finding]:
    findings = []
    if failures:
        findings.append(
            Finding(FindingLevel.WARNING, "unreadable-file", f"Left out, not readable: {name_some(failures)}")
        )
    if left_out:
        text = f"Left out, of another size than the others ({usual[1]} x {usual[0]}): {name_some(left_out)}"
        findings.append(Finding(FindingLevel.WARNING, "mixed-series", text))
    if coloured:
        text = f"Coloured, where a CT slice is grey; colours were turned into grey: {name_some(coloured)}"
        findings.append(Finding(FindingLevel.WARNING, "colour", text))
    return findings


def _read(source: Source) -> tuple[NDArray[np.int16], bool]:
    """(rows, columns) int16 HU of one picture, and whether it is coloured."""
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
    return np.rint(grey * WINDOW_WIDTH_HU).astype(np.int16), colour


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
