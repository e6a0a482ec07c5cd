"""A data set made anew of what may stay of another: nothing that is not understood goes over."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Any

from pydicom.datadict import dictionary_VM, dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from ichscope import __version__
from ichscope.deidentify.kept import (
    BODY_PARTS,
    CLASSES,
    DATES,
    DEVICE,
    EMPTY,
    IMAGE,
    PATIENT,
    REGIONS,
    TIMES,
    UIDS,
)
from ichscope.errors import IchscopeError, barrier
from ichscope.imaging.contrast import contrast_of
from ichscope.imaging.elements import DicomError, items, text, texts

_CODES = {
    "113100": "Basic Application Confidentiality Profile",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
    "113108": "Retain Patient Characteristics Option",
    "113109": "Retain Device Identity Option",
}
# As whole_years of the store: HIPAA's safe harbour, 45 CFR 164.514(b)(2)(i)(C).
_OLDEST = 90
# Dates go back by a month to ten years.
_LEAST_DAYS, _MOST_DAYS = 30, 3650
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?")
_CODE = re.compile(r"[A-Z0-9_ ]{0,16}")
_NAME = re.compile(r"[\w ,./+()-]{1,64}")
_UID = re.compile(r"[0-9.]{1,64}")
_DATE = re.compile(r"\d{8}")
_DATETIME = re.compile(r"(\d{8})((?:\d{2}){0,3}(?:\.\d{1,6})?(?:[+-]\d{4})?)")
_TIME = re.compile(r"(?:\d{2}){1,3}(?:\.\d{1,6})?")
_AGE = re.compile(r"(\d{3})([DWMY])")
# What names somebody: no text that stays may repeat a word of these.
_NAMING = [
    "PatientName",
    "PatientID",
    "OtherPatientIDs",
    "OtherPatientNames",
    "PatientBirthName",
    "ReferringPhysicianName",
    "OperatorsName",
    "PerformingPhysicianName",
    "NameOfPhysiciansReadingStudy",
    "AccessionNumber",
]
_SHORTEST_WORD = 3
_DICOM_ROOT = "1.2.840.10008."


class _GoneError(IchscopeError):
    """A value that does not stay."""


class Deidentifier:
    """Makes data sets without their patients; the same ones of the same ones, by a key.

    Parameters
    ----------
    key : whoever has it can tell which patient is which of those that they know
    device : keep what tells one scanner from others of its model
    """

    def __init__(self, key: bytes, device: bool = False) -> None:
        self._key, self._device = hmac.digest(key, b"deidentify", "sha256"), device
        self._stays = IMAGE | UIDS | DATES | TIMES | CLASSES | (DEVICE if device else frozenset())

    def patient(self, source: Dataset) -> str:
        """What a patient is called: 16 hexadecimal digits that nobody without the key can make."""
        return self._hash("patient", _person(source))[:16].upper()

    def uid(self, uid: str) -> str:
        """What stands for a UID: one of the kind that is a random number (PS3.5 B.2)."""
        return f"2.25.{int(self._hash('uid', uid)[:32], 16)}"

    def __call__(self, source: Dataset) -> Dataset:
        """Make the data set that stays of an image's; pixels are no part of it.

        Raises
        ------
        DicomError
            if it has no SOP Instance UID
        """
        days = -(_LEAST_DAYS + int(self._hash("days", _person(source)), 16) % (_MOST_DAYS - _LEAST_DAYS))
        made = self._kept(source, _Values(days, self.uid, _words(source)), self._stays | PATIENT)
        for keyword in (*EMPTY, *(name for name in (*DATES, *TIMES) if name in source and "DateTime" not in name)):
            if keyword not in made:
                setattr(made, keyword, "")
        made.PatientName = made.PatientID = self.patient(source)
        if not made.get("PatientAge") and (years := _years(source)) is not None:
            made.PatientAge = f"{min(years, _OLDEST):03}Y"
        if contrast_of(source, _shared(source)):
            made.ContrastBolusAgent = "CONTRAST GIVEN"  # which one, and how, may be text of anybody's
        self._say_so(made)
        return made

    def _say_so(self, made: Dataset) -> None:
        """PS3.3 C.7.1.1, PS3.15 E.1 and PS3.16 CID 7050."""
        made.SpecificCharacterSet = "ISO_IR 192"
        made.PatientIdentityRemoved = "YES"
        made.LongitudinalTemporalInformationModified = "MODIFIED"
        made.DeidentificationMethod = f"ICHScope {__version__}: list of what stays"
        made.DeidentificationMethodCodeSequence = Sequence()
        for value, meaning in _CODES.items():
            if value != "113109" or self._device:
                code = Dataset()
                code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
                made.DeidentificationMethodCodeSequence.append(code)

    def _kept(self, source: Dataset, values: _Values, stays: frozenset[str]) -> Dataset:
        made = Dataset()
        for tag in sorted(source.keys()):
            keyword = keyword_for_tag(tag)
            if keyword not in stays:
                continue
            with suppress(_GoneError), barrier(_GoneError):
                element = source[tag]
                if element.VR not in dictionary_VR(tag).split(" or ") or not _as_many(dictionary_VM(tag), element.VM):
                    continue
                if keyword == "AnatomicRegionSequence":
                    value: Any = Sequence(_regions(element.value))
                elif element.VR == "SQ":
                    value = Sequence(self._kept(item, values, self._stays) for item in element.value)
                else:
                    value = values.of(keyword, element)
                made.add(DataElement(tag, element.VR, value))
        return made

    def _hash(self, kind: str, text: str) -> str:
        return hmac.new(self._key, f"{kind}\0{text}".encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


class _Values:
    """What becomes of single values, by what kind they are.

    days : by which dates move
    uid : what stands for a UID
    words : that no text may have
    """

    def __init__(self, days: int, uid: Callable[[str], str], words: frozenset[str]) -> None:
        self._days, self._uid, self._words = timedelta(days=days), uid, words
        self._by_kind: Mapping[str, Callable[[str, str], str]] = {
            "UI": self._of_uid,
            "CS": self._of_code,
            "LO": self._of_name,
            "SH": self._of_name,
            "DA": self._of_date,
            "DT": self._of_datetime,
            "TM": lambda keyword, value: _fitting(_TIME, value),
            "DS": lambda keyword, value: _fitting(_NUMBER, value),
            "IS": lambda keyword, value: _fitting(_NUMBER, value),
            "AS": lambda keyword, value: _age(value),
        }

    def of(self, keyword: str, element: DataElement) -> Any:
        """What stays of an element's value.

        Raises
        ------
        _GoneError
            if nothing does
        """
        listed = list(element.value) if element.VM > 1 else [element.value]
        if element.VR in self._by_kind:
            put = self._by_kind[element.VR]
            listed = [put(keyword, str(value).strip("\0 ")) if value not in (None, "") else "" for value in listed]
        elif not all(isinstance(value, (int, float)) for value in listed):
            raise _GoneError(keyword)
        return listed if element.VM > 1 else listed[0]

    def _of_uid(self, keyword: str, value: str) -> str:
        if keyword in UIDS:
            return self._uid(value)
        if not value.startswith(_DICOM_ROOT):
            raise _GoneError(keyword)
        return _fitting(_UID, value)

    def _of_code(self, keyword: str, value: str) -> str:
        if keyword == "BodyPartExamined":
            value = value.upper()
        sets = {"BodyPartExamined": BODY_PARTS, "PatientSex": {"M", "F", "O"}}
        if keyword in sets and value not in sets[keyword]:
            raise _GoneError(keyword)
        return value if keyword in sets else self._nobodys(_fitting(_CODE, value))

    def _of_name(self, keyword: str, value: str) -> str:
        return self._nobodys(_fitting(_NAME, value))

    def _of_date(self, keyword: str, value: str) -> str:
        return self._moved(_fitting(_DATE, value))

    def _of_datetime(self, keyword: str, value: str) -> str:
        found = _DATETIME.fullmatch(value)
        if not found:
            raise _GoneError(keyword)
        return self._moved(found[1]) + found[2]

    def _moved(self, day: str) -> str:
        return f"{datetime.strptime(day, '%Y%m%d').date() + self._days:%Y%m%d}"

    def _nobodys(self, value: str) -> str:
        if self._words & frozenset(_split(value)):
            raise _GoneError("")
        return value


def _fitting(pattern: re.Pattern[str], value: str) -> str:
    if not pattern.fullmatch(value):
        raise _GoneError("")
    return value


def _age(value: str) -> str:
    if not (found := _AGE.fullmatch(value)):
        raise _GoneError("")
    return f"{_OLDEST:03}Y" if found[2] == "Y" and int(found[1]) > _OLDEST else value


def _as_many(wanted: str, found: int) -> bool:
    """Whether a value multiplicity is what PS3.6 says; one that is too long could be a text of bytes."""
    return found <= 1 or not wanted.isdigit() or found == int(wanted)


def _regions(found: Sequence) -> list[Dataset]:
    regions = []
    for item in found:
        name = (text(item, "CodingSchemeDesignator"), text(item, "CodeValue"))
        if name in REGIONS:
            region = Dataset()
            region.CodingSchemeDesignator, region.CodeValue, region.CodeMeaning = *name, REGIONS[name]
            regions.append(region)
    if not regions:
        raise _GoneError("")
    return regions


def _person(source: Dataset) -> str:
    """Whose image it is; where nothing says it, its study's patient is somebody by themselves."""
    if number := text(source, "PatientID"):
        return f"id {number}"
    named = f"{text(source, 'PatientName')} {text(source, 'PatientBirthDate')}".strip()
    return f"name {named}" if named else f"study {text(source, 'StudyInstanceUID')}"


def _words(source: Dataset) -> frozenset[str]:
    named = (word for keyword in _NAMING for one in texts(source, keyword) for word in _split(one))
    return frozenset(word for word in named if len(word) >= _SHORTEST_WORD)


def _split(value: str) -> list[str]:
    return re.findall(r"\w+", value.casefold())


def _years(source: Dataset) -> int | None:
    """Age on the day of the study, where the header gives only the day of birth."""
    days = [text(source, keyword) for keyword in ("PatientBirthDate", "StudyDate")]
    if not all(map(_DATE.fullmatch, days)):
        return None
    try:
        born, studied = (date(int(day[:4]), int(day[4:6]), int(day[6:])) for day in days)
    except ValueError:
        return None
    years = studied.year - born.year - ((studied.month, studied.day) < (born.month, born.day))
    return years if years >= 0 else None


def _shared(source: Dataset) -> Dataset:
    """The shared functional groups of an Enhanced image, or empty."""
    with suppress(DicomError):
        return next(iter(items(source, "SharedFunctionalGroupsSequence", "")), Dataset())
    return Dataset()
