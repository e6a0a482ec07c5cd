"""Tokens of programs: a few rights of the role "service", until a day, and shown once."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update

from ichscope.access.actor import Actor, Via, current_actor
from ichscope.access.events import Action, Kind
from ichscope.access.roles import RIGHTS, Right, Role
from ichscope.store import access_tables as tables
from ichscope.store.database import UNSEEN, Database, StoreError
from ichscope.store.sessions import hash_of

# Says what it is where it should not be found, as in a log or a repository.
PREFIX = "ichscope_"
LONGEST = timedelta(days=2 * 366)
_SECRET_BYTES = 32
_TOUCHED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Token:
    """What a program signs in with, without its secret."""

    id: int
    name: str
    rights: frozenset[Right]
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    used_at: datetime | None

    @property
    def valid(self) -> bool:
        """Whether it still lets a program in."""
        return self.revoked_at is None and datetime.now(UTC) < self.expires_at


class Tokens:
    """What programs sign in with."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Token]:
        """All tokens, the newest first, with those that let nobody in any more."""
        with self._database.reading() as session:
            return [_plain(row) for row in session.scalars(select(tables.Token).order_by(tables.Token.id.desc()))]

    def add(self, name: str, rights: Iterable[Right], valid_for: timedelta) -> tuple[Token, str]:
        """Make a token.

        Parameters
        ----------
        rights : of those of the role service; the right to use the interface comes with them

        Returns
        -------
        the token, and its secret, which nobody can show again

        Raises
        ------
        StoreError
            if the name is empty, a right is none of a service's, or the time is none
        """
        shown, wanted = " ".join(name.split())[:64], frozenset(rights) | {Right.API}
        if not shown.isprintable() or not shown:
            raise StoreError("A token needs a name that can be seen, as that of the program.")
        if extra := wanted - RIGHTS[Role.SERVICE]:
            raise StoreError(f"A program may not {min(extra)}.")
        if not timedelta() < valid_for <= LONGEST:
            raise StoreError(f"A token is valid for 1 to {LONGEST.days} days.")
        secret, now = PREFIX + secrets.token_urlsafe(_SECRET_BYTES), datetime.now(UTC)
        with self._database.changing(Right.USERS, Action.TOKEN_ADDED) as change:
            row = tables.Token(
                name=shown, secret_sha256=hash_of(secret), rights=sorted(right.name for right in wanted),
                created_by=current_actor().name, created_at=now, expires_at=now + valid_for,
            )  # fmt: skip
            change.session.add(row)
            change.session.flush()
            change.about(Kind.TOKEN, row.id, rights=", ".join(row.rights), days=valid_for.days)
            return _plain(row), secret

    def revoke(self, token: int) -> None:
        """Let a token count no more, from now on.

        Raises
        ------
        StoreError
            if there is none of this number
        """
        with self._database.changing(Right.USERS, Action.TOKEN_REVOKED, Kind.TOKEN, token) as change:
            row = change.session.get(tables.Token, token)
            if row is None:
                raise StoreError(f"There is no token number {token}.")
            row.revoked_at = row.revoked_at or datetime.now(UTC)

    def look_up(self, secret: str, address: str = "") -> Actor | None:
        """The program that has this secret, while it is valid; None for anything else."""
        with self._database.reading() as session:
            chosen = select(tables.Token).where(tables.Token.secret_sha256 == hash_of(secret))
            row = session.scalars(chosen).first()
        if row is None or not (token := _plain(row)).valid:
            return None
        now = datetime.now(UTC)
        if token.used_at is None or now - token.used_at >= _TOUCHED_EVERY:
            with self._database.writing() as session:
                used = update(tables.Token).where(tables.Token.id == token.id).values(used_at=now)
                session.execute(used, execution_options=UNSEEN)
        return Actor(token.name, Role.SERVICE, Via.TOKEN, token.rights, session=f"token {token.id}", address=address)


def _plain(row: tables.Token) -> Token:
    # A right that a later version has no more is no right.
    rights = frozenset(Right[name] for name in row.rights if name in Right.__members__)
    return Token(row.id, row.name, rights, row.created_by, row.created_at, row.expires_at, row.revoked_at, row.used_at)
