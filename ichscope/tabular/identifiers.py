"""Identifiers that are none any more: a spreadsheet or a program on the way has made numbers or nothing of them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

# What stands where nothing was.
_NOTHING = {"nan", "none", "null", "na", "n/a", "<na>", "nat"}
# 1.23457E+19, 1,2E+05, 1E+19; and what a spreadsheet shows in place of a value: ####, #N/A, #NV, #REF!, #NAME?
_LOST = re.compile(r"\d+[.,]\d+E[-+]?\d+|\d+E\+\d+|#+|#N/?[AV]|#.+[!?]", re.IGNORECASE)
_LONG_NUMBER = re.compile(r"\d{16,}")
_SPREADSHEET_DIGITS = 15
# By chance so many digits are zeros once in 10,000 files, and so many bits once in 4,096.
_ENOUGH_ZEROS = 4
_ENOUGH_BITS = 12.0
EXPECTED = "an identifier (that of a number too long for a spreadsheet is lost: take the column as text)"


def is_nothing(text: str) -> bool:
    """Whether a text stands where there is no name.

    >>> is_nothing("NaN"), is_nothing(""), is_nothing("Nan-1")
    (True, True, False)
    """
    return not text or text.lower() in _NOTHING


def lost(texts: Sequence[str]) -> list[int]:
    """Rows whose identifier is a rounded number or a spreadsheet's error, so that many may have become one.

    >>> lost(["1.23457E+19", "ABC-1", "#N/A", "1.2.840.1"])
    [0, 2]
    >>> lost(["12345678901234500000", "7"]), lost(["12345678901234567890"])
    ([0], [])
    """
    distinct = set(texts)
    bad = {text for text in distinct if _LOST.fullmatch(text)}
    numbers = {text for text in distinct if _LONG_NUMBER.fullmatch(text)}
    if _are_rounded(numbers):
        bad |= numbers
    return [row for row, text in enumerate(texts) if text in bad] if bad else []


def _are_rounded(numbers: Iterable[str]) -> bool:
    """Whether all long numbers have 15 digits and zeros, as a spreadsheet leaves them, or are what a float can say."""
    tails = [text.lstrip("0")[_SPREADSHEET_DIGITS:] for text in numbers]
    if all(not tail.strip("0") for tail in tails) and sum(map(len, tails)) >= _ENOUGH_ZEROS:
        return True
    values = [(int(text), float(text)) for text in numbers if len(text) < 300]
    bits = sum(max(0.0, math.log2(math.ulp(value))) for _, value in values)
    return bits >= _ENOUGH_BITS and all(whole == value for whole, value in values)
