"""What every reader of files produces and everything else consumes: one series of slices in HU."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ichscope.imaging.findings import Finding, FindingLevel, Level, Status

__all__ = ["Finding", "FindingLevel", "Header", "Identity", "Level", "Series", "SeriesFacts", "Slice", "Status"]


@dataclass(frozen=True)
class Slice:
    """Where one slice came from: file name as the user knows it, SOP Instance UID ("" if absent), place in mm."""

    file: str
    sop: str
    position_mm: float | None


@dataclass(frozen=True)
class Header:
    """Header facts that quality checks and subgroups need. None or "" or () means that the file does not say."""

    modality: str = ""
    body_part: str = ""
    image_type: tuple[str, ...] = ()
    manufacturer: str = ""
    scanner: str = ""
    institution: str = ""
    kernel: str = ""
    contrast: str = ""
    kvp: float | None = None
    slice_thickness_mm: float | None = None
    gantry_tilt_deg: float | None = None
    age_years: float | None = None
    sex: str = ""
    study_date: date | None = None


@dataclass(frozen=True)
class Identity:
    """Short hashes that stand for a study and one of its series (or a volume of it), given once by the intake."""

    study: str
    series: str


@dataclass(frozen=True)
class SeriesFacts:
    """What decides which series speaks for its study; None where the headers do not say.

    is_ct : Modality is CT
    original : Image Type says ORIGINAL and PRIMARY, and nothing of reformatting or projection
    axial : the plane, from Image Orientation (Patient)
    soft_tissue : False for a bone, lung or edge kernel
    extent_mm : length covered along the slice normal, with one slice's thickness
    contrast : a header says that a contrast agent was given
    """

    kind: Literal["ct", "picture"] = "ct"
    original: bool | None = None
    axial: bool | None = None
    soft_tissue: bool | None = None
    slice_thickness_mm: float | None = None
    extent_mm: float | None = None
    slices: int = 0
    series_number: int | None = None
    is_ct: bool | None = None
    contrast: bool = False


@dataclass(frozen=True, eq=False)
class Series:
    """A series of axial slices, or of pictures.

    hu : (slices, rows, columns) int16, Hounsfield units. Where the orientation is known, rows run to the
        patient's back, columns to the patient's left and slices from foot to head, whatever the files' order.
    spacing_mm : (between slices, between rows, between columns), None where unknown.
    orientation : ImageOrientationPatient of the files, before any flip.
    findings : what reading itself noticed (duplicates, unreadable files, uneven spacing, ...).
    study, key : short hashes that stand for the study and the series in every output.
    facts : what decides whether this series speaks for its study.
    patient_id : as the header has it, for its keyed hash and nothing else.
    """

    study: str
    key: str
    kind: Literal["ct", "picture"]
    hu: NDArray[np.int16]
    slices: tuple[Slice, ...]
    spacing_mm: tuple[float | None, float, float] | None = None
    orientation: tuple[float, ...] | None = None
    header: Header = field(default_factory=Header)
    findings: tuple[Finding, ...] = ()
    facts: SeriesFacts = field(default_factory=SeriesFacts)
    patient_id: str = field(default="", repr=False)

    @property
    def pixel_spacing_mm(self) -> tuple[float, float] | None:
        """Between rows and between columns, None where unknown."""
        return self.spacing_mm[1:] if self.spacing_mm else None
