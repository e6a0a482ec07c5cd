"""Series that scanners and archives send by themselves: a receiver of DICOM's network protocol (C-STORE, C-ECHO)."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from threading import Lock
from typing import Any

import pydicom
from pynetdicom import ALL_TRANSFER_SYNTAXES, _config, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined]

from ichscope.batch.watch import QUIET_S, Inbox, Queue
from ichscope.errors import IchscopeError, barrier
from ichscope.home import home, make
from ichscope.imaging.elements import short_hash
from ichscope.pacs.commitment import REPORTS
from ichscope.pacs.entity import (
    CANNOT_UNDERSTAND,
    CT_CLASSES,
    OUT_OF_RESOURCES,
    SUCCESS,
    TABLE,
    DicomSettings,
    Listener,
    Say,
    dicom_settings,
)
from ichscope.pacs.fetched import not_open
from ichscope.pacs.servers import PacsError
from ichscope.settings_file import SETTING, SettingsError
from ichscope.store.pseudonymiser import Pseudonymiser

_FOLDER = "received"
_LEAST_FREE_BYTES = 1 << 30


def receiver_settings(file: Path | None = None) -> DicomSettings:
    """Read [dicom] from the file of settings, for receiving.

    Raises
    ------
    SettingsError
        if it names no senders, or says what is not understood
    """
    if not (found := dicom_settings(file)).senders:
        raise SettingsError(f'{SETTING}: [{TABLE}.senders] names nobody; expected lines as CT1 = "10.0.0.5"')
    return found


class Receiver:
    """Takes CT images from the senders that are named, and puts each into a folder of its study.

    It says that it has one when it is on the disk.

    Parameters
    ----------
    say : called with what was refused, in words that name no patient
    """

    def __init__(self, settings: DicomSettings, keys: Pseudonymiser, say: Say = lambda text: None) -> None:
        self.settings, self._keys, self._say = settings, keys, say
        self.folder = make(home() / _FOLDER).absolute()
        self.placing = Lock()
        self._listener = Listener(settings, {title: [at] for title, at in settings.senders.items()}, say)
        entity = self._listener.entity
        entity.add_supported_context(Verification)
        for kind in CT_CLASSES:
            entity.add_supported_context(kind, ALL_TRANSFER_SYNTAXES)
        entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        self._before: tuple[Any, bool] | None = None

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
        try:
            self._listener.start([(evt.EVT_C_STORE, self._store), (evt.EVT_CONN_CLOSE, _broken_off), REPORTS.handler])
        except PacsError:
            self.stop()
            raise

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._listener.port

    def stop(self) -> None:
        """Listen no more."""
        self._listener.stop()
        if self._before is not None:
            tempfile.tempdir, _config.STORE_RECV_CHUNKED_DATASET = self._before
            self._before = None

    def _store(self, event: Event) -> int:
        path = event.dataset_path
        try:
            if shutil.disk_usage(self.folder).free < _LEAST_FREE_BYTES:
                self._say("the disk is nearly full: instances are refused until there is room")
                return OUT_OF_RESOURCES
            with barrier(lambda kind: PacsError(f"an instance cannot be read ({kind})")):
                tags = ["StudyInstanceUID", "SOPInstanceUID"]
                header = pydicom.dcmread(path, specific_tags=tags, stop_before_pixels=True)
                study, instance = str(header.StudyInstanceUID), str(header.SOPInstanceUID)
            self._place(path, event.assoc.requestor.ae_title.strip(), study, instance)
        except IchscopeError as error:
            self._say(f"{error}, and was refused")
            return CANNOT_UNDERSTAND
        except OSError as error:
            self._say(f"an instance cannot be written ({error.strerror}), and was refused")
            return OUT_OF_RESOURCES
        finally:
            path.unlink(missing_ok=True)
        return SUCCESS

    def _place(self, path: Path, title: str, study: str, instance: str) -> None:
        with path.open("rb+") as file:
            os.fsync(file.fileno())
        # Its name is what the worklist shows: nothing of the patient.
        folder = self.folder / f"{title} {self._keys.study(f'archive {study}')[:8]}"
        with self.placing:
            path.replace(make(folder) / f"{short_hash(instance)}.dcm")


def _broken_off(event: Event) -> None:
    """Remove what has come of an instance in whose middle an association ended; pynetdicom leaves it there."""
    message = event.assoc.dimse.message
    if message is not None and message._data_set_file is not None:
        message._data_set_file.close()
        Path(message._data_set_file.name).unlink(missing_ok=True)


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
        for folder in not_open([path for path in self.taken() if path.is_dir()], queue):
            with self._receiver.placing:  # nothing comes between the look and the removal
                if self.unchanged(folder):
                    shutil.rmtree(folder, ignore_errors=True)
