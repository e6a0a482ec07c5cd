"""The evidence: where in the head a model sees signs of haemorrhage, as a map that viewers lay over the slices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from highdicom import (
    PixelMeasuresSequence,
    PlaneOrientationSequence,
    PlanePositionSequence,
    VOILUTTransformation,
)
from highdicom.enum import CoordinateSystemNames
from highdicom.pm import ParametricMap, RealWorldValueMapping
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.sr.coding import Code
from pydicom.uid import CTImageStorage

from ichscope.imaging.elements import describe
from ichscope.imaging.geometry import Numbers, position_mm, upright_plane
from ichscope.imaging.preprocess import Box
from ichscope.objects import codes
from ichscope.objects.content import WARNING, evidence_of, plain
from ichscope.objects.headers import SliceHeader
from ichscope.objects.making import EVIDENCE, Making
from ichscope.objects.refusal import ObjectError
from ichscope.objects.uids import what_is_wrong
from ichscope.results import SeriesResult

# Directions that differ by less are the same, but for how many digits the header has.
_SAME_DIRECTION = 1e-4
# Planes nearer to one another are one plane.
_SAME_PLACE_MM = 1e-3
# What a frame was made from, and how (PS3.16 CID 7202 and 7203).
_SOURCE = Code("121322", "DCM", "Source image for image processing operation")
_DERIVATION = Code("113085", "DCM", "Spatial resampling")


def evidence_maps(result: SeriesResult, making: Making) -> list[FileDataset]:
    """Make a Parametric Map of each evidence, a frame a slice, on the model's own coarse grid, value for value.

    Raises
    ------
    ObjectError
        if the headers do not say where the slices lie in the patient

    References
    ----------
    PS3.3 A.75, Parametric Map; C.7.6.16.2.3, Plane Position
    """
    if result.box is None:
        raise ObjectError(f"{result.name}: found no box that the evidence covers, expected one")
    _check_geometry(result, making)
    made = enumerate(evidence_of(result), 1)
    return [_map(names, evidence, result.box, making, number) for number, (names, evidence) in made]


def _map(names: str, evidence: NDArray[np.float32], box: Box, making: Making, number: int) -> FileDataset:
    planes = [grid_plane(place, box, (evidence.shape[1], evidence.shape[2])) for place in making.headers.slices]
    first = planes[0]
    dataset = ParametricMap(
        source_images=[_source(making, first)],
        pixel_array=evidence.astype(np.float32),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[
            RealWorldValueMapping(
                "EVIDENCE", "0: no sign of haemorrhage, 1: the strongest", codes.NO_UNITS, (0.0, 1.0),
                slope=1.0, intercept=0.0, quantity_definition=codes.EVIDENCE,
            )
        ],
        voi_lut_transformations=[VOILUTTransformation(window_center=0.5, window_width=1.0)],
        content_label="EVIDENCE",
        content_description=plain(f"{WARNING}. {names}")[:64],
        pixel_measures=PixelMeasuresSequence(first.spacing_mm, making.headers.slices[0].thickness_mm),
        plane_orientation=PlaneOrientationSequence(CoordinateSystemNames.PATIENT, first.orientation),
        plane_positions=[PlanePositionSequence(CoordinateSystemNames.PATIENT, plane.position) for plane in planes],
        **making.made_with(EVIDENCE, number),
    )  # fmt: skip
    _refer(dataset, making, [plane.position for plane in planes])
    dimension = making.uid(EVIDENCE.name, str(number), "dimensions")
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = dimension
    return making.finished(dataset, is_image=True)


@dataclass(frozen=True)
class Plane:
    """A frame of the map: centre of its first cell, directions along a row and along a column, mm between cells."""

    position: Numbers
    orientation: Numbers
    spacing_mm: tuple[float, float]


def grid_plane(place: SliceHeader, box: Box, grid: tuple[int, int]) -> Plane:
    """Where the cells of the evidence of one slice lie in the patient.

    Parameters
    ----------
    box : what the grid covers of the slice as the model saw it, upright
    grid : rows and columns of the evidence

    Examples
    --------
    >>> place = SliceHeader("IM1", "", "", "", None, 8, 8, "", (0, 0, 5), (1, 0, 0, 0, 1, 0), (0.5, 0.5))
    >>> grid_plane(place, Box(0, 0, 8, 8), (2, 4))
    Plane(position=(0.25, 0.75, 5.0), orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0), spacing_mm=(2.0, 1.0))
    """
    shape = (place.rows, place.columns)
    origin, down, across = upright_plane(place.position or (), place.orientation or (), place.spacing_mm or (), shape)
    rows, columns = box.height / grid[0], box.width / grid[1]
    # A box counts from the edge of the first pixel, positions from its centre.
    first = origin + (box.top + rows / 2 - 0.5) * down + (box.left + columns / 2 - 0.5) * across
    row_mm, column_mm = float(np.linalg.norm(down)), float(np.linalg.norm(across))
    directions = (*(across / column_mm).tolist(), *(down / row_mm).tolist())
    return Plane(
        tuple(first.tolist()), tuple(value + 0.0 for value in directions), (rows * row_mm, columns * column_mm)
    )


def _check_geometry(result: SeriesResult, making: Making) -> None:
    """Refuse a map of slices that do not lie in one frame of reference, in parallel and each at a place of its own."""
    first = making.headers.slices[0]
    if wrong := what_is_wrong(first.frame_of_reference):
        raise ObjectError.about(first.file, "FrameOfReferenceUID", wrong, "a UID, in which the evidence lies")
    for place in making.headers.slices:
        for keyword, value in _geometry(place).items():
            if value is None:
                raise ObjectError.about(place.file, keyword, "none", "where the slice lies in the patient")
        if place.frame_of_reference != first.frame_of_reference:
            raise ObjectError.about(place.file, "FrameOfReferenceUID", "another one", "the same in all slices")
        if not np.allclose(place.orientation, first.orientation, atol=_SAME_DIRECTION):  # type: ignore[arg-type]
            raise ObjectError.about(place.file, "ImageOrientationPatient", "another one", "the same in all slices")
    along = sorted(position_mm(place.position or (), first.orientation) for place in making.headers.slices)
    if len(along) > 1 and np.diff(along).min() < _SAME_PLACE_MM:
        tag = describe("ImagePositionPatient")
        raise ObjectError(f"{result.name}: {tag}: found two slices at one place, expected a place for each")


def _geometry(place: SliceHeader) -> dict[str, object]:
    return {
        "ImagePositionPatient": place.position,
        "ImageOrientationPatient": place.orientation,
        "PixelSpacing": place.spacing_mm,
        "SliceThickness": place.thickness_mm,
    }


def _source(making: Making, plane: Plane) -> Dataset:
    """What highdicom copies from, as a classic image: references are written here, since it knows of no subset of
    frames and of no slices in several series.
    """
    place = making.headers.slices[0]
    source = making.images([place])[0]
    source.SOPClassUID = CTImageStorage
    source.ImagePositionPatient = list(plane.position)
    source.ImageOrientationPatient = list(plane.orientation)
    source.PixelSpacing = list(plane.spacing_mm)
    source.SliceThickness = place.thickness_mm
    return source


def _refer(dataset: Dataset, making: Making, positions: Sequence[Numbers]) -> None:
    """Name the images of the whole map, and of each frame the slice that it was made from."""
    by_series: dict[str, list[Dataset]] = defaultdict(list)
    for image in making.images():
        by_series[image.SeriesInstanceUID].append(_reference(image.SOPClassUID, image.SOPInstanceUID))
    dataset.SourceImageSequence = [reference for references in by_series.values() for reference in references]
    dataset.ReferencedSeriesSequence = [_series(uid, references) for uid, references in by_series.items()]
    for item in dataset.PerFrameFunctionalGroupsSequence:
        # highdicom puts frames in the order of their places.
        there = np.array(item.PlanePositionSequence[0].ImagePositionPatient, float)
        nearest = int(np.linalg.norm(np.array(positions) - there, axis=1).argmin())
        item.DerivationImageSequence = [_derivation(making.headers.slices[nearest])]


def _series(uid: str, references: Sequence[Dataset]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = uid
    item.ReferencedInstanceSequence = list(references)
    return item


def _derivation(place: SliceHeader) -> Dataset:
    source = _reference(place.sop_class, place.sop)
    if place.frame is not None:
        source.ReferencedFrameNumber = place.frame
    source.SpatialLocationsPreserved = "NO"  # the grid is coarser than the slice
    source.PurposeOfReferenceCodeSequence = [CodedConcept.from_code(_SOURCE)]
    derivation = Dataset()
    derivation.SourceImageSequence = [source]
    derivation.DerivationCodeSequence = [CodedConcept.from_code(_DERIVATION)]
    return derivation


def _reference(sop_class: str, sop: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop
    return item
