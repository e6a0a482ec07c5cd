"""The one base of every error that the core raises on purpose, and the one barrier to all others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from traceback import walk_tb

_LOG = logging.getLogger(__name__)


class IchscopeError(Exception):
    """Something that a caller can tell the user: the message is written for people and names no patient.

    Each error stands in the module that raises it: `DicomError`, `ImageError`, `SourceError`, `DecodingError` (with
    `NoDecoderError`), `ModelError`, `ProviderError`, `StoreError` (with `ValueUnfitError`, `StoreDamagedError`,
    `NotFoundError`, `SignInError`, `TooManyAttemptsError` and `RefusedError`), `VolumeError`, `TableError`,
    `BatchError`, `StoppedError`, `EvaluationError`, `MonitorError`, `NotAllowedError`, `PasswordError`,
    `UnexpectedError`, `BackupError`, `SealedStreamError`, `ObjectError`, `PacsError`,
    `SettingsError`, `ChannelError`, `MllpError`, `Hl7Error`.

    Examples
    --------
    >>> from ichscope.imaging.source import SourceError
    >>> try:
    ...     raise SourceError("found a damaged ZIP, expected one that opens")
    ... except IchscopeError as error:
    ...     print(error)
    found a damaged ZIP, expected one that opens
    """


class UnexpectedError(IchscopeError):
    """What a barrier makes of an error that nobody foresaw.

    of_the_machine : whether memory was short: no fault of the file, and gone at another time
    """

    def __init__(self, kind: str) -> None:
        super().__init__(f"not analysed: unexpected {kind}")
        self.of_the_machine = kind == "MemoryError"


@contextmanager
def barrier(refusal: Callable[[str], IchscopeError] = UnexpectedError) -> Iterator[None]:
    """Make an error that nobody foresaw a refusal of the one file, series or row that it came from.

    Whatever libraries raise for damaged input ends here, without a list of what that may be, and so does a mistake in
    the program. The log has the kind and the place in the code: what else an error says may be a patient's.

    Parameters
    ----------
    refusal : makes the error that is raised instead, of the name of the error's kind

    Examples
    --------
    >>> with barrier(lambda kind: IchscopeError(f"row 7: unexpected {kind}")):
    ...     {}["Alice"]
    Traceback (most recent call last):
    ichscope.errors.IchscopeError: row 7: unexpected KeyError
    """
    try:
        yield
    except IchscopeError:
        raise
    except Exception as error:  # noqa: BLE001 - the one place that knows nothing of what may come
        *_, (frame, line) = walk_tb(error.__traceback__)
        level = logging.ERROR if refusal is UnexpectedError else logging.INFO
        _LOG.log(level, "unexpected %s in %s, line %d", type(error).__name__, frame.f_globals.get("__name__"), line)
        raise refusal(type(error).__name__) from None
