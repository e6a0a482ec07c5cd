"""The command that takes what the hospital's information system sends by HL7 v2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from ichscope.commands import running
from ichscope.commands.shared import fail

if TYPE_CHECKING:
    from ichscope.store import Store

_HOUR_S = 3600.0

app = typer.Typer(no_args_is_help=True, help="HL7 v2: what the hospital's information system sends.")


@app.callback()
def _group() -> None:
    """Let `listen` be a word of its own, although it is the only one."""


@app.command()
def listen() -> None:
    """Take HL7 v2 messages over MLLP and answer each, until stopped with Ctrl+C.

    The file of settings says who may send: [hl7].
    """
    from threading import Event

    from ichscope.hl7.listening import Listener
    from ichscope.hl7.mllp import MllpError
    from ichscope.hl7.settings import hl7_settings
    from ichscope.hl7.taking import Taking
    from ichscope.settings_file import SettingsError

    stop = Event()
    with running.store() as store, running.ended_by_signals(stop.set):
        try:
            settings = hl7_settings()
            listener = Listener(settings, Taking(settings, store), _say)
            listener.start()
        except (MllpError, SettingsError) as error:
            fail(str(error))
        _say(f"Listening to HL7 at port {listener.port}; end with Ctrl+C")
        try:
            _remove_old(store, settings.keep_days)
            while not stop.wait(_HOUR_S):
                _remove_old(store, settings.keep_days)
        finally:
            listener.stop()


def _remove_old(store: Store, days: int) -> None:
    """Remove reports whose time is over; where that cannot be, messages are taken all the same."""
    from ichscope.store import StoreError

    try:
        store.reports.prune(days)
    except StoreError as error:
        _say(str(error))


def _say(text: str) -> None:
    typer.echo(text, err=True)
