"""Texts from outside on their way into files, terminals and the database: whatever a name holds, it can be written."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

_SURROGATE = re.compile(r"[\ud800-\udfff]")
# Python gives a byte of a name that is no UTF-8 as this and its value (PEP 383).
_ESCAPED_BYTE = 0xDC00
# Marks that no screen shows: soft hyphen, zero-width blanks and joiners, marks of direction, byte order mark.
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")


def writable(text: str) -> str:
    r"""Give a text that UTF-8 can say: a byte that is none as `\xe4`, half of a surrogate pair as `\ud83d`.

    >>> writable("Sch\udce4del"), writable("Schädel")
    ('Sch\\xe4del', 'Schädel')
    """
    return text if text.isascii() else _SURROGATE.sub(_escape, text)


def json_text(value: Any) -> str:
    r"""Give a value as indented JSON, text that UTF-8 can say with a final newline.

    Raises
    ------
    ValueError
        if a number is nan or infinite, which JSON cannot say

    Examples
    --------
    >>> json.loads(json_text({"name": "Sch\udce4del"}))
    {'name': 'Sch\\xe4del'}
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # Surrogates stand only inside of strings, where the backslash needs one of its own.
    return text if text.isascii() else _SURROGATE.sub(lambda match: "\\" + _escape(match), text)


def normal(text: str) -> str:
    r"""Give a text in the one form of all that look alike on a screen: composed letters, no marks that nobody sees.

    >>> normal("Pru\u0308fung\u200b 1") == "Prüfung 1"
    True
    """
    if text.isascii():
        return text
    return _UNSEEN.sub("", unicodedata.normalize("NFC", writable(text))).replace("\xa0", " ")


def folded(text: str) -> str:
    r"""Give a text in the one form of all that people would call the same letters, whatever their case and width.

    >>> folded("ＣＱ５００ Pru\u0308fung") == "cq500 prüfung"
    True
    """
    if text.isascii():
        return text.casefold()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", normal(text)).casefold())


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    is_byte = 0x80 <= code - _ESCAPED_BYTE <= 0xFF
    return f"\\x{code - _ESCAPED_BYTE:02x}" if is_byte else f"\\u{code:04x}"
