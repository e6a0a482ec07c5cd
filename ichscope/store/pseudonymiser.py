"""What may be written of a series: keyed hashes, texts without names and UIDs, facts that lead back to no patient."""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import os
import re
import zlib
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from ichscope.home import keyed_hash
from ichscope.imaging.elements import short_hash
from ichscope.imaging.source import Source, digest
from ichscope.store.database import StoreError

# HIPAA's safe harbour (45 CFR 164.514(b)(2)(i)(C)) takes all ages from 90 on as one.
OLDEST = 90
_SHORTEST_NUMBER = 5
_UID = re.compile(r"\b\d+(?:\.\d+){4,}\b")


_KEY_DIGITS = 16
# Before a sealed text; no JSON begins so.
_SEAL = "sealed:"
_NONCE_BYTES = 12
# Short enough to be read out; of a hundred institutions two share one in 3,000 installations.
_SITE_DIGITS = 6
_NOT_OURS = "A sealed text is damaged, or was sealed with another key."


class Pseudonymiser:
    """Keyed hashes in the place of identifiers: nobody without the installation's key can make one, or look one up."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._sealing_key = hmac.digest(key, b"seal", "sha256")

    def seal(self, text: str) -> str:
        """Encrypt what must be read again, as where a study's files are; only the installation's key opens it."""
        return _SEAL + base64.b85encode(self.seal_bytes(zlib.compress(text.encode()))).decode()

    def seal_bytes(self, data: bytes) -> bytes:
        """Encrypt bytes: AES-256-GCM, NIST SP 800-38D, with a random nonce before them."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self._sealing_key).encrypt(nonce, data, None)

    def unseal(self, text: str) -> str:
        """Read what `seal` has written; a text that was never sealed, as by an older version, is given back as it is.

        Raises
        ------
        StoreError
            if it is damaged, or was sealed with another key

        Examples
        --------
        >>> keys = Pseudonymiser(b"secret")
        >>> keys.unseal(keys.seal("where")), keys.unseal("where")
        ('where', 'where')
        """
        if not text.startswith(_SEAL):
            return text
        try:
            data = base64.b85decode(text.removeprefix(_SEAL))
        except ValueError:
            raise StoreError(_NOT_OURS) from None
        return zlib.decompress(self.unseal_bytes(data)).decode()

    def unseal_bytes(self, data: bytes) -> bytes:
        """Read what `seal_bytes` has written.

        Raises
        ------
        StoreError
            if it is damaged, or was sealed with another key
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            return AESGCM(self._sealing_key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], None)
        except (InvalidTag, ValueError):
            raise StoreError(_NOT_OURS) from None

    def hash(self, kind: str, text: str) -> str:
        """16 hexadecimal digits that stand for a text of a kind; "" for ""."""
        return keyed_hash(self._key, kind, text) if text else ""

    def study(self, text: str) -> str:
        """What stands here for a Study Instance UID, or for a study's key in the output of `ichscope analyse`."""
        is_key = len(text) == _KEY_DIGITS and not set(text) - set("0123456789abcdef")
        return self.hash("study", text if is_key else short_hash(text))

    def slice(self, sop: str) -> str:
        """What stands here for a SOP Instance UID; "" for none."""
        return self.hash("slice", sop)

    def site(self, institution: str) -> str:
        """What stands here for the name of an institution, as "site 3f2a91"; "" for none."""
        return f"site {code[:_SITE_DIGITS]}" if (code := self.hash("site", site_name(institution))) else ""

    def patient(self, text: str) -> str:
        """What stands here for a Patient ID; "" for none."""
        return self.hash("patient", text)


def content_hash(sources: Sequence[Source]) -> str:
    """SHA-256 that stands for the contents of a series' files, whatever their order and names."""
    return hashlib.sha256("".join(sorted(digest([source]) for source in sources)).encode()).hexdigest()


def without_names(text: str, files: Iterable[str]) -> str:
    """A text with "file 3" for the third of these names, whole or without its folders, and no UID."""
    words: dict[str, str] = {}
    for number, name in enumerate(files, 1):
        for form in (name, PurePosixPath(name).name):
            if form in text and not _is_count(form):
                words.setdefault(form, f"file {number}")
    if words:
        # One pass, the longest first: a name that is part of another, or of a replacement, does no harm.
        pattern = "|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in sorted(words, key=len, reverse=True))
        text = re.sub(pattern, lambda match: words[match.group()], text)
    return _UID.sub("a UID", text)


def site_name(institution: str) -> str:
    """The name of an institution in the form that its code is made of: spelling must not make two of one."""
    return " ".join(institution.casefold().split())


def _is_count(name: str) -> bool:
    """A file called 12 says nothing, and the text may well speak of 12 slices."""
    return not name or (name.isdigit() and len(name) < _SHORTEST_NUMBER)


def whole_years(age: float | None) -> int | None:
    """Age in whole years, 90 for 90 and over: with the day of the study, more would give the day of birth."""
    return None if age is None or not math.isfinite(age) else min(int(age), OLDEST)
