"""The instances of a series from an archive, by C-GET where it offers that, by C-MOVE to a port of ours otherwise.

C-GET needs no port of ours and no entry for it in the archive, and passes firewalls. Archives that do not offer it are
many, so that C-MOVE (which nearly all have) is taken where it is missing.
"""

from __future__ import annotations

from pathlib import Path
from threading import Event as Stop
from threading import Lock

import pydicom
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES, _config, build_context, build_role, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from ichscope.errors import barrier
from ichscope.imaging.elements import short_hash, text
from ichscope.pacs.archives import FoundSeries
from ichscope.pacs.association import Caller, identifier, offers
from ichscope.pacs.commitment import addresses
from ichscope.pacs.entity import (
    CANNOT_UNDERSTAND,
    CT_CLASSES,
    OUT_OF_RESOURCES,
    SUCCESS,
    Bound,
    DicomSettings,
    Listener,
)
from ichscope.pacs.servers import DicomNetworkServer, PacsError

_GET, _MOVE = StudyRootQueryRetrieveInformationModelGet, StudyRootQueryRetrieveInformationModelMove
_PENDING = 0xFF00
# PS3.4, table C.4-2: the archive does not know where to send to.
_UNKNOWN_PLACE = 0xA801
# Each of a context of its own, so that nothing is changed on the way; a request has room for 128, so none for videos.
_SYNTAXES = [
    uid for uid in ALL_TRANSFER_SYNTAXES if not any(kind in UID(uid).name for kind in ("MPEG", "HEVC", "SMPTE"))
]
# One at a time: they all would listen at the same port.
_MOVING = Lock()


class _Arriving:
    """Takes the instances of one series, and no others, into a folder; each is there when that is said."""

    def __init__(self, series: FoundSeries, folder: Path) -> None:
        self._series, self._folder = series, folder
        self.names: set[str] = set()
        self.problem = ""

    def say(self, text: str) -> None:
        """Note what went wrong."""
        self.problem = text

    def store(self, event: Event) -> int:
        spooled = event.dataset_path if _config.STORE_RECV_CHUNKED_DATASET else None
        try:
            content = spooled.read_bytes() if spooled else event.encoded_dataset()
            with barrier(lambda kind: PacsError(f"an instance cannot be read ({kind})")):
                tags = ["SeriesInstanceUID", "SOPInstanceUID"]
                header = pydicom.dcmread(DicomBytesIO(content), specific_tags=tags, stop_before_pixels=True)
                series, instance = text(header, tags[0]), text(header, tags[1])
            if series != self._series.uid:
                raise PacsError("an instance of another series came")
            name = f"{short_hash(instance)}.dcm"
            (self._folder / name).write_bytes(content)
            self.names.add(name)
        except PacsError as error:
            self.say(str(error))
            return CANNOT_UNDERSTAND
        except OSError as error:
            self.say(f"what it sends cannot be written: {error.strerror}")
            return OUT_OF_RESOURCES
        finally:
            if spooled:
                spooled.unlink(missing_ok=True)
        return SUCCESS


def retrieve(
    caller: Caller,
    server: DicomNetworkServer,
    us: DicomSettings,
    series: FoundSeries,
    folder: Path,
    stop: Stop | None = None,
) -> int:
    """Write the instances of a series into a folder; how many.

    Raises
    ------
    PacsError
        if not all of it has come, or it cannot be written
    """
    arriving = _Arriving(series, folder)
    try:
        if not (server.get and _got(caller, server, arriving, series, stop)):
            _moved(caller, server, us, arriving, series, stop)
    except PacsError:
        if not arriving.problem:
            raise
    if arriving.problem:
        raise PacsError(f"{server.name}: {arriving.problem}")
    count = len(arriving.names)
    if series.instances is not None and count < series.instances:
        raise PacsError(f"{server.name}: {count} of {series.instances} slices of a series came")
    return count


def _got(
    caller: Caller, server: DicomNetworkServer, arriving: _Arriving, series: FoundSeries, stop: Stop | None
) -> bool:
    """Fetch by C-GET; False where the archive does not offer it."""
    contexts = [build_context(_GET), build_context(_MOVE)]
    contexts += [build_context(kind, [syntax]) for kind in CT_CLASSES for syntax in _SYNTAXES]
    roles = [build_role(kind, scp_role=True) for kind in CT_CLASSES]
    handlers = [(evt.EVT_C_STORE, arriving.store), *Bound(arriving.say).handlers]
    seconds = server.whole_s
    with caller.association(
        contexts, seconds, answer_s=seconds, roles=roles, handlers=handlers, stop=stop
    ) as association:
        if not offers(association, _GET):
            return False
        last = Dataset()
        for status, _ in association.send_c_get(_wanted(series), _GET):
            last = status
        _check(server, "", last)
    return True


def _moved(
    caller: Caller,
    server: DicomNetworkServer,
    us: DicomSettings,
    arriving: _Arriving,
    series: FoundSeries,
    stop: Stop | None,
) -> None:
    """Fetch by C-MOVE to a port of ours, which is open as long as that lasts, and for this archive only."""
    if not _MOVING.acquire(timeout=server.whole_s):
        raise PacsError(f"{server.name}: another transfer has not ended within {server.whole_s:g} seconds")
    try:
        listener = Listener(us, {server.title: addresses(server)}, arriving.say)
        for kind in CT_CLASSES:
            listener.entity.add_supported_context(kind, ALL_TRANSFER_SYNTAXES)
        listener.start([(evt.EVT_C_STORE, arriving.store)])
        try:
            seconds = server.whole_s
            with caller.association([build_context(_MOVE)], seconds, answer_s=seconds, stop=stop) as association:
                last = Dataset()
                for status, _ in association.send_c_move(_wanted(series), us.title, _MOVE):
                    last = status
                _check(server, us.title, last)
        finally:
            listener.stop()
    finally:
        _MOVING.release()


def _check(server: DicomNetworkServer, us_title: str, last: Dataset) -> None:
    """Whether all went well, by the last answer."""
    code = last.get("Status")
    if code == SUCCESS:
        return
    if code is None or code == _PENDING:
        raise PacsError(f"{server.name}: broke off")
    if code == _UNKNOWN_PLACE:
        raise PacsError(f"{server.name}: does not know where {us_title} is, to send to it")
    failed = last.get("NumberOfFailedSuboperations")
    said = f"{failed} slices of a series failed, " if failed else ""
    raise PacsError(f"{server.name}: {said}status {code:04X}")


def _wanted(series: FoundSeries) -> Dataset:
    keys = {"StudyInstanceUID": series.study_uid, "SeriesInstanceUID": series.uid}
    return identifier("SERIES", (), keys)
