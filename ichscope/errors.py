"""The one base of every error that the core raises on purpose."""

from __future__ import annotations


class IchscopeError(Exception):
    """Something that a caller can tell the user: the message is written for people and names no patient.

    Each error stands in the module that raises it: `DicomError`, `ImageError`, `SourceError`, `ModelError`,
    `ProviderError`, `StoreError` (with `ValueUnfitError`), `VolumeError`, `TableError`, `BatchError`,
    `StoppedError`, `EvaluationError`, `MonitorError`.

    Examples
    --------
    >>> from ichscope.imaging.source import SourceError
    >>> try:
    ...     raise SourceError("found a damaged ZIP, expected one that opens")
    ... except IchscopeError as error:
    ...     print(error)
    found a damaged ZIP, expected one that opens
    """
