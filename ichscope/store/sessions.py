"""Sessions of the pages, kept on the server: what ends here ends at once, whatever a browser still holds."""

from __future__ import annotations

import hashlib
import os
import secrets
from datetime import UTC, datetime, timedelta

from sqlalchemy import CursorResult, delete, func, or_, select, update
from sqlalchemy.orm import Session

from ichscope.access.actor import Actor, Via
from ichscope.access.events import Action, Kind
from ichscope.access.roles import Right, Role
from ichscope.store import access_tables as tables
from ichscope.store.clock import CLOCKS_DIFFER
from ichscope.store.database import UNSEEN, Database, StoreError

# NIST SP 800-63B-4, section 2.2.3 (AAL2): an hour without activity and a day at most; a reading room is shared.
IDLE_MINUTES, LONGEST_HOURS = 30, 12
_TOUCHED_EVERY = timedelta(minutes=1)
_SECRET_BYTES = 32
_LONGEST_AGENT = 200
_SHOWN_DIGITS = 16


class Sessions:
    """Who is signed in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, account: int, address: str = "", agent: str = "") -> str:
        """Let an account that accounts.check() or accounts.identified() gave be signed in.

        Returns
        -------
        the secret for the browser's cookie; it is kept nowhere here

        Raises
        ------
        StoreError
            if the account is disabled or gone
        """
        secret, now = secrets.token_urlsafe(_SECRET_BYTES), datetime.now(UTC)
        with self._database.writing() as session:
            session.execute(delete(tables.SignedIn).where(_over(now)), execution_options=UNSEEN)
            person = session.get(tables.Account, account, with_for_update=True)
            if person is None or person.disabled:
                raise StoreError("This account cannot sign in.")
            person.signed_in_at = now
            row = tables.SignedIn(
                secret_sha256=hash_of(secret), account_id=account, address=address, agent=agent[:_LONGEST_AGENT],
                created_at=now, seen_at=now,
            )  # fmt: skip
            session.add(row)
            self._database.tell(session, _actor(row, person), Action.SIGNED_IN, Kind.ACCOUNT, account)
        return secret

    def look_up(self, secret: str, *, touch: bool = True) -> Actor | None:
        """Who has this secret and is still signed in, with the role of now; None for anything else.

        Parameters
        ----------
        touch : whether the person did something, so that the session goes on; a page also asks by itself
        """
        now = datetime.now(UTC)
        chosen = select(tables.SignedIn, tables.Account).join(tables.Account)
        chosen = chosen.where(tables.SignedIn.secret_sha256 == hash_of(secret), ~_over(now))
        with self._database.reading() as session:
            found = session.execute(chosen.where(tables.Account.disabled.is_(False))).first()
        if found is None:
            return None
        row, person = found
        if touch and now - row.seen_at >= _TOUCHED_EVERY:
            self._touch(row, now)
        return _actor(row, person)

    def _touch(self, row: tables.SignedIn, now: datetime) -> None:
        with self._database.writing() as session:
            own = tables.SignedIn.secret_sha256 == row.secret_sha256
            session.execute(update(tables.SignedIn).where(own).values(seen_at=now), execution_options=UNSEEN)

    def end(self, secret: str) -> None:
        """Sign out; nothing happens where that was so already."""
        own = tables.SignedIn.secret_sha256 == hash_of(secret)
        with self._database.writing() as session:
            found = session.execute(select(tables.SignedIn, tables.Account).join(tables.Account).where(own)).first()
            if found:
                row, person = found
                session.execute(delete(tables.SignedIn).where(own), execution_options=UNSEEN)
                self._database.tell(session, _actor(row, person), Action.SIGNED_OUT, Kind.ACCOUNT, person.id)

    def end_everywhere(self, actor: Actor) -> int:
        """Sign somebody out on all computers.

        Returns
        -------
        how many sessions that ended
        """
        if actor.account is None:
            return 0
        with self._database.writing() as session:
            ended = end_all(session, actor.account)
            self._database.tell(
                session, actor, Action.SIGNED_OUT, Kind.ACCOUNT, actor.account, everywhere=True, sessions=ended
            )
        return ended

    def end_of_everybody(self) -> int:
        """Sign everybody out, as where a backup brings back sessions that have ended since.

        Returns
        -------
        how many sessions that ended
        """
        with self._database.changing(Right.USERS, Action.SIGNED_OUT) as change:
            gone = change.session.execute(delete(tables.SignedIn), execution_options=UNSEEN)
            assert isinstance(gone, CursorResult)
            change.about(Kind.STORE, "", everybody=True, sessions=gone.rowcount)
        return int(gone.rowcount)


def end_all(session: Session, account: int) -> int:
    """End all sessions of an account, inside a transaction."""
    result = session.execute(
        delete(tables.SignedIn).where(tables.SignedIn.account_id == account), execution_options=UNSEEN
    )
    assert isinstance(result, CursorResult)
    return result.rowcount


def open_ones(session: Session, now: datetime) -> dict[int, int]:
    """How many sessions are open, by account."""
    account = tables.SignedIn.account_id
    counts = select(account, func.count()).where(~_over(now)).group_by(account)
    return dict(session.execute(counts).all())


def hash_of(secret: str) -> str:
    """What is kept of a secret of 256 random bits: nothing slower is needed, for nobody can try them all."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def idle() -> timedelta:
    """How long somebody stays signed in without doing anything: ICHSCOPE_SESSION_MINUTES."""
    return timedelta(minutes=_number("ICHSCOPE_SESSION_MINUTES", IDLE_MINUTES))


def longest() -> timedelta:
    """How long somebody stays signed in at most: ICHSCOPE_SESSION_HOURS."""
    return timedelta(hours=_number("ICHSCOPE_SESSION_HOURS", LONGEST_HOURS))


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    if not (text.isdecimal() and 0 < int(text) < 1_000):
        raise StoreError(f"{variable}: expected a whole number from 1 to 999, found something else.")
    return int(text)


def _over(now: datetime):  # type: ignore[no-untyped-def]
    """What ends a session; one that seems to be of a later time would end long after it should."""
    seen, created = tables.SignedIn.seen_at, tables.SignedIn.created_at
    return or_(seen < now - idle(), created < now - longest(), seen > now + CLOCKS_DIFFER)


def _actor(row: tables.SignedIn, person: tables.Account) -> Actor:
    shown = hash_of(row.secret_sha256)[:_SHOWN_DIGITS]
    return Actor(person.name, Role(person.role), Via.PAGE, None, person.id, shown, row.address)
