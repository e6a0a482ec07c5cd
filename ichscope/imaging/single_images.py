"""Images into series; those whose writer gave each a Series Instance UID of its own are put together again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ichscope.imaging.elements import describe
from ichscope.imaging.findings import Finding, FindingLevel
from ichscope.imaging.geometry import clusters, is_direction
from ichscope.imaging.sorting import DicomImage

# Of two single images nothing can be said: an archive may well hold one of each of two series.
_FEWEST = 3

Members = tuple[str, list[DicomImage], tuple[Finding, ...]]


def series_of(images: Sequence[DicomImage]) -> list[Members]:
    """Series of one patient's examination.

    Returns
    -------
    of each its UID, or what stands for it, its images, and what was assumed
    """
    series: dict[tuple[str, ...], list[DicomImage]] = defaultdict(list)
    modality = {image.series: image.facts.modality for image in images if image.facts.modality}
    for image in images:
        # A modality that is missing contradicts nothing.
        kind = image.facts.modality or modality.get(image.series, "")
        series[image.series, kind, "" if image.series else image.folder].append(image)
    single = [members[0] for members in series.values() if len(members) == 1 and _may_be_slice(members[0])]
    joined = [part for part in _alike(single) if len(part) >= _FEWEST]
    taken = {image.source.name for part in joined for image in part}
    whole: list[Members] = [
        (key[0], members, ()) for key, members in series.items() if members[0].source.name not in taken
    ]
    return whole + [(_stand_in(part[0]), part, (_finding(part),)) for part in joined]


def _may_be_slice(image: DicomImage) -> bool:
    orientation = image.shape.orientation
    placed = image.facts.position is not None and orientation is not None and is_direction(orientation)
    return bool(image.study) and placed and not image.shape.localizer and image.facts.slices == 1


def _alike(images: Sequence[DicomImage]) -> list[list[DicomImage]]:
    """Images that may be slices of one volume, by all that slices share.

    A writer that makes up one UID an image may make up two: where no two images share a frame of reference, it tells
    nothing.
    """
    references = {image.frame_of_reference for image in images}
    tells = len(references) < len(images)
    alike: dict[tuple[object, ...], list[DicomImage]] = defaultdict(list)
    for image in images:
        alike[*_traits(image), image.frame_of_reference if tells else ""].append(image)
    return [
        [part[i] for i in members] for part in alike.values() for members in clusters([image.shape for image in part])
    ]


def _traits(image: DicomImage) -> tuple[object, ...]:
    facts = image.facts
    return facts.modality, facts.kernel, facts.slice_thickness_mm, facts.image_type[:3]


def _stand_in(image: DicomImage) -> str:
    """In the place of the UID: what the images share, so that one more of them changes nothing."""
    return " ".join(map(str, ("single images", image.shape, *_traits(image))))


def _finding(images: Sequence[DicomImage]) -> Finding:
    uids = len({image.series for image in images})
    frame = "frame of reference, " if len({image.frame_of_reference for image in images}) == 1 else ""
    text = f"{describe('SeriesInstanceUID')}: found {uids} different in {len(images)} images, expected one. They are "
    text += (
        f"taken as slices of one volume, because study, {frame}plane, size, spacing, kernel and slice thickness are "
    )
    return Finding(FindingLevel.WARNING, "single-images", text + "the same.")
