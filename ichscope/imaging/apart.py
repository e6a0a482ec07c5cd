"""Images that one tag keeps out of a volume, though they lie between or beside its slices: said, and by which tag."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from ichscope.imaging.elements import describe
from ichscope.imaging.findings import Finding, FindingLevel
from ichscope.imaging.geometry import is_axial, is_direction, position_mm
from ichscope.imaging.sorting import DicomImage
from ichscope.imaging.source import name_some

# Slices of one volume are at least this share of their thickness apart; those of two over one place lie closer.
_LEAST_STEP = 0.75
# Of two or three images nothing can be said: an archive may well hold one of each of two series.
_FEWEST = 4
# Beside a volume is what follows within this many of its steps.
_NEXT = 3
# Of an examination with more volumes the largest are compared.
_MOST_VOLUMES = 20
_SHOWN_VALUE = 40

Volume = Sequence[DicomImage]


def set_apart(volumes: Sequence[Volume]) -> list[tuple[Finding, ...]]:
    """What is to be said of each volume: others whose images lie between or beside its slices, and the tags that part.

    Parameters
    ----------
    volumes : images of each, of one examination or several; those that share a study, a frame of reference or a
        series are compared

    References
    ----------
    PS3.3 C.7.4.1 Frame of Reference, in which positions of images can be compared
    """
    findings: list[dict[str, Finding]] = [{} for _ in volumes]
    for numbers in _related(volumes):
        for place, larger in enumerate(numbers):
            for smaller in numbers[place + 1 :]:
                main, other = volumes[larger], volumes[smaller]
                if _may_be_one(main[0], other[0]) and (tags := _parted_by(main, other)) and _fill_up(main, other):
                    for number, here, there in ((larger, main, other), (smaller, other, main)):
                        finding = _finding(here, there, tags)
                        findings[number].setdefault(finding.text, finding)
    return [tuple(found.values()) for found in findings]


def _related(volumes: Sequence[Volume]) -> Iterable[list[int]]:
    """Numbers of volumes that may belong together, the largest first; no pair twice in one list."""
    shared: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number in sorted(range(len(volumes)), key=lambda number: -len(volumes[number])):
        first = volumes[number][0]
        for what, value in (("study", first.study), ("frame", first.frame_of_reference), ("series", first.series)):
            if value:
                shared[what, value].append(number)
    return [numbers[:_MOST_VOLUMES] for numbers in shared.values() if len(numbers) > 1]


def _may_be_one(first: DicomImage, second: DicomImage) -> bool:
    """Whether two images are of one patient, place and thickness, so far as they say."""
    same_space = first.series == second.series or first.frame_of_reference == second.frame_of_reference
    same_thickness = first.facts.slice_thickness_mm == second.facts.slice_thickness_mm
    return same_space and same_thickness and not first.person.contradicts(second.person)


_VALUES: dict[str, Callable[[DicomImage], object]] = {
    "StudyInstanceUID": lambda image: image.study,
    "SeriesInstanceUID": lambda image: image.series,
    "Rows": lambda image: image.shape.rows,
    "Columns": lambda image: image.shape.columns,
    "ImageOrientationPatient": lambda image: image.shape.orientation,
    "PixelSpacing": lambda image: image.shape.spacing,
    "ImageType": lambda image: image.facts.image_type,
    "ConvolutionKernel": lambda image: image.facts.kernel,
    "Modality": lambda image: image.facts.modality,
}


def _parted_by(main: Volume, other: Volume) -> list[str]:
    """Keywords of the tags that have no value in common."""
    return [
        keyword
        for keyword, value in _VALUES.items()
        if {*map(value, main)}.isdisjoint({value(image) for image in other})
    ]


def _fill_up(main: Volume, other: Volume) -> bool:
    """Whether the other's images lie where slices of the main volume would: in its gaps, or next to it."""
    along, across = _places(main, main[0]), _places(other, main[0])
    if along is None or across is None or any(map(_is_scout, (main[0], other[0]))) or len(main) + len(other) < _FEWEST:
        return False
    steps = np.diff(np.sort(np.concatenate([along, across])))
    thickness = main[0].facts.slice_thickness_mm or float(median(np.diff(np.sort(along)).tolist() or [0.0]))
    distance = max(across.min() - along.max(), along.min() - across.max())
    near = 0.0 if _is_another_series(main[0], other[0]) else _NEXT * np.median(steps)
    return bool(steps.min() >= _LEAST_STEP * thickness > 0 and distance <= near)


def _is_another_series(first: DicomImage, second: DicomImage) -> bool:
    """Whether UID and number agree on it: a neck below a head is no part of it; what lies between its slices may be."""
    known = first.series and second.series and None not in (first.facts.series_number, second.facts.series_number)
    return bool(known) and first.series != second.series and first.facts.series_number != second.facts.series_number


def _places(images: Volume, first: DicomImage) -> NDArray[np.float64] | None:
    """Places in mm along the slice normal of the first image; None where one is unknown."""
    orientation = first.shape.orientation
    if orientation is not None and not is_direction(orientation):
        return None
    if any(image.facts.position is None or image.facts.slices > 1 for image in images):
        return None
    return np.array([position_mm(image.facts.position or (), orientation) for image in images])


def _is_scout(image: DicomImage) -> bool:
    """Whether Image Type and plane agree on it; by one of the two alone it may be a slice."""
    orientation = image.shape.orientation
    return image.shape.localizer and not (orientation and is_direction(orientation) and is_axial(orientation))


def _finding(here: Volume, there: Volume, tags: Sequence[str]) -> Finding:
    count = f"{len(there)} image{'s' * (len(there) > 1)}"
    lie = "lies" if len(there) == 1 else "lie"
    values = "; ".join(_difference(keyword, here[0], there[0]) for keyword in tags)
    text = f"{values}: so {count} that {lie} between or beside the {len(here)} here {'is' if lie == 'lies' else 'are'} "
    text += f"no part of this volume, and a bleed there cannot be seen: {name_some([i.source.name for i in there])}"
    return Finding(FindingLevel.WARNING, "set-apart", text)


def _difference(keyword: str, here: DicomImage, there: DicomImage) -> str:
    if keyword.endswith("UID"):
        return f"{describe(keyword)}: found {'another' if _VALUES[keyword](there) else 'none'}, expected the same"
    found, expected = (_words(_VALUES[keyword](image)) for image in (there, here))
    return f"{describe(keyword)}: found {found}, expected {expected}"


def _words(value: object) -> str:
    parts = value if isinstance(value, tuple) else (value,)
    words = "\\".join(f"{part:.6g}" if isinstance(part, float) else str(part) for part in parts if part is not None)
    return words[:_SHOWN_VALUE] or "none"
