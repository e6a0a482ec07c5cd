"""`ichscope monitor`: what has changed, for a terminal, a file, and a job of the night that wants an exit code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ichscope.commands import running
from ichscope.commands.shared import STDOUT, JsonOption, TablesOption, save, save_all

if TYPE_CHECKING:
    from ichscope.monitor import Monitored

ALERT = 1
_EXIT_CODES = """\b
Exit code with --check:
  0  no alert, or too few studies to tell
  1  an alert
  2  wrong usage
  4  the database cannot be read
"""

app = typer.Typer()


@app.command(epilog=_EXIT_CODES)
def monitor(
    check: Annotated[bool, typer.Option("--check", help="Exit with code 1 if there is an alert.")] = False,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="DAY", help="First day of the current period, such as 2026-03-01, or 7d for seven days ago."
        ),
    ] = None,
    json_file: JsonOption = None,
    tables: TablesOption = None,
    set_limit: Annotated[
        str | None,
        typer.Option("--set", metavar="RULE=VALUE", help="Set a limit first, such as latency=600 or latency=default."),
    ] = None,
    by: Annotated[str, typer.Option(metavar="NAME", help="Who sets the limit.")] = "",
    why: Annotated[str, typer.Option(metavar="TEXT", help="Why it is set; kept with the limit.")] = "",
) -> None:
    """Compare recent studies with those of a reference period, and show what raises an alert.

    The reference period is the first four weeks with enough studies, the current period the last four weeks unless
    --since says otherwise. Limits are set with --set or on the page Monitoring. Days are in UTC.
    """
    first = _day(since)
    limit = _limit(set_limit, by, why) if set_limit is not None else None
    from ichscope.monitor import MonitorError, csv_tables
    from ichscope.monitor import monitor as look

    try:
        with running.store(hint="") as store:
            if limit:
                store.adjustments.set_limit(*limit, who=by, why=why)
            found = look(store, since=first)
    except MonitorError as error:
        typer.echo(f"Not estimable: {error}", err=True)
        save(json_file, _json_text({"reason": str(error)}))
        return
    save(json_file, _json_text(to_json(found)))
    save_all(tables, {f"{name}.csv": text for name, text in csv_tables(found).items()})
    for line in _lines(found):
        typer.echo(line, err=json_file == STDOUT)
    if check and found.alerts:
        raise typer.Exit(ALERT)


def _json_text(report: Mapping[str, Any]) -> str:
    return json.dumps(report, indent=2, ensure_ascii=False) + "\n"


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


def to_json(found: Monitored) -> dict[str, Any]:
    """Give everything as plain values; days and moments as ISO 8601."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(found), default=lambda value: value.isoformat()))
    return plain
