"""Tables and 8-bit pictures of the collections."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ichscope.imaging.images import WINDOW_WIDTH_HU
from training.data.study import Problem


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


def picture_hu(picture: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Grey of a brain window (level 40, width 80) to HU, as `ichscope.imaging.images` reads it."""
    return np.rint(picture / 255 * WINDOW_WIDTH_HU).astype(np.int16)
