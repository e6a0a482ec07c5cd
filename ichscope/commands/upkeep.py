"""Commands that look after an installation: what is wrong with it, and backups of its store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ichscope.commands.shared import STDOUT, JsonOption, check_targets, fail, save

if TYPE_CHECKING:
    from ichscope.store.backup import Manifest

PASSPHRASE = "ICHSCOPE_BACKUP_PASSPHRASE"
_NOT_WELL = _BAD_BACKUP = 1
_NOT_MADE = "No backup was made."
_BACKUP_EXIT_CODES = """\b
Exit code:
  0  done
  1  the backup cannot be made, read or put back; nothing was changed
  2  wrong usage
"""
_DOCTOR_EXIT_CODES = """\b
Exit code:
  0  all is well, some perhaps with warnings
  1  something does not work
"""

PassphraseOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", exists=True, dir_okay=False, help=f"Its first line is the passphrase; else {PASSPHRASE} is."
    ),
]

app = typer.Typer()


@app.command(epilog=_DOCTOR_EXIT_CODES)
def doctor(json_file: JsonOption = None) -> None:
    """Check this installation, and say what to do where something is wrong. Changes nothing."""
    check_targets(json_file)
    from ichscope.commands import checkup
    from ichscope.texts import json_text

    checks = checkup.all_checks()
    save(json_file, json_text([check.to_json() for check in checks]))
    if json_file != STDOUT:
        typer.echo(checkup.table(checks))
    raise typer.Exit(_NOT_WELL if any(check.state == "error" for check in checks) else 0)


@app.command(epilog=_BACKUP_EXIT_CODES)
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="The backup.")],
    check: Annotated[
        bool, typer.Option("--check", help="Make none: read this one to its end and compare all checksums.")
    ] = False,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Write database, key and volumes to one encrypted file, while other programs go on.

    The file is there as a whole or not at all. Without the passphrase nobody can read it, you included.
    """
    check_targets(file, hint="FILE")
    passphrase = _passphrase(passphrase_file)
    from ichscope.store import backup as backups

    not_told = None
    try:
        if check:
            made = backups.check(file, passphrase)
        else:
            made, not_told = backups.backup(file, passphrase)
    except backups.BackupError as error:
        fail(str(error), _BAD_BACKUP)
    except OSError as error:
        fail(f"{error.filename or file}: {error.strerror}. {_NOT_MADE if not check else ''}".rstrip(), _BAD_BACKUP)
    typer.echo(f"{file}: {'whole' if check else 'written'}, {_contents(made)}")
    if not_told:
        typer.echo(f"The audit trail does not tell of this backup. {not_told}", err=True)


@app.command(epilog=_BACKUP_EXIT_CODES)
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The backup.")],
    replace: Annotated[bool, typer.Option("--replace", help="Move a store that is there aside.")] = False,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Put database, key and volumes back from a backup. Stop all programs that use the store first.

    All sessions end and all tokens are revoked: those that have ended since the backup must not let anybody in.
    """
    passphrase = _passphrase(passphrase_file)
    from ichscope.store import StoreError
    from ichscope.store import backup as backups

    try:
        done = backups.restore(file, passphrase, replace=replace)
    except (backups.BackupError, StoreError) as error:
        fail(str(error), _BAD_BACKUP)
    except OSError as error:
        fail(f"{error.filename or file}: {error.strerror}. Give the same command again.", _BAD_BACKUP)
    typer.echo(f"Restored: {_contents(done.manifest)}")
    typer.echo(
        f"All sessions have ended ({done.sessions}), all tokens are revoked ({done.tokens}): make new ones with "
        "`ichscope tokens add`. Accounts, passwords and roles are those of the backup: look at `ichscope users list`."
    )
    if done.aside:
        typer.echo(f"The store that was there is in {done.aside}; remove it when you need it no more.")


def _passphrase(file: Path | None) -> bytes:
    """The passphrase; never from the command line, which all users of the computer see."""
    try:
        text = file.read_text(encoding="utf-8").partition("\n")[0] if file else os.environ.get(PASSPHRASE, "")
    except (OSError, ValueError) as error:
        fail(f"{file}: the passphrase cannot be read ({type(error).__name__})")
    if not text.strip():
        fail(f"A passphrase is needed: --passphrase-file FILE, or {PASSPHRASE} in the environment.")
    return text.rstrip("\r").encode()


def _contents(made: Manifest) -> str:
    moment = made.created_at.replace("T", " ").removesuffix("+00:00")
    size = f"{made.bytes / 1e6:,.1f} MB"
    return f"{made.studies:,} studies, {made.volumes:,} files of volumes, {size}, of {moment} UTC by {made.made_by}"
