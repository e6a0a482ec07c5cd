"""Slices of one series that contradict each other on patient and exposure."""

from __future__ import annotations

from typing import Any

import pytest

from ichscope.imaging.dicom import read_series
from ichscope.imaging.findings import Finding
from ichscope.imaging.quality import assess
from ichscope.imaging.series import Series
from ichscope.phantom import Phantom, datasets, to_bytes


def series(head: Phantom, place: int, everywhere: dict[str, Any], **tags: Any) -> Series:
    """A series of which one slice says something else."""
    files = datasets(head, **everywhere)
    for keyword, value in tags.items():
        setattr(files[place], keyword, value)
    return read_series([to_bytes(one) for one in files])


def grave(given: Series) -> dict[str, str]:
    return {finding.code: finding.text for finding in assess(given) if finding.level != "ok"}


def contradictions(given: Series) -> list[Finding]:
    return [finding for finding in given.findings if finding.code == "slices-contradict"]


@pytest.mark.parametrize("place", [0, 3, 7])
@pytest.mark.parametrize(
    ("tags", "code", "named"),
    [
        ({"KVP": 80}, "kvp", "KVP (0018,0060): found 80"),
        ({"PatientAge": "005Y"}, "age", "Patient's Age (0010,1010): found 5"),
        ({"ContrastBolusAgent": "IOMEPROL"}, "contrast", ""),
        ({"BodyPartExamined": "CHEST"}, "body-part", "Body Part Examined (0018,0015): found CHEST"),
    ],
    ids=["voltage", "age", "contrast", "body part"],
)
def test_one_slice_that_says_something_grave_counts(
    head: Phantom, place: int, tags: dict[str, Any], code: str, named: str
) -> None:
    given = series(head, place, {}, **tags)
    assert code in grave(given)
    assert [finding.text[: len(named)] for finding in contradictions(given)] == [named] * bool(named)


def test_what_is_missing_contradicts_nothing(head: Phantom) -> None:
    given = series(head, 2, {}, KVP=None, PatientAge=None, PatientSex=None, BodyPartExamined=None)
    assert contradictions(given) == []
    assert (given.header.kvp, given.header.sex, given.header.body_part) == (120.0, "M", "HEAD")


def test_a_sex_that_contradicts_is_unknown(head: Phantom) -> None:
    given = series(head, 5, {}, PatientSex="F")
    assert given.header.sex == ""
    assert "Patient's Sex (0010,0040): found F and M" in contradictions(given)[0].text


@pytest.mark.parametrize(
    ("tags", "level"),
    [
        ({"PatientSex": "F"}, "warning"),
        ({"PatientSex": "O"}, "ok"),
        ({"PatientAge": "071Y"}, "ok"),
        ({"PatientAge": "081Y"}, "warning"),
        ({"KVP": 110}, "ok"),
    ],
    ids=str,
)
def test_two_sexes_or_ages_in_one_series_may_be_two_patients(head: Phantom, tags: dict[str, Any], level: str) -> None:
    everywhere = {"PatientSex": "M", "PatientAge": "070Y", "PatientBirthDate": None}
    given = series(head, 3, everywhere, **tags)
    assert [finding.level for finding in contradictions(given)] == [level]


@pytest.mark.parametrize(
    ("age", "born", "level"),
    [
        ("060Y", "19640301", None),
        ("060Y", "19620101", None),
        ("060Y", "19010101", "ok"),
        ("060Y", "20200101", "warning"),
        ("005Y", "19640301", "warning"),
        ("060Y", None, None),
        (None, "19640301", None),
    ],
)
def test_age_against_birth(head: Phantom, age: str | None, born: str | None, level: str | None) -> None:
    given = series(head, 0, {"PatientAge": age, "PatientBirthDate": born})
    found = [finding for finding in given.findings if finding.code == "age"]
    assert [finding.level.value for finding in found] == [level] * (level is not None)
    for finding in found:
        assert "Patient's Birth Date (0010,0030)" in finding.text
        assert not any(value in finding.text for value in ("1901", "2020", "1964"))


@pytest.mark.parametrize("keyword", ["StudyDate", "AccessionNumber", "StudyID"])
def test_two_examinations_in_one_series_are_said_without_their_names(head: Phantom, keyword: str) -> None:
    given = series(head, 3, {keyword: "19990101"}, **{keyword: "20010203"})
    (found,) = contradictions(given)
    assert found.text.endswith("found 2 values in one series, expected one.")
    assert found.level == "ok"
    assert contradictions(series(head, 3, {keyword: "19990101"}, **{keyword: ""})) == []
