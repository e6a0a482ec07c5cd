"""Files of several patients that bear the same UIDs, and of one patient that bear too many of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset

from ichscope.analyse import analyse_group
from ichscope.batch.work_items import Files, from_text, to_text
from ichscope.imaging.dicom import DicomError, read_series
from ichscope.imaging.elements import short_hash
from ichscope.imaging.intake import Group, collect
from ichscope.phantom import Phantom, datasets, make, to_bytes

UIDS = {"StudyInstanceUID": "1.2.3.4", "SeriesInstanceUID": "1.2.3.4.1"}
ONE = {"PatientID": "P1", "PatientName": "SMITH^JOHN", "PatientBirthDate": "19500102"}
OTHER = {"PatientID": "P2", "PatientName": "JONES^MARY", "PatientBirthDate": "19600304"}


def files(images: list[Dataset], folder: str = "a") -> list[tuple[str, bytes]]:
    return [(f"{folder}/IM{number:04d}", to_bytes(image)) for number, image in enumerate(images)]


def tagged(head: Phantom, **tags: object) -> list[Dataset]:
    return datasets(head, **(UIDS | ONE | tags))


def codes(group: Group) -> list[str]:
    return [finding.code for finding in group.findings]


@pytest.fixture(scope="module")
def second() -> Phantom:
    return make("subdural", seed=3, slices=8, size=128)


def shifted(images: list[Dataset], by: float) -> list[Dataset]:
    for image in images:
        x, y, z = map(float, image.ImagePositionPatient)
        image.ImagePositionPatient = [x, y, round(z + by, 3)]
    return images


CONTRADICTIONS = {
    "all of them": (OTHER, ["Patient ID (0010,0020)", "Patient's Name (0010,0010)", "Birth Date (0010,0030)"]),
    "the ID": ({"PatientID": "P2"}, ["Patient ID (0010,0020)"]),
    "the name": ({"PatientName": "SMITH^JANE"}, ["Patient's Name (0010,0010)"]),
    "the birth date": ({"PatientBirthDate": "19500103"}, ["Patient's Birth Date (0010,0030)"]),
    "the name, without an ID": ({"PatientName": "JONES", "PatientID": None}, ["Patient's Name (0010,0010)"]),
    "another series, too": (OTHER | {"SeriesInstanceUID": "1.2.3.4.2"}, ["Patient ID (0010,0020)"]),
}


NAMELESS = {"PatientID": None, "PatientName": None, "PatientBirthDate": None}


@pytest.mark.parametrize("shift", [0.0, 2.5], ids=["same places", "between"])
def test_two_frames_of_reference_in_one_series_are_two_volumes(head: Phantom, second: Phantom, shift: float) -> None:
    one = tagged(head, **NAMELESS, FrameOfReferenceUID="1.2.7")
    other = shifted(tagged(second, **NAMELESS, FrameOfReferenceUID="1.2.8", PixelSpacing=one[0].PixelSpacing), shift)
    groups = collect(files(one, "a") + files(other, "b")).groups
    assert sorted({source.name[0] for source in group.sources} for group in groups) == [{"a"}, {"b"}]
    assert [len(group.sources) for group in groups] == [8, 8]
    for group in groups:
        (found,) = (one for one in group.findings if one.code == "frame-of-reference")
        assert "Frame of Reference UID (0020,0052) contradicts itself within one Series" in found.text


def test_a_frame_of_reference_that_changes_on_the_way_up_of_nobody_is_said_and_parts_nothing(head: Phantom) -> None:
    images = tagged(head, **NAMELESS)
    del images[2].FrameOfReferenceUID
    for image in images[5:]:
        image.FrameOfReferenceUID = "1.2.8"
    (group,) = collect(files(images)).groups
    assert (len(group.sources), codes(group)) == (8, ["frame-of-reference"])


@pytest.mark.parametrize("shift", [0.0, 2.5], ids=["same places", "between"])
@pytest.mark.parametrize(("tags", "words"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_two_patients_with_one_uid_are_two_studies(
    head: Phantom, second: Phantom, tags: dict[str, object], words: list[str], shift: float
) -> None:
    mixed = [
        file
        for pair in zip(files(tagged(head), "a"), files(shifted(tagged(second, **tags), shift), "b"), strict=True)
        for file in pair
    ]
    for given in (mixed, mixed[::-1]):
        groups = collect(given).groups
        assert sorted(len(group.sources) for group in groups) == [8, 8]
        assert len({group.study for group in groups}) == len({group.key for group in groups}) == 2
        assert short_hash("1.2.3.4") in {group.study for group in groups}
        for group in groups:
            (finding,) = group.findings
            assert (finding.code, finding.level) == ("identity", "warning")
            assert all(word in finding.text for word in words)
            assert not any(str(value) in finding.text for value in (ONE | OTHER).values())
            assert len({source.name[0] for source in group.sources}) == 1
    assert {g.identity for g in collect(mixed).groups} == {g.identity for g in collect(mixed[::-1]).groups}


SAME_PATIENT = {
    "missing": dict.fromkeys(ONE, None),
    "only the ID": {"PatientName": None, "PatientBirthDate": None},
    "empty": dict.fromkeys(ONE, ""),
    "spaces and case": {"PatientID": " p1 ", "PatientName": "Smith John^^"},
    "letters of another script behind": {"PatientName": "SMITH^JOHN=山田^太郎", "SpecificCharacterSet": "ISO_IR 192"},
    "no birth date that is one": {"PatientBirthDate": "00000000"},
    "dots in the birth date": {"PatientBirthDate": "1950.01.02"},
    "another frame of reference": {"FrameOfReferenceUID": "1.2.3.99"},
}


@pytest.mark.filterwarnings("ignore:Invalid value for VR DA")
@pytest.mark.parametrize("tags", SAME_PATIENT.values(), ids=SAME_PATIENT)
def test_what_is_missing_or_spelt_in_another_way_contradicts_nothing(head: Phantom, tags: dict[str, object]) -> None:
    images = tagged(head)[:4] + tagged(head, **tags)[4:]
    (group,) = collect(files(images)).groups
    assert (len(group.sources), group.findings, group.study) == (8, (), short_hash("1.2.3.4"))
    assert len(read_series(group.sources, group.identity).slices) == 8


def test_a_name_composed_and_decomposed_is_one(head: Phantom) -> None:
    names = [unicodedata.normalize(form, "Müller^Jürgen") for form in ("NFC", "NFD")]
    halves = [tagged(head, PatientName=name, SpecificCharacterSet="ISO_IR 192") for name in names]
    assert len(collect(files(halves[0][:4] + halves[1][4:])).groups) == 1


def test_files_that_do_not_say_whose_of_two_they_are_are_nobodys(head: Phantom, second: Phantom) -> None:
    images = tagged(head)[:5] + tagged(head, **dict.fromkeys(ONE, None))[5:] + tagged(second, **OTHER)
    groups = collect(files(images)).groups
    assert sorted(len(group.sources) for group in groups) == [3, 5, 8]
    assert len({group.study for group in groups}) == 3
    assert {code for group in groups for code in codes(group)} == {"identity"}


def test_a_patient_keeps_the_study_whatever_else_comes_of_theirs(head: Phantom, second: Phantom) -> None:
    """What stands for the other patient is made of the Patient ID alone, where that is enough."""
    both = [*files(tagged(head), "a"), *files(tagged(second, **OTHER), "b")]
    more = [*both, *files(tagged(second, **OTHER | {"SeriesInstanceUID": "1.2.3.4.9", "PatientName": None}), "c")]
    studies = {group.study for group in collect(both).groups}
    assert {group.study for group in collect(more).groups} == studies


def test_no_volume_is_of_two_patients_even_when_it_is_asked_for(head: Phantom, second: Phantom) -> None:
    sources = [to_bytes(image) for image in (*tagged(head), *tagged(second, **OTHER))]
    with pytest.raises(DicomError, match=r"Patient ID \(0010,0020\): found another patient") as raised:
        read_series(sources)
    assert "P2" not in str(raised.value)
    groups = collect(files([*tagged(head), *tagged(second, **OTHER)])).groups
    with pytest.raises(DicomError, match="another patient"):
        read_series([source for group in groups for source in group.sources], groups[0].identity)


def test_without_a_study_uid_patients_of_one_series_are_told_apart_too(head: Phantom, second: Phantom) -> None:
    images = tagged(head, StudyInstanceUID=None) + tagged(second, StudyInstanceUID=None, PatientID="P2")
    groups = collect(files(images)).groups
    assert len({group.key for group in groups}) == len({group.study for group in groups}) == 2
    assert "Series Instance UID (0020,000E)" in groups[0].findings[0].text


def test_what_sorting_assumed_limits_the_result_and_outlives_the_queue(
    head: Phantom, second: Phantom, tmp_path: Path
) -> None:
    for name, data in [*files(tagged(head), "a"), *files(tagged(second, **OTHER), "b")]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    for study in collect([tmp_path]).studies:
        back = from_text(to_text(Files(study)))
        assert isinstance(back, Files)
        assert back.groups[0].findings == study[0].findings
        result = analyse_group(back.groups[0], {})
        assert "identity" in [finding.code for finding in result.findings]
        assert any("Patient ID (0010,0020)" in reason for reason in result.reasons)
        assert result.status != "analysed"


# ---- each slice a series of its own ---------------------------------------------------------------------


def alone(head: Phantom, **tags: object) -> list[Dataset]:
    images = tagged(head, **tags)
    for number, image in enumerate(images):
        image.SeriesInstanceUID = f"1.2.3.5.{number}"
    return images


def own_frame_of_reference(images: list[Dataset]) -> list[Dataset]:
    for number, image in enumerate(images):
        image.FrameOfReferenceUID = f"1.2.3.6.{number}"
    return images


def own_series_number(images: list[Dataset]) -> list[Dataset]:
    for number, image in enumerate(images):
        image.SeriesNumber = number + 1
    return images


ALONE: dict[str, Callable[[Phantom], list[Dataset]]] = {
    "as they are": alone,
    "a frame of reference each": lambda head: own_frame_of_reference(alone(head)),
    "no frame of reference": lambda head: alone(head, FrameOfReferenceUID=None),
    "a series number each": lambda head: own_series_number(alone(head)),
    "beside a scout": lambda head: [*alone(head), *scout(head)],
    "in the order of their numbers back": lambda head: alone(head)[::-1],
}


def scout(head: Phantom) -> list[Dataset]:
    return tagged(head, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], SeriesInstanceUID="1.2.3.7")[:1]


@pytest.mark.parametrize("make_images", ALONE.values(), ids=ALONE)
def test_slices_with_a_series_each_are_one_volume_which_is_said(
    head: Phantom, make_images: Callable[[Phantom], list[Dataset]]
) -> None:
    groups = [group for group in collect(files(make_images(head))).groups if len(group.sources) > 1]
    (group,) = groups
    (finding,) = group.findings
    assert (finding.code, finding.level) == ("single-images", "warning")
    assert "Series Instance UID (0020,000E): found 8 different in 8 images, expected one" in finding.text
    read = read_series(group.sources, group.identity)
    assert (read.hu == read_series([to_bytes(image) for image in tagged(head)]).hu).all()
    assert read.key == group.key


def test_slices_scattered_in_folders_without_a_series_uid_are_one_volume(head: Phantom) -> None:
    images = tagged(head, SeriesInstanceUID=None)
    scattered = [file for number, image in enumerate(images) for file in files([image], f"a/{number}")]
    (group,) = collect(scattered).groups
    assert (len(group.sources), codes(group)) == (8, ["single-images"])


def test_one_image_more_is_the_same_series(head: Phantom) -> None:
    first, whole = (collect(files(images)).groups[0] for images in (alone(head)[:7], alone(head)))
    assert first.identity == whole.identity


@pytest.mark.parametrize(
    "tags",
    [
        {"ConvolutionKernel": "H60s"},
        {"StudyInstanceUID": "1.2.3.99"},
        {"FrameOfReferenceUID": "1.2.3.99"},
        {"PixelSpacing": [0.3, 0.3]},
        {"SliceThickness": 1},
        {"PatientID": "P2"},
        {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]},
    ],
    ids=str,
)
def test_single_images_that_differ_are_not_put_together(head: Phantom, tags: dict[str, object]) -> None:
    odd = tagged(head, SeriesInstanceUID="1.2.3.5.5.5")[:1]
    for keyword, value in tags.items():
        setattr(odd[0], keyword, value)
    groups = collect(files([*alone(head)[1:], *odd])).groups
    assert sorted(len(group.sources) for group in groups) == [1, 7]


def test_two_images_are_left_as_they_are(head: Phantom) -> None:
    groups = collect(files(alone(head)[:2])).groups
    assert [(len(group.sources), group.findings) for group in groups] == [(1, ()), (1, ())]
