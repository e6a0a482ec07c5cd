"""Unique identifiers: whether one from a file holds, and those of objects, the same for the same content."""

from __future__ import annotations

import re
import uuid

# PS3.5 9.1: numbers without leading zeros, separated by dots, up to 64 characters.
_UID = re.compile(r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+", re.ASCII)
_LONGEST = 64
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "objects.ichscope.invalid")


def what_is_wrong(uid: str) -> str:
    """Why a text is no UID, in words that do not repeat it; "" if it is one.

    References
    ----------
    PS3.5 9.1

    Examples
    --------
    >>> what_is_wrong("1.2.840.10008.1.2"), what_is_wrong("ID_0012ab"), what_is_wrong("")
    ('', 'a text that is no UID', 'none')
    """
    if not uid:
        return "none"
    if len(uid) > _LONGEST:
        return f"{len(uid)} characters"
    if set(uid) - set("0123456789."):
        return "a text that is no UID"
    return "" if _UID.fullmatch(uid) else "a UID with an empty component or a leading zero"


def uid_of(*parts: str) -> str:
    """A UID that stands for these texts: the same for the same ones, on every machine.

    Source: PS3.5 B.2, UIDs derived from a UUID; RFC 4122 4.3, UUIDs made of names.

    Examples
    --------
    >>> uid_of("report", "1.2.3") == uid_of("report", "1.2.3") != uid_of("report", "1.2.4")
    True
    >>> what_is_wrong(uid_of("report"))
    ''
    """
    return f"2.25.{uuid.uuid5(_NAMESPACE, chr(0).join(parts)).int}"
