"""Commands on the audit trail."""

from __future__ import annotations

from datetime import UTC, datetime, time
from pathlib import Path
from typing import Annotated, Literal

import typer

from ichscope.commands import running
from ichscope.commands.monitor import day
from ichscope.commands.shared import STDOUT, ClockOption, check_targets, save

BROKEN = 1
_EXIT_CODES = """\b
Exit code:
  0  done; the trail is whole
  1  the trail is not whole
  2  wrong usage
  4  the store cannot be used, or it refuses
"""

app = typer.Typer(no_args_is_help=True, help="Who did what, when: verify, export, prune.")


@app.command(epilog=_EXIT_CODES)
def verify() -> None:
    """Check that no line of the audit trail was changed, added or left out."""
    with running.store(hint="") as store:
        found = store.trail.verify()
    typer.echo(str(found), err=not found.whole)
    if not found.whole:
        raise typer.Exit(BROKEN)


@app.command(epilog=_EXIT_CODES)
def export(
    output: Annotated[Path, typer.Option(metavar="FILE", help="Where to write; - is standard output.")] = STDOUT,
    format: Annotated[
        Literal["csv", "json", "xml"],
        typer.Option(help="A table, a list, or audit messages of DICOM PS3.15 A.5 (RFC 3881)."),
    ] = "csv",
    since: Annotated[str | None, typer.Option(metavar="DAY", help="First day, as 2026-03-01, or 7d.")] = None,
    who: Annotated[str, typer.Option(metavar="NAME", help="Only what this person did.")] = "",
) -> None:
    """Write lines of the audit trail, the oldest first. It holds no identifier of a patient."""
    first = day(since)
    check_targets(output)
    from ichscope.store import TrailFilter, trail_files

    begins = datetime.combine(first, time(), UTC) if first else None
    with running.store(hint="") as store:
        save(output, trail_files.text(store.trail.export(TrailFilter(who=who, since=begins)), format))


@app.command(epilog=_EXIT_CODES)
def prune(
    older_than: Annotated[
        int | None, typer.Option(metavar="DAYS", help="Age; by default ICHSCOPE_AUDIT_DAYS, 365. At least 183.")
    ] = None,
    clock_is_right: ClockOption = False,
) -> None:
    """Remove the oldest lines of the audit trail. What is left can still be verified, and tells of it.

    Nothing is removed where the clock may be wrong: a line is of a later time, or none was written for 31 days.
    """
    with running.store(hint="") as store:
        typer.echo(f"{store.trail.prune(older_than, clock_is_right=clock_is_right)} lines removed")
