"""Tables and 8-bit pictures of the collections."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ichscope.imaging.images import WINDOW_WIDTH_HU
from training.data.study import Problem

# Pictures are read as of this level.
WINDOW_LEVEL_HU = 40
# JPEG leaves black and white this far from their ends.
_BLACK = 3


def rows(path: Path) -> list[dict[str, str]]:
    """Read a CSV table with a header line."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def grey(path: Path, problems: list[Problem], missing_ok: bool = False) -> NDArray[np.uint8] | None:
    """Read an 8-bit picture; one that is missing or broken is noted and None."""
    if missing_ok and not path.is_file():
        return None
    try:
        with Image.open(path, formats=["JPEG", "PNG"]) as image:
            return np.asarray(image.convert("L"))
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        reason = "missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
        problems.append(Problem("/".join(path.parts[-3:]), reason))
        return None


def picture_hu(picture: NDArray[np.uint8], level_hu: float = WINDOW_LEVEL_HU) -> NDArray[np.int16]:
    """Grey of a brain window (width 80) to HU; at level 40 as `ichscope.imaging.images` reads it.

    At another level what is between black and white moves, and black and white stay the ends of a picture, 0 and 80:
    they only say that HU lie beyond.

    >>> grey = np.array([0, 128, 255], np.uint8)
    >>> picture_hu(grey).tolist(), picture_hu(grey, 36).tolist()
    ([0, 40, 80], [0, 36, 80])
    """
    hu = picture / 255 * WINDOW_WIDTH_HU
    moved = np.clip(hu + level_hu - WINDOW_LEVEL_HU, 0, WINDOW_WIDTH_HU)
    within = (picture >= _BLACK) & (picture <= 255 - _BLACK)
    return np.rint(np.where(within, moved, hu)).astype(np.int16)
