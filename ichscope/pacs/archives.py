"""What any archive can do, whatever language it speaks: look for studies, give series, take results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Protocol

from pydicom.dataset import Dataset

from ichscope.pacs.servers import ArchiveServer

MOST_STUDIES = 10_000


@dataclass(frozen=True)
class Query:
    """What studies are looked for; what is "" is open. Names may hold the wildcards * and ?.

    date : YYYYMMDD, or a range as YYYYMMDD-YYYYMMDD, either end of which may be missing
    """

    patient_name: str = ""
    patient_id: str = ""
    accession: str = ""
    date: str = ""
    modality: str = "CT"

    def keys(self) -> dict[str, str]:
        """What is not open, by the names of its elements."""
        wanted = {
            "PatientName": self.patient_name,
            "PatientID": self.patient_id,
            "AccessionNumber": self.accession,
            "StudyDate": self.date,
            "ModalitiesInStudy": self.modality,
        }
        return {name: value for name, value in wanted.items() if value}


@dataclass(frozen=True)
class FoundStudy:
    """A study of an archive, as it tells of it.

    instances : how many it has at the moment; None where the archive does not say
    """

    uid: str = field(repr=False)
    patient_name: str = field(default="", repr=False)
    patient_id: str = field(default="", repr=False)
    accession: str = field(default="", repr=False)
    date: str = field(default="", repr=False)
    description: str = field(default="", repr=False)
    instances: int | None = None


@dataclass(frozen=True)
class FoundSeries:
    """A series of a study of an archive, as it tells of it."""

    study_uid: str = field(repr=False)
    uid: str = field(repr=False)
    modality: str = ""
    body_part: str = ""
    description: str = field(default="", repr=False)
    instances: int | None = None


class Archive(Protocol):
    """One archive. What it is asked ends within the time that its settings allow, whatever it does."""

    @property
    def server(self) -> ArchiveServer:
        """What the file of settings says of it."""
        ...

    def echo(self) -> None:
        """Ask whether it is there, if its language has a question for that.

        Raises
        ------
        PacsError
            if it cannot be asked
        """
        ...

    def studies(self, query: Query, most: int = MOST_STUDIES) -> list[FoundStudy]:
        """Studies that fit a query.

        Raises
        ------
        PacsError
            if the archive cannot be asked
        """
        ...

    def series(self, study_uid: str) -> list[FoundSeries]:
        """The series of a study.

        Raises
        ------
        PacsError
            if the archive cannot be asked
        """
        ...

    def fetch(self, series: FoundSeries, folder: Path, stop: Event | None = None) -> int:
        """Write the instances of a series into a folder, each to a file of its own.

        stop : ends it

        Returns
        -------
        how many

        Raises
        ------
        PacsError
            if not all of it has come, or it cannot be written
        """
        ...

    def store(self, objects: Sequence[Dataset]) -> None:
        """Store objects.

        Raises
        ------
        PacsError
            if the archive has not taken all of them
        """
        ...
