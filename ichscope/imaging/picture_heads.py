"""The head on a picture: which rectangle it fills, whether there are several, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ichscope.imaging.picture_gate import gate, gate_input, scores
from ichscope.imaging.picture_regions import Region, regions

_BLACK, _BLANK = 0.35, 0.05
# Heads of one film are of about one size; an eye, a thumbnail beside the slice shown is smaller.
_ONE_SIZE = 0.4
_APART = 0.15


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


def find_heads(grey: NDArray[np.float32]) -> PictureHeads:
    """Find the heads on (rows, columns) of grey 0..1.

    Examples
    --------
    >>> find_heads(np.zeros((112, 112), np.float32)).reason
    'the picture is (almost) black'
    """
    if grey.max() < _BLACK:
        return PictureHeads(reason="the picture is (almost) black")
    if grey.std() < _BLANK:
        return PictureHeads(reason="the picture is blank")
    heads = _apart(_accepted(grey))
    if not heads:
        return PictureHeads(reason="nothing on the picture looks like a head CT in a brain window")
    if len(heads) > 1:
        return PictureHeads(heads, f"the picture shows {len(heads)} slices side by side, expected one slice a picture")
    return PictureHeads(heads)


def _accepted(grey: NDArray[np.float32]) -> list[Region]:
    """Rectangles that the gate lets through, the surest first."""
    candidates = regions(grey)
    if not candidates:
        return []
    known = gate()
    score = scores(np.stack([gate_input(np.ascontiguousarray(grey[region.cut])) for region in candidates]), known)
    return [candidates[i] for i in np.argsort(-score, kind="stable") if score[i] >= known.threshold]


def _apart(accepted: list[Region]) -> tuple[Region, ...]:
    """The surest, and all of about its size that lie beside it."""
    heads: list[Region] = []
    for region in accepted:
        if all(region.overlap(head) <= _APART * min(region.area, head.area) for head in heads):
            heads.append(region)
    largest = max((head.area for head in heads), default=0)
    return tuple(head for head in heads if head.area >= _ONE_SIZE * largest)
