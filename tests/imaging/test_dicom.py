from __future__ import annotations

import contextlib
import struct
import warnings
from collections.abc import Callable
from datetime import date
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.encaps import encapsulate, generate_frames
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from ichscope import phantom
from ichscope.imaging.dicom import DicomError, read_series
from ichscope.imaging.intake import collect
from ichscope.imaging.series import Series
from ichscope.imaging.source import Source
from ichscope.phantom import Phantom, datasets, to_bytes
from tests import encoders
from tests.progressive_jpeg import progressive
from tests.support.enhanced_ct import enhanced

SCRATCH = ("Phantom^Head", "PHANTOM", "19500101")


def read(files: list[Dataset]) -> Series:
    return read_series([Source(f"IM{i:04d}.dcm", data=to_bytes(one)) for i, one in enumerate(files, 1)])


def codes(series: Series) -> set[str]:
    return {finding.code for finding in series.findings if finding.level != "ok"}


def finding(series: Series, code: str) -> str:
    return next(one.text for one in series.findings if one.code == code)


def stored(dataset: Dataset) -> np.ndarray:
    kind = np.int16 if dataset.PixelRepresentation else np.uint16
    return np.frombuffer(dataset.PixelData, kind).reshape(dataset.Rows, dataset.Columns)


def air(hu: np.ndarray) -> np.ndarray:
    return np.maximum(hu, -1024)


# ---------------------------------------------------------------- the whole series


def test_a_series_becomes_hu_from_foot_to_head(head: Phantom) -> None:
    files = datasets(head)
    series = read(files[::-1])
    assert (series.hu.dtype, series.kind) == (np.int16, "ct")
    np.testing.assert_array_equal(series.hu, air(head.hu))
    assert series.spacing_mm == pytest.approx(head.spacing_mm)
    assert [one.file for one in series.slices] == [f"IM{i:04d}.dcm" for i in range(len(files), 0, -1)]
    assert [one.sop for one in series.slices] == [one.SOPInstanceUID for one in files]
    assert np.all(np.diff([one.position_mm for one in series.slices]) > 0)
    assert codes(series) == set()


def test_paths_bytes_and_sources_give_the_same(head: Phantom, tmp_path: Path) -> None:
    paths = phantom.write(head, tmp_path)
    from_paths = read_series(paths)
    from_bytes = read_series([path.read_bytes() for path in paths])
    np.testing.assert_array_equal(from_paths.hu, from_bytes.hu)
    assert (from_paths.study, from_paths.key) == (from_bytes.study, from_bytes.key)
    assert from_paths.slices[0].file == paths[0].name
    assert from_bytes.slices[0].file == "image 1"


def test_study_and_key_are_the_groups_and_no_uids(head: Phantom) -> None:
    files = datasets(head)
    group = collect([(f"{i}.dcm", to_bytes(one)) for i, one in enumerate(files)]).groups[0]
    series = read_series(group.sources)
    assert (series.study, series.key) == (group.study, group.key)
    assert len({series.study, series.key}) == 2
    assert files[0].StudyInstanceUID not in (series.study, series.key)


def test_header_facts(head: Phantom) -> None:
    tags = {
        "Manufacturer": "ACME", "ManufacturerModelName": "Ring 5", "SpecificCharacterSet": "ISO_IR 192",
        "InstitutionName": "Süd",
        "ConvolutionKernel": "H40s", "KVP": "120", "SliceThickness": "5.0", "GantryDetectorTilt": "-12.5",
        "PatientAge": "007M", "PatientSex": "F", "StudyDate": "20200229", "BodyPartExamined": "HEAD",
        "ContrastBolusAgent": "APPLIED", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    }  # fmt: skip
    header = read(datasets(head, **tags)).header
    assert (header.modality, header.body_part, header.contrast) == ("CT", "HEAD", "APPLIED")
    assert (header.manufacturer, header.scanner, header.institution) == ("ACME", "Ring 5", "Süd")
    assert (header.kernel, header.kvp, header.slice_thickness_mm) == ("H40s", 120, 5)
    assert (header.gantry_tilt_deg, header.age_years, header.sex) == (-12.5, pytest.approx(0.58), "F")
    assert (header.study_date, header.image_type) == (date(2020, 2, 29), ("ORIGINAL", "PRIMARY", "AXIAL"))


@pytest.mark.parametrize(
    ("tags", "years"),
    [
        ({"PatientAge": "017Y"}, 17),
        ({"PatientAge": "026W"}, 0.5),
        ({"PatientAge": None, "PatientBirthDate": "20000101", "StudyDate": "20100101"}, 10),
        ({"PatientAge": None, "PatientBirthDate": None}, None),
    ],
)
def test_age(head: Phantom, tags: dict, years: float | None) -> None:
    assert read(datasets(head, **tags)).header.age_years == (years if years is None else pytest.approx(years, abs=0.02))


# ---------------------------------------------------------------- transfer syntaxes and stored values


def one_slice(head: Phantom, signed: bool, bits: int) -> tuple[bytes, np.ndarray]:
    """The middle slice with its pixels in another form, and its HU."""
    intercept = 0 if signed else -1024
    hu = np.clip(head.hu[4], -1024, 1023)
    tags = {"BitsStored": bits, "HighBit": bits - 1, "PixelRepresentation": int(signed), "RescaleIntercept": intercept}
    one = datasets(head, **tags)[4]
    one["PixelData"].value = (hu.astype(np.int32) - intercept).astype("<i2").tobytes()
    for keyword in ("SmallestImagePixelValue", "LargestImagePixelValue", "PixelPaddingValue"):
        if keyword in one:
            delattr(one, keyword)
    return to_bytes(one), hu


FORMS = [(False, 12), (True, 16), (True, 12), (False, 16)]


@pytest.mark.parametrize("syntax", encoders.LOSSLESS, ids=lambda uid: uid.keyword)
@pytest.mark.parametrize(("signed", "bits"), FORMS)
def test_lossless_transfer_syntaxes_give_identical_pixels(head: Phantom, syntax: UID, signed: bool, bits: int) -> None:
    plain, hu = one_slice(head, signed, bits)
    encoded = encoders.encode(plain, syntax)
    assert dcmread(BytesIO(encoded)).file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(read_series([encoded]).hu[0], hu)


@pytest.mark.parametrize("syntax", encoders.LOSSY, ids=lambda uid: uid.keyword)
@pytest.mark.parametrize(("signed", "bits"), FORMS[:2])
def test_lossy_transfer_syntaxes_come_close(head: Phantom, syntax: UID, signed: bool, bits: int) -> None:
    if syntax == JPEGExtended12Bit and signed:
        pytest.skip("JPEG Extended has 12 bits without sign")
    plain, hu = one_slice(head, signed, bits)
    encoded = encoders.encode(plain, syntax)
    assert dcmread(BytesIO(encoded)).file_meta.TransferSyntaxUID == syntax
    assert np.abs(read_series([encoded]).hu[0] - hu).mean() < 8


@pytest.mark.parametrize("allocated", [8, 16])
def test_jpeg_baseline_has_8_bits(head: Phantom, allocated: int) -> None:
    tags = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "RescaleSlope": 8}
    one = datasets(head, **tags)[4]
    eight = (np.clip(head.hu[4], -1024, 1015) + 1024) // 8
    one["PixelData"].value = eight.astype(np.uint8).tobytes()
    one["PixelData"].VR = "OB"
    encoded = dcmread(BytesIO(encoders.encode(to_bytes(one), JPEGBaseline8Bit)))
    encoded.BitsAllocated = allocated
    assert np.abs(read([encoded]).hu[0] - (eight * 8 - 1024)).mean() < 16


@pytest.mark.parametrize("syntax", encoders.LOSSLESS[4:], ids=lambda uid: uid.keyword)
def test_a_header_that_says_16_bits_of_a_12_bit_codestream(head: Phantom, syntax: UID) -> None:
    plain, hu = one_slice(head, False, 12)
    one = dcmread(BytesIO(encoders.encode(plain, syntax)))
    one.BitsStored, one.HighBit = 16, 15
    np.testing.assert_array_equal(read([one]).hu[0], hu)


@pytest.mark.parametrize("bits", [12, 16])
def test_jpeg_extended_of_12_bits_from_a_scanner(bits: int) -> None:
    """PET counts 0..264 of a lossy 12-bit JPEG, relabelled as CT."""
    one = dcmread(str(get_testdata_file("JPEG-lossy.dcm", download=False)))
    one.Modality, one.RescaleSlope, one.RescaleIntercept, one.BitsStored, one.HighBit = "CT", 1, 0, bits, bits - 1
    hu = read([one]).hu
    assert (hu.shape, hu.min(), hu.max()) == ((1, 1024, 256), 0, 264)


@pytest.mark.parametrize("number", [53, 55])
@pytest.mark.parametrize("slice_", [2, 4, 7])
def test_retired_progressive_jpeg_of_12_bits(head: Phantom, number: int, slice_: int) -> None:
    one = dcmread(BytesIO(encoders.encode(to_bytes(datasets(head)[slice_]), JPEGExtended12Bit)))
    expected = read([one]).hu
    one.PixelData = encapsulate([progressive(next(generate_frames(one.PixelData, number_of_frames=1)))])
    one.file_meta.TransferSyntaxUID = UID(f"1.2.840.10008.1.2.4.{number}")
    np.testing.assert_array_equal(read([one]).hu, expected)


@pytest.mark.parametrize("number", [53, 55])
def test_retired_progressive_jpeg_of_8_bits(head: Phantom, number: int) -> None:
    one = datasets(head, BitsAllocated=8, BitsStored=8, HighBit=7, RescaleSlope=8)[4]
    eight, buffer = ((np.clip(head.hu[4], -1024, 1015) + 1024) // 8).astype(np.uint8), BytesIO()
    Image.fromarray(eight).save(buffer, "JPEG", progressive=True, quality=95)
    one.PixelData, one["PixelData"].VR = encapsulate([buffer.getvalue()]), "OB"
    one["PixelData"].is_undefined_length = True
    one.file_meta.TransferSyntaxUID = UID(f"1.2.840.10008.1.2.4.{number}")
    assert np.abs(read([one]).hu[0] - (eight.astype(int) * 8 - 1024)).mean() < 16


@pytest.mark.parametrize("name", ["693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm", "CT_small.dcm"])
def test_pydicoms_own_ct_files(name: str) -> None:
    path = Path(str(get_testdata_file(name, download=False)))
    dataset = dcmread(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    np.testing.assert_array_equal(read_series([path]).hu[0], air(expected))


def test_unknown_transfer_syntax_is_named(head: Phantom) -> None:
    one = dcmread(BytesIO(encoders.encode(to_bytes(datasets(head)[0]), RLELossless)))
    one.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.100")
    with pytest.raises(DicomError, match=r"Transfer Syntax UID \(0002,0010\): found MPEG2"):
        read([one])


@pytest.mark.parametrize(
    "syntax", [RLELossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless], ids=lambda u: u.keyword
)
@pytest.mark.parametrize("damage", ["cut", "zeros", "text", "empty"])
def test_damaged_compressed_pixels_are_refused(head: Phantom, syntax: UID, damage: str) -> None:
    one = dcmread(BytesIO(encoders.encode(one_slice(head, False, 12)[0], syntax)))
    whole = next(generate_frames(one.PixelData, number_of_frames=1))
    half = len(whole) // 2
    broken = {
        "cut": whole[:half],
        "zeros": whole[:half] + bytes(half),
        "text": b"not an image" * 99,
        "empty": b"\xff\xd8\xff\xd9",
    }
    one.PixelData = encapsulate([broken[damage]])
    with pytest.raises(DicomError, match=r"Pixel Data \(7FE0,0010\): found .*, expected"):
        read([one])


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless], ids=lambda uid: uid.keyword)
def test_a_codestream_of_another_size_is_not_decoded(head: Phantom, syntax: UID) -> None:
    one = dcmread(BytesIO(encoders.encode(one_slice(head, False, 12)[0], syntax)))
    one.Rows = 64
    with pytest.raises(DicomError, match="found an image of 128 x 128, expected 128 x 64"):
        read([one])


def test_bits_beyond_bits_stored_are_dropped(head: Phantom) -> None:
    one = datasets(head)[4]
    one.PixelData = (stored(one) | 0xF000).tobytes()
    np.testing.assert_array_equal(read([one]).hu[0], air(head.hu[4]))


def test_monochrome1_is_the_same_hu(head: Phantom) -> None:
    """PS3.3 C.7.6.3.1.2: it says how to show values, not what they are."""
    series = read(datasets(head, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(series.hu, air(head.hu))


@pytest.mark.parametrize(
    ("slope", "intercept"), [(1, -1024), (2, -1024.5), (0.5, -1000), (1, 0), (1, -8192), (-1, 3000)]
)
def test_rescale(head: Phantom, slope: float, intercept: float) -> None:
    one = datasets(head, RescaleSlope=slope, RescaleIntercept=intercept)[4]
    expected = np.rint(stored(one) * np.float64(slope) + intercept)
    np.testing.assert_array_equal(read([one]).hu[0], np.clip(expected, -1024, 32767))


def padded(head: Phantom, value: int, fill: int, signed: bool = True, intercept: int = 0) -> Dataset:
    one = datasets(head, PixelRepresentation=int(signed), BitsStored=16, HighBit=15, RescaleIntercept=intercept)[4]
    pixels = (head.hu[4].astype(np.int32) - intercept).astype(np.int16)
    pixels[:10] = fill
    one.PixelData = pixels.tobytes()
    one.add_new("PixelPaddingValue", "SS" if signed else "US", value)
    return one


@pytest.mark.parametrize(
    ("value", "signed", "intercept"), [(-2000, True, 0), (-2000, True, -1024), (30000, True, 0), (0, False, -1024)]
)
def test_padding_is_air(head: Phantom, value: int, signed: bool, intercept: int) -> None:
    series = read([padded(head, value, value, signed, intercept)])
    assert np.all(series.hu[0, :10] == -1024)
    np.testing.assert_array_equal(series.hu[0, 10:], air(head.hu[4, 10:]))


def test_padding_with_the_value_of_water_spares_the_ventricles(head: Phantom) -> None:
    one = padded(head, 0, 0)
    pixels = stored(one).copy()
    pixels[60:70, 60:70] = 0
    one.PixelData = pixels.tobytes()
    hu = read([one]).hu[0]
    assert np.all(hu[:10] == -1024)
    assert np.all(hu[60:70, 60:70] == 0)


def test_padding_written_with_the_wrong_sign(head: Phantom) -> None:
    one = padded(head, 0, -2000)
    one.add_new("PixelPaddingValue", "US", 65536 - 2000)
    assert np.all(read([one]).hu[0, :10] == -1024)


# ---------------------------------------------------------------- geometry


def turned(head: Phantom, orientation: list[float], change: Callable[[np.ndarray], np.ndarray]) -> Series:
    files = datasets(head, ImageOrientationPatient=orientation)
    for one in files:
        one.PixelData = np.ascontiguousarray(change(stored(one))).tobytes()
    return read(files)


@pytest.mark.parametrize(
    ("orientation", "change"),
    [
        ([1, 0, 0, 0, 1, 0], lambda a: a),
        ([-1, 0, 0, 0, 1, 0], lambda a: a[:, ::-1]),
        ([1, 0, 0, 0, -1, 0], lambda a: a[::-1]),
        ([-1, 0, 0, 0, -1, 0], lambda a: a[::-1, ::-1]),
        ([0, 1, 0, 1, 0, 0], lambda a: a.T),
        ([0, -1, 0, 1, 0, 0], lambda a: a[::-1].T),
    ],
    ids=["as it should be", "left-right", "front-back", "prone", "on its side", "on the other side"],
)
def test_slices_are_turned_so_that_rows_run_back_and_columns_left(head: Phantom, orientation: list, change) -> None:
    series = turned(head, orientation, change)
    np.testing.assert_array_equal(series.hu, air(head.hu))
    assert series.orientation == tuple(orientation)


def tilted(head: Phantom, degrees: float) -> list[Dataset]:
    """A gantry tilt: slices lean, the table still moves along z."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    files = datasets(
        head, ImageOrientationPatient=[1, 0, 0, 0, float(f"{c:.6f}"), float(f"{-s:.6f}")], GantryDetectorTilt=None
    )
    for i, one in enumerate(files):
        one.ImagePositionPatient = [-100, -100, 5.0 * i]
    return files


def test_gantry_tilt_is_projected_on_the_slice_normal(head: Phantom) -> None:
    series = read(tilted(head, 20))
    assert series.spacing_mm is not None
    assert series.spacing_mm[0] == pytest.approx(5 * np.cos(np.deg2rad(20)), abs=1e-3)
    assert abs(series.header.gantry_tilt_deg or 0) == pytest.approx(20, abs=0.1)
    assert "20 degrees" in finding(series, "tilt")
    assert codes(series) == set()
    np.testing.assert_array_equal(series.hu, air(head.hu))


def test_a_tilted_and_unevenly_spaced_series(head: Phantom) -> None:
    """As GE writes sequential heads: thin slices below, thick ones above, all leaning."""
    files = tilted(head, -15)
    for one, z in zip(files, [0, 2.5, 5, 7.5, 10, 15, 20, 25], strict=True):
        one.ImagePositionPatient, one.SliceLocation = [-100, -100, z], z
    series = read(files[::2] + files[1::2])
    np.testing.assert_array_equal(series.hu, air(head.hu))
    assert codes(series) == {"uneven-spacing"}
    assert "2.4 to 4.8 mm" in finding(series, "uneven-spacing")


def test_a_missing_slice_is_named(head: Phantom) -> None:
    files = datasets(head)
    del files[3]
    series = read(files)
    assert codes(series) == {"missing-slices"}
    assert "1 slice seems to be missing (after IM0003.dcm)" in finding(series, "missing-slices")


@pytest.mark.parametrize(("orientation", "axial"), [([1, 0, 0, 0, 0, -1], False), ([0, 1, 0, 0, 0, -1], False)])
def test_upright_series_are_kept_as_they_are(head: Phantom, orientation: list, axial: bool) -> None:
    files = datasets(head, ImageOrientationPatient=orientation)
    for i, one in enumerate(files):
        one.ImagePositionPatient = [2.0 * i, 2.0 * i, 0]
    np.testing.assert_array_equal(read(files).hu, air(head.hu))


def test_the_same_file_twice_counts_once(head: Phantom) -> None:
    files = datasets(head)
    series = read([*files, files[2]])
    assert len(series.slices) == len(files)
    assert codes(series) == {"duplicate-slices"}
    assert "IM0009.dcm" in finding(series, "duplicate-slices")


def test_two_images_in_one_place_keep_the_first(head: Phantom) -> None:
    files, other = datasets(head), datasets(head)[2]
    other.SeriesInstanceUID, other.StudyInstanceUID = files[0].SeriesInstanceUID, files[0].StudyInstanceUID
    other.SOPInstanceUID = "1.2.3.4"
    other.PixelData = bytes(len(other.PixelData))
    series = read([*files, other])
    np.testing.assert_array_equal(series.hu, air(head.hu))
    assert codes(series) == {"duplicate-positions"}


def test_one_sop_uid_for_all_slices_loses_none(head: Phantom) -> None:
    assert len(read(datasets(head, SOPInstanceUID="1.2.3")).slices) == len(head.hu)


@pytest.mark.parametrize("missing", ["ImagePositionPatient", "ImageOrientationPatient"])
def test_missing_geometry_is_said(head: Phantom, missing: str) -> None:
    series = read(datasets(head, **{missing: None})[::-1])
    np.testing.assert_array_equal(series.hu, air(head.hu))
    assert codes(series) == {"no-position" if "Position" in missing else "no-orientation"}


def test_a_single_slice(head: Phantom) -> None:
    series = read(datasets(head)[4:5])
    assert series.hu.shape == (1, 128, 128)
    assert series.spacing_mm is not None
    assert series.spacing_mm[0] is None
    assert series.spacing_mm[1:] == pytest.approx(head.spacing_mm[1:], abs=1e-5)


def test_a_scout_among_the_slices_is_left_out_and_named(head: Phantom) -> None:
    files = datasets(head)
    scout = datasets(head, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], ImageOrientationPatient=[1, 0, 0, 0, 0, -1])[
        0
    ]
    scout.SeriesInstanceUID, scout.StudyInstanceUID = files[0].SeriesInstanceUID, files[0].StudyInstanceUID
    series = read([scout, *files])
    np.testing.assert_array_equal(series.hu, air(head.hu))
    assert codes(series) == {"mixed-series"}
    assert "IM0001.dcm (128 x 128, scout)" in finding(series, "mixed-series")


@pytest.mark.parametrize(
    ("tags", "named"),
    [
        ({"PixelSpacing": [3, 3]}, "by Pixel Spacing (0028,0030) and"),
        ({"ImageOrientationPatient": [-1, 0, 0, 0, -1, 0]}, "by Image Orientation (Patient) (0020,0037) and"),
    ],
    ids=["spacing", "turned"],
)
def test_what_keeps_slices_out_of_a_volume_is_named(head: Phantom, tags: dict[str, object], named: str) -> None:
    files = datasets(head)
    for keyword, value in tags.items():
        setattr(files[3], keyword, value)
    assert named in finding(read(files), "mixed-series")


def test_two_series_at_once_are_refused(head: Phantom) -> None:
    mixed = datasets(head)[:2] + datasets(phantom.make(seed=1, slices=8, size=128), SeriesInstanceUID="1.2.3")[:2]
    with pytest.raises(DicomError, match=r"IM0003.dcm: Series Instance UID .* expected the same"):
        read(mixed)


# ---------------------------------------------------------------- Enhanced CT


ORDER = [3, 0, 7, 1, 6, 2, 5, 4]


@pytest.fixture(scope="module")
def tall() -> Phantom:
    """A head without values so low that a frame's own rescale would underflow."""
    made = phantom.make(slices=8, size=128)
    return Phantom(**{**vars(made), "hu": np.maximum(made.hu, -1000)})


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEG2000Lossless, ExplicitVRBigEndian], ids=str)
def test_enhanced_multi_frame(tall: Phantom, syntax: UID | None) -> None:
    data = to_bytes(enhanced(tall, ORDER))
    series = read_series([Source("all.dcm", data=encoders.encode(data, syntax) if syntax else data)])
    np.testing.assert_array_equal(series.hu, tall.hu)
    assert [one.file for one in series.slices] == [f"all.dcm, frame {ORDER.index(i) + 1}" for i in range(8)]
    assert series.spacing_mm == pytest.approx(tall.spacing_mm)
    header = series.header
    assert (header.kvp, header.slice_thickness_mm, header.kernel, header.body_part) == (110, 5, "H31s", "HEAD")


def test_enhanced_with_too_few_frame_items(tall: Phantom) -> None:
    one = enhanced(tall, ORDER)
    del one.PerFrameFunctionalGroupsSequence[-1]
    with pytest.raises(DicomError, match=r"Per-Frame Functional Groups Sequence .*found 7 items, expected 8"):
        read([one])


def test_multi_frame_without_functional_groups_keeps_the_files_order(head: Phantom) -> None:
    one = datasets(head, ImagePositionPatient=None)[0]
    one.NumberOfFrames = len(head.hu)
    one.PixelData = b"".join(file.PixelData for file in datasets(head))
    series = read([one])
    np.testing.assert_array_equal(series.hu, air(head.hu))
    assert codes(series) == {"no-position"}


# ---------------------------------------------------------------- what cannot be read


REFUSED = [
    ({"Modality": "MR"}, r"Modality \(0008,0060\): found MR, expected CT"),
    ({"Modality": "PT"}, r"Modality .* found PT, expected CT"),
    ({"RescaleSlope": None}, r"Rescale Slope \(0028,1053\): found none"),
    ({"RescaleIntercept": None}, r"Rescale Intercept \(0028,1052\): found none"),
    ({"RescaleSlope": 0}, r"Rescale Slope .* found 0"),
    ({"RescaleType": "MGML"}, r"Rescale Type \(0028,1054\): found MGML, expected HU"),
    ({"PixelData": None}, r"Pixel Data \(7FE0,0010\): found none"),
    ({"Rows": None}, r"Rows \(0028,0010\): found none"),
    ({"Rows": 0}, r"Rows \(0028,0010\): found 0"),
    ({"Rows": 60000}, r"Rows \(0028,0010\): found 60000"),
    ({"BitsAllocated": 12}, r"Bits Allocated \(0028,0100\): found 12"),
    ({"SamplesPerPixel": 3}, r"Samples per Pixel \(0028,0002\): found 3, expected 1"),
    ({"NumberOfFrames": 2000000}, r"Number of Frames \(0028,0008\): found 2000000"),
    ({"NumberOfFrames": -3}, r"Number of Frames \(0028,0008\): found -3"),
    ({"PixelSpacing": [0, 0]}, r"Pixel Spacing \(0028,0030\): found \[0"),
    ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, r"Image Orientation \(Patient\) .* right angle"),
    ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, r"Image Orientation \(Patient\) .* right angle"),
]


@pytest.mark.parametrize(("tags", "message"), REFUSED, ids=[str(tags) for tags, _ in REFUSED])
def test_refused_with_file_tag_found_and_expected(head: Phantom, tags: dict, message: str) -> None:
    with pytest.raises(DicomError, match=rf"^IM0001.dcm: {message}") as caught:
        read(datasets(head, **tags))
    assert "expected" in str(caught.value)
    assert not any(word in str(caught.value) for word in SCRATCH)


def with_raw(dataset: Dataset, keyword: str, value: bytes) -> Dataset:
    """Put bytes into an element that pydicom would not let pass."""
    tag = Tag(keyword)
    dataset[tag] = RawDataElement(tag, dictionary_VR(tag), len(value), value, 0, False, True)
    return dataset


@pytest.mark.parametrize(
    ("keyword", "garbage"),
    [
        ("RescaleSlope", b"abc "), ("RescaleSlope", b"1\\2 "), ("RescaleIntercept", b"nan "),
        ("RescaleIntercept", b"-1e999 "),
        ("ImagePositionPatient", b"0\\0"), ("ImagePositionPatient", b"0\\x\\0 "), ("PixelSpacing", b"inf\\1 "),
        ("NumberOfFrames", b"two "), ("ImageOrientationPatient", b"1\\0\\0\\0\\1 "),
    ],
)  # fmt: skip
def test_garbage_numbers_are_named(head: Phantom, keyword: str, garbage: bytes) -> None:
    one = to_bytes(datasets(head, **{keyword: "1" * len(garbage)})[0])
    tag = Tag(keyword)
    start = one.index(struct.pack("<HH", tag.group, tag.elem) + dictionary_VR(tag).encode()) + 8
    one = one[:start] + garbage + one[start + len(garbage) :]
    with pytest.raises(DicomError, match=r"^one.dcm: .*\([0-9A-F]{4},[0-9A-F]{4}\): found .*, expected"):
        read_series([Source("one.dcm", data=one)])


@pytest.mark.parametrize(
    "keyword", ["KVP", "SliceThickness", "PatientAge", "GantryDetectorTilt", "StudyDate", "PatientSex"]
)
def test_garbage_in_mere_facts_counts_as_unknown(head: Phantom, keyword: str) -> None:
    files = [with_raw(one, keyword, b"gar\\bage ") for one in datasets(head)]
    np.testing.assert_array_equal(read(files).hu, air(head.hu))


def test_truncated_files_are_named_and_the_rest_is_read(head: Phantom) -> None:
    files = [to_bytes(one) for one in datasets(head)]
    broken = [files[0], files[1][:-1000], *files[2:5], b"", files[6][:300], b"text", files[7]]
    series = read_series([Source(f"{i}.dcm", data=data) for i, data in enumerate(broken)])
    assert [one.file for one in series.slices] == ["0.dcm", "2.dcm", "3.dcm", "4.dcm", "8.dcm"]
    text = finding(series, "unreadable-file")
    assert text.startswith("4 of 9 files could not be read")
    assert "1.dcm: Pixel Data (7FE0,0010): found 31768 bytes, expected 32768 bytes" in text
    assert "missing-slices" in codes(series)


def test_nothing_readable_names_the_first_and_counts_the_rest() -> None:
    with pytest.raises(DicomError, match=r"a.dcm: found no 'DICM' .* \(and 1 more files like it\)"):
        read_series([Source("a.dcm", data=b""), Source("b.dcm", data=b"x")])
    with pytest.raises(DicomError, match="found no files"):
        read_series([])


def test_a_deflated_bomb_is_not_inflated(head: Phantom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ichscope.imaging.elements.MAX_INFLATED", 1 << 20)
    bomb = encoders.deflate(to_bytes(datasets(head)[0]), bytes(1 << 24))
    assert len(bomb) < 1 << 16
    with pytest.raises(DicomError, match="found more than 1 MiB when inflated"):
        read_series([bomb])


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_cut_anywhere_a_file_gives_a_message_and_never_a_traceback(head: Phantom) -> None:
    whole = to_bytes(datasets(phantom.make(slices=8, size=128))[0])
    header = len(whole) - 2 * 128 * 128
    for end in [*range(0, header + 20, 7), len(whole) - 1]:
        with pytest.raises(DicomError, match="expected"):
            read_series([whole[:end]])


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@pytest.mark.parametrize("seed", range(40))
def test_damaged_bytes_give_a_series_or_a_message(head: Phantom, seed: int) -> None:
    rng = np.random.default_rng(seed)
    whole = bytearray(to_bytes(enhanced(head, ORDER) if seed % 4 == 0 else datasets(head)[0]))
    for at in rng.integers(132, min(len(whole), 3000), 6):
        whole[at] = rng.integers(256)
    with contextlib.suppress(DicomError):
        assert read_series([bytes(whole)]).hu.dtype == np.int16


def test_files_without_meta_group_and_with_bare_headers(head: Phantom) -> None:
    """As stripped as RSNA 2019 files, with invalid UIDs, and no preamble at all."""
    keep = {
        "Modality", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "ImagePositionPatient",
        "RescaleSlope", "RescaleIntercept",
        "ImageOrientationPatient", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
        "PixelSpacing", "PixelData", "SamplesPerPixel", "PhotometricInterpretation",
    }  # fmt: skip
    sources = []
    for i, one in enumerate(datasets(head)):
        bare = Dataset()
        for element in one:
            if element.keyword in keep:
                bare.add(element)
        for keyword, value in {"SOPInstanceUID": f"ID_{i:03x}g", "StudyInstanceUID": "ID_1f6d1e8aeb"}.items():
            bare.add_new(keyword, "LO", value)
        buffer = BytesIO()
        bare.save_as(buffer, implicit_vr=True, little_endian=True)
        sources.append(Source(f"{i}", data=buffer.getvalue()))
    series = read_series(sources)
    np.testing.assert_array_equal(series.hu, air(head.hu))
    assert series.slices[3].sop == "ID_003g"
    assert codes(series) == set()


def test_real_slices_and_the_real_study(real_data: Path) -> None:
    intake = collect([real_data / "rsna-sample"])
    assert not intake.rejected
    files = [source for group in intake.groups for source in group.sources]
    assert len(files) == 108
    for group in intake.groups:
        series = read_series(group.sources)
        assert series.hu.min() >= -1024
        assert series.hu.shape[1:] == (512, 512)
        assert codes(series) <= {"missing-slices", "uneven-spacing"}
    study = max((read_series(group.sources) for group in intake.groups), key=lambda series: len(series.slices))
    assert study.hu.shape == (32, 512, 512)
    assert codes(study) == set()
    assert study.header.gantry_tilt_deg == pytest.approx(-11, abs=0.1)
