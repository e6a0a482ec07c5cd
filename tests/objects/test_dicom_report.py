"""The report, read back by highdicom and pydicom: the values that went in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from highdicom.sr import Comprehensive3DSR
from pydicom import Dataset
from pydicom.sr.codedict import codes as public

from ichscope.imaging.findings import Status
from ichscope.labels import LABELS
from ichscope.objects import codes
from ichscope.objects.report import report as make_report
from ichscope.phantom import Phantom, datasets
from ichscope.results import StudyResult
from tests.support import results_builder
from tests.support.dicom_results import making, study
from tests.support.enhanced_ct import enhanced

ORDER = [3, 0, 7, 1, 6, 2, 5, 4]


def report(files: list[Dataset], *models: results_builder.ModelResult, **fields: object) -> tuple[Dataset, StudyResult]:
    result, headers = study(files, *models, **fields)
    return make_report(result.speaks, making(headers)), result


def groups(document: Dataset) -> dict[str, list[Dataset]]:
    """The content items of each measurement group, by its tracking identifier."""
    read = Comprehensive3DSR.from_dataset(document).content.get_image_measurement_groups()
    return {str(group.tracking_identifier): list(group[0].ContentSequence) for group in read}


def named(items: list[Dataset], concept: codes.Code) -> list[Dataset]:
    return [item for item in items if item.ConceptNameCodeSequence[0].CodeValue == concept.value]


def number(item: Dataset) -> float:
    """The value of a NUM item, in full precision."""
    return float(item.MeasuredValueSequence[0].FloatingPointValue)


def comments(document: Dataset) -> list[str]:
    return [item.TextValue for item in named(list(document.ContentSequence), codes.COMMENT)]


def evidence(document: Dataset) -> list[str]:
    return [
        one.ReferencedSOPInstanceUID
        for of_study in document.CurrentRequestedProcedureEvidenceSequence
        for of_series in of_study.ReferencedSeriesSequence
        for one in of_series.ReferencedSOPSequence
    ]


def test_each_model_and_label_has_a_group_with_its_numbers(head: Phantom) -> None:
    document, result = report(datasets(head))
    found = groups(document)
    models = result.speaks.models
    assert list(found) == [f"cranioscan {label}" for label in LABELS] + ["cerebroscan any"]
    for tracking, items in found.items():
        name, _, label = tracking.partition(" ")
        model = models[name]
        assert number(named(items, codes.PROBABILITY)[0]) == model.probability[label]
        assert number(named(items, codes.THRESHOLD)[0]) == model.thresholds[label]
        concept = named(items, public.DCM.Finding)[0].ConceptCodeSequence[0]
        code = codes.FINDINGS[label]
        assert (concept.CodeValue, concept.CodingSchemeDesignator) == (code.value, code.scheme_designator)


@pytest.mark.parametrize(
    ("probability", "threshold", "expected"),
    [(0.5, 0.5, codes.PRESENT), (0.49, 0.5, codes.ABSENT), (1.0, 0.5, codes.PRESENT), (0.0, 0.5, codes.ABSENT)],
)
def test_present_is_what_reaches_the_threshold(
    head: Phantom, probability: float, threshold: float, expected: codes.Code
) -> None:
    along = (0.1,) * 8
    model = results_builder.model(probability={"any": probability}, threshold=threshold, along=along)
    items = groups(report(datasets(head), model)[0])["cranioscan any"]
    assert named(items, codes.PRESENCE)[0].ConceptCodeSequence[0].CodeValue == expected.value


def test_the_slices_of_a_finding_are_referred_to_with_their_probability(head: Phantom) -> None:
    files = datasets(head)
    document, result = report(files)
    items = groups(document)["cranioscan subdural"]
    along = result.speaks.models["cranioscan"].slice_probability["subdural"]
    top = [int(index) for index in np.argsort(-along)[:6]]
    on_slices = named(items, codes.SLICE_PROBABILITY)
    assert [number(item) for item in on_slices] == [float(along[index]) for index in top]
    sources = [item.ContentSequence[0].ReferencedSOPSequence[0] for item in on_slices]
    assert [one.ReferencedSOPInstanceUID for one in sources] == [files[index].SOPInstanceUID for index in top]
    images = [item.ReferencedSOPSequence[0] for item in items if item.ValueType == "IMAGE"]
    assert [one.ReferencedSOPInstanceUID for one in images] == [files[index].SOPInstanceUID for index in top]
    assert {one.ReferencedSOPClassUID for one in images} == {files[0].SOPClassUID}
    assert not any("ReferencedFrameNumber" in one for one in (*images, *sources))


def test_what_is_absent_points_to_no_slice(head: Phantom) -> None:
    items = groups(report(datasets(head))[0])["cranioscan epidural"]
    assert not named(items, codes.SLICE_PROBABILITY)
    assert not [item for item in items if item.ValueType == "IMAGE"]


def test_frames_of_an_enhanced_image_are_referred_to_by_number(head: Phantom) -> None:
    image = enhanced(head, ORDER)
    document, _ = report([image])
    items = groups(document)["cranioscan any"]
    expected = [ORDER.index(index) + 1 for index in (7, 6, 5, 4, 3, 2)]  # the upper slices are the likeliest
    sources = [item.ContentSequence[0].ReferencedSOPSequence[0] for item in named(items, codes.SLICE_PROBABILITY)]
    assert [one.ReferencedFrameNumber for one in sources] == expected
    [whole] = [item.ReferencedSOPSequence[0] for item in items if item.ValueType == "IMAGE"]
    assert whole.ReferencedSOPInstanceUID == image.SOPInstanceUID
    assert list(whole.ReferencedFrameNumber) == sorted(expected)
    assert evidence(document) == [image.SOPInstanceUID]


def test_the_algorithm_is_named_with_version_hashes_and_operating_point(head: Phantom) -> None:
    model = replace(results_builder.model(along=(0.9,) * 8), encoder_sha256="ab" * 32, head_sha256="cd" * 32)
    items = groups(report(datasets(head), model)[0])["cranioscan any"]
    assert named(items, public.DCM.AlgorithmName)[0].TextValue == "cranioscan"
    assert named(items, public.DCM.AlgorithmVersion)[0].TextValue == "1.0"
    assert {item.TextValue for item in named(items, public.DCM.AlgorithmParameters)} == {
        "operating point: sensitivity 0.95",
        "provider: CPU fp32",
        "encoder SHA-256: " + "ab" * 32,
        "head SHA-256: " + "cd" * 32,
    }


def test_every_slice_that_was_analysed_is_evidence(head: Phantom) -> None:
    files = datasets(head)
    document, _ = report(files)
    assert evidence(document) == [one.SOPInstanceUID for one in files]


@pytest.mark.parametrize(
    ("status", "reasons", "expected"),
    [
        (Status.ANALYSED, (), []),
        (Status.ANALYSED, ("left aside",), []),
        (Status.LIMITED, ("Slices are thick.", "Schädel"), ["Slices are thick.", "Sch?del"]),
    ],
    ids=["analysed", "analysed-with-a-remark", "limited"],
)
def test_a_limited_result_says_why(
    head: Phantom, status: Status, reasons: tuple[str, ...], expected: list[str]
) -> None:
    said = comments(report(datasets(head), status=status, reasons=reasons)[0])
    assert said[0] == "Research use only, not for diagnosis."
    assert "does not rule out" in said[1]
    assert said[2:] == [f"The result is limited: {reason}" for reason in expected]


def test_the_document_is_unverified_and_made_by_a_device(head: Phantom) -> None:
    document, _ = report(datasets(head))
    assert (document.VerificationFlag, document.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert "VerifyingObserverSequence" not in document
    [observer] = named(list(document.ContentSequence), public.DCM.ObserverType)
    assert observer.ConceptCodeSequence[0].CodeMeaning == "Device"
    assert document.ContentTemplateSequence[0].TemplateIdentifier == "1500"


def test_private_codes_are_explained(head: Phantom) -> None:
    document, _ = report(datasets(head))
    [scheme] = document.CodingSchemeIdentificationSequence
    assert (scheme.CodingSchemeDesignator, scheme.CodingSchemeName) == (codes.SCHEME, "ICHScope codes")


def test_floats_survive_to_the_last_bit(head: Phantom) -> None:
    odd = {"any": 1 / 3, "subdural": float(np.float32(0.1)), "epidural": 1e-17}
    found = groups(report(datasets(head), results_builder.model(probability=odd, along=(0.3,) * 8))[0])
    for label, probability in odd.items():
        assert number(named(found[f"cranioscan {label}"], codes.PROBABILITY)[0]) == probability
