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
    tables: Annotated[
        Path | None, typer.Option(metavar="FOLDER", file_okay=False, help="Write each table as CSV.")
    ] = None,
    set_limit: Annotated[
        str | None,
        typer.Option("--set", metavar="RULE=VALUE", help="Set a limit first, as latency=600, or latency=default."),
    ] = None,
    by: Annotated[str, typer.Option(metavar="NAME", help="Who sets it.")] = "",
    why: Annotated[str, typer.Option(metavar="TEXT", help="Why; stays beside the limit.")] = "",
) -> None:
    """Compare the studies of late with those of a reference period, and tell what raises an alert.

    The reference are the first four weeks with enough studies, and the current period the last four, unless --since
    says otherwise. Limits of alerts are set here with --set, or on the page Monitoring. Days are UTC.
    """
    first = _day(since)
    limit = _limit(set_limit, by, why) if set_limit is not None else None
    from ichscope.monitor import MonitorError
    from ichscope.monitor import monitor as look

    try:
        with running.store() as store:
            if limit:
                store.adjustments.set_limit(*limit, who=by, why=why)
            found = look(store, since=first)
    except MonitorError as error:
        typer.echo(f"Not estimable: {error}", err=True)
        _write(json_file, {"reason": str(error)})
        return
    _write(json_file, to_json(found))
    _write_tables(tables, found)
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


def _limit(text: str, by: str, why: str) -> tuple[str, float | None]:
    """A rule and its limit; None for its default."""
    from ichscope.monitor.rules import RULES, problem

    rule, _, value = (part.strip() for part in text.partition("="))
    try:
        limit = None if value == "default" else float(value)
    except ValueError:
        raise typer.BadParameter(f"{text!r}; expected RULE=NUMBER", param_hint="--set") from None
    if rule not in RULES:
        known = ", ".join(f"{name!r}" for name in RULES)
        raise typer.BadParameter(f"found {rule!r}, expected one of {known}", param_hint="--set")
    if wrong := problem(rule, limit) if limit is not None else "":
        raise typer.BadParameter(f"{rule}: {wrong}", param_hint="--set")
    if not (by.strip() and why.strip()):
        raise typer.BadParameter("expected who and why beside it, with --by and --why", param_hint="--set")
    return rule, limit


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


def _write_tables(folder: Path | None, found: Monitored) -> None:
    if folder is None:
        return
    from ichscope import results
    from ichscope.monitor import csv_tables

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in csv_tables(found).items():
            results.write(folder / f"{name}.csv", text)
    except OSError as error:
        fail(f"{folder}: could not be written ({error.strerror})")


def to_json(found: Monitored) -> dict[str, Any]:
    """Give everything as plain values; days and moments as ISO 8601."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(found), default=lambda value: value.isoformat()))
    return plain
