"""An archive that speaks DICOM's network protocol: C-ECHO, C-FIND, C-GET or C-MOVE, C-STORE (PS3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from threading import Event

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from ichscope.imaging.elements import text
from ichscope.pacs.archives import MOST_STUDIES, FoundSeries, FoundStudy, Query
from ichscope.pacs.association import Caller, identifier, offers
from ichscope.pacs.commitment import REPORTS, ask_to_keep, listening
from ichscope.pacs.entity import CANCELLED, SUCCESS, DicomSettings
from ichscope.pacs.retrieval import retrieve
from ichscope.pacs.servers import DicomNetworkServer, PacsError
from ichscope.texts import writable

_FIND = StudyRootQueryRetrieveInformationModelFind
_SYNTAXES: list[str | UID] = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
_MOST_SERIES, _MOST_INSTANCES = 10_000, 100_000
# PS3.4, table C.4-1: one more result, the second where a key was not supported.
_PENDING = (0xFF00, 0xFF01)
# PS3.4, table B.2-1: stored, though with an element changed or left out.
_STORED = (SUCCESS, 0xB000, 0xB006, 0xB007)
_STUDY_FIELDS = (
    *("StudyInstanceUID", "PatientName", "PatientID", "AccessionNumber", "StudyDate", "StudyDescription"),
    *("ModalitiesInStudy", "NumberOfStudyRelatedInstances"),
)
_SERIES_FIELDS = (
    *("SeriesInstanceUID", "Modality", "BodyPartExamined", "SeriesDescription", "NumberOfSeriesRelatedInstances"),
)


class DicomNetwork:
    """One archive. What it asks ends within the time that the server's settings allow, whatever the archive does.

    Parameters
    ----------
    us : who we are to it
    """

    def __init__(self, server: DicomNetworkServer, us: DicomSettings) -> None:
        self.server, self._us = server, us
        self._caller = Caller(server, us)

    def echo(self) -> None:
        """Ask whether it is there (C-ECHO).

        Raises
        ------
        PacsError
            if it does not say so
        """
        with self._caller.association([build_context(Verification)], self.server.answer_s * 3) as association:
            if association.send_c_echo().get("Status") != SUCCESS:
                raise PacsError(f"{self.server.name}: broke off")

    def studies(self, query: Query, most: int = MOST_STUDIES) -> list[FoundStudy]:
        """Studies that fit a query (C-FIND).

        Raises
        ------
        PacsError
            if the archive cannot be asked
        """
        found = self._find("STUDY", _STUDY_FIELDS, query.keys(), most)
        return [study for one in found if (study := _study(one)).uid]

    def series(self, study_uid: str) -> list[FoundSeries]:
        """The series of a study (C-FIND); their instances are counted where the archive does not say how many.

        Raises
        ------
        PacsError
            if the archive cannot be asked
        """
        found = self._find("SERIES", _SERIES_FIELDS, {"StudyInstanceUID": study_uid}, _MOST_SERIES)
        return [self._series(study_uid, one) for one in found if _text(one, "SeriesInstanceUID")]

    def fetch(self, series: FoundSeries, folder: Path, stop: Event | None = None) -> int:
        """Write the instances of a series into a folder, each to a file of its own (C-GET or C-MOVE).

        stop : ends it

        Returns
        -------
        how many

        Raises
        ------
        PacsError
            if not all of it has come, or it cannot be written
        """
        return retrieve(self._caller, self.server, self._us, series, folder, stop)

    def store(self, objects: Sequence[Dataset]) -> None:
        """Store objects (C-STORE), and let the archive say that it keeps them where its settings ask for that.

        Raises
        ------
        PacsError
            if the archive has not taken all of them, or does not say that it keeps them
        """
        kinds = {one.SOPClassUID: one.file_meta.TransferSyntaxUID for one in objects}
        contexts = [build_context(kind, [syntax]) for kind, syntax in kinds.items()]
        contexts += [build_context(StorageCommitmentPushModel)] if self.server.commitment else []
        whole_s, handlers = self.server.whole_s, [REPORTS.handler]
        with (
            listening(self.server, self._us) if self.server.commitment else nullcontext(),
            self._caller.association(contexts, whole_s, handlers=handlers) as association,
        ):
            for count, one in enumerate(objects):
                self._store(association, one, f"took {count} of {len(objects)} objects")
            if self.server.commitment:
                if not offers(association, StorageCommitmentPushModel):
                    raise PacsError(f"{self.server.name}: offers no Storage Commitment")
                ask_to_keep(association, objects, self.server.name, whole_s)

    def _store(self, association: Association, one: Dataset, before: str) -> None:
        if not offers(association, one.SOPClassUID):
            raise PacsError(f"{self.server.name}: {before}, and does not take {one.SOPClassUID.name}")
        code = association.send_c_store(one).get("Status")
        if code not in _STORED:
            said = "broke off" if code is None else f"status {code:04X}"
            raise PacsError(f"{self.server.name}: {before} ({said})")

    def _series(self, study_uid: str, found: Dataset) -> FoundSeries:
        uid, modality = _text(found, "SeriesInstanceUID"), _text(found, "Modality").upper()
        count = _count(found, "NumberOfSeriesRelatedInstances")
        if count is None and modality == "CT":  # whether slices have come is told by their number
            keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": uid}
            count = len(self._find("IMAGE", ("SOPInstanceUID",), keys, _MOST_INSTANCES))
        return FoundSeries(
            *(study_uid, uid, modality),
            body_part=_text(found, "BodyPartExamined").upper(),
            description=_text(found, "SeriesDescription"),
            instances=count,
        )

    def _find(self, level: str, fields: Sequence[str], keys: dict[str, str], most: int) -> list[Dataset]:
        found: list[Dataset] = []
        with self._caller.association([build_context(_FIND, _SYNTAXES)], self.server.answer_s * 3) as association:
            for status, one in association.send_c_find(identifier(level, fields, keys), _FIND):
                code = status.get("Status")
                if code in _PENDING:
                    if one is None:
                        raise PacsError(f"{self.server.name}: its answer is not understood")
                    if len(found) < most:
                        found.append(one)
                        if len(found) == most:
                            association.send_c_cancel(1, query_model=_FIND)
                elif code not in (SUCCESS, CANCELLED):
                    said = "broke off" if code is None else f"it cannot search (status {code:04X})"
                    raise PacsError(f"{self.server.name}: {said}")
        return found


def _study(found: Dataset) -> FoundStudy:
    return FoundStudy(
        uid=_text(found, "StudyInstanceUID"),
        patient_name=_text(found, "PatientName"),
        patient_id=_text(found, "PatientID"),
        accession=_text(found, "AccessionNumber"),
        date=_text(found, "StudyDate"),
        description=_text(found, "StudyDescription"),
        instances=_count(found, "NumberOfStudyRelatedInstances"),
    )


def _text(found: Dataset, name: str) -> str:
    return writable(text(found, name))


def _count(found: Dataset, name: str) -> int | None:
    return int(value) if (value := text(found, name)).isdecimal() else None
