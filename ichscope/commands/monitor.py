"""`ichscope monitor`: what has changed, for a terminal, a file, and a job of the night that wants an exit code."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ichscope.access import Right
from ichscope.access.events import Action, Kind
from ichscope.commands import running
from ichscope.commands.shared import STDOUT, JsonOption, TablesOption, save, save_all
from ichscope.texts import json_text

if TYPE_CHECKING:
    from ichscope.monitor import MonitoringReport

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
    why: Annotated[str, typer.Option(metavar="TEXT", help="Why it is set; kept with the limit and your name.")] = "",
) -> None:
    """Compare recent studies with those of a reference period, and show what raises an alert.

    The reference period is the first four weeks with enough studies, the current period the last four weeks unless
    --since says otherwise. Limits are set with --set or on the page Monitoring. Days are in UTC.
    """
    first = day(since)
    limit = _limit(set_limit, why) if set_limit is not None else None
    from ichscope.monitor import MonitorError, csv_tables, to_json
    from ichscope.monitor import monitor as compare

    try:
        with running.store(hint="") as store:
            if limit:
                store.adjustments.set_limit(*limit, why=why)
            report = compare(store, since=first)
            if json_file or tables:
                forms = _forms(json_file, tables)
                store.trail.record(Right.EXPORT, Action.EXPORTED, Kind.EXPORT, "monitoring", format=forms)
    except MonitorError as error:
        typer.echo(f"Not estimable: {error}", err=True)
        save(json_file, json_text({"reason": str(error)}))
        return
    save(json_file, json_text(to_json(report)))
    save_all(tables, {f"{name}.csv": text for name, text in csv_tables(report).items()})
    for line in _lines(report):
        typer.echo(line, err=json_file == STDOUT)
    if check and report.alerts:
        raise typer.Exit(ALERT)


def _forms(json_file: Path | None, tables: Path | None) -> str:
    """What is written, in the words of the audit trail."""
    return ", ".join(form for form, target in (("json", json_file), ("csv", tables)) if target)


def day(text: str | None) -> date | None:
    """A day of an option, such as 2026-03-01, or 7d for seven days ago."""
    if text is None:
        return None
    if days := re.fullmatch(r"(\d{1,4})d", text.strip()):
        return datetime.now(UTC).date() - timedelta(days=int(days[1]))
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise typer.BadParameter(f"{text!r}; expected a day as 2026-03-01, or 7d", param_hint="--since") from None


def _limit(text: str, why: str) -> tuple[str, float | None]:
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
    if not why.strip():
        raise typer.BadParameter("expected the reason beside it, with --why", param_hint="--set")
    return rule, limit


def _lines(report: MonitoringReport) -> list[str]:
    studies = [f"{count:,} studies" for count in report.studies]
    head = f"{report.current} ({studies[1]}) against {report.reference} ({studies[0]})"
    silent = [f"{drift.name}: {drift.reason}" for drift in report.drifts if drift.reason]
    synthetic = ["All studies are synthetic."] if report.synthetic else []
    alerts = [f"ALERT {alert.rule}: {alert.text}" for alert in report.alerts] or ["No alert."]
    return [head, *synthetic, *report.notes, *silent, *alerts]
