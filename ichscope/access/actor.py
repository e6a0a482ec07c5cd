"""The person or program that acts. Every change of the store asks it for its right and bears its name."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from enum import StrEnum

from ichscope.access.roles import RIGHTS, Right, Role, roles_with
from ichscope.errors import IchscopeError


class NotAllowedError(IchscopeError):
    """Whoever acts lacks a right; the message names it and the roles that have it."""


class Via(StrEnum):
    """How somebody came to act.

    NOBODY is the page of one computer without sign-in: its names are as typed.
    """

    PAGE = "page"
    COMMAND = "command"
    TOKEN = "token"
    JOB = "job"
    NOBODY = "nobody signed in"


@dataclass(frozen=True)
class Actor:
    """Who acts, and what they may do.

    scope : the rights of a token or a job, of those that its role has; None for all of them
    account : number of the account, where there is one
    session : what stands for the session in the audit trail; "" where there is none
    address : of the other computer; "" where there is none or it is not known
    """

    name: str
    role: Role
    via: Via
    scope: frozenset[Right] | None = None
    account: int | None = None
    session: str = ""
    address: str = ""

    @property
    def rights(self) -> frozenset[Right]:
        """All that this one may do."""
        return RIGHTS[self.role] if self.scope is None else RIGHTS[self.role] & self.scope

    @property
    def signed(self) -> bool:
        """Whether the name is proven: by a sign-in, a token, or the system's own account."""
        return self.via is not Via.NOBODY

    @property
    def shown(self) -> str:
        """The name for people, marked where nothing proves it."""
        return named(self.name, self.signed)

    def may(self, right: Right) -> bool:
        """Whether this one has a right."""
        return right in self.rights

    def require(self, right: Right) -> None:
        """Refuse what this one may not do.

        Raises
        ------
        NotAllowedError
            without the right
        """
        if not self.may(right):
            raise NotAllowedError(f"{self.name} ({self.role}) may not {right}; {_who_may(right)}.")

    def at_work(self) -> Actor:
        """The same one, whose job goes on after they have left: it may analyse, and nothing else."""
        return replace(self, via=Via.JOB, scope=frozenset({Right.ANALYSE}), session="", address="")


def named(name: str, signed: bool) -> str:
    """Give a name for people, marked where nothing proves it; "" where there is none.

    >>> named("Ann", True), named("Ann", False), named("", False)
    ('Ann', 'Ann (as typed)', '')
    """
    return name if signed or not name else f"{name} (as typed)"


_current: ContextVar[Actor | None] = ContextVar("actor", default=None)
_default: Actor | Callable[[], Actor] | None = None


def current_actor() -> Actor:
    """Who acts now, in this context or else in this process.

    Raises
    ------
    NotAllowedError
        if it was not said: nobody may do anything
    """
    if actor := _current.get():
        return actor
    if _default is None:
        raise NotAllowedError("Nobody is signed in.")
    return _default if isinstance(_default, Actor) else _default()


@contextmanager
def acting_as(actor: Actor) -> Iterator[Actor]:
    """Let somebody act; threads that are started inside do not inherit it."""
    token = _current.set(actor)
    try:
        yield actor
    finally:
        _current.reset(token)


def by_default(actor: Actor | Callable[[], Actor] | None) -> None:
    """Let somebody act in all of this process where nobody else does.

    A command has one user. A server has many: it gives a function that says whose click is being answered, and raises
    NotAllowedError where it is nobody's.
    """
    global _default
    _default = actor


def operator() -> Actor:
    """Who runs commands on this computer: its own account. They hold the files anyway, so they may do all."""
    number = os.geteuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:  # containers run under numbers without a name
        name = f"user {number}"
    return Actor(name, Role.ADMIN, Via.COMMAND)


def _who_may(right: Right) -> str:
    *others, last = (str(role) for role in roles_with(right))
    return f"{', '.join(others)} and {last} may" if others else f"only {last} may"
