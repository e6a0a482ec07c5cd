"""What the headers of a series say of how well it speaks for its study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from ichscope.imaging.geometry import Numbers, is_axial, is_direction, position_mm
from ichscope.imaging.kernels import is_soft_tissue
from ichscope.imaging.series import SeriesFacts

T = TypeVar("T")

# Image Type, value 3 and on (PS3.3 C.7.6.1.1.2 and C.8.16.1), and words that makers add there.
_DERIVED = frozenset(
    ("MPR", "CURVED_MPR", "CPR", "REFORMATTED", "MIP", "MAX_IP", "MINIP", "MIN_IP", "AVERAGE", "PROJECTION", "VRT",
     "LOCALIZER", "SCOUT", "TOPOGRAM")
)  # fmt: skip


@dataclass(frozen=True)
class ImageFacts:
    """What one image's header says; None or "" or () means that it does not say. `slices` are its frames."""

    modality: str = ""
    image_type: tuple[str, ...] = ()
    orientation: Numbers | None = None
    position: Numbers | None = None
    kernel: str = ""
    slice_thickness_mm: float | None = None
    series_number: int | None = None
    slices: int = 1
    contrast: bool = False


def series_facts(images: Sequence[ImageFacts]) -> SeriesFacts:
    """Facts of the series that these images make up; where they differ, what most of them say.

    Of a contrast agent one image that speaks of it is enough.

    Examples
    --------
    >>> images = [ImageFacts("CT", position=(0, 0, z), slice_thickness_mm=5) for z in (0, 5, 10)]
    >>> facts = series_facts(images)
    >>> facts.extent_mm, facts.slices, facts.original
    (15.0, 3, None)
    """
    thickness = [image.slice_thickness_mm for image in images if image.slice_thickness_mm]
    numbers = [image.series_number for image in images if image.series_number is not None]
    typical = median(thickness) if thickness else None
    return SeriesFacts(
        kind="ct",
        is_ct=_most([image.modality == "CT" if image.modality else None for image in images]),
        original=_most([is_original(image.image_type) for image in images]),
        axial=_most([_is_axial(image.orientation) for image in images]),
        soft_tissue=_most([is_soft_tissue(image.kernel) for image in images]),
        slice_thickness_mm=typical,
        extent_mm=_extent(images, typical),
        slices=sum(image.slices for image in images),
        series_number=min(numbers, default=None),
        contrast=any(image.contrast for image in images),
    )


def is_original(image_type: Sequence[str]) -> bool | None:
    """Whether Image Type (0008,0008) says that these are the scanner's own slices.

    Examples
    --------
    >>> is_original(("ORIGINAL", "PRIMARY", "AXIAL")), is_original(("DERIVED", "SECONDARY", "MPR")), is_original(())
    (True, False, None)
    """
    words = [word.upper() for word in image_type]
    if {"DERIVED", "SECONDARY"} & set(words[:2]) or any(_DERIVED & {word, *word.split()} for word in words[2:]):
        return False
    return True if words[:2] == ["ORIGINAL", "PRIMARY"] else None


def _is_axial(orientation: Numbers | None) -> bool | None:
    return None if orientation is None or not is_direction(orientation) else is_axial(orientation)


def _extent(images: Sequence[ImageFacts], thickness: float | None) -> float | None:
    """Length along the slice normal in mm, with the last slice's own thickness; None where a place is missing."""
    orientation = images[0].orientation
    if thickness is None or any(image.position is None or image.slices > 1 for image in images):
        return None
    if orientation is not None and not is_direction(orientation):
        return None
    places = [position_mm(image.position, orientation) for image in images if image.position is not None]
    return round(max(places) - min(places) + thickness, 3)


def _most(values: Sequence[T]) -> T:
    return Counter(values).most_common(1)[0][0]
