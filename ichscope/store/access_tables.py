"""The tables of accounts, sessions, tokens and named folders, of results on their way, and of the audit trail."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from ichscope.store.tables import Base


class Account(Base):
    """A person who can sign in, by a password or by an identity that another server vouches for.

    name_key : the name as it is compared, so that no two accounts differ by capitals alone
    password : what ichscope.access.passwords keeps of it; None where there is none
    issuer, subject : of OpenID Connect
    """

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    name_key: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str] = mapped_column(String(16))
    password: Mapped[str | None]
    issuer: Mapped[str | None]
    subject: Mapped[str | None]
    disabled: Mapped[bool]
    created_at: Mapped[datetime]
    password_set_at: Mapped[datetime | None]
    signed_in_at: Mapped[datetime | None]

    __table_args__ = (UniqueConstraint("issuer", "subject"),)


class SignedIn(Base):
    """A session of the pages. Of its secret, which the browser has, only the SHA-256 is kept."""

    __tablename__ = "sessions"

    secret_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    address: Mapped[str]
    agent: Mapped[str]
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class Token(Base):
    """What a program signs in with; of its secret only the SHA-256 is kept. Rows stay when it is revoked.

    rights : names of the rights that it has, of those of the role "service"
    """

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    secret_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    rights: Mapped[list[Any]]
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]


class Attempt(Base):
    """Failed sign-ins of late, by a name or an address, which are kept as keyed hashes."""

    __tablename__ = "attempts"

    key: Mapped[str] = mapped_column(String(16), primary_key=True)
    failures: Mapped[int]
    last_at: Mapped[datetime]
    locked_until: Mapped[datetime | None]


class Folder(Base):
    """A folder of the server that pages may read from."""

    __tablename__ = "folders"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    path: Mapped[str]
    created_by: Mapped[str]
    created_at: Mapped[datetime]


class AuditRecord(Base):
    """One line of the audit trail (ichscope.access.events.Event). Rows are added; the database refuses to change them.

    details : JSON in the form that was hashed
    mac : HMAC-SHA256 over the line before and this one, with a key made of the installation's
    """

    __tablename__ = "audit_trail"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    who: Mapped[str]
    role: Mapped[str] = mapped_column(String(16))
    via: Mapped[str] = mapped_column(String(24))
    session: Mapped[str] = mapped_column(String(16))
    address: Mapped[str]
    action: Mapped[str] = mapped_column(String(32))
    outcome: Mapped[str] = mapped_column(String(16))
    kind: Mapped[str] = mapped_column(String(16))
    key: Mapped[str] = mapped_column(String(64))
    details: Mapped[str]
    mac: Mapped[str] = mapped_column(String(64))

    __table_args__ = (Index(None, "at"), Index(None, "who", "number"), Index(None, "action", "number"))


class AuditEnd(Base):
    """Where the audit trail begins and ends, signed: lines that are missing at either end are noticed.

    name : "first" or "last"
    mac : of the line before the first one, or of the last one
    signature : HMAC-SHA256 over all of these
    """

    __tablename__ = "audit_ends"

    name: Mapped[str] = mapped_column(String(8), primary_key=True)
    number: Mapped[int]
    mac: Mapped[str] = mapped_column(String(64))
    signature: Mapped[str] = mapped_column(String(64))


class Outgoing(Base):
    """Results of one state of a study on their way to an archive.

    key : of the objects' identifiers: the same results are sent once
    objects : how many
    sealed : the objects, encrypted; gone when the archive has taken them
    due_at : when they are tried (again)
    reason : why the last attempt failed
    """

    __tablename__ = "outgoing"
    __table_args__ = (UniqueConstraint("archive", "key"), Index(None, "archive", "due_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    archive: Mapped[str]
    key: Mapped[str] = mapped_column(String(16))
    objects: Mapped[int]
    sealed: Mapped[bytes | None]
    attempts: Mapped[int]
    reason: Mapped[str]
    made_at: Mapped[datetime]
    due_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
