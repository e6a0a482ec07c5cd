"""The head on a picture: which rectangle it fills, whether there are several, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from ichscope.imaging.picture_gate import Gate, gate, gate_input, scores
from ichscope.imaging.picture_regions import Region, grids, regions

_BLACK, _BLANK = 0.35, 0.05
# A head that is the only one is at least this part of the picture's shorter side.
_ALONE = 0.17
# Heads of one film are of about one size; an eye, a thumbnail beside the slice shown is smaller.
_ONE_SIZE = 0.4
_APART = 0.15
# Share of a film's tiles that look like heads; some show the neck or the apex.
_MOST_TILES = 0.6


@dataclass(frozen=True)
class PictureHeads:
    """What was found on one picture.

    heads : the rectangles that look like a head CT and lie apart, the surest first
    reason : why the picture can not be analysed, or ""
    """

    heads: tuple[Region, ...] = ()
    reason: str = ""

    @property
    def several(self) -> bool:
        """Whether one picture shows more than one slice."""
        return len(self.heads) > 1


def find_heads(grey: NDArray[np.float32], known: Gate | None = None) -> PictureHeads:
    """Find the heads on (rows, columns) of grey 0..1 by a gate, the one that ships if none is given.

    Examples
    --------
    >>> find_heads(np.zeros((112, 112), np.float32)).reason
    'the picture is (almost) black'
    """
    if grey.max() < _BLACK:
        return PictureHeads(reason="the picture is (almost) black")
    if grey.std() < _BLANK:
        return PictureHeads(reason="the picture is blank")
    known = known or gate()
    heads = _of_one_size(_apart(_accepted(grey, known))) or _tiles(grey, known)
    if len(heads) > 1:
        text = f"the picture shows several slices side by side ({len(heads)} found), expected one slice a picture"
        return PictureHeads(heads, text)
    if not any(is_large(head, grey) for head in heads):
        return PictureHeads(reason="nothing on the picture looks like a head CT in a brain window")
    return PictureHeads(heads)


def scored(grey: NDArray[np.float32], known: Gate) -> list[tuple[float, Region]]:
    """Every rectangle that may hold a head, with its score, the surest first."""
    candidates = regions(grey)
    score = _scores(grey, candidates, known)
    return [(float(score[i]), candidates[i]) for i in np.argsort(-score, kind="stable")]


def _scores(grey: NDArray[np.float32], candidates: list[Region], known: Gate) -> NDArray[np.float32]:
    if not candidates:
        return np.zeros(0, np.float32)
    return scores(np.stack([gate_input(np.ascontiguousarray(grey[region.cut])) for region in candidates]), known)


def is_large(region: Region, grey: NDArray[np.float32]) -> bool:
    """Whether a rectangle is large enough to be the only head of a picture."""
    return bool(min(region.bottom - region.top, region.right - region.left) >= _ALONE * min(grey.shape))


def _accepted(grey: NDArray[np.float32], known: Gate) -> list[Region]:
    return [region for score, region in scored(grey, known) if score >= known.threshold]


def _apart(accepted: list[Region]) -> list[Region]:
    """The surest, and all that lie beside it."""
    heads: list[Region] = []
    for region in accepted:
        if all(region.overlap(head) <= _APART * min(region.area, head.area) for head in heads):
            heads.append(region)
    return heads


def _of_one_size(heads: list[Region]) -> tuple[Region, ...]:
    """Those of about one size that together fill the most of the picture: a slice beside its thumbnails, or a film."""
    areas = [head.area for head in heads]
    alike = [tuple(head for head in heads if _ONE_SIZE * area <= head.area <= area) for area in areas]
    return max(alike, key=lambda group: sum(head.area for head in group), default=())


def _tiles(grey: NDArray[np.float32], known: Gate) -> tuple[Region, ...]:
    """The heads of a film that leaves no black between them, so that none stands out."""
    best: tuple[float, tuple[Region, ...]] = (_MOST_TILES, ())
    for tiles in grids(grey):
        heads = tuple(compress(tiles, _scores(grey, tiles, known) >= known.threshold))
        best = max(best, (len(heads) / len(tiles), heads), key=lambda found: found[0])
    return best[1]
