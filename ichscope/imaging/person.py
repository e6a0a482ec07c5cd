"""Whose image is it? Patients whose headers contradict each other are told apart; no identifier is kept as it is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from functools import lru_cache

from pydicom.dataset import Dataset

from ichscope.imaging.elements import describe, short_hash, text
from ichscope.imaging.findings import Finding, FindingLevel

_BETWEEN_WORDS = re.compile(r"[\s^,]+")
_NO_BIRTH_DATES = ("", "00000000")


@dataclass(frozen=True, order=True)
class Person:
    """Short hashes of what a header says of the patient; "" where it says nothing.

    References
    ----------
    PS3.3 C.7.1.1, the Patient Module; PS3.5 6.2 for PN, whose part before the first "=" is in letters
    """

    patient_id: str = ""
    name: str = ""
    birth_date: str = ""

    def contradicts(self, other: Person) -> bool:
        """Whether both say something of the same tag, and not the same. What is missing contradicts nothing.

        Examples
        --------
        >>> Person("a", "", "x").contradicts(Person("a", "n")), Person("a").contradicts(Person("b"))
        (False, True)
        """
        return any(
            mine and theirs and mine != theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)
        )

    def joined(self, other: Person) -> Person:
        """All that either says."""
        return Person(*(mine or theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def mark(self, patients: Iterable[Person]) -> str:
        """What tells this patient from the others: the Patient ID where it is nobody else's, else all that is said.

        By the Patient ID alone a patient is known again whose files come by themselves.
        """
        same_id = sum(self.patient_id == other.patient_id for other in patients)
        return self.patient_id if self.patient_id and same_id == 1 else short_hash(*astuple(self))


_KEYWORDS = {"patient_id": "PatientID", "name": "PatientName", "birth_date": "PatientBirthDate"}


def person_of(dataset: Dataset) -> Person:
    """What an image says of its patient.

    Examples
    --------
    >>> first, second = Dataset(), Dataset()
    >>> first.PatientName, second.PatientName = "Smith^John", "SMITH JOHN^"
    >>> person_of(first) == person_of(second)
    True
    """
    name = text(dataset, "PatientName").partition("=")[0]
    born = "".join(filter(str.isdigit, text(dataset, "PatientBirthDate")))
    return Person(hash_of(text(dataset, "PatientID")), hash_of(name), "" if born in _NO_BIRTH_DATES else hash_of(born))


@lru_cache(maxsize=4096)
def hash_of(value: str) -> str:
    """A short hash of an identifier, the same however it is spaced and written; "" for none."""
    plain = " ".join(filter(None, _BETWEEN_WORDS.split(unicodedata.normalize("NFKC", value).casefold())))
    return short_hash("person", plain) if plain else ""


def tell_apart(people: Sequence[Person]) -> list[tuple[Person, list[int]]]:
    """Patients, and the places of what is said of each; in an order that is always the same.

    What says too little to tell whose of several patients it is, is none of theirs: it comes last.

    Examples
    --------
    >>> [places for _, places in tell_apart([Person("b"), Person("a"), Person("a", "n"), Person("b", "", "x")])]
    [[1, 2], [0, 3]]
    >>> tell_apart([Person("a"), Person(), Person("a", "n")])
    [(Person(patient_id='a', name='n', birth_date=''), [0, 1, 2])]
    """
    patients: list[Person] = []
    # Who says most comes first: who says less is then one of those, or of none.
    for person in sorted(set(people), key=lambda person: (-sum(map(bool, astuple(person))), person)):
        fitting = [number for number, patient in enumerate(patients) if not person.contradicts(patient)]
        if len(fitting) == 1:
            patients[fitting[0]] = patients[fitting[0]].joined(person)
        elif not fitting:
            patients.append(person)
    members: dict[tuple[bool, Person], list[int]] = {}
    for place, person in enumerate(people):
        fitting = [number for number, patient in enumerate(patients) if not person.contradicts(patient)]
        patient = patients[fitting[0]] if len(fitting) == 1 else Person()
        members.setdefault((patient == Person(), patient), []).append(place)
    return [(key[1], members[key]) for key in sorted(members)]


def told_apart_by(people: Iterable[Person]) -> tuple[str, ...]:
    """Keywords of the tags that contradict among these."""
    all_of_them = list(people)
    return tuple(
        _KEYWORDS[field.name]
        for field in fields(Person)
        if len({value for person in all_of_them if (value := getattr(person, field.name))}) > 1
    )


def contradiction(keywords: Sequence[str], patients: int, shared: str) -> Finding:
    """The finding of a study or series whose UID several patients bear.

    Parameters
    ----------
    keywords : of the tags that contradict
    patients : how many they name
    shared : keyword of the UID

    Examples
    --------
    >>> contradiction(["PatientID"], 2, "StudyInstanceUID").text
    'Patient ID (0010,0020) contradicts itself within one Study Instance UID (0020,000D): found 2 patients, \
expected one. Each has a study of their own; whose images these are is to be checked.'
    """
    *first, last = map(describe, keywords)
    tags = f"{', '.join(first)} and {last}" if first else last
    verb = "contradicts itself" if len(keywords) == 1 else "contradict"
    text = f"{tags} {verb} within one {describe(shared)}: found {patients} patients, expected one. "
    return Finding(
        FindingLevel.WARNING,
        "identity",
        text + "Each has a study of their own; whose images these are is to be checked.",
    )
