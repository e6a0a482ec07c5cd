"""Stored values of one frame: how many bits of a word count, with which sign, and which values are no pixel.

Bits Stored, High Bit, Pixel Representation and Pixel Padding are wrong in practice. Where the values contradict them,
the reading under which neighbouring pixels go on smoothly and Hounsfield units are possible is taken, and said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ichscope.imaging.elements import describe
from ichscope.imaging.series import Finding, FindingLevel

Stored = NDArray[np.integer[Any]]
# HU of tissue; padding with such a value is believed at the border only.
_BODY_HU = (-500, 3000)
# The extended CT scale of scanners ends at 30,710 HU; a stored value beyond is a negative one without its sign.
_IMPOSSIBLE_HU = 31743
# A negative value written without its sign lies near the top of the word; one with an overlay bit does not.
_LEAST_NEGATIVE = -4096


@dataclass(frozen=True)
class PixelFormat:
    """How the stored values of one file are laid out.

    overlays : bits that Overlay Bit Position (60xx,0102) says hold an old overlay, as a mask
    """

    rows: int
    columns: int
    frames: int
    allocated: int
    stored: int
    high: int
    signed: bool
    overlays: int = 0


def read_words(words: Stored, pixels: PixelFormat, rescale: tuple[float, float]) -> tuple[Stored, tuple[Finding, ...]]:
    """The values that words of one frame hold, and what was assumed where the header does not fit them.

    Parameters
    ----------
    words : (rows, columns) as stored, with the header's sign
    pixels : what the header says
    rescale : slope and intercept

    References
    ----------
    PS3.5 8.1.1: bits above High Bit may hold anything, old overlays too

    Examples
    --------
    >>> form = PixelFormat(1, 4, 1, 16, 12, 11, signed=False)
    >>> values, findings = read_words(np.array([[24, 1064, 5174, 1064]], np.uint16), form, (1, -1024))
    >>> values.tolist(), [finding.code for finding in findings]
    ([[24, 1064, 5174, 1064]], ['bits-stored'])
    """
    if words.dtype.itemsize == 2 and pixels.high >= pixels.stored and _low_bits_are_used(words, pixels):
        values, findings = read_words(words, replace(pixels, stored=pixels.high + 1), rescale)
        text = f"{pixels.high + 1}, one more than {describe('HighBit')}, as the values need"
        return values, (_bits("BitsStored", pixels.stored, text), *findings)
    as_said = _as_said(words, pixels)
    if words.dtype.itemsize != 2:
        return as_said, ()
    if as_said is words:
        return _signed_if_impossible(words, pixels, rescale)
    sign_is_said = pixels.signed and pixels.high == pixels.stored - 1 and words.min() >= 0
    if not sign_is_said and (pixels.high >= pixels.stored or _upper_bits_are_unused(words, pixels)):
        return as_said, ()
    return _beyond_bits_stored(words, as_said, pixels, rescale)


def _as_said(words: Stored, pixels: PixelFormat) -> Stored:
    """The bits from High Bit down, with their sign; the words themselves where nothing changes."""
    bits = 8 * words.dtype.itemsize
    if pixels.stored >= bits:
        return words
    half = 1 << (pixels.stored - 1)
    lowest, highest = (-half, half - 1) if pixels.signed else (0, 2 * half - 1)
    if pixels.high == pixels.stored - 1 and lowest <= words.min() and words.max() <= highest:
        return words
    shifted = words << (bits - 1 - min(pixels.high, bits - 1))
    shifted >>= bits - pixels.stored
    return shifted


def _low_bits_are_used(words: Stored, pixels: PixelFormat) -> bool:
    """High Bit and Bits Stored say that values are shifted up; but the bits below them differ, too."""
    below = (1 << (pixels.high + 1 - pixels.stored)) - 1
    return bool(np.ptp(words & (below & ~pixels.overlays)) > 0)


def _upper_bits_are_unused(words: Stored, pixels: PixelFormat) -> bool:
    """Whether the bits above High Bit are the same in all pixels, or what the header says is an overlay."""
    upper = (words.astype(np.int32) & 0xFFFF) >> (pixels.high + 1)
    said = (pixels.overlays & 0xFFFF) >> (pixels.high + 1)
    return bool(np.ptp(upper & ~said) == 0)


def _signed_if_impossible(
    words: Stored, pixels: PixelFormat, rescale: tuple[float, float]
) -> tuple[Stored, tuple[Finding, ...]]:
    if pixels.signed or int(words.max()) * rescale[0] + rescale[1] <= _IMPOSSIBLE_HU:
        return words, ()
    signed = words.astype(np.uint16, copy=False).view(np.int16)
    if signed.min() < _LEAST_NEGATIVE or _roughness(signed) > _roughness(words):
        return words, (_sign("0 (without sign)", f"values below {int(words.max())}"),)
    return signed, (_sign("0 (without sign)", "1: the values go on smoothly below zero only with a sign"),)


def _beyond_bits_stored(
    words: Stored, as_said: Stored, pixels: PixelFormat, rescale: tuple[float, float]
) -> tuple[Stored, tuple[Finding, ...]]:
    """Values that differ above High Bit: real ones, their sign, or an overlay that nobody declared."""
    whole = words.astype(np.uint16, copy=False)
    signed = whole.view(np.int16)
    lowest, highest = int(signed.min()), int(signed.max())
    if pixels.signed and lowest >= 0:
        # Two's complement of Bits Stored, its sign not carried on; or no sign at all.
        if _roughness(words) >= _roughness(as_said):
            return as_said, ()
        return words, (_sign("1 (with sign)", f"0: the values go on smoothly to {highest} only without a sign"),)
    needed = max(highest, -lowest - 1).bit_length() + (lowest < 0)
    if lowest < 0 and not pixels.signed:
        if lowest < _LEAST_NEGATIVE or _roughness(signed) > _roughness(whole):
            return as_said, (
                _bits("BitsStored", pixels.stored, f"{int(whole.max()).bit_length()}; upper bits cut off"),
            )
        return signed, (_sign("0 (without sign)", "1: the values go on smoothly below zero only with a sign"),)
    if highest * rescale[0] + rescale[1] > _IMPOSSIBLE_HU:
        return as_said, (_bits("BitsStored", pixels.stored, f"{needed}; upper bits cut off"),)
    text = f"at least {needed}, as the values from {lowest} to {highest} need; all bits are used"
    return signed, (_bits("BitsStored", pixels.stored, text),)


def _roughness(values: Stored) -> float:
    """Mean step between neighbours in a row; a value that wraps around makes it large."""
    return float(np.abs(np.diff(values.astype(np.int32), axis=1)).mean())


def _bits(keyword: str, actual: int, expected: str) -> Finding:
    text = f"{describe(keyword)}: found {actual}, expected {expected}"
    return Finding(FindingLevel.WARNING, "bits-stored", text)


def _sign(actual: str, expected: str) -> Finding:
    text = f"{describe('PixelRepresentation')}: found {actual}, expected {expected}"
    return Finding(FindingLevel.WARNING, "pixel-representation", text)


def padded(
    stored: Stored, padding: tuple[int, ...], rescale: tuple[float, float]
) -> tuple[NDArray[np.bool_], tuple[Finding, ...]]:
    """Where padding is: of a padding value that is also a tissue's HU, only what touches the border.

    Parameters
    ----------
    stored : (rows, columns)
    padding : Pixel Padding Value and, if given, Range Limit (PS3.3 C.7.5.1.1.2)

    Examples
    --------
    >>> mask, findings = padded(np.array([[0, 0, 1064], [24, 0, 40]]), (0, 2000), (1, -1024))
    >>> mask.tolist(), [finding.code for finding in findings]
    ([[True, True, False], [False, True, False]], ['padding'])
    """
    findings: tuple[Finding, ...] = ()
    if len(padding) > 1 and padding[0] != padding[-1] and _is_tissue(padding, rescale):
        if _inside(stored, padding).any():
            text = f"{describe('PixelPaddingRangeLimit')}: found {padding[1]}, which makes tissue padding; expected a "
            text += f"limit on the side of {describe('PixelPaddingValue')} {padding[0]}; only that value is padding"
            findings = (Finding(FindingLevel.WARNING, "padding", text),)
        padding = padding[:1]
    mask = _inside(stored, padding)
    if not _is_tissue(padding, rescale) or not mask.any():
        return mask, findings
    border = np.ones_like(mask)
    border[1:-1, 1:-1] = False
    outside: NDArray[np.bool_] = ndimage.binary_propagation(mask & border, mask=mask)
    return outside, findings


def _inside(stored: Stored, padding: tuple[int, ...]) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = (stored >= min(padding)) & (stored <= max(padding))
    return mask


def _is_tissue(padding: tuple[int, ...], rescale: tuple[float, float]) -> bool:
    hu = [value * rescale[0] + rescale[1] for value in padding]
    return max(hu) >= _BODY_HU[0] and min(hu) <= _BODY_HU[1]
