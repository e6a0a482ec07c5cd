"""The audit trail's chain: each line is sealed together with the one before it.

The key is made of the installation's, which is no part of the database: whoever can write there alone can change no
line, leave none out and add none without notice.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from ichscope.access.actor import Actor
from ichscope.access.events import Action, Detail, Kind, Outcome, details_text
from ichscope.store.access_tables import AuditEnd, AuditRecord
from ichscope.store.tables import EPOCH

Name = Literal["first", "last"]
# What is sealed of a line, in this order.
SEALED = (*("number", "at", "who", "role", "via", "session", "address", "action", "outcome", "kind", "key", "details"),)


@dataclass
class Change:
    """A transaction that the audit trail will tell of; whoever changes something says here of what, and how.

    at : when it was; when its line is written, if not given
    """

    session: Session
    actor: Actor
    kind: Kind = Kind.NONE
    key: str = ""
    details: dict[str, Detail] = field(default_factory=dict)
    at: datetime | None = None

    def about(self, kind: Kind, key: object, **details: Detail) -> None:
        """Say what was changed: a keyed hash or a number, and a few words that no user has typed."""
        self.kind, self.key = kind, str(key)
        self.details |= details


class Chain:
    """Seals lines and the ends of the trail."""

    def __init__(self, key: bytes) -> None:
        self._key = hmac.new(key, b"audit trail", hashlib.sha256).digest()

    def append(self, change: Change, action: Action, outcome: Outcome = Outcome.DONE) -> int:
        """Add a line inside the transaction of what it tells of; lines of several processes come one after the other.

        Returns
        -------
        its number
        """
        session, actor = change.session, change.actor
        before, mac = self._last(session)
        line = {
            "number": before + 1,
            "at": change.at or datetime.now(UTC),
            "who": actor.name,
            "role": actor.role.value,
            "via": actor.via.value,
            "session": actor.session,
            "address": actor.address,
            "action": action.value,
            "outcome": outcome.value,
            "kind": change.kind.value,
            "key": change.key,
            "details": details_text(change.details),
        }
        sealed = self.seal(mac, line)
        session.execute(insert(AuditRecord).values(**line, mac=sealed))
        self.set_end(session, "last", before + 1, sealed)
        return before + 1

    def seal(self, before: str, line: Mapping[str, Any]) -> str:
        """HMAC-SHA256 of a line and of the seal before it."""
        values = [line[name] for name in SEALED]
        values[1] = (line["at"] - EPOCH) // timedelta(milliseconds=1)
        return self._mac([before, *values])

    def end(self, name: Name, number: int, mac: str) -> dict[str, Any]:
        """Sign an end of the trail: its row."""
        return {"name": name, "number": number, "mac": mac, "signature": self._mac([name, number, mac])}

    def is_mine(self, end: AuditEnd) -> bool:
        """Whether an end of the trail was signed with this key."""
        return hmac.compare_digest(end.signature, self._mac([end.name, end.number, end.mac]))

    def set_end(self, session: Session, name: Name, number: int, mac: str) -> None:
        """Move an end of the trail, whose row is there."""
        row = self.end(name, number, mac)
        session.execute(update(AuditEnd).where(AuditEnd.name == name).values(row))

    def _last(self, session: Session) -> tuple[int, str]:
        """Number and seal of the last line, which nobody else goes on from meanwhile.

        Where that was tampered with, the new line is sealed onto nothing: work goes on, and the break stays to be seen.
        """
        chosen = select(AuditEnd).where(AuditEnd.name == "last").with_for_update()
        last = session.scalars(chosen.execution_options(populate_existing=True)).one_or_none()
        newest = session.scalar(select(func.max(AuditRecord.number))) or 0
        if last is None:
            session.execute(insert(AuditEnd).values(self.end("last", 0, "")))
        elif self.is_mine(last) and newest <= last.number:
            return last.number, last.mac
        return newest, "broken"

    def _mac(self, values: list[Any]) -> str:
        return hmac.new(self._key, json.dumps(values).encode(), hashlib.sha256).hexdigest()
