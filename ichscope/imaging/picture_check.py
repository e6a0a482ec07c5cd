"""May these pictures be analysed? The picture's part of the quality checks."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ichscope.imaging.findings import Finding, FindingLevel
from ichscope.imaging.images import WINDOW_WIDTH_HU
from ichscope.imaging.picture_heads import PictureHeads, find_heads

_SAMPLED = 12


def picture_findings(hu: NDArray[np.int16]) -> Iterable[Finding]:
    """Why (slices, rows, columns) of pictures are no head CT, or several on one picture; nothing if most are one head.

    Examples
    --------
    >>> [finding.code for finding in picture_findings(np.zeros((1, 112, 112), np.int16))]
    ['not-head']
    """
    chosen = np.unique(np.linspace(0, len(hu) - 1, min(len(hu), _SAMPLED)).round().astype(int))
    looked = [find_heads(hu[i].astype(np.float32) / np.float32(WINDOW_WIDTH_HU)) for i in chosen]
    refused = [heads for heads in looked if heads.reason]
    if 2 * len(refused) <= len(looked):
        return
    several = [heads for heads in refused if heads.several]
    if 2 * len(several) >= len(refused):
        text = f"There are several heads on one picture: {_commonest(several)}."
        yield Finding(FindingLevel.NOT_ANALYSABLE, "several-heads", text)
    else:
        text = f"This does not look like a head CT: {_commonest(refused)}."
        yield Finding(FindingLevel.NOT_ANALYSABLE, "not-head", text)


def _commonest(refused: list[PictureHeads]) -> str:
    reasons = [heads.reason for heads in refused]
    return max(reasons, key=reasons.count)
