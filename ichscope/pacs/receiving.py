"""Series that scanners and archives send by themselves: a receiver of DICOM's network protocol (C-STORE, C-ECHO)."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import pydicom
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, _config, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from ichscope import tls
from ichscope.batch.watch import QUIET_S, Inbox, Queue
from ichscope.errors import IchscopeError, barrier
from ichscope.home import home, make
from ichscope.imaging.elements import short_hash
from ichscope.imaging.source import MAX_FILE_BYTES
from ichscope.pacs.fetched import remove_unless_open
from ichscope.pacs.servers import PacsError
from ichscope.settings_file import SETTING, SettingsError, check, read_settings
from ichscope.store.pseudonymiser import Pseudonymiser

_TABLE = "dicom"
_FOLDER = "received"
_CLASSES = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
# PS3.4, table B.2-1, and PS3.7, annex C.
_SUCCESS, _OUT_OF_RESOURCES, _CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000
# PS3.8, table 9-21: rejected for good, by us as the user of the service, calling AE title not recognised.
_UNKNOWN_CALLER = (0x01, 0x01, 0x03)
_LEAST_FREE_BYTES = 1 << 30

Say = Callable[[str], object]


@dataclass(frozen=True)
class ReceiverSettings:
    """Who we are to other programs of DICOM, and who may send.

    title : our AE title, by which we must be called
    senders : AE titles that may call, each with the address it calls from
    certificate, key : files for TLS; none without them
    ca : file with certificates that senders must show one of
    associations : at one time
    idle_s : seconds of silence after which an association is ended
    """

    title: str = "ICHSCOPE"
    address: str = "127.0.0.1"
    port: int = 11112
    senders: Mapping[str, str] = field(default_factory=dict)
    certificate: str = ""
    key: str = ""
    ca: str = ""
    associations: int = 8
    idle_s: float = 60.0

    def __post_init__(self) -> None:
        if not self.senders:
            raise SettingsError(f'{SETTING}: [{_TABLE}.senders] names nobody; expected lines as CT1 = "10.0.0.5"')


def receiver_settings(file: Path | None = None) -> ReceiverSettings:
    """Read [dicom] from the file of settings.

    Raises
    ------
    SettingsError
        if it is not there, or says what is not understood
    """
    return ReceiverSettings(**check(ReceiverSettings, f"[{_TABLE}]", read_settings(_TABLE, file)))


class Receiver:
    """Takes CT images from the senders that are named, and puts each into a folder of its study.

    It says that it has one when it is on the disk.

    Parameters
    ----------
    say : called with what was refused, in words that name no patient
    """

    def __init__(self, settings: ReceiverSettings, keys: Pseudonymiser, say: Say = lambda text: None) -> None:
        self.settings, self._keys, self._say = settings, keys, say
        self.folder = make(home() / _FOLDER).absolute()
        self.placing = Lock()
        self._server: Any = None
        self._before: tuple[Any, bool] | None = None
        self._came: dict[Any, int] = {}

    def start(self) -> None:
        """Listen.

        Raises
        ------
        PacsError
            if that cannot be
        """
        spool = self.folder / ".spool"
        shutil.rmtree(spool, ignore_errors=True)
        # pynetdicom writes what comes to files, piece by piece, where Python has its temporary ones. Both settings are
        # the whole program's, so they are put back in the end.
        self._before = tempfile.tempdir, _config.STORE_RECV_CHUNKED_DATASET
        tempfile.tempdir = str(make(spool))
        _config.STORE_RECV_CHUNKED_DATASET = True
        at = (self.settings.address, self.settings.port)
        handlers: list[Any] = [
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_DATA_RECV, self._data),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_CONN_CLOSE, lambda event: self._came.pop(event.assoc, None)),
        ]
        try:
            context = tls.for_serving(self.settings.certificate, self.settings.key, self.settings.ca)
            self._server = self._entity().start_server(at, block=False, evt_handlers=handlers, ssl_context=context)
        except (OSError, ValueError) as error:
            self.stop()
            raise PacsError(f"DICOM cannot be received at port {self.settings.port}: {error}") from None

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.shutdown()
        if self._before is not None:
            tempfile.tempdir, _config.STORE_RECV_CHUNKED_DATASET = self._before
            self._before = None

    def _entity(self) -> AE:
        entity = AE(ae_title=self.settings.title)
        entity.require_called_aet = True
        entity.require_calling_aet = list(self.settings.senders)
        entity.maximum_associations = self.settings.associations
        entity.acse_timeout = entity.network_timeout = entity.dimse_timeout = self.settings.idle_s
        entity.add_supported_context(Verification)
        for kind in _CLASSES:
            entity.add_supported_context(kind, ALL_TRANSFER_SYNTAXES)
        return entity

    def _requested(self, event: Event) -> None:
        """Refuse a known title from another address; unknown titles are refused by pynetdicom."""
        caller = event.assoc.requestor
        title = str(getattr(caller.primitive, "calling_ae_title", "") or "").strip()
        if (address := self.settings.senders.get(title)) is not None and caller.address != address:
            self._say(f"{title} called from an address that is not its own, and was refused")
            event.assoc.acse.send_reject(*_UNKNOWN_CALLER)
            event.assoc.kill()

    def _data(self, event: Event) -> None:
        """End an association that sends an instance without an end."""
        before = self._came.get(event.assoc, 0)
        self._came[event.assoc] = came = before + len(event.data)
        if before <= MAX_FILE_BYTES < came:
            self._say(f"an instance of more than {MAX_FILE_BYTES >> 20} MiB was refused")
            # An orderly abort would wait for what is still coming.
            if (connection := event.assoc.dul.socket) is not None:
                connection.close()

    def _store(self, event: Event) -> int:
        self._came[event.assoc] = 0
        path = event.dataset_path
        try:
            if shutil.disk_usage(self.folder).free < _LEAST_FREE_BYTES:
                self._say("the disk is nearly full: instances are refused until there is room")
                return _OUT_OF_RESOURCES
            with barrier(lambda kind: PacsError(f"an instance cannot be read ({kind})")):
                tags = ["StudyInstanceUID", "SOPInstanceUID"]
                header = pydicom.dcmread(path, specific_tags=tags, stop_before_pixels=True)
                study, instance = str(header.StudyInstanceUID), str(header.SOPInstanceUID)
            self._place(path, event.assoc.requestor.ae_title.strip(), study, instance)
        except IchscopeError as error:
            self._say(f"{error}, and was refused")
            return _CANNOT_UNDERSTAND
        except OSError as error:
            self._say(f"an instance cannot be written ({error.strerror}), and was refused")
            return _OUT_OF_RESOURCES
        finally:
            path.unlink(missing_ok=True)
        return _SUCCESS

    def _place(self, path: Path, title: str, study: str, instance: str) -> None:
        with path.open("rb+") as file:
            os.fsync(file.fileno())
        # Its name is what the worklist shows: nothing of the patient.
        folder = self.folder / f"{title} {self._keys.study(f'archive {study}')[:8]}"
        with self.placing:
            path.replace(make(folder) / f"{short_hash(instance)}.dcm")


class ReceivedInbox(Inbox):
    """What a receiver has received: a study is taken once it is quiet, and removed when it is analysed."""

    def __init__(self, receiver: Receiver, quiet_s: float = QUIET_S) -> None:
        super().__init__(receiver.folder, quiet_s)
        self._receiver = receiver

    @property
    def title(self) -> str:
        """The job's."""
        return f"Received as {self._receiver.settings.title}"

    def take(self, queue: Queue) -> None:
        """Queue what has become quiet, and remove what is analysed."""
        super().take(queue)
        with self._receiver.placing:  # nothing comes between the look and the removal
            done = [path for path in self.unchanged() if path.is_dir()]
            remove_unless_open(done, queue)
