"""Results of the server's jobs on their way out: to archives, and kept for programs that ask for their report."""

from __future__ import annotations

import logging
from threading import Event
from typing import TYPE_CHECKING

from ichscope.batch import ARCHIVE
from ichscope.pacs.delivering import Delivery, receivers, result_settings
from ichscope.store import Job, Store
from ichscope.store.jobs import CONTENT

if TYPE_CHECKING:
    from ichscope.pacs.returning import Returns

_LOG = logging.getLogger(__name__)
_END_S = 5.0


class Deliveries:
    """Who gets the results of a job; what is for archives is sent as long as the server runs."""

    def __init__(self, store: Store, stop: Event) -> None:
        self._store, self._stop = store, stop
        self._senders: dict[str, Returns] = {}

    def of(self, job: Job) -> Delivery:
        """Say who gets the results of a job, and see that they are sent.

        Raises
        ------
        SettingsError
            if the file of settings says what is not understood
        """
        settings = result_settings()
        of_program = settings.reports and CONTENT in job.options
        to = receivers(str(job.options.get(ARCHIVE, "")))
        self._send_to(tuple(server.name for server in to))
        # What cannot be made is not told here: the words name files, which may be named after a patient.
        return Delivery(self._store, to, settings.report_time if of_program else None)

    def begin(self) -> None:
        """Send what an ended server has left for archives that get everything; errors as of `of`."""
        self._send_to(result_settings().to)

    def close(self) -> None:
        """Wait a little for what is being sent; what the archive has not taken then waits for the next server."""
        for sender in self._senders.values():
            sender.wait(_END_S)

    def _send_to(self, names: tuple[str, ...]) -> None:
        """Have each archive its sender, for whoever acts here."""
        if new := [name for name in names if name not in self._senders]:
            from ichscope.pacs.opening import opened  # take seconds to load
            from ichscope.pacs.returning import Returns

            for name in new:
                sender = Returns(self._store, opened(name), _LOG.warning)
                sender.go_on_sending(self._stop)
                self._senders[name] = sender
