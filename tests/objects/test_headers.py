from __future__ import annotations

import io
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset

from ichscope.imaging.dicom import read_series
from ichscope.imaging.elements import text
from ichscope.imaging.intake import Group, collect
from ichscope.imaging.series import Slice
from ichscope.objects.headers import PATIENT_AND_STUDY, headers_of
from ichscope.objects.refusal import ObjectError
from ichscope.objects.uids import uid_of, what_is_wrong
from ichscope.phantom import Phantom, datasets, to_bytes
from tests.support.dicom_results import group_of, headers
from tests.support.enhanced_ct import enhanced

ORDER = [3, 0, 7, 1, 6, 2, 5, 4]


def test_slices_are_told_as_the_files_have_them(head: Phantom) -> None:
    files = datasets(head)
    read = headers(files[::-1])  # in any order
    assert [place.sop for place in read.slices] == [one.SOPInstanceUID for one in files]
    assert [place.position for place in read.slices] == [tuple(one.ImagePositionPatient) for one in files]
    assert {place.frame for place in read.slices} == {None}
    first = read.slices[0]
    assert (first.sop_class, first.series) == (files[0].SOPClassUID, files[0].SeriesInstanceUID)
    assert (first.rows, first.columns, first.thickness_mm) == (128, 128, 5.0)
    assert first.spacing_mm == tuple(files[0].PixelSpacing)
    assert first.frame_of_reference == files[0].FrameOfReferenceUID
    assert read.study == files[0].StudyInstanceUID


def test_frames_of_an_enhanced_image_bear_their_numbers(head: Phantom) -> None:
    files = datasets(head)
    read = headers([enhanced(head, ORDER)])
    assert [place.frame for place in read.slices] == [ORDER.index(i) + 1 for i in range(8)]
    assert [place.position for place in read.slices] == [tuple(one.ImagePositionPatient) for one in files]
    assert {place.orientation for place in read.slices} == {(1, 0, 0, 0, 1, 0)}
    assert len({place.sop for place in read.slices}) == 1


def test_files_that_were_left_out_are_no_slices(head: Phantom) -> None:
    files = datasets(head)
    files[3].RescaleSlope = None
    assert len(headers(files).slices) == 7


def with_tags(number: int, **tags: object) -> Callable[[list[Dataset]], None]:
    def change(files: list[Dataset]) -> None:
        for keyword, value in tags.items():
            if value is None:
                delattr(files[number], keyword)
            else:
                files[number][keyword].value = value

    return change


def same_uid(files: list[Dataset]) -> None:
    files[2].SOPInstanceUID = files[1].SOPInstanceUID


def all_with(**tags: object) -> Callable[[list[Dataset]], None]:
    def change(files: list[Dataset]) -> None:
        for number in range(len(files)):
            with_tags(number, **tags)(files)

    return change


REFUSED = {
    "an identifier of RSNA": (
        with_tags(1, SOPInstanceUID="ID_0012ab"),
        "SOP Instance UID (0008,0018): found a text that is no UID, expected a UID",
    ),
    "no SOP Instance UID": (with_tags(1, SOPInstanceUID=None), "SOP Instance UID (0008,0018): found none"),
    "no SOP Class UID": (with_tags(1, SOPClassUID=None), "SOP Class UID (0008,0016): found none"),
    "another SOP class": (
        with_tags(1, SOPClassUID="1.2.840.10008.5.1.4.1.1.4"),
        "SOP Class UID (0008,0016): found another class, expected CT Image or Enhanced CT Image Storage",
    ),
    "a leading zero": (with_tags(1, SOPInstanceUID="1.2.03"), "found a UID with an empty component or a leading zero"),
    "too long": (with_tags(1, SOPInstanceUID="1." + "2" * 70), "found 72 characters"),
    "no study": (all_with(StudyInstanceUID=None), "Study Instance UID (0020,000D): found none"),
    "no series": (all_with(SeriesInstanceUID=None), "Series Instance UID (0020,000E): found none"),
    "two slices of one UID": (same_uid, "SOP Instance UID (0008,0018): found that of another slice"),
}


@pytest.mark.filterwarnings("ignore:.*[Vv]alue.*UI:UserWarning")  # pydicom's, when it writes such a file
@pytest.mark.filterwarnings("ignore:The value length:UserWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_what_no_object_could_refer_to_is_refused(head: Phantom, name: str) -> None:
    change, words = REFUSED[name]
    files = datasets(head)
    change(files)
    with pytest.raises(ObjectError) as refused:
        headers(files)
    assert words in str(refused.value)
    assert str(refused.value).startswith("head/IM000")
    assert not any(text(one, "StudyInstanceUID") in str(refused.value) for one in files if "StudyInstanceUID" in one)


def test_a_picture_has_no_headers() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((80, 80), 99, np.uint8)).save(buffer, "PNG")
    [group] = collect([("slice.png", buffer.getvalue())]).groups
    with pytest.raises(ObjectError, match=r"slice\.png: found a picture, expected DICOM files"):
        headers_of(group, [Slice("slice.png", "", None)])


def test_a_series_of_which_nothing_could_be_read_has_none(head: Phantom) -> None:
    with pytest.raises(ObjectError, match="found no slice that could be read"):
        headers_of(group_of(datasets(head)), [])


def on_disk(head: Phantom, folder: Path) -> tuple[Group, tuple[Slice, ...], list[Path]]:
    paths = [folder / f"IM{number}" for number in range(8)]
    for path, one in zip(paths, datasets(head), strict=True):
        path.write_bytes(to_bytes(one))
    [group] = collect([folder]).groups
    return group, read_series(group.sources, group.identity).slices, paths


def test_a_file_that_has_gone_meanwhile_is_named(head: Phantom, tmp_path: Path) -> None:
    group, slices, paths = on_disk(head, tmp_path)
    paths[4].unlink()
    with pytest.raises(ObjectError, match="IM4: cannot be read"):
        headers_of(group, slices)


def test_a_file_that_has_become_another_is_named(head: Phantom, tmp_path: Path) -> None:
    group, slices, paths = on_disk(head, tmp_path)
    paths[4].write_bytes(to_bytes(datasets(head, SOPInstanceUID="1.2.3")[4]))
    with pytest.raises(ObjectError, match="IM4: found another file than when it was analysed"):
        headers_of(group, slices)


NAMES = {
    "no character set": (None, "Miller^John"),
    "latin": ("ISO_IR 100", "Müller^Jörg^von"),
    "cyrillic": ("ISO_IR 144", "Люкceмбypг"),
    "utf-8": ("ISO_IR 192", "Wang^XiaoDong=王^小东"),
    "chinese": ("GB18030", "Wang^XiaoDong=王^小东"),
    "japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_patient_is_copied_byte_for_byte(head: Phantom, name: str) -> None:
    characters, patient = NAMES[name]
    files = datasets(head, SpecificCharacterSet=characters, PatientName=patient, PatientID="ID-7", AccessionNumber="A1")
    taken = headers(files).patient_and_study
    assert str(taken.PatientName) == patient
    assert (taken.PatientID, taken.AccessionNumber, taken.StudyDate) == ("ID-7", "A1", "20240102")
    assert taken.get("SpecificCharacterSet") == (characters or None)
    assert {element.keyword for element in taken} <= {"SpecificCharacterSet", *PATIENT_AND_STUDY}


def test_a_file_in_implicit_vr_is_copied_as_well(head: Phantom) -> None:
    made = []
    for one in datasets(head, SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg"):
        one.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
        made.append(one)
    assert str(headers(made).patient_and_study.PatientName) == "Müller^Jörg"


def test_lossy_compression_is_told_where_there_was_one(head: Phantom) -> None:
    told = {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": 8,
        "LossyImageCompressionMethod": "ISO_10918_1",
    }
    assert len(headers(datasets(head)).lossy) == 0
    assert headers(datasets(head, **told)).lossy.LossyImageCompressionRatio == 8


@pytest.mark.parametrize(
    ("uid", "wrong"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", ""),
        ("0.0", ""),
        ("2.25.0", ""),
        ("1." + "2" * 62, ""),
        ("1." + "2" * 63, "65 characters"),
        ("1", "a UID with an empty component or a leading zero"),
        ("1..2", "a UID with an empty component or a leading zero"),
        ("1.2.", "a UID with an empty component or a leading zero"),
        ("1.02", "a UID with an empty component or a leading zero"),
        ("1.2 3", "a text that is no UID"),
        ("١.٢", "a text that is no UID"),
        ("", "none"),
    ],
)
def test_what_a_uid_is(uid: str, wrong: str) -> None:
    assert what_is_wrong(uid) == wrong


def test_uids_differ_by_where_one_part_ends_and_the_next_begins() -> None:
    assert len({uid_of("a", "bc"), uid_of("ab", "c"), uid_of("abc")}) == 3


def test_headers_hold_no_pixels(head: Phantom) -> None:
    read = headers(datasets(head))
    file = BytesIO()
    read.patient_and_study.save_as(file, implicit_vr=False, little_endian=True)
    assert len(file.getvalue()) < 2000
