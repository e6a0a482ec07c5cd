"""A reader's review of a report, as a further report that refers to the first: accepted, rejected, supplemented."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from highdicom.sr import (
    CompositeContentItem,
    Comprehensive3DSR,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    QualitativeEvaluation,
    RelationshipTypeValues,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset, FileDataset
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage

from ichscope.errors import barrier
from ichscope.labels import LABELS
from ichscope.objects import codes
from ichscope.objects.content import WARNING, plain
from ichscope.objects.headers import PATIENT_AND_STUDY, Headers, SliceHeader, taken_over
from ichscope.objects.making import PRODUCT, REVIEW, Making
from ichscope.objects.refusal import ObjectError
from ichscope.objects.uids import uid_of

_LONGEST_NAME = 60
_LABEL_OF = {(code.value, code.scheme_designator): label for label, code in codes.FINDINGS.items()}


@dataclass(frozen=True)
class Said:
    """What a reader says of a study.

    labels : whether there is such a bleed, by label name; what is not among them, nothing was said of
    signed : whether the reader's name is proven, as by a sign-in; if not, it is as typed
    """

    reader: str
    at: datetime
    labels: Mapping[str, bool]
    comment: str = ""
    poor_quality: bool = False
    signed: bool = False


@dataclass(frozen=True)
class Claim:
    """What a report says: that a model sees a bleed, or does not; `tracking` and `uid` name it across reports."""

    label: str
    present: bool
    tracking: str
    uid: str


def review_of(first: FileDataset, said: Said, number: int = 1) -> FileDataset:
    """Make the review of a report: for each of its claims that the reader spoke of, what the reader says, and how that
    stands to it. What no model claims and the reader sees is a claim of its own.

    Parameters
    ----------
    first : a report as `study.objects_of` makes it; patient, study and images are taken from it
    number : which one it is of several reviews of the same report

    Raises
    ------
    ObjectError
        if it is no such report, or the reader spoke of no label

    References
    ----------
    PS3.16 TID 1500 and 1501; TID 1003, the person who observes
    """
    with barrier(lambda kind: ObjectError(f"unexpected {kind} in the report that was reviewed")):
        claims = _claims(first)
        making = Making(_headers(first), _fingerprint(first, said), said.at.astimezone())
        groups = [*_answers(claims, said), *_besides(claims, said, making)]
        if not groups:
            raise ObjectError("found no label that the reader spoke of, expected at least one")
        return _document(first, said, making, groups, number)


def _document(
    first: FileDataset, said: Said, making: Making, groups: list[MeasurementsAndQualitativeEvaluations], number: int
) -> FileDataset:
    content = MeasurementReport(
        observation_context=ObservationContext(observer_person_context=_person(said)),
        procedure_reported=codes.HEAD_CT,
        imaging_measurements=groups,
    )
    content[0].ContentSequence.append(
        CompositeContentItem(
            codes.REVIEWED, first.SOPClassUID, first.SOPInstanceUID, relationship_type=RelationshipTypeValues.CONTAINS
        )
    )
    content[0].ContentSequence.extend(
        TextContentItem(codes.COMMENT, plain(text), RelationshipTypeValues.CONTAINS) for text in _comments(said)
    )
    evidence = [*making.images(), _reference(first, making)]
    settings = making.made_with(REVIEW) | {"instance_number": number}  # the UID follows from what is said alone
    return making.finished(Comprehensive3DSR(evidence=evidence, content=content, is_complete=True, **settings))


def _claims(first: FileDataset) -> list[Claim]:
    """What a report claims.

    Raises
    ------
    ObjectError
        if it is none of ours
    """
    if first.SOPClassUID != Comprehensive3DSRStorage or first.get("ManufacturerModelName") != PRODUCT:
        raise ObjectError.about("the report", "SOPClassUID", "another document", f"a report of {PRODUCT}")
    groups = [
        group
        for container in _named(first, Code("126010", "DCM", "Imaging Measurements"))
        for group in container.ContentSequence
        if _named(group, codes.PRESENCE) and not _named(group, codes.ASSESSMENT)
    ]
    if not groups:
        raise ObjectError.about("the report", "ContentSequence", "no claim of a model", f"a report of {PRODUCT}")
    return [_claim(group) for group in groups]


def _claim(group: Dataset) -> Claim:
    [finding] = _named(group, Code("121071", "DCM", "Finding"))
    [presence] = _named(group, codes.PRESENCE)
    [tracking] = _named(group, Code("112039", "DCM", "Tracking Identifier"))
    [uid] = _named(group, Code("112040", "DCM", "Tracking Unique Identifier"))
    code = finding.ConceptCodeSequence[0]
    return Claim(
        label=_LABEL_OF[code.CodeValue, code.CodingSchemeDesignator],
        present=presence.ConceptCodeSequence[0].CodeValue == codes.PRESENT.value,
        tracking=tracking.TextValue,
        uid=uid.UID,
    )


def _named(item: Dataset, concept: Code) -> list[Dataset]:
    """The content items below this one that have a name."""
    return [
        below
        for below in item.get("ContentSequence", ())
        if (below.ConceptNameCodeSequence[0].CodeValue, below.ConceptNameCodeSequence[0].CodingSchemeDesignator)
        == (concept.value, concept.scheme_designator)
    ]


def _answers(claims: list[Claim], said: Said) -> Iterator[MeasurementsAndQualitativeEvaluations]:
    for claim in claims:
        if (seen := said.labels.get(claim.label)) is not None:
            yield _group(claim.tracking, claim.uid, claim.label, seen, _assessment(claim.present, seen))


def _besides(claims: list[Claim], said: Said, making: Making) -> Iterator[MeasurementsAndQualitativeEvaluations]:
    """What the reader sees and no model knows."""
    known = {claim.label for claim in claims}
    for label in LABELS:
        if said.labels.get(label) and label not in known:
            yield _group(f"reader {label}", making.uid("tracking", label), label, True, codes.SUPPLEMENTED)


def _assessment(claimed: bool, seen: bool) -> Code:
    if claimed == seen:
        return codes.ACCEPTED
    return codes.REJECTED if claimed else codes.SUPPLEMENTED


def _group(tracking: str, uid: str, label: str, seen: bool, assessment: Code) -> MeasurementsAndQualitativeEvaluations:
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=uid, identifier=tracking),
        finding_type=codes.FINDINGS[label],
        qualitative_evaluations=[
            QualitativeEvaluation(codes.PRESENCE, codes.PRESENT if seen else codes.ABSENT),
            QualitativeEvaluation(codes.ASSESSMENT, assessment),
        ],
    )


def _comments(said: Said) -> list[str]:
    return [
        f"{WARNING}.",
        *([] if said.signed else ["The reader's name is as typed: no sign-in proves it."]),
        *(["The reader calls the images poor."] if said.poor_quality else []),
        *([f"Comment of the reader: {said.comment}"] if said.comment else []),
    ]


def _person(said: Said) -> ObserverContext:
    """The reader; a name that is one word is a family name (PS3.5 6.2.1)."""
    name = plain(said.reader)[:_LONGEST_NAME].replace("^", " ").replace("=", " ").strip()
    return ObserverContext(codes.PERSON, PersonObserverIdentifyingAttributes(name=f"{name}^"))


def _headers(first: FileDataset) -> Headers:
    """Patient, study and images, as the first report has them."""
    places = tuple(
        SliceHeader(
            "", image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID, series.SeriesInstanceUID, None, 0, 0
        )
        for study in first.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for image in series.ReferencedSOPSequence
    )
    taken = taken_over(first, ("SpecificCharacterSet", *PATIENT_AND_STUDY))
    return Headers(str(first.StudyInstanceUID), taken, places)


def _reference(first: FileDataset, making: Making) -> Dataset:
    """The first report as evidence: of it, too, highdicom asks for what it asks of an image."""
    reference = making.images()[0]
    reference.SeriesInstanceUID = first.SeriesInstanceUID
    reference.SOPClassUID, reference.SOPInstanceUID = first.SOPClassUID, first.SOPInstanceUID
    return reference


def _fingerprint(first: FileDataset, said: Said) -> str:
    parts = (said.reader, said.at.isoformat(), repr(sorted(said.labels.items())), said.comment, str(said.poor_quality))
    return uid_of(str(first.SOPInstanceUID), *parts, str(said.signed))
