"""Passwords: Argon2id, and what makes one too weak to take.

Rules after NIST SP 800-63B-4, section 3.1.1: length counts, composition does not, common ones are refused, and no
password ages.
"""

from __future__ import annotations

import secrets
import unicodedata
from functools import cache
from pathlib import Path
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ichscope.errors import IchscopeError

SHORTEST, LONGEST = 12, 256
# As many different characters as a phrase has, and "aaaaaaaaaaaa" has not.
_FEWEST_DIFFERENT = 5
# RFC 9106, section 4, its second recommendation: 64 MiB and 3 passes a hash.
_hasher = PasswordHasher()
# 64 MiB each: strangers who sign in by the hundred must not use up the memory.
_at_once = BoundedSemaphore(2)
# Of 12 characters or more among the 20,000 most common ones that Django refuses (BSD licence), by Royce Williams.
_COMMON = Path(__file__).with_name("common_passwords.txt")


# What is read aloud and copied by hand: no 0 and o, no 1, i and l.
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
_GROUPS, _GROUP = 5, 4


class PasswordError(IchscopeError):
    """A new password is too weak; the message says why and does not repeat it."""


def check(password: str, name: str = "") -> None:
    """Refuse a new password that others would guess.

    Parameters
    ----------
    name : of the account

    Raises
    ------
    PasswordError
        if it is too short, too long, common, or made of the name
    """
    text = _normal(password)
    if not SHORTEST <= len(text) <= LONGEST:
        raise PasswordError(f"The password has {len(text)} characters; expected {SHORTEST} to {LONGEST}.")
    plain = text.casefold()
    if plain in _common() or len(set(plain)) < _FEWEST_DIFFERENT:
        raise PasswordError("The password is one that many use; several words that do not belong together are better.")
    rest = plain.replace(name.casefold() or "\0", "").replace("ichscope", "")
    if len(rest) < SHORTEST // 2:
        raise PasswordError("The password is little more than a name.")


def generated() -> str:
    """Make up a password for somebody: 99 random bits, in groups that can be copied by hand."""
    groups = ("".join(secrets.choice(_LETTERS) for _ in range(_GROUP)) for _ in range(_GROUPS))
    return "-".join(groups)


def hashed(password: str) -> str:
    """Give what is kept of a password: Argon2id, its parameters and its salt."""
    with _at_once:
        return _hasher.hash(_normal(password))


def verify(known: str | None, password: str) -> bool:
    """Whether a password is the one that `known` was made of; takes as long where nothing is known."""
    with _at_once:
        try:
            return _hasher.verify(known or _nobodys(), _normal(password)[:LONGEST]) and bool(known)
        except (VerificationError, InvalidHashError):
            return False


def outdated(known: str) -> bool:
    """Whether `known` was made with other parameters than passwords are now."""
    return _hasher.check_needs_rehash(known)


def _normal(password: str) -> str:
    """One form whatever keyboard wrote it, as an accent with its letter or after it."""
    return unicodedata.normalize("NFKC", password)


@cache
def _common() -> frozenset[str]:
    return frozenset(_COMMON.read_text(encoding="utf-8").split())


@cache
def _nobodys() -> str:
    """What is compared where there is no account: nobody knows its password."""
    return _hasher.hash("\0")
