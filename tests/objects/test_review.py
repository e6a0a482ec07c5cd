"""Reviews: what a reader says of what a report claims, in a report that refers to it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import Dataset

from ichscope.objects import codes
from ichscope.objects.refusal import ObjectError
from ichscope.objects.report import report
from ichscope.objects.review import Said, review_of
from ichscope.objects.study import as_files, objects_of
from ichscope.phantom import Phantom, datasets
from tests.support import results_builder
from tests.support.dicom_results import PRIVATE, dciodvfy, dsr2html, making, study

WHEN = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
FLAGS = results_builder.model(
    "cranioscan", probability={"subdural": 0.9, "epidural": 0.1}, along=(0.2,) * 7 + (0.9,), threshold=0.5
)
CALM = results_builder.model("cerebroscan", along=(0.2,) * 8, labels=("any",), threshold=0.5)


@pytest.fixture(scope="module")
def first(head: Phantom) -> Dataset:
    """A report in which one model sees a subdural bleed, and the other none."""
    result, headers = study(datasets(head, PatientName="Müller^Jörg", SpecificCharacterSet="ISO_IR 100"), FLAGS, CALM)
    return report(result.speaks, making(headers))


def said(labels: dict[str, bool], **fields: object) -> Said:
    return Said("Quinn Reader", WHEN, labels, **fields)  # type: ignore[arg-type]


def code(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue)


def answers(document: Dataset) -> dict[str, tuple[str, str]]:
    """By tracking identifier: present or absent by the reader, and how that stands to the report."""
    [container] = [item for item in document.ContentSequence if code(item) == "126010"]
    found = {}
    for group in container.ContentSequence:
        items = {code(item): item for item in group.ContentSequence}
        presence = items[codes.PRESENCE.value].ConceptCodeSequence[0].CodeMeaning
        found[items["112039"].TextValue] = (presence, items["assessment"].ConceptCodeSequence[0].CodeValue)
    return found


def texts(document: Dataset) -> list[str]:
    return [item.TextValue for item in document.ContentSequence if code(item) == codes.COMMENT.value]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"subdural": True}, {"cranioscan subdural": ("Present", "accepted")}),
        ({"subdural": False}, {"cranioscan subdural": ("Absent", "rejected")}),
        ({"epidural": True}, {"cranioscan epidural": ("Present", "supplemented")}),
        ({"epidural": False}, {"cranioscan epidural": ("Absent", "accepted")}),
        ({"any": True}, {"cranioscan any": ("Present", "accepted"), "cerebroscan any": ("Present", "supplemented")}),
        ({"any": False}, {"cranioscan any": ("Absent", "rejected"), "cerebroscan any": ("Absent", "accepted")}),
    ],
    ids=str,
)
def test_accepted_rejected_supplemented(
    first: Dataset, labels: dict[str, bool], expected: dict[str, tuple[str, str]]
) -> None:
    assert answers(review_of(first, said(labels))) == expected


def test_what_no_model_knows_and_the_reader_sees_is_a_claim_of_its_own(head: Phantom) -> None:
    result, headers = study(datasets(head), CALM)
    only_any = report(result.speaks, making(headers))
    document = review_of(only_any, said({"any": True, "subdural": True, "epidural": False}))
    assert answers(document) == {
        "cerebroscan any": ("Present", "supplemented"),
        "reader subdural": ("Present", "supplemented"),
    }


def test_the_review_refers_to_the_report_its_images_and_its_claims(first: Dataset) -> None:
    document = review_of(first, said({"subdural": False}))
    [reference] = [item for item in document.ContentSequence if item.ValueType == "COMPOSITE"]
    assert reference.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    [evidence] = document.CurrentRequestedProcedureEvidenceSequence
    by_series = {one.SeriesInstanceUID: len(one.ReferencedSOPSequence) for one in evidence.ReferencedSeriesSequence}
    [images] = first.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert by_series == {images.SeriesInstanceUID: 8, first.SeriesInstanceUID: 1}
    uids = {
        item.UID
        for one in (first, document)
        for container in one.ContentSequence
        if code(container) == "126010"
        for group in container.ContentSequence
        for item in group.ContentSequence
        if code(item) == "112040" and "cranioscan subdural" in {sub.get("TextValue") for sub in group.ContentSequence}
    }
    assert len(uids) == 1, "the claim has the same tracking UID in both"


def test_patient_reader_and_time(first: Dataset) -> None:
    document = review_of(first, said({"any": True}))
    assert document.StudyInstanceUID == first.StudyInstanceUID
    assert str(document.PatientName) == "Müller^Jörg"
    assert document.SpecificCharacterSet == "ISO_IR 100"
    [reader] = [item for item in document.ContentSequence if item.ValueType == "PNAME"]
    assert str(reader.PersonName) == "Quinn Reader^"
    assert document.ContentDate == WHEN.astimezone().strftime("%Y%m%d")
    assert document.VerificationFlag == "UNVERIFIED"


@pytest.mark.parametrize("name", ["Dr^No=1", "Ann\\Bob", "Jörg", "x" * 200])
def test_any_name_of_a_reader_can_be_written(first: Dataset, name: str, tmp_path: Path) -> None:
    document = review_of(first, Said(name, WHEN, {"any": True}))
    document.save_as(tmp_path / "review.dcm", enforce_file_format=True)
    assert dciodvfy(tmp_path / "review.dcm")[0] == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"signed": True}, []),
        ({}, ["The reader's name is as typed: no sign-in proves it."]),
        ({"signed": True, "poor_quality": True}, ["The reader calls the images poor."]),
        ({"signed": True, "comment": "Motion.\nSee slice 4."}, ["Comment of the reader: Motion.?See slice 4."]),
    ],
    ids=["signed", "typed", "poor", "comment"],
)
def test_what_else_the_reader_says(first: Dataset, fields: dict[str, object], expected: list[str]) -> None:
    document = review_of(first, said({"any": True}, **fields))
    assert texts(document) == ["Research use only, not for diagnosis.", *expected]


def test_the_document_is_as_the_standard_says_and_is_shown(first: Dataset, tmp_path: Path) -> None:
    document = review_of(first, said({"any": True, "subdural": False}, comment="No blood."))
    document.save_as(tmp_path / "review.dcm", enforce_file_format=True)
    errors, warnings = dciodvfy(tmp_path / "review.dcm")
    assert not errors
    assert set(warnings) <= {PRIVATE}
    shown = dsr2html(tmp_path / "review.dcm")
    for expected in ("Quinn Reader", "Rejected: the reader does not see the finding", "No blood."):
        assert expected in shown


def test_the_same_review_has_the_same_uid_whatever_its_number(first: Dataset) -> None:
    same = {review_of(first, said({"any": True}), number).SOPInstanceUID for number in (1, 2)}
    other = {review_of(first, one).SOPInstanceUID for one in (said({"any": False}), said({"any": True}, signed=True))}
    assert len(same) == 1
    assert len(same | other) == 3
    assert list(as_files([review_of(first, said({"any": True}), 2)])) == ["review-2.dcm"]


def test_a_review_that_says_nothing_of_a_label_is_refused(first: Dataset) -> None:
    with pytest.raises(ObjectError, match="found no label that the reader spoke of"):
        review_of(first, said({}))


def test_only_reports_of_ours_are_reviewed(head: Phantom, first: Dataset) -> None:
    [_, selection, *_] = objects_of(*study(datasets(head)))
    with pytest.raises(ObjectError, match="found another document, expected a report of ICHScope"):
        review_of(selection, said({"any": True}))
    with pytest.raises(ObjectError, match="found no claim of a model"):
        review_of(review_of(first, said({"any": True})), said({"any": True}))
