"""CT without its patient: what was planted is nowhere in the files, and what models see is the same."""

from __future__ import annotations

import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless
from typer.testing import CliRunner

from ichscope import phantom
from ichscope.commands.cli import app
from ichscope.deidentify import kept
from ichscope.deidentify.files import Outcome, deidentify
from ichscope.deidentify.rewriting import Deidentifier
from ichscope.imaging.dicom import read_series
from ichscope.imaging.intake import collect
from ichscope.imaging.preprocess import model_input
from ichscope.imaging.series import Series
from ichscope.phantom import to_bytes
from tests.support.dicom_results import dciodvfy
from tests.support.enhanced_ct import enhanced

TABLE = Path(__file__).parents[1] / "support/ps3_15_2026c_e_1_1.txt"
KEY = bytes(range(32))
NAME = {"PatientName": "ZZTOP^ZZANNA", "PatientID": "ZZID77"}
# Of each kind of value, one that is found again in any bytes; what it stands in is none of what may stay.
PLANTED: dict[str, Any] = {
    "PN": "ZZPERSON^ZZGIVEN", "LO": "ZZLONG", "SH": "ZZSHORT", "ST": "ZZTEXT", "LT": "ZZLTEXT", "UT": "ZZUTEXT",
    "UC": "ZZUCHARS", "UR": "https://zzlink", "AE": "ZZAE", "CS": "ZZCODE", "AS": "077Y", "DA": "19771231",
    "DT": "19771231121314", "TM": "121314", "UI": "1.2.3.7777777", "DS": "77777.75", "IS": "7777777", "OB": b"ZZOB",
    "OW": b"ZZOW", "UN": b"ZZUN",
}  # fmt: skip
TRACES = [b"ZZ", b"zzlink", b"19771231", b"1.2.3.7777777", b"77777.75", b"7777777"]


def table() -> list[tuple[int, str]]:
    return [(int(tag, 16), action) for tag, action in map(str.split, TABLE.read_text().splitlines())]


def plant(dataset: Dataset) -> None:
    """Put a value into every element of the table that this image lacks, and into private ones and overlays."""
    for tag, _ in table():
        keyword = keyword_for_tag(tag)
        vr = dictionary_VR(tag).split(" or ")[0] if keyword else ""
        stays = keyword in kept.PATIENT
        if not stays and tag not in dataset and vr in PLANTED and tag >> 16 > 0x0002 and tag < 0x7FE00010:
            dataset.add_new(tag, vr, PLANTED[vr])
    block = dataset.private_block(0x0009, "ZZMAKER", create=True)
    block.add_new(0x01, "LO", "ZZPRIVATE")
    for number, vr in enumerate(("DS", "IS", "UR", "UI", "DA"), 2):
        block.add_new(number, vr, PLANTED[vr])
    dataset.add_new(0x60003000, "OW", b"ZZOVERLAY ")
    dataset.add_new(0x50003000, "OW", b"ZZCURVE ")


def item(**values: object) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def full(slices: int = 2, size: int = 32, **tags: object) -> list[Dataset]:
    """Images with something of somebody everywhere: at the top, in sequences that stay, and in others."""
    made = phantom.datasets(phantom.make("subdural", 3, slices=slices, size=size), **NAME, **tags)
    for dataset in made:
        plant(dataset)
        inside = item(ReferencedSOPClassUID=dataset.SOPClassUID, ReferencedSOPInstanceUID="1.2.3.7777777")
        plant(inside)
        dataset.ReferencedImageSequence = Sequence([inside])
        plant(other := item())
        dataset.RequestAttributesSequence = Sequence([other])
        dataset.file_meta.SourceApplicationEntityTitle = "ZZAE"
        dataset.file_meta.PrivateInformationCreatorUID = "1.2.3.7777777"
        dataset.file_meta.PrivateInformation = b"ZZPRIVATE "
        dataset.preamble = b"ZZPREAMBLE".ljust(128, b"\0")
    return made


def put(folder: Path, files: list[Dataset]) -> Path:
    folder.mkdir(parents=True)
    for number, dataset in enumerate(files):
        (folder / f"{number}.dcm").write_bytes(to_bytes(dataset))
    return folder


def run(where: Path, out: Path, key: bytes = KEY, device: bool = False, **options: Any) -> list[Outcome]:
    return list(deidentify([where], out, Deidentifier(key, device), **options))


def written(outcomes: list[Outcome]) -> list[Path]:
    assert [outcome.reason for outcome in outcomes if outcome.reason] == []
    return [outcome.path for outcome in outcomes if outcome.path]


def series(folder: Path) -> Series:
    (group,) = collect([folder]).groups
    return read_series(list(group.sources), group.identity)


def found(data: bytes) -> list[bytes]:
    return [trace for trace in TRACES if trace in data]


def test_what_stays_is_removed_by_no_line_of_the_table_without_its_option() -> None:
    by_tag = dict(table())
    moved = kept.UIDS | kept.DATES | kept.TIMES | kept.PATIENT | kept.DEVICE
    plain = (kept.IMAGE | kept.CLASSES) - moved
    # Of what it has, only the UIDs are at fault (U*), and these are mapped.
    assert [name for name in plain if tag_for_keyword(name) in by_tag] == ["ReferencedImageSequence"]
    assert "U_STAR" in by_tag[0x00081140]
    assert {by_tag[tag_for_keyword(name) or 0] for name in kept.UIDS} == {"U"}
    names = moved | kept.IMAGE | kept.CLASSES | set(kept.EMPTY)
    assert not [name for name in names if tag_for_keyword(name) is None]


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, ExplicitVRBigEndian, "deflated", RLELossless])
def test_nothing_that_was_planted_survives(tmp_path: Path, syntax: str | None) -> None:
    files = full()
    for dataset in files:
        dataset.PixelData += b"ZZBEHIND"
        if syntax == RLELossless:
            dataset.PixelData = encapsulate([b"\1\0\0\0" * 16 + b"pixels"])
            dataset["PixelData"].is_undefined_length = True
        if syntax == ExplicitVRBigEndian:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").byteswap().tobytes()
        if syntax:
            dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99" if syntax == "deflated" else syntax
    where = put(tmp_path / "in", files)
    assert syntax == "deflated" or found((where / "0.dcm").read_bytes()) == TRACES
    paths = written(run(where, tmp_path / "out"))
    assert len(paths) == 2
    for path in paths:
        assert found(path.read_bytes()) == []
        assert found(str(path).encode()) == []


def test_images_are_analysed_as_before(tmp_path: Path) -> None:
    files = phantom.datasets(
        phantom.make("subdural", 3, slices=8, size=64), **NAME, PatientAge=None, ScanOptions="AXIAL"
    )
    before = series(put(tmp_path / "in", files))
    written(run(tmp_path / "in", tmp_path / "out"))
    after = series(tmp_path / "out")
    assert np.array_equal(after.hu, before.hu)
    assert after.spacing_mm == before.spacing_mm
    assert np.array_equal(model_input(after.hu)[0], model_input(before.hu)[0])
    names = ("age_years", "sex", "kvp", "kernel", "scanner", "slice_thickness_mm", "body_part", "contrast")
    assert {name: getattr(after.header, name) for name in names if name != "age_years"} == {
        name: getattr(before.header, name) for name in names if name != "age_years"
    }
    assert after.header.age_years == int(before.header.age_years or 0)


def test_an_enhanced_image_keeps_its_frames(tmp_path: Path) -> None:
    one = enhanced(phantom.make("subdural", 3, slices=4, size=32), [2, 0, 3, 1], **NAME)
    plant(one)
    for frame in one.PerFrameFunctionalGroupsSequence:
        frame.FrameContentSequence = Sequence([item(FrameComments="ZZTOP", FrameAcquisitionDateTime="19771231121314")])
    before = series(put(tmp_path / "in", [one]))
    (path,) = written(run(tmp_path / "in", tmp_path / "out"))
    assert found(path.read_bytes()) == []
    after = series(tmp_path / "out")
    assert np.array_equal(after.hu, before.hu)
    assert (after.header.kvp, after.header.kernel) == (110, "H31s")


def test_the_checker_finds_no_new_errors(tmp_path: Path) -> None:
    files = phantom.datasets(phantom.make(None, 3, slices=1, size=32), **NAME)
    where = put(tmp_path / "in", files)
    (path,) = written(run(where, tmp_path / "out"))
    before, after = (dciodvfy(file)[0] for file in (where / "0.dcm", path))
    assert set(after) <= set(before)


@pytest.mark.parametrize("device", [True, False])
def test_it_says_what_was_done(tmp_path: Path, device: bool) -> None:
    files = full(1, DeviceSerialNumber="S77")
    paths = written(run(put(tmp_path / "in", files), tmp_path / "out", device=device))
    made = pydicom.dcmread(paths[0])
    assert (made.PatientIdentityRemoved, made.LongitudinalTemporalInformationModified) == ("YES", "MODIFIED")
    options = ["113100", "113107", "113108", *(["113109"] if device else [])]
    assert [code.CodeValue for code in made.DeidentificationMethodCodeSequence] == options
    assert ("DeviceSerialNumber" in made, "ICHScope" in made.DeidentificationMethod) == (device, True)


def ids(path: Path) -> tuple[str, str, str, str]:
    made = pydicom.dcmread(path)
    return made.PatientID, made.StudyInstanceUID, made.FrameOfReferenceUID, made.StudyDate


def test_the_same_patient_is_the_same_again_by_the_key(tmp_path: Path) -> None:
    head = phantom.make(None, 3, slices=1, size=32)
    put(tmp_path / "a", phantom.datasets(head, **NAME, StudyDate="20240301"))
    put(tmp_path / "b", phantom.datasets(head, **NAME, StudyDate="20240308", StudyInstanceUID="1.2.4"))
    put(tmp_path / "c", phantom.datasets(head, PatientName="ZZTOP", PatientID="ZZID78", StudyDate="20240301"))
    first, again, later, other = (
        ids(written(run(tmp_path / where, tmp_path / f"out {number}"))[0])
        for number, where in enumerate(("a", "a", "b", "c"))
    )
    assert first == again
    assert (first[0] == later[0], first[1] == later[1], first[2] == later[2]) == (True, False, True)
    assert pydicom.valuerep.DA(later[3]) - pydicom.valuerep.DA(first[3]) == timedelta(days=7)
    assert first[3] < "20240301"
    assert len({first[0], other[0], ids(written(run(tmp_path / "a", tmp_path / "k", key=bytes(32)))[0])[0]}) == 3


@pytest.mark.parametrize(
    ("tags", "age"),
    [({"PatientAge": "093Y"}, "090Y"), ({"PatientAge": "005D"}, "005D"), ({"PatientAge": ""}, "007Y"),
     ({"PatientAge": None, "PatientBirthDate": "19240202", "StudyDate": "20240201"}, "090Y"),
     ({"PatientAge": None, "PatientBirthDate": ""}, None)],
    ids=["over 90", "days", "no age", "of birth", "unknown"],
)  # fmt: skip
def test_ages_stay_up_to_90(tmp_path: Path, tags: dict[str, Any], age: str | None) -> None:
    dates = {"PatientBirthDate": "20161231", "StudyDate": "20240201"} | tags
    files = phantom.datasets(phantom.make(None, 3, slices=1, size=32), **NAME, **dates)
    (path,) = written(run(put(tmp_path / "in", files), tmp_path / "out"))
    assert pydicom.dcmread(path).get("PatientAge") == age


def test_an_agent_is_said_without_its_name(tmp_path: Path) -> None:
    files = phantom.datasets(phantom.make(None, 3, slices=8, size=32), **NAME, ContrastBolusAgent="ZZPAQUE 300")
    put(tmp_path / "in", files)
    assert found(b"".join(path.read_bytes() for path in written(run(tmp_path / "in", tmp_path / "out")))) == []
    assert series(tmp_path / "out").header.contrast


SC = "1.2.840.10008.5.1.4.1.1.7"
REPORT = "1.2.840.10008.5.1.4.1.1.88.22"


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ({"BurnedInAnnotation": "YES"}, "Burned In Annotation (0028,0301): found YES, expected NO"),
        ({"SOPClassUID": SC, "BurnedInAnnotation": None}, "(0028,0301): found none, in a secondary capture, expected"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"], "BurnedInAnnotation": None},
         "Image Type (0008,0008): found SCREEN SAVE, and no Burned In Annotation, expected"),
        ({"SeriesDescription": "ZZ Dose Report", "BurnedInAnnotation": None}, "(0008,103E): found DOSE REPORT, and no"),
        ({"ImagePositionPatient": None, "BurnedInAnnotation": None}, "Image Position (Patient) (0020,0032): found"),
    ],
    ids=["said", "capture", "screen", "dose", "nowhere"],
)  # fmt: skip
def test_words_in_pixels_are_refused_unless_wanted(tmp_path: Path, tags: dict[str, Any], says: str) -> None:
    files = phantom.datasets(phantom.make(None, 3, slices=1, size=32), **NAME, **tags)
    where = put(tmp_path / "in", files)
    (outcome,) = run(where, tmp_path / "out")
    assert outcome.path is None
    assert says in outcome.reason
    assert "ZZ" not in outcome.reason
    assert not list(tmp_path.glob("out/**/*.dcm"))
    assert written(run(where, tmp_path / "kept", burned_in="keep"))


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        (
            {"SOPClassUID": REPORT},
            "SOP Class UID (0008,0016): found Enhanced SR Storage, expected a CT image's",
        ),
        (
            {"SOPClassUID": "1.2.3.7777777"},
            "SOP Class UID (0008,0016): found another one, expected a CT image's",
        ),
        ({"SOPInstanceUID": None}, "SOP Instance UID (0008,0018): found none, expected a UID"),
        ({"Rows": 64}, "Pixel Data (7FE0,0010): found 2048 bytes, expected 4096, as rows and columns say"),
        ({"PixelData": None}, "Pixel Data (7FE0,0010): found none, expected an image's"),
    ],
    ids=["report", "unknown", "no UID", "short", "no pixels"],
)
def test_what_cannot_be_written_is_said(tmp_path: Path, tags: dict[str, Any], says: str) -> None:
    files = phantom.datasets(phantom.make(None, 3, slices=1, size=32), **NAME, **tags)
    (outcome,) = run(put(tmp_path / "in", files), tmp_path / "out")
    assert outcome.reason == f"in/0.dcm: {says}"
    assert not list(tmp_path.glob("out/**/*.*"))


def test_two_files_of_one_image_are_one_or_refused(tmp_path: Path) -> None:
    files = phantom.datasets(phantom.make(None, 3, slices=2, size=32), **NAME)
    put(tmp_path / "same", [files[0], files[0]])
    assert len(set(written(run(tmp_path / "same", tmp_path / "out")))) == 1
    files[1].SOPInstanceUID = files[1].file_meta.MediaStorageSOPInstanceUID = files[0].SOPInstanceUID
    files[1].SeriesInstanceUID = files[0].SeriesInstanceUID
    outcomes = run(put(tmp_path / "two", files), tmp_path / "other")
    assert [bool(outcome.path) for outcome in outcomes] == [True, False]
    assert "SOP Instance UID (0008,0018): found that of another file" in outcomes[1].reason


# ---------------------------------------------------------------- command


def test_the_command_takes_archives_and_says_what_stays(tmp_path: Path) -> None:
    files = phantom.datasets(phantom.make(None, 3, slices=2, size=32), **NAME)
    archive, key = tmp_path / "in.zip", tmp_path / "key"
    with zipfile.ZipFile(archive, "w") as packed:
        for number, dataset in enumerate(files):
            packed.writestr(f"{number}.dcm", to_bytes(dataset))
        packed.writestr("notes.txt", "ZZTOP")
    first = CliRunner().invoke(app, ["deidentify", str(archive), str(tmp_path / "a"), "--key", str(key)])
    assert first.exit_code == 0
    assert f"2 images of 1 patients in {tmp_path / 'a'}; 0 not written" in first.output
    assert "1 other files are no DICOM images" in first.output
    assert "Faces" in first.output
    assert key.stat().st_mode & 0o077 == 0
    again = CliRunner().invoke(app, ["deidentify", str(archive), str(tmp_path / "b"), "--key", str(key)])
    assert again.exit_code == 0
    names = [
        sorted(path.relative_to(root) for path in root.rglob("*.dcm")) for root in (tmp_path / "a", tmp_path / "b")
    ]
    assert names[0] == names[1] != []


@pytest.mark.parametrize(
    ("made", "code"), [([{}], 0), ([{}, {"BurnedInAnnotation": "YES"}], 3), ([{"BurnedInAnnotation": "YES"}], 1)]
)
def test_exit_codes(tmp_path: Path, made: list[dict[str, Any]], code: int) -> None:
    head = phantom.make(None, 3, slices=1, size=32)
    files = [phantom.datasets(head, **NAME, SOPInstanceUID=f"1.2.{n}", **tags)[0] for n, tags in enumerate(made)]
    put(tmp_path / "in", files)
    assert CliRunner().invoke(app, ["deidentify", str(tmp_path / "in"), str(tmp_path / "out")]).exit_code == code


def test_what_is_not_understood_is_said(tmp_path: Path) -> None:
    where, key = put(tmp_path / "in", full(1)), tmp_path / "key"
    key.write_text("nonsense")
    for options, says in (
        ([str(tmp_path / "in")], "is not empty"),
        ([str(tmp_path / "out"), "--key", str(key)], "found no key, expected 64 hexadecimal digits"),
        ([str(tmp_path / "out"), "--key", str(key), "--store-key"], "expected --key or --store-key, found both"),
    ):
        result = CliRunner().invoke(app, ["deidentify", str(where), *options])
        assert (result.exit_code, says in result.output.replace("\n", " ")) == (2, True)
    assert not (tmp_path / "out").exists()
