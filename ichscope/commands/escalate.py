"""The command that tells somebody of likely bleeds that nobody has opened."""

from __future__ import annotations

from typing import Annotated

import typer

from ichscope.commands import running
from ichscope.commands.shared import STOPPED, fail

app = typer.Typer()


@app.command()
def escalate(
    test: Annotated[
        bool, typer.Option("--test", help="Send everybody a message that says it is a test, and end.")
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="Look once, send what is due, and end.")] = False,
) -> None:
    """Tell somebody of likely haemorrhages that no reader has opened in time, until stopped with Ctrl+C.

    [escalation] in the file of settings says when, and who is told.
    """
    from threading import Event

    from ichscope.escalation.channels import channels
    from ichscope.escalation.rules import read_rules
    from ichscope.escalation.telling import Escalation
    from ichscope.settings_file import SettingsError

    try:
        rules = read_rules()
        ways = channels(rules)
    except SettingsError as error:
        fail(str(error))
    stop = Event()
    with running.store() as store, running.ended_by_signals(stop.set):
        escalation = Escalation(store, rules, ways, lambda text: typer.echo(text, err=True))
        names = ", ".join(way.name for way in ways)
        if test:
            if problems := escalation.test():
                fail("; ".join(problems), STOPPED)
            typer.echo(f"A test was sent to {names}")
        elif once:
            typer.echo(f"{escalation.look()} messages sent")
        else:
            typer.echo(f"Telling {names} after {rules.after_minutes:g} minutes; end with Ctrl+C", err=True)
            escalation.go_on(stop)
