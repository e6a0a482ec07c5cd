"""The evidence map lies where the slices are: checked in the patient's coordinates."""

from __future__ import annotations

import highdicom
import numpy as np
import pytest
from pydicom import Dataset

from ichscope.imaging.dicom import read_series
from ichscope.imaging.geometry import upright, upright_plane
from ichscope.imaging.preprocess import Box, head_box, resample
from ichscope.objects.evidence_map import evidence_maps, grid_plane
from ichscope.objects.headers import SliceHeader
from ichscope.objects.refusal import ObjectError
from ichscope.objects.study import objects_of
from ichscope.phantom import Phantom, datasets
from tests.support import results_builder
from tests.support.dicom_results import group_of, making, study
from tests.support.enhanced_ct import enhanced

ORDER = [3, 0, 7, 1, 6, 2, 5, 4]
_T = np.deg2rad(20)
# Image Orientation (Patient) as scanners and archives have it: rows and columns may run along any axis, either way.
ORIENTATIONS = {
    "supine": (1, 0, 0, 0, 1, 0),
    "prone": (-1, 0, 0, 0, -1, 0),
    "from below": (-1, 0, 0, 0, 1, 0),
    "upside down": (1, 0, 0, 0, -1, 0),
    "transposed": (0, 1, 0, 1, 0, 0),
    "turned": (0, -1, 0, 1, 0, 0),
    "turned back": (0, 1, 0, -1, 0, 0),
    "turned and mirrored": (0, -1, 0, -1, 0, 0),
    "gantry tilt": (1, 0, 0, 0, float(np.cos(_T)), float(np.sin(_T))),
    "head turned": (float(np.cos(_T)), float(np.sin(_T)), 0, -float(np.sin(_T)), float(np.cos(_T)), 0),
}


def by_the_standard(position: np.ndarray, orientation: np.ndarray, spacing: np.ndarray, row: float, column: float):
    """Where a pixel lies in the patient: PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1."""
    return position + orientation[:3] * spacing[1] * column + orientation[3:] * spacing[0] * row


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_upright_pixels_lie_where_the_files_pixels_lie(name: str) -> None:
    orientation, spacing, position = ORIENTATIONS[name], (0.5, 0.75), (-40.0, 25.0, 7.0)
    pixels = np.arange(6 * 9, dtype=np.int16).reshape(6, 9)  # each has a value of its own
    shown = upright(pixels[np.newaxis], orientation)[0]
    origin, down, across = upright_plane(position, orientation, spacing, pixels.shape)
    for row, column in np.ndindex(shown.shape):
        [[file_row, file_column]] = np.argwhere(pixels == shown[row, column])
        expected = by_the_standard(np.array(position), np.array(orientation), np.array(spacing), file_row, file_column)
        np.testing.assert_allclose(origin + row * down + column * across, expected, atol=1e-9)


def test_slices_that_are_not_axial_are_not_turned() -> None:
    origin, down, across = upright_plane((1, 2, 3), (1, 0, 0, 0, 0, -1), (2, 1), (4, 4))
    assert (origin.tolist(), down.tolist(), across.tolist()) == ([1, 2, 3], [0, 0, -2], [1, 0, 0])


def turned(head: Phantom, name: str) -> list[Dataset]:
    """The phantom's files, each saying another orientation of the same pixels, along the normal of which it lies."""
    orientation = np.array(ORIENTATIONS[name], float)
    normal = np.cross(orientation[:3], orientation[3:])
    files = datasets(head, PatientPosition="HFP" if "prone" in name else "HFS", GantryDetectorTilt=None)
    for number, one in enumerate(files):
        one.ImageOrientationPatient = [round(float(value), 6) for value in orientation]
        one.ImagePositionPatient = [
            round(float(value), 4) for value in np.array([-99.0, -88.0, 12.0]) + 5 * number * normal
        ]
        one.SliceLocation = None
    return files


def frames(dataset: Dataset) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, Dataset]]:
    """Position, orientation and spacing of each frame, and the image that it was made from."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    spacing = np.array(shared.PixelMeasuresSequence[0].PixelSpacing, float)
    return [
        (
            np.array(item.PlanePositionSequence[0].ImagePositionPatient, float),
            orientation,
            spacing,
            item.DerivationImageSequence[0].SourceImageSequence[0],
        )
        for item in dataset.PerFrameFunctionalGroupsSequence
    ]


def evidence_map(files: list[Dataset]) -> tuple[Dataset, Box, np.ndarray, np.ndarray]:
    """The map; what its evidence covers; the evidence; the series' voxels."""
    result, headers = study(files)
    speaks = result.speaks
    [dataset] = evidence_maps(speaks, making(headers))
    assert speaks.box is not None
    assert speaks.volume is not None
    return dataset, speaks.box, speaks.models["cranioscan"].evidence, speaks.volume.hu


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_each_cell_lies_over_what_the_model_saw_there(head: Phantom, name: str) -> None:
    """Of each cell the centre, in mm, is brought back to the file's pixels: the HU there are those that were seen."""
    files = {one.SOPInstanceUID: one for one in turned(head, name)}
    dataset, box, evidence, _ = evidence_map(list(files.values()))
    series = read_series(group_of(list(files.values())).sources)
    places = [place.sop for place in series.slices]
    assert len(frames(dataset)) == len(files)
    for number, (position, orientation, spacing, source) in enumerate(frames(dataset)):
        file = files[source.ReferencedSOPInstanceUID]
        index = places.index(file.SOPInstanceUID)
        np.testing.assert_array_equal(dataset.pixel_array[number], evidence[index])
        seen = resample(series.hu[index : index + 1], Box(0, 0, *series.hu.shape[1:]), series.hu.shape[1])[0]
        for row, column in np.ndindex(evidence.shape[1:]):
            there = by_the_standard(position, orientation, spacing, row, column)
            file_row, file_column = pixel_at(file, there)
            if 0 <= file_row <= 127 and 0 <= file_column <= 127:
                hu = int(np.frombuffer(file.PixelData, np.uint16).reshape(128, 128)[file_row, file_column]) - 1024
                upright_row = box.top + (row + 0.5) * box.height / evidence.shape[1] - 0.5
                upright_column = box.left + (column + 0.5) * box.width / evidence.shape[2] - 0.5
                near = seen[
                    int(upright_row) : int(upright_row) + 2, int(upright_column) : int(upright_column) + 2
                ]  # the centre of a cell may lie between pixels
                assert hu in near


def pixel_at(file: Dataset, there: np.ndarray) -> tuple[int, int]:
    """Which pixel of a file lies at a place, by the standard's equation; the place is in the slice's plane."""
    orientation, spacing = np.array(file.ImageOrientationPatient, float), np.array(file.PixelSpacing, float)
    offset = there - np.array(file.ImagePositionPatient, float)
    assert abs(offset @ np.cross(orientation[:3], orientation[3:])) < 0.01
    return int(np.floor(offset @ orientation[3:] / spacing[0])), int(np.floor(offset @ orientation[:3] / spacing[1]))


def test_values_are_those_of_the_model(head: Phantom) -> None:
    dataset, _, evidence, _ = evidence_map(datasets(head))
    read = highdicom.pm.ParametricMap.from_dataset(dataset)
    assert read.pixel_array.dtype == np.float32
    np.testing.assert_array_equal(read.pixel_array, evidence[::-1])  # frames run from head to foot
    mapping = dataset.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1, 0)
    assert dataset.ContentQualification == "RESEARCH"


def test_the_map_is_in_the_frame_of_reference_of_the_series(head: Phantom) -> None:
    files = datasets(head)
    dataset, *_ = evidence_map(files)
    assert dataset.FrameOfReferenceUID == files[0].FrameOfReferenceUID
    assert {one.ReferencedSOPInstanceUID for one in dataset.SourceImageSequence} == {
        one.SOPInstanceUID for one in files
    }
    [series] = dataset.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == files[0].SeriesInstanceUID
    assert len(series.ReferencedInstanceSequence) == 8


def test_frames_of_an_enhanced_image_lie_where_they_are(head: Phantom) -> None:
    classic, _, evidence, _ = evidence_map(datasets(head))
    image = enhanced(head, ORDER)
    dataset, *_ = evidence_map([image])
    frames_of_both = zip(frames(dataset), frames(classic), strict=True)
    for number, ((position, *_, source), (expected, *_)) in enumerate(frames_of_both):
        np.testing.assert_allclose(position, expected, atol=1e-3)
        assert source.ReferencedSOPInstanceUID == image.SOPInstanceUID
        assert source.ReferencedFrameNumber == ORDER.index(7 - number) + 1
    np.testing.assert_array_equal(dataset.pixel_array, evidence[::-1])


@pytest.mark.parametrize(
    ("box", "grid", "position", "spacing"),
    [
        (Box(0, 0, 8, 8), (8, 8), (0, 0, 5), (0.5, 0.5)),
        (Box(0, 0, 8, 8), (1, 1), (1.75, 1.75, 5), (4, 4)),
        (Box(2, 4, 4, 4), (4, 4), (2, 1, 5), (0.5, 0.5)),
        (Box(-8, -8, 24, 24), (3, 3), (-2.25, -2.25, 5), (4, 4)),
    ],
    ids=["pixel by pixel", "one cell", "a part", "beyond the slice"],
)
def test_the_grid_covers_the_box(box: Box, grid: tuple[int, int], position: object, spacing: object) -> None:
    place = SliceHeader("IM1", "", "", "", None, 8, 8, "", (0, 0, 5), (1, 0, 0, 0, 1, 0), (0.5, 0.5))
    plane = grid_plane(place, box, grid)
    assert (plane.position, plane.spacing_mm) == (position, spacing)


def test_models_that_share_their_evidence_share_a_map(head: Phantom) -> None:
    shared = results_builder.model("a", along=(0.9,) * 8)
    same = results_builder.model("b", along=(0.8,) * 8)
    other = results_builder.model("c", along=(0.7,) * 8)
    object.__setattr__(other, "evidence", other.evidence / 2)
    result, headers = study(datasets(head), shared, same, other)
    maps = evidence_maps(result.speaks, making(headers))
    assert [one.InstanceNumber for one in maps] == [1, 2]
    assert [one.ContentDescription for one in maps] == [
        "Research use only, not for diagnosis. a and b",
        "Research use only, not for diagnosis. c",
    ]
    np.testing.assert_array_equal(maps[1].pixel_array * 2, maps[0].pixel_array)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"FrameOfReferenceUID": None}, "no evidence: head/IM0001: Frame of Reference UID (0020,0052): found none"),
        ({"SliceThickness": None}, "no evidence: head/IM0001: Slice Thickness (0018,0050): found none"),
        ({"ImageOrientationPatient": None}, "Image Orientation (Patient) (0020,0037): found none"),
        ({"PixelSpacing": None}, "Pixel Spacing (0028,0030): found none"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_without_a_place_in_the_patient_there_is_no_map(head: Phantom, tags: dict[str, None], words: str) -> None:
    result, headers = study(datasets(head, **tags))
    said: list[str] = []
    made = objects_of(result, headers, say=said.append)
    assert [one.SOPClassUID.name for one in made] == [
        "Comprehensive 3D SR Storage",
        "Key Object Selection Document Storage",
        "Secondary Capture Image Storage",
    ]
    [text] = said
    assert words in text


def test_slices_that_are_not_parallel_make_no_map(head: Phantom) -> None:
    files = datasets(head)
    files[3].ImageOrientationPatient = [1, 0, 0, 0, 0.9998, 0.02]
    result, headers = study(files)
    with pytest.raises(
        ObjectError, match=r"head/IM0004: Image Orientation \(Patient\) \(0020,0037\): found another one"
    ):
        evidence_maps(result.speaks, making(headers))


def test_the_box_is_that_of_the_head(head: Phantom) -> None:
    """What the test of the cells rests on: the box is not the whole slice."""
    box = head_box(head.hu, head.spacing_mm[1:])
    assert (box.top, box.left) != (0, 0)
