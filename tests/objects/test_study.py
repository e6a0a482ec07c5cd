"""All objects of a study together."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from ichscope import phantom
from ichscope.imaging.dicom import read_series
from ichscope.imaging.findings import Status
from ichscope.imaging.intake import collect
from ichscope.objects import study as study_module
from ichscope.objects.content import fingerprint
from ichscope.objects.headers import PATIENT_AND_STUDY, Headers, headers_of
from ichscope.objects.making import Making
from ichscope.objects.refusal import ObjectError
from ichscope.objects.study import as_files, objects_of
from ichscope.objects.uids import what_is_wrong
from ichscope.phantom import Phantom, datasets, to_bytes
from ichscope.results import StudyResult
from tests.support import results_builder
from tests.support.dicom_results import NAMELESS, PRIVATE, dciodvfy, dsr2html, study
from tests.support.enhanced_ct import enhanced

ORDER = [3, 0, 7, 1, 6, 2, 5, 4]
WHEN = datetime(2024, 5, 6, 7, 8, 9)
ALL = ["report.dcm", "key-images.dcm", "capture.dcm", "evidence-1.dcm"]
LOSSY = {
    "LossyImageCompression": "01", "LossyImageCompressionRatio": 8, "LossyImageCompressionMethod": "ISO_10918_1"
}  # fmt: skip


def made(result: StudyResult, headers: Headers, when: datetime = WHEN) -> dict[str, Dataset]:
    return {name: dcmread(BytesIO(data)) for name, data in as_files(objects_of(result, headers, when)).items()}


def calm(slices: int = 8) -> results_builder.ModelResult:
    return results_builder.model(along=(0.1,) * slices)


CASES = {
    "classic": lambda head: study(datasets(head)),
    "enhanced": lambda head: study([enhanced(head, ORDER)]),
    "not-flagged": lambda head: study(datasets(head), calm()),
    "limited": lambda head: study(datasets(head), status=Status.LIMITED, reasons=("Slices are thick.",)),
    "one-slice": lambda head: study(datasets(phantom.make(slices=1, size=64)), calm(1)),
    "umlauts": lambda head: study(datasets(head, PatientName="Müller^Jörg", SpecificCharacterSet="ISO_IR 100")),
    "japanese": lambda head: study(
        datasets(head, PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう", SpecificCharacterSet=["", "ISO 2022 IR 87"])
    ),
    "nameless": lambda head: study(datasets(head, **dict.fromkeys(("PatientName", "PatientID", "AccessionNumber")))),
    "lossy": lambda head: study(datasets(head, **LOSSY)),
}


@pytest.mark.parametrize("case", CASES)
def test_every_object_is_as_the_standard_says(head: Phantom, case: str, tmp_path: Path) -> None:
    objects = made(*CASES[case](head))
    assert list(objects) == ALL if "flagged" not in case and case != "one-slice" else "key-images.dcm" not in objects
    for name, one in objects.items():
        one.save_as(tmp_path / name, enforce_file_format=True)
        errors, warnings = dciodvfy(tmp_path / name)
        assert not errors, name
        assert set(warnings) <= {PRIVATE, *([NAMELESS] if case == "nameless" else [])}, name


@pytest.mark.parametrize("name", ["report.dcm", "key-images.dcm"])
@pytest.mark.parametrize("case", ["classic", "enhanced", "umlauts"])
def test_dcmtk_shows_the_documents(head: Phantom, case: str, name: str, tmp_path: Path) -> None:
    one = made(*CASES[case](head))[name]
    one.save_as(tmp_path / name, enforce_file_format=True)
    shown = dsr2html(tmp_path / name)
    assert "Research use only, not for diagnosis" in shown
    if name == "report.dcm":
        for expected in ("Subdural intracranial hemorrhage", "cranioscan subdural", "cerebroscan any", "Present"):
            assert expected in shown


@pytest.mark.parametrize("case", ["classic", "umlauts", "japanese", "nameless"])
def test_patient_and_study_are_those_of_the_images(head: Phantom, case: str) -> None:
    result, headers = CASES[case](head)
    taken = headers.patient_and_study
    for name, one in made(result, headers).items():
        for keyword in ("SpecificCharacterSet", *PATIENT_AND_STUDY):
            if keyword in taken:
                assert one[keyword].value == taken[keyword].value, (name, keyword)
        assert one.StudyInstanceUID == headers.study


def test_what_the_images_do_not_say_stays_empty(head: Phantom) -> None:
    for one in made(*CASES["nameless"](head)).values():
        assert not one.PatientName
        assert not one.PatientID
        assert not one.AccessionNumber


def test_the_same_result_gives_the_same_files(head: Phantom) -> None:
    first, second = (as_files(objects_of(*study(datasets(head)), WHEN)) for _ in range(2))
    assert first == second


def uids(objects: dict[str, Dataset]) -> set[str]:
    return {uid for one in objects.values() for uid in (one.SOPInstanceUID, one.SeriesInstanceUID)}


def test_uids_follow_from_the_result(head: Phantom) -> None:
    _, headers = study(datasets(head))
    first, second = Making(headers, "one", WHEN), Making(headers, "another", WHEN)
    assert first.uid("report") == Making(headers, "one", WHEN).uid("report") != first.uid("capture")
    assert first.uid("report") != second.uid("report")


def test_uids_are_unique_valid_and_do_not_depend_on_the_time(head: Phantom) -> None:
    result, headers = study(datasets(head))
    first, later = made(result, headers), made(result, headers, datetime(2025, 1, 1))
    assert uids(first) == uids(later)
    assert len(uids(first)) == 2 * len(ALL)  # each kind has a series for itself
    assert not any(what_is_wrong(uid) for uid in uids(first))
    assert {one.ContentDate for one in later.values()} == {"20250101"}


@pytest.mark.parametrize("what", ["threshold", "probability", "slices", "evidence", "version", "hash", "reason"])
def test_another_result_gives_other_uids(head: Phantom, what: str) -> None:
    result, headers = study(datasets(head))
    speaks = result.speaks
    model = speaks.models["cranioscan"]
    changed = {
        "threshold": {"thresholds": model.thresholds | {"any": 0.75}},
        "probability": {"probability": model.probability | {"subdural": 0.876}},
        "slices": {"slice_probability": {label: along / 2 for label, along in model.slice_probability.items()}},
        "evidence": {"evidence": model.evidence / 2},
        "version": {"version": "1.1"},
        "hash": {"head_sha256": "ab" * 32},
        "reason": {},
    }[what]
    models = speaks.models | {"cranioscan": replace(model, **changed)}
    reasons = ("another",) if what == "reason" else speaks.reasons
    other = replace(speaks, models=models, reasons=reasons)
    assert fingerprint(speaks, headers) != fingerprint(other, headers)


def test_nothing_that_is_made_names_a_patient_in_pixels_or_descriptions(head: Phantom) -> None:
    for one in made(*study(datasets(head))).values():
        assert "PHANTOM" not in one.SeriesDescription
        assert one.get("BurnedInAnnotation", "NO") == "NO"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"status": Status.NOT_ANALYSED, "reasons": ("No head was found.",)}, "found no result (No head was found.)"),
        ({"models": {}}, "found no result (no model was run)"),
        ({"slices": ()}, "found headers of other slices"),
    ],
    ids=["not-analysed", "no-model", "other-slices"],
)
def test_without_a_result_there_is_no_object(head: Phantom, fields: dict[str, object], words: str) -> None:
    result, headers = study(datasets(head), **fields)
    with pytest.raises(ObjectError) as refused:
        objects_of(result, headers)
    assert words in str(refused.value)


def test_without_voxels_there_is_no_picture(head: Phantom) -> None:
    result, headers = study(datasets(head), volume=None)
    said: list[str] = []
    objects = objects_of(result, headers, WHEN, said.append)
    assert list(as_files(objects)) == ["report.dcm", "key-images.dcm", "evidence-1.dcm"]
    assert said == ["no capture: head/: found no voxels, expected those of the series, for a picture of it"]


def test_headers_are_read_without_the_library_that_takes_seconds_to_load() -> None:
    code = "import ichscope.objects.headers, sys; sys.exit('highdicom' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_what_nobody_foresaw_is_a_refusal_that_says_nothing_of_the_patient(
    head: Phantom, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise ValueError("Miller^John")

    monkeypatch.setattr(study_module, "report", fail)
    with pytest.raises(ObjectError) as refused:
        objects_of(*study(datasets(head)))
    assert str(refused.value) == "head/: unexpected ValueError while its objects were made"


ODD = {b"SYNTHETIC^PHANTOM": b"SYNTHETIC-PHANTOM", b"19990101": b"1999WHEN", b"PHANTOM-0000": b"PHANTOM\\0000"}


def test_odd_values_of_a_patient_are_copied_and_stand_in_no_log(
    head: Phantom, caplog: pytest.LogCaptureFixture
) -> None:
    """Values that break the standard go over as they are; warnings, in which they would stand, are errors here."""
    caplog.set_level("DEBUG")
    files = []
    for number, one in enumerate(datasets(head)):
        data = to_bytes(one)
        for usual, odd in ODD.items():
            assert usual in data
            data = data.replace(usual, odd)
        files.append((f"IM{number}", data))
    [group] = collect(files).groups
    result, _ = study(datasets(head))
    slices = read_series(group.sources, group.identity).slices
    renamed = StudyResult(series=(replace(result.speaks, slices=slices),))
    made_files = as_files(objects_of(renamed, headers_of(group, slices), WHEN))
    assert all(odd in data for data in made_files.values() for odd in ODD.values())
    assert not any(odd.decode() in record.getMessage() for record in caplog.records for odd in ODD.values())
