"""The synthetic studies: repeatable, with HU of a head CT, with truth that fits what is painted, and valid DICOM."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from scipy import ndimage

from ichscope import phantom
from ichscope.labels import LABELS, SUBTYPES
from ichscope.phantom import Phantom, head
from ichscope.phantom.draw import draw_bleed, draw_head
from ichscope.phantom.scene import Scene, Waves, ellipsoid, interpolation, rotation

SEEDS = range(6)

# Attributes of types 1 and 2 of the CT Image IOD (PS3.3 A.3 and the modules that it names).
TYPE_1 = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "FrameOfReferenceUID",
    "ImageType",
    "PixelSpacing",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
    "RescaleIntercept",
    "RescaleSlope",
]
TYPE_2 = [
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "SeriesNumber",
    "PositionReferenceIndicator",
    "Manufacturer",
    "InstanceNumber",
    "SliceThickness",
    "KVP",
    "AcquisitionNumber",
    "PatientPosition",
]


@cache
def small(bleed: str | None = None, seed: int = 0) -> Phantom:
    return phantom.make(bleed, seed, slices=8, size=128)


@pytest.fixture(scope="module")
def whole() -> Phantom:
    """A normal head from skull base to vertex, at half the usual resolution."""
    return phantom.make(seed=0, slices=32, size=192)


@pytest.mark.parametrize("bleed", [None, *SUBTYPES])
def test_same_seed_same_files(bleed: str | None) -> None:
    first, second = (phantom.datasets(phantom.make(bleed, 3, slices=2, size=128)) for _ in range(2))
    assert [phantom.to_bytes(one) for one in first] == [phantom.to_bytes(one) for one in second]


def test_another_seed_is_another_head_in_another_place() -> None:
    heads = [phantom.make(seed=seed, slices=1, size=128) for seed in SEEDS]
    outlines = [one.hu[0] > -500 for one in heads]
    assert len({int(one.sum()) for one in outlines}) == len(SEEDS)
    assert len({ndimage.center_of_mass(one) for one in outlines}) == len(SEEDS)
    assert len({one.spacing_mm for one in heads}) == len(SEEDS)
    uids = {one.StudyInstanceUID for made in heads for one in phantom.datasets(made)}
    assert len(uids) == len(SEEDS)


def test_a_bleed_changes_the_head_only_where_it_lies() -> None:
    normal, bleeding = small(seed=2), small("intraparenchymal", seed=2)
    bone = normal.hu > 300
    assert (bone == (bleeding.hu > 300)).mean() > 0.999


@pytest.mark.parametrize(("slices", "size"), [(1, 128), (3, 65), (8, 128), (40, 64), (2, 301), (2, 512)])
def test_shape(slices: int, size: int) -> None:
    made = phantom.make("subdural", seed=1, slices=slices, size=size)
    assert made.hu.shape == made.mask.shape == (slices, size, size)
    assert (made.hu.dtype, made.mask.dtype) == (np.int16, bool)
    assert made.labels.shape == (slices, len(LABELS))
    assert made.spacing_mm[0] == pytest.approx(min(5.0, head.HEIGHT_MM / slices))
    assert 200 < made.spacing_mm[1] * size < 260


@pytest.mark.parametrize(
    ("bleed", "slices", "size"), [("stroke", 8, 128), ("any", 8, 128), ("", 8, 128), (None, 0, 128), (None, 8, 0)]
)
def test_refuses_what_it_cannot_make(bleed: str | None, slices: int, size: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        phantom.make(bleed, 0, slices, size)


def test_a_series_runs_from_skull_base_to_vertex(whole: Phantom) -> None:
    area = (whole.hu > -300).sum(axis=(1, 2)) * whole.spacing_mm[1] ** 2
    assert area[:24].min() > 12_000
    assert area[-1] < 0.2 * area.max()
    assert np.argmax(area) < 20
    air_in_head = ndimage.binary_fill_holes(whole.hu[4] > -300) & (whole.hu[4] < -600)
    assert air_in_head.sum() * whole.spacing_mm[1] ** 2 > 300, "no air in sinuses and mastoid cells"


# One row a tissue: its range in HU, and the least and largest share of the head's volume that it may take.
@pytest.mark.parametrize(
    ("low", "high", "least", "most"),
    [
        pytest.param(700, 2500, 0.05, 0.25, id="bone"),
        pytest.param(-130, -60, 0.03, 0.2, id="fat"),
        pytest.param(20, 46, 0.35, 0.75, id="brain"),
        pytest.param(-6, 14, 0.004, 0.08, id="fluid"),
        pytest.param(2500, 4000, 0, 0, id="metal"),
    ],
)
def test_tissues_take_their_share(whole: Phantom, low: int, high: int, least: float, most: float) -> None:
    inside = np.array([ndimage.binary_fill_holes(one > -300) for one in whole.hu])
    share = ((whole.hu >= low) & (whole.hu <= high) & inside).sum() / inside.sum()
    assert least <= share <= most


def test_air_around_the_head_and_noise_in_it(whole: Phantom) -> None:
    assert np.median(whole.hu[:, :20]) == pytest.approx(-1000, abs=3)
    smooth = ndimage.uniform_filter(whole.hu.astype(np.float32), (0, 5, 5))
    brain = (smooth > 25) & (smooth < 40) & (ndimage.maximum_filter(whole.hu, (1, 9, 9)) < 60)
    assert 1.5 < (whole.hu - smooth)[brain].std() < 6


@pytest.mark.parametrize("seed", SEEDS)
def test_grey_matter_is_denser_than_white_and_fluid_is_dark(seed: int) -> None:
    """In the pure painting, without noise: peaks of fluid, white and grey matter."""
    made = draw_head(seed)
    line = np.linspace(-100, 100, 101, dtype=np.float32)
    nothing = np.zeros(101, np.float32)
    sub = np.array([[0], [0], [50]], np.float32)
    scene = Scene.of_air((sub, np.stack([nothing, line, nothing]), np.stack([line, nothing, nothing])), 2.0)
    head.paint(scene, made, None)
    values = {place: float(scene.hu[0, 50 + place[1] // 2, 50 + place[0] // 2]) for place in ((10, 10), (10, 34))}
    assert values[10, 10] == pytest.approx(made.grey_hu, abs=2.5), "thalamus"
    histogram = np.histogram(scene.hu[(scene.hu > 0) & (scene.hu < 45)], bins=45, range=(0, 45))[0]
    assert histogram[27:31].sum() > 200, "white matter"
    assert histogram[33:40].sum() > 300, "grey matter"
    assert histogram[4:9].sum() > 15, "fluid"


def test_a_normal_head_has_no_blood() -> None:
    for seed in SEEDS:
        made = small(seed=seed)
        assert made.bleed is None
        assert not made.mask.any()
        assert not made.labels.any()


@pytest.mark.parametrize("bleed", SUBTYPES)
@pytest.mark.parametrize("seed", SEEDS)
def test_labels_follow_the_mask(bleed: str, seed: int) -> None:
    made = small(bleed, seed)
    found = made.mask.any(axis=(1, 2))
    assert found.any(), "no slice shows the bleed"
    for column, label in enumerate(LABELS):
        expected = found if label in ("any", bleed) else np.zeros_like(found)
        np.testing.assert_array_equal(made.labels[:, column], expected)
    area = made.mask.sum(axis=(1, 2)) * made.spacing_mm[1] * made.spacing_mm[2]
    assert area[found].min() >= 20, "a slice counts with 20 mm2 or more"


@pytest.mark.parametrize("bleed", SUBTYPES)
@pytest.mark.parametrize("seed", SEEDS)
def test_blood_is_denser_than_the_brain_around_it(bleed: str, seed: int) -> None:
    made = small(bleed, seed)
    slices = made.mask.any(axis=(1, 2))
    near = ndimage.binary_dilation(made.mask, np.ones((1, 9, 9))) & ~made.mask
    around = made.hu[near & (made.hu > 0) & (made.hu < 90) & slices[:, None, None]]
    assert 42 <= np.median(made.hu[made.mask]) <= 82
    assert np.median(made.hu[made.mask]) > np.median(around) + 8


@pytest.mark.parametrize(("bleed", "nearest_mm"), [("epidural", 3), ("subdural", 3), ("intraparenchymal", None)])
def test_blood_lies_where_its_kind_lies(bleed: str, nearest_mm: float | None) -> None:
    """Blood under the skull touches it; blood in the brain may not lie in the skull."""
    for seed in SEEDS[:3]:
        made = phantom.make(bleed, seed, slices=4, size=256)
        distance = np.array([ndimage.distance_transform_edt(one <= 300) for one in made.hu]) * made.spacing_mm[1]
        found = distance[made.mask]
        if nearest_mm is not None:
            assert np.percentile(found, 5) < nearest_mm
        assert (found > 0).mean() > 0.95


def test_intraventricular_blood_replaces_fluid() -> None:
    for seed in SEEDS:
        blood, plain = small("intraventricular", seed), small(seed=seed)
        assert np.abs(np.argwhere(blood.mask)[:, 2].mean() - 64) < 20
        assert plain.hu[blood.mask].mean() < blood.hu[blood.mask].mean() - 20


def test_a_large_subdural_pushes_the_midline() -> None:
    lesions = [draw_bleed("subdural", seed, (0, 100)) for seed in range(20)]
    assert any(one is not None and one.shift > 4 for one in lesions)
    assert {one.side for one in lesions if one is not None} == {-1, 1}


def test_chest_is_no_head() -> None:
    made = phantom.make_chest(seed=1, slices=4, size=128)
    inside = np.array([ndimage.binary_fill_holes(one > -300) for one in made.hu])
    assert 0.2 < ((made.hu < -600) & inside).sum() / inside.sum() < 0.6, "share of lung"
    assert (made.hu > 300).any()
    assert not made.mask.any()
    assert {one.BodyPartExamined for one in phantom.datasets(made)} == {"CHEST"}


def test_files_are_read_back(tmp_path: Path) -> None:
    made = small("epidural", 4)
    paths = phantom.write(made, tmp_path / "a" / "study")
    assert [path.name for path in paths] == [f"IM{i:04}.dcm" for i in range(1, 9)]
    read = [pydicom.dcmread(path) for path in paths]
    np.testing.assert_array_equal([one.pixel_array.astype(int) - 1024 for one in read], made.hu)
    assert {one.file_meta.TransferSyntaxUID for one in read} == {ExplicitVRLittleEndian}
    assert {one.file_meta.MediaStorageSOPClassUID for one in read} == {CTImageStorage}
    assert all(one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID for one in read)
    assert np.diff([one.ImagePositionPatient[2] for one in read]) == pytest.approx(made.spacing_mm[0], abs=1e-3)
    assert read[0].PixelSpacing == pytest.approx(made.spacing_mm[1:], abs=1e-5)


def test_attributes_of_the_ct_image_iod() -> None:
    datasets = phantom.datasets(small())
    for one in datasets:
        assert not [keyword for keyword in TYPE_1 if one.get(keyword) in (None, "")]
        assert not [keyword for keyword in TYPE_2 if keyword not in one]
        assert (one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation) == (16, 12, 11, 0)
        assert len(one.PixelData) == 2 * one.Rows * one.Columns
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert len({one[keyword].value for one in datasets}) == 1
    for keyword in ("SOPInstanceUID", "InstanceNumber", "SliceLocation"):
        assert len({one[keyword].value for one in datasets}) == len(datasets)


def test_files_say_that_they_are_synthetic() -> None:
    one = phantom.datasets(small(seed=7))[0]
    assert (one.PatientName, one.PatientID, one.ManufacturerModelName) == (
        "SYNTHETIC^PHANTOM", "PHANTOM-0007", "Synthetic phantom",
    )  # fmt: skip


def test_tags_replace_and_remove_elements() -> None:
    made = phantom.datasets(small(), Modality="MR", KVP=80, RescaleSlope=None, SpacingBetweenSlices=None)
    assert {(one.Modality, one.KVP) for one in made} == {("MR", 80)}
    assert not any("RescaleSlope" in one for one in made)
    assert pydicom.dcmread(BytesIO(phantom.to_bytes(made[0]))).Modality == "MR"


def test_waves_are_the_same_on_a_grid_and_at_bent_points() -> None:
    rng = np.random.default_rng(0)
    sub, rows, columns = (rng.uniform(-50, 50, (3, n)).astype(np.float32) for n in (2, 5, 7))
    scene = Scene.of_air((sub, rows, columns), 1.0)
    waves = Waves.draw(rng, 20)
    np.testing.assert_allclose(waves(scene), waves.bent(scene.x, scene.y, scene.z), atol=1e-3)
    window = (slice(None), slice(1, 4), slice(2, 6))
    np.testing.assert_allclose(waves(scene.at(window)), waves(scene)[window], atol=1e-4)


def test_helpers_of_geometry() -> None:
    zero = np.zeros(1, np.float32)
    assert ellipsoid(zero, zero, zero, (0, 0, 0), (3, 4, 5))[0] == pytest.approx(3)
    assert ellipsoid(zero + 3, zero, zero, (0, 0, 0), (3, 4, 5))[0] == pytest.approx(0, abs=1e-5)
    np.testing.assert_allclose(interpolation(20, 37).sum(axis=1), 1, atol=1e-6)
    turned = rotation((10, -20, 30))
    np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-12)
