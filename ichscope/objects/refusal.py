"""What cannot be said in DICOM without guessing is not said."""

from __future__ import annotations

from ichscope.errors import IchscopeError
from ichscope.imaging.elements import describe


class ObjectError(IchscopeError):
    """A DICOM object that cannot be made; the message names file, tag, found and expected, and no identifier."""

    @classmethod
    def about(cls, file: str, keyword: str, actual: str, expected: str) -> ObjectError:
        """The error about one tag of one file."""
        return cls(f"{file}: {describe(keyword)}: found {actual}, expected {expected}")
