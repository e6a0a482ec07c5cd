"""`ichscope monitor`: what has changed, for a terminal, a file, and a job of the night that wants an exit code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ichscope.commands import running
from ichscope.commands.shared import fail

if TYPE_CHECKING:
    from ichscope.monitor import Monitored

ALERT = 1
_EXIT_CODES = """\b
Exit code with --check:
  0  quiet, or too few studies to say anything
  1  an alert
  2  wrong use
  4  the database cannot be read
"""

app = typer.Typer()


@app.command(epilog=_EXIT_CODES)
def monitor(
    check: Annotated[bool, typer.Option("--check", help="Leave with exit code 1 where there is an alert.")] = False,
    since: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="First day of the current period, as 2026-03-01, or 7d for seven days ago."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures; - is stdout.")
    ] = None,
) -> None:
    """Compare the studies of late with those of a reference period, and tell what raises an alert.

    The reference are the first four weeks with enough studies, and the current period the last four, unless --since
    says otherwise. Limits of alerts are set on the page Monitoring. Days are UTC.
    """
    first = _day(since)
    from ichscope.monitor import MonitorError
    from ichscope.monitor import monitor as look

    try:
        with running.store() as store:
            found = look(store, since=first)
    except MonitorError as error:
        typer.echo(f"Not estimable: {error}", err=True)
        _write(json_file, {"reason": str(error)})
        return
    _write(json_file, to_json(found))
    for line in _lines(found):
        typer.echo(line, err=json_file == Path("-"))
    if check and found.alerts:
        raise typer.Exit(ALERT)


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    if found := re.fullmatch(r"(\d{1,4})d", text.strip()):
        return datetime.now(UTC).date() - timedelta(days=int(found[1]))
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise typer.BadParameter(f"{text!r}; expected a day as 2026-03-01, or 7d", param_hint="--since") from None


def _lines(found: Monitored) -> list[str]:
    studies = [f"{count:,} studies" for count in found.studies]
    head = f"{found.current} ({studies[1]}) against {found.reference} ({studies[0]})"
    silent = [f"{one.name}: {one.reason}" for one in found.drifts if one.reason]
    synthetic = ["All studies are synthetic."] if found.synthetic else []
    alerts = [f"ALERT {one.rule}: {one.text}" for one in found.alerts] or ["No alert."]
    return [head, *synthetic, *found.notes, *silent, *alerts]


def _write(target: Path | None, found: Mapping[str, Any]) -> None:
    if target is None:
        return
    text = json.dumps(found, indent=2, ensure_ascii=False) + "\n"
    if target == Path("-"):
        typer.echo(text, nl=False)
        return
    from ichscope import results

    try:
        results.write(target, text)
    except OSError as error:
        fail(f"{target}: could not be written ({error.strerror})")


def to_json(found: Monitored) -> dict[str, Any]:
    """Give everything as plain values; days and moments as ISO 8601."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(found), default=lambda value: value.isoformat()))
    return plain
