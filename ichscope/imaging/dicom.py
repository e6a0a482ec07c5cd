"""DICOM files of one CT series into one volume in Hounsfield units."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from ichscope.errors import IchscopeError, UnexpectedError, barrier
from ichscope.imaging.agreement import one_header
from ichscope.imaging.completeness import missing_images
from ichscope.imaging.decoding import decoders
from ichscope.imaging.elements import DicomError, describe
from ichscope.imaging.facts import series_facts
from ichscope.imaging.frames import Frame, begin_frames
from ichscope.imaging.geometry import (
    check_spacing,
    clusters,
    is_axial,
    is_transposed,
    tilt_degrees,
    upright,
)
from ichscope.imaging.hounsfield import series_findings
from ichscope.imaging.identity import identity_of
from ichscope.imaging.limits import too_many_voxels
from ichscope.imaging.order import ordered
from ichscope.imaging.orientation import orientation_findings
from ichscope.imaging.passes import one_pass
from ichscope.imaging.person import person_of, tell_apart, told_apart_by
from ichscope.imaging.proportions import diameter_findings
from ichscope.imaging.series import Finding, FindingLevel, Header, Identity, Series, Slice
from ichscope.imaging.source import Source, SourceError, as_sources, name_some
from ichscope.imaging.witness import witness

__all__ = ["DicomError", "read_series"]

# While one file of a series is decoded, the next ones wait.
_FILES_A_DECODER = 2


def read_series(sources: Sequence[Source | Path | bytes], identity: Identity | None = None) -> Series:
    """Read the files of one CT series, in any order.

    Parameters
    ----------
    sources : the files
    identity : that of their group, which the intake made one series; of files that come without a group it is
        computed in the same way

    Returns
    -------
    Series of kind "ct": (slices, rows, columns) int16 HU from foot to head. A file that cannot be read, does not
    fit or repeats another is left out and named in the findings.

    Raises
    ------
    DicomError
        if nothing is left that is CT in Hounsfield units, or the files are of several series

    Notes
    -----
    What must hold, and what happens where it does not. References are to DICOM PS3.3.

    Every file on its own, else it is left out and named:

    - Modality is CT or absent [1]_; Samples per Pixel is 1, Rows and Columns 2 to 8192, Bits Allocated 8, 16 or 32,
      with Bits Stored and High Bit within them [2]_;
    - Rescale Slope and Rescale Intercept are there, and Rescale Type, if given, is HU, HU_MOD or US: without them
      there are no Hounsfield units [1]_ [3]_;
    - Image Orientation (Patient), if given, is two directions at a right angle, and Pixel Spacing two distances [4]_.

    All files together:

    - Patient ID, Patient's Name and Patient's Birth Date contradict each other nowhere, else it is an error;
    - Study Instance UID and Series Instance UID are the same [5]_, else it is an error, unless the intake says that
      each slice has a series of its own;
    - Rows, Columns, Image Orientation (Patient), Pixel Spacing and LOCALIZER in Image Type [6]_ are the same: the
      largest set that agrees is the volume, the others are left out and named;
    - no two slices have the same place and pixels, else one is used; of several passes over the same places one is
      used, and the others are named (`passes`);
    - slices have an order: of Image Position (Patient) [4]_ along the slice normal or, with a warning, of the next tag
      that tells them apart and that the pixels bear out (`order`); without one they cannot be analysed;
    - distances are even, agree with thickness and numbers, and no slice is missing, else there is a warning;
    - Image Orientation is one that Patient Position explains, and Pixel Spacing fits Reconstruction Diameter, else
      there is a warning (`orientation`, `proportions`);
    - what slices say of patient and exposure is the same, else the gravest counts (`agreement`).

    References
    ----------
    .. [1] https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.8.2.html
    .. [2] https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.7.6.3.html
    .. [3] https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.11.html
    .. [4] https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.7.6.2.html
    .. [5] https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.7.3.html
    .. [6] https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.7.6.html

    Examples
    --------
    >>> from ichscope.phantom import datasets, make, to_bytes
    >>> files = [to_bytes(dataset) for dataset in datasets(make(slices=4, size=64))]
    >>> series = read_series(files)
    >>> series.hu.shape, str(series.hu.dtype), series.kind
    ((4, 64, 64), 'int16', 'ct')
    >>> [image.position_mm for image in series.slices] == sorted(image.position_mm for image in series.slices)
    True
    """
    files = as_sources(sources)
    frames, findings = _read_all(files)
    if identity is None:
        _check_one_series(frames)
        identity = identity_of(*_uids(frames[0]), files)
    _check_one_patient(frames)
    patient_id = frames[0].uid("PatientID")
    frames, mixed = _largest_cluster(frames)
    frames, repeated = _without_repeats(frames)
    frames, passes = one_pass(frames)
    order = ordered(frames)
    frames, places = order.frames, order.places
    findings += mixed + repeated + passes + order.findings
    findings += _spacing_findings(frames, places) + missing_images(frames, places)
    findings += orientation_findings(frames) + diameter_findings(frames) + series_findings(frames)
    header, contradictions = one_header(frames)
    return _assemble(frames, places, header, (*findings, *contradictions), identity, patient_id)


def _read_all(sources: list[Source]) -> tuple[list[Frame], list[Finding]]:
    frames: list[Frame] = []
    failures: list[str] = []
    voxels = packed = 0
    for source, read in _ahead(sources):
        try:
            with barrier():
                frames += (frames_of_file := read())
        except (SourceError, UnexpectedError) as error:
            if isinstance(error, UnexpectedError) and error.of_the_machine:
                raise  # with a part of its slices a series would be judged for good
            failures.append(f"{source.name}: {error}")
        except DicomError as error:
            failures.append(str(error))
        else:
            voxels += sum(frame.hu.size for frame in frames_of_file)
            packed += source.size
        if problem := too_many_voxels(voxels, packed):
            raise DicomError(f"{source.name} and the files before it: {problem}")
    if not frames:
        more = f" (and {len(failures) - 1} more files like it)" if len(failures) > 1 else ""
        raise DicomError(failures[0] + more if failures else "found no files, expected a CT series")
    if not failures:
        return frames, []
    text = f"{len(failures)} of {len(sources)} files could not be read and {_are(len(failures))} left out: "
    return frames, [Finding(FindingLevel.WARNING, "unreadable-file", text + name_some(failures))]


def _ahead(sources: list[Source]) -> Iterator[tuple[Source, Callable[[], list[Frame]]]]:
    """Each file with what reads it; compressed pixels of the next files are decoded meanwhile."""
    begun: deque[tuple[Source, Callable[[], list[Frame]]]] = deque()
    for source in sources:
        begun.append((source, _begin(source)))
        if len(begun) > _FILES_A_DECODER * decoders().limits.decoders:
            yield begun.popleft()
    yield from begun


def _begin(source: Source) -> Callable[[], list[Frame]]:
    try:
        with barrier():
            return begin_frames(source.read(), source.name)
    except (SourceError, DicomError, UnexpectedError) as error:
        return partial(_fail, error)


def _fail(error: IchscopeError) -> NoReturn:
    raise error


def _check_one_patient(frames: list[Frame]) -> None:
    """Whatever was sorted before, no volume is of two patients."""
    people = [person_of(dataset) for dataset in {id(frame.dataset): frame.dataset for frame in frames}.values()]
    if len(tell_apart(people)) > 1:
        keyword = told_apart_by(people)[0]
        raise DicomError.about(frames[0].file, keyword, "another patient than in other files", "the same in all")


def _check_one_series(frames: list[Frame]) -> None:
    first = _uids(frames[0])
    for frame in frames:
        # One of the two alone says nothing: both are missing, copied and reused in practice.
        if (uids := _uids(frame)) != first and (all(uids) or all(first)):
            raise DicomError.about(frame.file, "SeriesInstanceUID", "another series than in the first file", "the same")


def _largest_cluster(frames: list[Frame]) -> tuple[list[Frame], list[Finding]]:
    """Slices that form one volume; scouts and slices of another size or plane go, and are named."""
    groups = clusters([frame.shape for frame in frames])
    if len(groups) == 1:
        return frames, []
    kept = [frames[i] for i in groups[0]]
    left = [frames[i] for members in groups[1:] for i in members]
    differences = [kept[0].shape.differences(frame.shape) for frame in left]
    tags = ", ".join(describe(keyword) for keyword in dict.fromkeys(chain.from_iterable(differences)))
    text = f"{len(left)} of {len(frames)} images do not form one volume with the others ({kept[0].shape}) "
    text += f"by {tags} and {_are(len(left))} left out: "
    text += name_some([f"{frame.file} ({frame.shape})" for frame in left])
    return kept, [Finding(FindingLevel.WARNING, "mixed-series", text)]


def _uids(frame: Frame) -> tuple[str, str]:
    return frame.uid("StudyInstanceUID"), frame.uid("SeriesInstanceUID")


def _without_repeats(frames: list[Frame]) -> tuple[list[Frame], list[Finding]]:
    """Of images that are the same in place and pixels, the first."""
    places = [witness(frames, keyword).ids for keyword in ("ImagePositionPatient", "SliceLocation")]
    seen: set[tuple[object, ...]] = set()
    kept: list[Frame] = []
    same: list[Frame] = []
    for frame, position, location in zip(frames, *places, strict=True):
        place = (int(position), int(location)) if position >= 0 or location >= 0 else (frame.order,)
        what = (*place, hash(frame.hu.tobytes()))
        (same if what in seen else kept).append(frame)
        seen.add(what)
    if not same:
        return kept, []
    text = f"{_images(same)} came twice and {_are(len(same))} used once: {name_some([frame.file for frame in same])}"
    return kept, [Finding(FindingLevel.WARNING, "duplicate-slices", text)]


def _spacing_findings(frames: list[Frame], places: list[float | None]) -> list[Finding]:
    known = [place for place in places if place is not None]
    return check_spacing(known, [frame.file for frame in frames]) if len(known) == len(places) else []


def _assemble(
    frames: list[Frame],
    places: list[float | None],
    header: Header,
    findings: tuple[Finding, ...],
    identity: Identity,
    patient_id: str,
) -> Series:
    first = frames[0]
    orientation, spacing = first.shape.orientation, first.shape.spacing
    volume: NDArray[np.int16] = np.stack([frame.hu for frame in frames])
    transposed = False
    if orientation is not None and is_axial(orientation):
        volume, transposed = np.ascontiguousarray(upright(volume, orientation)), is_transposed(orientation)
    known = [place for place in places if place is not None]
    between = float(np.median(np.diff(known))) if len(known) == len(places) > 1 else None
    row_mm, column_mm = (spacing[::-1] if transposed else spacing) if spacing else (0.0, 0.0)
    tilt = header.gantry_tilt_deg
    if tilt is None and orientation is not None and is_axial(orientation):
        tilt = round(tilt_degrees(orientation), 1)
    return Series(
        study=identity.study,
        key=identity.series,
        kind="ct",
        hu=volume,
        slices=tuple(Slice(f.file, f.uid("SOPInstanceUID"), place) for f, place in zip(frames, places, strict=True)),
        spacing_mm=(between, row_mm, column_mm) if spacing else None,
        orientation=orientation,
        header=replace(header, gantry_tilt_deg=tilt),
        findings=findings,
        facts=series_facts([frame.facts for frame in frames]),
        patient_id=patient_id,
    )


def _images(names: Sequence[object]) -> str:
    return f"{len(names)} image{'s' * (len(names) > 1)}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
