"""Black and white of a picture on which a monitor's light, a camera or a scanner has shifted them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Of the rectangle around a head the corners are air, and the skull fills a tenth: found to be the best of three pairs
# on photographs of monitors, made from the patients that the gate is trained on.
_BLACK_PERCENT, _WHITE_PERCENT = 5, 97
# A head that fills its rectangle shows no air, one with a thin skull hardly any white.
_BLACK_MOST, _WHITE_LEAST = 0.25, 0.6
_UNSEEN = 0.05


@dataclass(frozen=True)
class Greys:
    """The greys 0..1 that stand for black and for white."""

    black: float
    white: float

    def stretched(self, grey: NDArray[np.float32]) -> NDArray[np.float32]:
        """Grey 0..1 with these two moved to black and white.

        Examples
        --------
        >>> Greys(0.2, 0.7).stretched(np.array([0.1, 0.2, 0.45, 0.7], np.float32)).round(2).tolist()
        [0.0, 0.0, 0.5, 1.0]
        """
        stretched: NDArray[np.float32] = np.clip((grey - self.black) / (self.white - self.black), 0, 1)
        return stretched


def shifted_greys(head: NDArray[np.float32]) -> Greys | None:
    """Black and white of the (rows, columns) grey 0..1 around one head, or None if they are where they belong.

    Examples
    --------
    >>> shifted_greys(np.tile(np.linspace(0.2, 0.7, 101, dtype=np.float32), (50, 1)))
    Greys(black=0.225, white=0.685)
    """
    black, white = (float(value) for value in np.percentile(head, (_BLACK_PERCENT, _WHITE_PERCENT)))
    greys = Greys(round(min(black, _BLACK_MOST), 3), round(max(white, _WHITE_LEAST), 3))
    return greys if greys.black > _UNSEEN or greys.white < 1 - _UNSEEN else None
