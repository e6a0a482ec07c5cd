"""Headers that contradict the pixels: the right Hounsfield units, or a finding that names the tag."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000, JPEG2000Lossless, JPEGLSLossless, RLELossless

from ichscope.imaging.dicom import DicomError, read_series
from ichscope.imaging.quality import assess, status
from ichscope.imaging.series import Finding, FindingLevel, Series
from ichscope.imaging.source import Source
from ichscope.phantom import Phantom, datasets, make, to_bytes
from tests import encoders

SLICES = 24


@pytest.fixture(scope="module")
def whole() -> Phantom:
    """A normal head of 24 slices."""
    return make(slices=SLICES, size=128)


@pytest.fixture(scope="module")
def right(whole: Phantom) -> Series:
    """The same head from files as they should be."""
    return read(datasets(whole))


def read(files: list[Dataset]) -> Series:
    return read_series([Source(f"IM{i:04d}.dcm", data=to_bytes(one)) for i, one in enumerate(files, 1)])


def words(dataset: Dataset) -> np.ndarray:
    return np.frombuffer(dataset.PixelData, "<u2").reshape(dataset.Rows, dataset.Columns).astype(np.int64)


def put(dataset: Dataset, values: np.ndarray, **tags: object) -> None:
    dataset.PixelData = (values & 0xFFFF).astype("<u2").tobytes()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)


def noticed(series: Series) -> dict[str, Finding]:
    return {finding.code: finding for finding in assess(series) if finding.level != FindingLevel.OK}


def disk(size: int = 128, radius: float = 5) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    inside: np.ndarray = np.hypot(rows - 60, columns - 75) < radius
    return inside


# ---------------------------------------------------------------- bits and sign


def _says_12_bits(data: bytes) -> bytes:
    for element, value in ((b"\x28\x00\x01\x01US\x02\x00", b"\x0c\x00"), (b"\x28\x00\x02\x01US\x02\x00", b"\x0b\x00")):
        at = data.find(element) + len(element)
        if at >= len(element):
            data = data[:at] + value + data[at + 2 :]
    return data


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEGLSLossless, JPEG2000Lossless], ids=str)
@pytest.mark.parametrize("metal", [3200, 4150, 9000, 20000])
def test_metal_above_bits_stored_stays_metal(whole: Phantom, right: Series, syntax: object, metal: int) -> None:
    files = datasets(whole)
    for dataset in files[10:13]:
        put(dataset, np.where(disk(), metal + 1024, words(dataset)), BitsStored=16, HighBit=15)
    sources = [encoders.encode(to_bytes(one), syntax) if syntax else to_bytes(one) for one in files]  # type: ignore[arg-type]
    series = read_series([_says_12_bits(data) for data in sources])
    assert np.all(series.hu[10:13][:, disk()] == metal)
    np.testing.assert_array_equal(series.hu[:10], right.hu[:10])
    if metal + 1024 >= 4096:
        assert "Bits Stored (0028,0101): found 12, expected" in noticed(series)["bits-stored"].text
        assert "3 of 24 images" in noticed(series)["bits-stored"].text


def test_signed_values_beyond_bits_stored_are_kept(whole: Phantom) -> None:
    files = datasets(whole, PixelRepresentation=1, RescaleIntercept=0)
    for dataset in files:
        put(dataset, np.where(disk(), 3000, words(dataset) - 1024))
    series = read(files)
    assert np.all(series.hu[:, disk()] == 3000)
    assert set(noticed(series)) == {"bits-stored"}


def test_twelve_bits_with_their_sign_not_carried_on_are_what_the_header_says(whole: Phantom, right: Series) -> None:
    files = datasets(whole, PixelRepresentation=1, RescaleIntercept=0)
    for dataset in files:
        put(dataset, (words(dataset) - 1024).clip(-1024, 2047) & 0x0FFF)
    series = read(files)
    np.testing.assert_array_equal(series.hu, np.minimum(right.hu, 2047))
    assert noticed(series) == {}


@pytest.mark.parametrize("bits", [12, 16])
def test_negative_values_whose_sign_the_header_denies(whole: Phantom, right: Series, bits: int) -> None:
    files = datasets(whole, RescaleIntercept=0, BitsStored=bits, HighBit=bits - 1)
    for dataset in files:
        put(dataset, words(dataset) - 1024)
    series = read(files)
    np.testing.assert_array_equal(series.hu, right.hu)
    assert "Pixel Representation (0028,0103): found 0" in noticed(series)["pixel-representation"].text


def test_values_without_sign_of_which_the_header_says_signed(whole: Phantom) -> None:
    """Bone above 1,023 HU would become air."""
    files = datasets(whole, PixelRepresentation=1)
    for dataset in files:
        put(dataset, np.where(disk(), 1800 + 30 * np.arange(128), words(dataset)))
    expected = np.broadcast_to(1800 + 30 * np.arange(128), (128, 128))
    series = read(files)
    kept = series.hu[8][disk()]
    assert np.array_equal(kept, expected[disk()] - 1024)
    assert "pixel-representation" in noticed(series)


def test_an_overlay_in_upper_bits_that_the_header_declares_is_dropped(whole: Phantom, right: Series) -> None:
    files = datasets(whole)
    for dataset in files:
        put(dataset, words(dataset) | (disk() * 0x1000))
        dataset.add_new((0x6000, 0x0102), "US", 12)
    series = read(files)
    np.testing.assert_array_equal(series.hu, right.hu)
    assert noticed(series) == {}


@pytest.mark.parametrize("mask", [0x8000, 0x4000])
def test_an_undeclared_overlay_is_a_finding(whole: Phantom, mask: int) -> None:
    files = datasets(whole)
    for dataset in files:
        put(dataset, words(dataset) | (disk() * mask))
    assert noticed(read(files))["bits-stored"].level == FindingLevel.WARNING


def test_a_high_bit_that_would_throw_values_away(whole: Phantom, right: Series) -> None:
    series = read(datasets(whole, HighBit=15))
    np.testing.assert_array_equal(series.hu, right.hu)
    assert "Bits Stored (0028,0101): found 12, expected 16" in noticed(series)["bits-stored"].text


@pytest.mark.parametrize("bits", [8, 10, 11])
def test_fewer_bits_stored_than_high_bit_says(whole: Phantom, right: Series, bits: int) -> None:
    series = read(datasets(whole, BitsStored=bits))
    np.testing.assert_array_equal(series.hu, right.hu)
    assert f"Bits Stored (0028,0101): found {bits}, expected 12" in noticed(series)["bits-stored"].text


@pytest.mark.parametrize("numbers", [range(24), range(12, 24), [5]], ids=str)
def test_unsigned_values_of_12_bits_that_the_header_calls_signed(
    whole: Phantom, right: Series, numbers: list[int]
) -> None:
    series = read(changed(datasets(whole), numbers, PixelRepresentation=1))
    np.testing.assert_array_equal(series.hu, right.hu)
    assert "Pixel Representation (0028,0103): found 1" in noticed(series)["pixel-representation"].text


@pytest.mark.parametrize("tags", [{"Rows": 100}, {"Columns": 100}, {"Rows": 100, "Columns": 100}], ids=str)
def test_more_pixels_than_the_header_says(whole: Phantom, tags: dict) -> None:
    assert "Pixel Data (7FE0,0010): found 32768 bytes" in noticed(read(datasets(whole, **tags)))["pixel-length"].text


@pytest.mark.parametrize("tags", [{"Rows": 64}, {"Columns": 64}], ids=str)
def test_pixels_of_two_frames_where_the_header_says_one(whole: Phantom, tags: dict) -> None:
    with pytest.raises(DicomError, match=r"Number of Frames \(0028,0008\): found 1, expected 2"):
        read(datasets(whole, **tags))


def test_values_shifted_up_as_the_header_says(whole: Phantom, right: Series) -> None:
    files = datasets(whole, HighBit=15)
    for dataset in files:
        put(dataset, words(dataset) << 4)
    series = read(files)
    np.testing.assert_array_equal(series.hu, right.hu)
    assert noticed(series) == {}


# ---------------------------------------------------------------- padding


@pytest.mark.parametrize(("value", "limit"), [(0, 1100), (0, 4095), (24, 1064)])
def test_a_padding_range_over_tissue_takes_none(whole: Phantom, right: Series, value: int, limit: int) -> None:
    files = datasets(whole, PixelPaddingValue=value, PixelPaddingRangeLimit=limit)
    series = read(files)
    inside = right.hu > -900
    np.testing.assert_array_equal(series.hu[inside], right.hu[inside])
    assert "Pixel Padding Range Limit (0028,0121)" in noticed(series)["padding"].text


def test_a_padding_range_below_air_is_no_finding(whole: Phantom) -> None:
    files = datasets(whole, PixelPaddingValue=0, PixelPaddingRangeLimit=10)
    assert noticed(read(files)) == {}


# ---------------------------------------------------------------- units


def enhanced(whole: Phantom, units: list[str], image_unit: str = "") -> Dataset:
    """One Enhanced CT file; each frame's own Rescale Type, or one shared by all."""

    def item(**tags: object) -> Sequence:
        dataset = Dataset()
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
        return Sequence([dataset])

    files = datasets(whole)
    one = datasets(whole, ImagePositionPatient=None, RescaleSlope=None, RescaleIntercept=None, RescaleType=None)[0]
    if image_unit:
        one.RescaleType = image_unit
    one.NumberOfFrames = len(files)
    shared = Dataset()
    rescale = {"RescaleSlope": 1, "RescaleIntercept": -1024}
    if len(units) == 1:
        shared.PixelValueTransformationSequence = item(RescaleType=units[0], **rescale)
    one.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for number, file in enumerate(files):
        frame = Dataset()
        frame.PlanePositionSequence = item(ImagePositionPatient=file.ImagePositionPatient)
        if len(units) > 1:
            frame.PixelValueTransformationSequence = item(RescaleType=units[number], **rescale)
        frames.append(frame)
    one.PerFrameFunctionalGroupsSequence = Sequence(frames)
    one.PixelData = b"".join(file.PixelData for file in files)
    return one


@pytest.mark.parametrize("unit", ["MGML", "Z_EFF", "ED", "PCT"])
@pytest.mark.parametrize("where", ["classic", "shared", "one frame", "beside the groups"])
def test_another_unit_is_not_analysed_wherever_it_stands(whole: Phantom, unit: str, where: str) -> None:
    files = {
        "classic": lambda: datasets(whole, RescaleType=unit),
        "shared": lambda: [enhanced(whole, [unit])],
        "one frame": lambda: [enhanced(whole, ["HU"] * (SLICES - 1) + [unit])],
        "beside the groups": lambda: [enhanced(whole, ["HU"], unit)],
    }[where]()
    with pytest.raises(DicomError, match=rf"Rescale Type \(0028,1054\): found {unit}, expected HU"):
        read(files)


@pytest.mark.parametrize("where", ["classic", "one of the files", "shared", "one frame"])
def test_an_unspecified_unit_is_limited_wherever_it_stands(whole: Phantom, where: str) -> None:
    some = datasets(whole)
    some[7].RescaleType = "US"
    files = {
        "classic": lambda: datasets(whole, RescaleType="US"),
        "one of the files": lambda: some,
        "shared": lambda: [enhanced(whole, ["US"])],
        "one frame": lambda: [enhanced(whole, ["HU"] * (SLICES - 1) + ["US"])],
    }[where]()
    assert "Rescale Type (0028,1054): found US" in noticed(read(files))["unit"].text


@pytest.mark.parametrize("unit", ["hu", "Hounsfield", "HU_MOD", None])
def test_words_for_hounsfield_units(whole: Phantom, unit: str | None) -> None:
    assert noticed(read(datasets(whole, RescaleType=unit))) == {}


# ---------------------------------------------------------------- rescale and plausibility


def changed(files: list[Dataset], numbers: range | list[int], **tags: object) -> list[Dataset]:
    for number in numbers:
        for keyword, value in tags.items():
            setattr(files[number], keyword, value)
    return files


@pytest.mark.parametrize(
    ("numbers", "tags"),
    [
        ([12], {"RescaleIntercept": -1000}),
        ([11, 12, 13], {"RescaleIntercept": -1000}),
        (range(12, 24), {"RescaleIntercept": -1010}),
        ([9], {"RescaleIntercept": 0}),
        ([15], {"RescaleSlope": 2}),
        ([12], {"RescaleSlope": 0.98}),
        ([12], {"RescaleIntercept": -1023}),
        (range(12, 24), {"RescaleSlope": 0.001}),
    ],
    ids=str,
)
def test_rescale_values_that_differ_without_need(whole: Phantom, numbers: list[int], tags: dict) -> None:
    found = noticed(read(changed(datasets(whole), numbers, **tags)))
    assert "Rescale" in found["rescale"].text
    assert "(0028,1052)" in found["rescale"].text


@pytest.mark.parametrize("step", [1, 10, 100])
def test_rescale_values_that_differ_as_the_pixels_need(whole: Phantom, right: Series, step: int) -> None:
    files = datasets(whole)
    for number, dataset in enumerate(files):
        put(dataset, words(dataset) + step * number, BitsStored=16, HighBit=15, RescaleIntercept=-1024 - step * number)
    series = read(files)
    np.testing.assert_array_equal(series.hu, right.hu)
    assert noticed(series) == {}


@pytest.mark.parametrize(
    "tags",
    [
        {"RescaleIntercept": -1000},
        {"RescaleIntercept": -1050},
        {"RescaleSlope": 1.05},
        {"RescaleSlope": 0.97},
        {"RescaleIntercept": 0},
        {"RescaleIntercept": -8192},
        {"RescaleSlope": 2},
        {"RescaleSlope": 100},
        {"RescaleSlope": -1},
    ],
    ids=str,
)
def test_rescale_values_wrong_for_all_are_named_or_no_head(whole: Phantom, tags: dict) -> None:
    series = read(datasets(whole, **tags))
    findings = assess(series)
    assert status(findings) == "not analysed" or "(0028,1052)" in noticed(series)["hu-level"].text


@pytest.mark.parametrize(
    "tags", [{"RescaleIntercept": -1010}, {"RescaleIntercept": -1023}, {"RescaleSlope": 0.99}], ids=str
)
def test_rescale_values_that_no_scanner_writes(whole: Phantom, tags: dict) -> None:
    """Small errors, which air and brain do not show."""
    assert "expected those of scanners" in noticed(read(datasets(whole, **tags)))["rescale"].text


def wrapped_air(values: np.ndarray) -> np.ndarray:
    """Signed 12-bit HU whose sign went lost: air becomes 3,096."""
    return np.where(values < 0, values + 4096, values)


def noisy_air(values: np.ndarray) -> np.ndarray:
    """Air that lies below the lowest value comes out at the top."""
    noise = np.random.default_rng(0).integers(0, 2, values.shape) * 4070
    return np.where(values < -900, values + noise, values)


@pytest.mark.parametrize("numbers", [[12], [3], [22], [5, 6, 7], range(12, 24)], ids=str)
@pytest.mark.parametrize("wrap", [wrapped_air, noisy_air, lambda hu: hu + 100, lambda hu: hu - 40])
def test_some_slices_with_other_values_are_named(
    whole: Phantom, numbers: list[int], wrap: Callable[[np.ndarray], np.ndarray]
) -> None:
    files = datasets(whole, RescaleIntercept=0, PixelRepresentation=1, BitsStored=16, HighBit=15)
    for number, dataset in enumerate(files):
        hu = words(dataset) - 1024
        put(dataset, wrap(hu) if number in numbers else hu)
    series = read(files)
    findings = assess(series)
    assert status(findings) != "analysed"
    text = noticed(series)["hu-slices"].text
    assert "neighbour" in text
    assert "(7FE0,0010)" in text


@pytest.mark.parametrize("bleed", [None, "epidural", "intraparenchymal", "subdural"])
def test_bleeds_are_plausible(bleed: str | None) -> None:
    for seed in range(3):
        found = noticed(read(datasets(make(bleed, seed=seed, slices=SLICES, size=128))))
        assert not {"hu-level", "hu-slices", "rescale"} & set(found)


# ---------------------------------------------------------------- compression, transfer syntaxes


@pytest.mark.parametrize(
    ("tags", "level"),
    [
        ({"LossyImageCompression": "01", "LossyImageCompressionRatio": 69}, "not analysable"),
        ({"LossyImageCompression": "01", "LossyImageCompressionRatio": 32}, "warning"),
        ({"LossyImageCompression": "01", "LossyImageCompressionRatio": [4, 20]}, "warning"),
        ({"LossyImageCompression": "00", "LossyImageCompressionRatio": 69}, "not analysable"),
        ({"LossyImageCompression": "01"}, "warning"),
        ({"LossyImageCompression": "01", "LossyImageCompressionRatio": 4}, "ok"),
        ({"LossyImageCompression": "00"}, None),
        ({"LossyImageCompression": None}, None),
    ],
    ids=str,
)
def test_lossy_compression_by_the_header(whole: Phantom, tags: dict, level: str | None) -> None:
    found = [one for one in read(datasets(whole, **tags)).findings if one.code == "lossy"]
    assert [one.level for one in found] == ([level] if level else [])
    assert all("(0028,211" in one.text for one in found)


@pytest.mark.parametrize(("ratio", "level"), [(69, "not analysable"), (12, "warning"), (4, "ok")])
def test_lossy_compression_that_no_tag_admits(whole: Phantom, ratio: int, level: str) -> None:
    sources = []
    for dataset in datasets(whole, LossyImageCompression=None):
        # The rate counts 16 bits a pixel, of which 12 are used.
        dataset.compress(JPEG2000, j2k_cr=[ratio * 16 / 12], generate_instance_uid=False)
        sources.append(to_bytes(dataset))
    [found] = [one for one in read_series(sources).findings if one.code == "lossy"]
    assert (found.level, "Transfer Syntax UID (0002,0010)" in found.text) == (level, True)


@pytest.mark.parametrize(
    ("uid", "expected"), [("1.3.46.670589.33.1.4.1", set()), ("1.2.3.4.5", {"transfer-syntax"})], ids=str
)
def test_private_transfer_syntaxes_of_plain_pixels(whole: Phantom, right: Series, uid: str, expected: set[str]) -> None:
    sources = []
    for dataset in datasets(whole):
        plain = to_bytes(dataset)
        old = b"UI\x14\x001.2.840.10008.1.2.1\0"
        assert plain.count(old) == 1
        new = uid.encode() + b"\0" * (len(uid) % 2)
        group = int.from_bytes(plain[140:144], "little") + len(new) - 20
        plain = plain[:140] + group.to_bytes(4, "little") + plain[144:]
        sources.append(plain.replace(old, b"UI" + len(new).to_bytes(2, "little") + new))
    series = read_series(sources)
    np.testing.assert_array_equal(series.hu, right.hu)
    assert set(noticed(series)) == expected
