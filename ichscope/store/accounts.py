"""Accounts: who may sign in, by a password or by an identity that another server vouches for."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import ceil

from sqlalchemy import select
from sqlalchemy.orm import Session

from ichscope.access import passwords
from ichscope.access.actor import Actor, Via, current_actor
from ichscope.access.events import Action, Kind, Outcome
from ichscope.access.roles import Right, Role
from ichscope.store import access_tables as tables
from ichscope.store import attempts
from ichscope.store.database import Database, StoreError
from ichscope.store.pseudonymiser import Pseudonymiser
from ichscope.store.sessions import end_all, open_ones

LONGEST_NAME = 64
_WRONG = "The name or the password is wrong."
_NO_PERSON = "The role service is for programs: they have tokens, not accounts."


class SignInError(StoreError):
    """A sign-in that is refused. The message is the same whether there is such an account or not."""


class TooManyAttemptsError(SignInError):
    """Too many sign-ins failed; the message says how long to wait."""


@dataclass(frozen=True)
class Account:
    """A person who may sign in.

    issuer : who vouches for the identity; "" for one with a password
    locked_until : when the next sign-in may be tried, after too many that failed; None where at once
    sessions : how often they are signed in; told, as locked_until, by Accounts.all alone
    """

    id: int
    name: str
    role: Role
    disabled: bool
    issuer: str
    created_at: datetime
    signed_in_at: datetime | None
    locked_until: datetime | None = None
    sessions: int = 0


class Accounts:
    """Who may sign in."""

    def __init__(self, database: Database, keys: Pseudonymiser) -> None:
        self._database, self._keys = database, keys

    def all(self) -> list[Account]:
        """All accounts, by name."""
        now = datetime.now(UTC)
        with self._database.reading() as session:
            rows = session.scalars(select(tables.Account).order_by(tables.Account.name_key)).all()
            signed_in, locked = open_ones(session, now), attempts.locked(session, now)
        return [
            replace(_plain(row), locked_until=locked.get(self._attempt(row.name)), sessions=signed_in.get(row.id, 0))
            for row in rows
        ]

    def exist(self) -> bool:
        """Whether anybody can sign in at all."""
        enabled = select(tables.Account.id).where(tables.Account.disabled.is_(False))
        with self._database.reading() as session:
            return session.scalar(enabled.limit(1)) is not None

    def add(self, name: str, role: Role, password: str) -> Account:
        """Add a person with a password.

        Raises
        ------
        PasswordError
            if it is too weak
        StoreError
            if the name is none or taken, or the database cannot be written
        """
        passwords.check(password, name)
        known = passwords.hashed(password)
        with self._database.changing(Right.USERS, Action.ACCOUNT_ADDED) as change:
            row = _new(change.session, name, role)
            row.password, row.password_set_at = known, row.created_at
            change.session.flush()
            change.about(Kind.ACCOUNT, row.id, role=role.value)
            return _plain(row)

    def identified(self, issuer: str, subject: str, name: str, role: Role) -> Account:
        """Give the account of an identity of OpenID Connect, made at its first sign-in.

        The role is what the other server's groups say now. A name that somebody else has gets a number: two people must
        not sign alike.

        Raises
        ------
        SignInError
            if the account is disabled here
        """
        of_identity = (tables.Account.issuer == issuer, tables.Account.subject == subject)
        with self._database.writing() as session:
            row = session.scalars(select(tables.Account).where(*of_identity)).first()
            if row is None:
                row = _new(session, _free_name(session, name), role)
                row.issuer, row.subject = issuer, subject
                session.flush()
                self._tell(session, row, Action.ACCOUNT_ADDED, role)
            if row.disabled:
                raise SignInError(_WRONG)
            if row.role != role:
                row.role = role.value
                self._tell(session, row, Action.ROLE_SET, role)
            return _plain(row)

    def reset(self, name: str, password: str) -> None:
        """Give somebody a new password, and end their sessions. Errors as of add."""
        passwords.check(password, name)
        known = passwords.hashed(password)
        with self._database.changing(Right.USERS, Action.PASSWORD_SET) as change:
            row = _of(change.session, name)
            if row.issuer:
                raise StoreError(f"{row.name} signs in at {row.issuer}, which keeps the password.")
            row.password, row.password_set_at = known, datetime.now(UTC)
            end_all(change.session, row.id)
            change.about(Kind.ACCOUNT, row.id)

    def change_password(self, account: int, current: str, new: str, address: str = "") -> None:
        """Let somebody who is signed in change their own password; all their sessions end.

        Raises
        ------
        SignInError
            if the current one is wrong, or was tried too often
        PasswordError
            if the new one is too weak
        """
        name = self._name(account)
        self.check(name, current, address)
        passwords.check(new, name)
        known = passwords.hashed(new)
        with self._database.changing(Right.SEE, Action.PASSWORD_SET, Kind.ACCOUNT, account) as change:
            row = change.session.get_one(tables.Account, account)
            row.password, row.password_set_at = known, datetime.now(UTC)
            end_all(change.session, account)

    def disable(self, name: str) -> None:
        """Let somebody sign in no more, and end their sessions; what they did stays under their name."""
        with self._database.changing(Right.USERS, Action.ACCOUNT_DISABLED) as change:
            admins = _admins(change.session)
            row = _of(change.session, name)
            _keep_an_admin(admins, row)
            row.disabled = True
            end_all(change.session, row.id)
            change.about(Kind.ACCOUNT, row.id)

    def enable(self, name: str) -> None:
        """Let somebody sign in again."""
        with self._database.changing(Right.USERS, Action.ACCOUNT_ENABLED) as change:
            row = _of(change.session, name)
            row.disabled = False
            change.about(Kind.ACCOUNT, row.id)

    def set_role(self, name: str, role: Role) -> None:
        """Give somebody another role, which counts from their next click on."""
        with self._database.changing(Right.USERS, Action.ROLE_SET) as change:
            admins = _admins(change.session)
            row = _of(change.session, name)
            if role is Role.SERVICE:
                raise StoreError(_NO_PERSON)
            if role is not Role.ADMIN:
                _keep_an_admin(admins, row)
            row.role = role.value
            change.about(Kind.ACCOUNT, row.id, role=role.value)

    def sign_out(self, name: str) -> int:
        """End all sessions of somebody, as where a computer was left open or lost.

        Returns
        -------
        how many ended
        """
        with self._database.changing(Right.USERS, Action.SIGNED_OUT) as change:
            row = _of(change.session, name)
            ended = end_all(change.session, row.id)
            change.about(Kind.ACCOUNT, row.id, everywhere=True, sessions=ended)
        return ended

    def check(self, name: str, password: str, address: str = "") -> Account:
        """Give the account of a name and a password; takes as long whatever of it is wrong.

        Parameters
        ----------
        address : of the other computer, whose failures are counted, too

        Raises
        ------
        SignInError
            if it is refused
        """
        now = datetime.now(UTC)
        of_account = self._attempt(name)
        of_address = self._keys.hash("sign-in", f"address {address}") if address else ""
        limits = {of_account: attempts.OF_ACCOUNT} | ({of_address: attempts.OF_ADDRESS} if address else {})
        with self._database.writing() as session:
            wait = attempts.begin(session, limits, now)
            row = session.scalars(select(tables.Account).where(tables.Account.name_key == _key(name))).first()
        known = None if row is None or row.disabled else row.password
        if wait is not None or not passwords.verify(known, password):
            self._database.note(_stranger(row, address), Action.SIGN_IN_FAILED, Outcome.FAILED, *_about(row))
            if wait is not None:
                raise TooManyAttemptsError(f"Too many attempts. Try again in {_in_words(wait)}.")
            raise SignInError(_WRONG)
        assert row is not None
        with self._database.writing() as session:
            attempts.succeeded(session, of_account, of_address, now)
            fresh = session.get_one(tables.Account, row.id)
            if fresh.password == known and passwords.outdated(known or ""):
                fresh.password = passwords.hashed(password)
            return _plain(fresh)

    def _attempt(self, name: str) -> str:
        """What failed sign-ins of a name are counted by."""
        return self._keys.hash("sign-in", f"name {_key(name)}")

    def _name(self, account: int) -> str:
        with self._database.reading() as session:
            if name := session.scalar(select(tables.Account.name).where(tables.Account.id == account)):
                return name
        raise StoreError("There is no such account.")

    def _tell(self, session: Session, row: tables.Account, action: Action, role: Role) -> None:
        """Say what another server's word changed."""
        actor = Actor(row.name, role, Via.PAGE, account=row.id)
        self._database.tell(session, actor, action, Kind.ACCOUNT, row.id, role=role.value)


def _new(session: Session, name: str, role: Role) -> tables.Account:
    shown = _shown(name)
    if role is Role.SERVICE:
        raise StoreError(_NO_PERSON)
    if session.scalar(select(tables.Account.id).where(tables.Account.name_key == _key(shown))):
        raise StoreError(f"There is an account {shown} already.")
    row = tables.Account(
        name=shown, name_key=_key(shown), role=role.value, disabled=False, created_at=datetime.now(UTC)
    )
    session.add(row)
    return row


def _shown(name: str) -> str:
    """The name as it is shown: without what cannot be seen, so that no two look alike by it."""
    text = " ".join(unicodedata.normalize("NFKC", name).split())
    if not 0 < len(text) <= LONGEST_NAME or not text.isprintable():
        raise StoreError(f"The name of an account has 1 to {LONGEST_NAME} letters that can be seen.")
    return text


def _free_name(session: Session, name: str) -> str:
    shown = _shown(name[: LONGEST_NAME - 4])
    taken = set(session.scalars(select(tables.Account.name_key)))
    names = (shown, *(f"{shown} {number}" for number in range(2, len(taken) + 3)))
    return next(free for free in names if _key(free) not in taken)


def _key(name: str) -> str:
    """The name as it is compared."""
    return " ".join(unicodedata.normalize("NFKC", name[: 4 * LONGEST_NAME]).split()).casefold()


def _of(session: Session, name: str) -> tables.Account:
    chosen = select(tables.Account).where(tables.Account.name_key == _key(name)).with_for_update()
    row = session.scalars(chosen).first()
    if row is None:
        raise StoreError(f"There is no account {name}.")
    return row


def _admins(session: Session) -> Sequence[int]:
    """Those who can let others in; of two that would remove each other one waits here."""
    admins = (tables.Account.role == Role.ADMIN.value, tables.Account.disabled.is_(False))
    chosen = select(tables.Account.id).where(*admins).order_by(tables.Account.id).with_for_update()
    return session.scalars(chosen).all()


def _keep_an_admin(admins: Sequence[int], row: tables.Account) -> None:
    """Refuse what would leave nobody who can let others in; a command may do it, for it can make the next one, too."""
    if current_actor().via is not Via.COMMAND and list(admins) == [row.id]:
        raise StoreError(f"{row.name} is the last admin: make another one first.")


def _stranger(row: tables.Account | None, address: str) -> Actor:
    """Who failed to sign in; what was typed may be a password, and is not written."""
    name, role = (row.name, Role(row.role)) if row else ("unknown name", Role.VIEWER)
    return Actor(name, role, Via.PAGE, frozenset(), address=address)


def _about(row: tables.Account | None) -> tuple[Kind, str]:
    return (Kind.ACCOUNT, str(row.id)) if row else (Kind.NONE, "")


def _in_words(wait: timedelta) -> str:
    seconds = max(1, ceil(wait.total_seconds()))
    return f"{seconds} seconds" if seconds <= 90 else f"{ceil(seconds / 60)} minutes"


def _plain(row: tables.Account) -> Account:
    return Account(row.id, row.name, Role(row.role), row.disabled, row.issuer or "", row.created_at, row.signed_in_at)
