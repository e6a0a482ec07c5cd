"""Commands on accounts and tokens. A password is never an argument: arguments are seen by all users of a computer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ichscope.access import RIGHTS, Right, Role
from ichscope.commands import running
from ichscope.commands.shared import fail

if TYPE_CHECKING:
    from ichscope.store import Store

_EXIT_CODES = """\b
Exit code:
  0  done
  2  wrong usage, or a password that is too weak
  4  refused by the store, as for an account that is not there
"""
_ROLES = [role for role in Role if role is not Role.SERVICE]
_SCOPES = sorted(right.name.lower() for right in RIGHTS[Role.SERVICE] - {Right.API})

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="As the person signs in, and signs.")]
RoleOption = Annotated[
    Role, typer.Option(help="What the person may do; see docs/access.md.", show_choices=False, metavar="ROLE")
]
StdinOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input, its first line.")
]
FileOption = Annotated[
    Path | None,
    typer.Option("--password-file", metavar="FILE", exists=True, dir_okay=False, help="Read it from a file."),
]

users = typer.Typer(no_args_is_help=True, help="People who sign in: add, disable, enable, reset, role, sign-out, list.")
folders = typer.Typer(no_args_is_help=True, help="Folders that pages may read from: add, remove, list.")
tokens = typer.Typer(no_args_is_help=True, help="Tokens of programs: add, revoke, list.")


@users.command("add", epilog=_EXIT_CODES)
def add(
    name: NameArgument,
    role: RoleOption = Role.READER,
    password_stdin: StdinOption = False,
    password_file: FileOption = None,
) -> None:
    """Add a person. The first admin is made by this command, too: there is no default password."""
    _check_role(role)
    password = _password(password_stdin, password_file)
    with _store() as store:
        account = store.accounts.add(name, role, password)
    typer.echo(f"{account.name} may sign in as {account.role}.")


@users.command("disable", epilog=_EXIT_CODES)
def disable(name: NameArgument) -> None:
    """Let a person sign in no more, and end their sessions. What they did stays under their name."""
    with _store() as store:
        store.accounts.disable(name)


@users.command("enable", epilog=_EXIT_CODES)
def enable(name: NameArgument) -> None:
    """Let a person sign in again."""
    with _store() as store:
        store.accounts.enable(name)


@users.command("reset", epilog=_EXIT_CODES)
def reset(name: NameArgument, password_stdin: StdinOption = False, password_file: FileOption = None) -> None:
    """Give a person a new password, and end their sessions."""
    password = _password(password_stdin, password_file)
    with _store() as store:
        store.accounts.reset(name, password)


@users.command("sign-out", epilog=_EXIT_CODES)
def sign_out(name: NameArgument) -> None:
    """End all sessions of a person, on every computer."""
    with _store() as store:
        ended = store.accounts.sign_out(name)
    typer.echo(f"{ended} sessions ended")


@users.command("role", epilog=_EXIT_CODES)
def set_role(name: NameArgument, role: Annotated[Role, typer.Argument(metavar="ROLE")]) -> None:
    """Give a person another role; it counts from their next click on."""
    _check_role(role)
    with _store() as store:
        store.accounts.set_role(name, role)


@users.command("list", epilog=_EXIT_CODES)
def show() -> None:
    """List everybody who has an account."""
    with _store() as store:
        everybody = store.accounts.all()
    for account in everybody:
        locked = f"locked until {account.locked_until:%H:%M} UTC" if account.locked_until else ""
        notes = ", ".join(filter(None, ("disabled" if account.disabled else "", account.issuer, locked)))
        words = f"{account.role:<8}last here {_day(account.signed_in_at):<12}{account.name}"
        typer.echo(f"{words} ({notes})" if notes else words)
    if not everybody:
        typer.echo("Nobody has an account. `ichscope users add NAME --role admin` makes the first one.")


@tokens.command("add", epilog=_EXIT_CODES)
def add_token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the program, for people.")],
    right: Annotated[
        list[str], typer.Option(metavar="RIGHT", help=f"One of {', '.join(_SCOPES)}. May be given more than once.")
    ],
    days: Annotated[int, typer.Option(min=1, max=732, help="How long it is valid.")] = 365,
) -> None:
    """Make a token for a program, and show it once: it is kept as a hash only."""
    if unknown := [text for text in right if text.lower() not in _SCOPES]:
        raise typer.BadParameter(f"{unknown[0]!r}; expected one of {', '.join(_SCOPES)}", param_hint="--right")
    with _store() as store:
        token, secret = store.tokens.add(name, [Right[text.upper()] for text in right], timedelta(days=days))
    typer.echo(f"Number {token.id}, valid until {_day(token.expires_at)}. It is not shown again:", err=True)
    typer.echo(secret)


@tokens.command("revoke", epilog=_EXIT_CODES)
def revoke(number: Annotated[int, typer.Argument(metavar="NUMBER")]) -> None:
    """Let a token count no more, at once."""
    with _store() as store:
        store.tokens.revoke(number)


@tokens.command("list", epilog=_EXIT_CODES)
def show_tokens() -> None:
    """List all tokens, without their secrets."""
    with _store() as store:
        every_token = store.tokens.all()
    for token in every_token:
        state = "valid until" if token.valid else "revoked" if token.revoked_at else "expired"
        day = _day(token.revoked_at or token.expires_at)
        rights = ", ".join(sorted(right.name.lower() for right in token.rights))
        typer.echo(f"{token.id:<4}{state:<12}{day:<12}last used {_day(token.used_at):<12}{token.name}: {rights}")
    if not every_token:
        typer.echo("There are no tokens.")


@folders.command("add", epilog=_EXIT_CODES)
def add_folder(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As people choose it on the pages.")],
    path: Annotated[Path, typer.Argument(metavar="FOLDER", exists=True, file_okay=False)],
) -> None:
    """Let pages read from a folder of this server, and from all that lies below it."""
    with _store() as store:
        store.folders.add(name, path)


@folders.command("remove", epilog=_EXIT_CODES)
def remove_folder(name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Let pages read there no more; nothing in it is touched."""
    with _store() as store:
        store.folders.remove(name)


@folders.command("list", epilog=_EXIT_CODES)
def show_folders() -> None:
    """List the folders that pages may read from."""
    with _store() as store:
        named = store.folders.all()
    for folder in named:
        typer.echo(f"{folder.name}: {folder.path} (by {folder.created_by}, {_day(folder.created_at)})")
    if not named:
        typer.echo("No folder is named. `ichscope folders add NAME FOLDER` names one.")


@contextmanager
def _store() -> Iterator[Store]:
    from ichscope.access.passwords import PasswordError

    try:
        with running.store(hint="") as store:
            yield store
    except PasswordError as error:
        fail(str(error))


def _check_role(role: Role) -> None:
    if role not in _ROLES:
        raise typer.BadParameter(f"{role}; expected one of {', '.join(_ROLES)}. Programs have tokens.")


def _password(stdin: bool, file: Path | None) -> str:
    """A password from where it was said to be: a pipe, a file, or a terminal that does not show it."""
    if stdin and file:
        raise typer.BadParameter("either --password-stdin or --password-file")
    if stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if file:
        try:
            return file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            fail(f"{file}: cannot be read as text")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else "never"
