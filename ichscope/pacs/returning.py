"""Results back to the archive that a study came from: as DICOM objects, by STOW-RS."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, field
from io import BytesIO
from threading import Event, Thread

import pydicom
from pydicom.dataset import FileDataset

from ichscope.access.events import Action, Kind
from ichscope.errors import IchscopeError, barrier
from ichscope.imaging.intake import Group
from ichscope.objects.headers import headers_of
from ichscope.objects.study import objects_of, report_of
from ichscope.pacs.archives import Archive
from ichscope.pacs.servers import PacsError
from ichscope.results import SeriesResult, StudyResult
from ichscope.store import Store

Say = Callable[[str], object]
_PAUSE_S = 2.0


class Returns:
    """Makes objects of results while the headers are at hand, keeps them encrypted, and sends them.

    Parameters
    ----------
    say : called with what went wrong, in words
    """

    def __init__(self, store: Store, archive: Archive, say: Say = lambda text: None) -> None:
        self._store, self._archive, self._say = store, archive, say
        self._name = archive.server.name
        self._sending: Thread | None = None

    def put(self, group: Group, result: SeriesResult) -> None:
        """Keep the objects of a series that a model has judged; of others there are none.

        Raises
        ------
        StoreError
            if they cannot be kept
        """
        if made := made_of(group, result, self._say, self._name):
            self.keep(made)

    def keep(self, made: Made) -> None:
        """Keep objects that are made already; the same ones are kept and sent once.

        Raises
        ------
        StoreError
            if they cannot be kept
        """
        self._store.outgoing.put(self._name, made.uids, made.content)

    def send(self, stop: Event | None = None) -> int:
        """Send all that is due, until one fails.

        Returns
        -------
        how many sets of results the archive has taken

        Raises
        ------
        PacsError
            if it has not taken one
        StoreError
            if the store cannot be read or written
        """
        sent = 0
        while not (stop and stop.is_set()) and (waiting := self._store.outgoing.due(self._name)):
            try:
                self._archive.store(unpacked(waiting.content))
            except PacsError as error:
                self._store.outgoing.failed(waiting, str(error))
                raise
            self._store.outgoing.sent(waiting, Action.RESULTS_SENT, Kind.ARCHIVE, self._name, objects=waiting.objects)
            sent += 1
        return sent

    def go_on_sending(self, stop: Event) -> None:
        """Send what is due, as long as `stop` is not set, in a thread of its own, for whoever acts here."""
        run = copy_context().run
        self._sending = Thread(target=run, args=(self._until, stop), name="ichscope-results", daemon=True)
        self._sending.start()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until what is being sent is sent, so long at most; `stop` has been set."""
        if self._sending is not None:
            self._sending.join(seconds)

    def _until(self, stop: Event) -> None:
        while not stop.wait(_PAUSE_S):
            try:
                with barrier():
                    self.send(stop)
            except IchscopeError as error:
                self._say(f"Results wait: {error}")


@dataclass(frozen=True)
class Made:
    """The objects of a series, the report before all others, their UIDs, and all of them as one piece of bytes."""

    objects: list[FileDataset] = field(repr=False)
    uids: list[str] = field(repr=False)
    content: bytes = field(repr=False)


def made_of(group: Group, result: SeriesResult, say: Say, whom: str, report_only: bool = False) -> Made | None:
    """Make the objects of a series that a model has judged, while its files are there; None where there can be none.

    say : called with why there are none
    whom : they would have been for
    report_only : whether nothing else is wanted
    """
    if not result.models:
        return None
    try:
        with barrier():
            study, headers = StudyResult(series=(result,)), headers_of(group, result.slices)
            objects = [report_of(study, headers)] if report_only else objects_of(study, headers, say=say)
    except IchscopeError as error:
        say(f"No DICOM results for {whom}: {error}")
        return None
    return Made(objects, [one.SOPInstanceUID for one in objects], packed(objects))


def packed(objects: list[FileDataset]) -> bytes:
    """DICOM objects as one piece of bytes, a ZIP of files."""
    with BytesIO() as whole:
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
            for number, one in enumerate(objects):
                with archive.open(f"{number}.dcm", "w") as file, BytesIO() as encoded:
                    pydicom.dcmwrite(encoded, one, enforce_file_format=True)
                    file.write(encoded.getvalue())
        return whole.getvalue()


def unpacked(content: bytes) -> list[FileDataset]:
    """What `packed` was given."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        return [pydicom.dcmread(BytesIO(archive.read(name))) for name in archive.namelist()]
