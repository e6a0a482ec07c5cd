"""What the interface refuses, and who may ask for what."""

from __future__ import annotations

from collections.abc import Mapping

from dashboard import shared_store
from ichscope.access import Right, current_actor
from ichscope.access.events import Action, Kind
from ichscope.errors import IchscopeError


class RefusalError(IchscopeError):
    """Something that is not done: a status of HTTP, and words for the one who asked."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})


def demand(right: Right, action: Action, kind: Kind = Kind.NONE, key: object = "") -> None:
    """Let through who may do this; a refusal is a line of the audit trail.

    Raises
    ------
    RefusedError
        without the right
    """
    if not current_actor().may(right):
        shared_store.store().database.demand(right, action, kind, key)


def too_busy(detail: str, seconds: int) -> RefusalError:
    """What a program is told that is to come again later."""
    return RefusalError(429, detail, {"retry-after": str(seconds)})
