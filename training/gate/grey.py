"""Grey pictures, (rows, columns) float32 from 0 (black) to 1 (white)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

Array = NDArray[np.float32]


def as_grey(values: ArrayLike) -> Array:
    """Values kept between black and white; what is no number is black."""
    grey: Array = np.clip(np.nan_to_num(np.asarray(values)), 0, 1).astype(np.float32)
    return grey


def decoded(image: Image.Image) -> Array:
    """A picture of eight bits as grey."""
    return as_grey(np.asarray(image.convert("L"), np.float32) / np.float32(255))
