"""A head from the skin inwards, in the mm of a standard head whose z is 0 at the height of the petrous bones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import brain, skull
from .anatomy import Bleed, Head
from .scene import Scene, rotation

HEIGHT_MM = 158.0
MIDDLE_MM = 47.0
_BOX = ((-92.0, -118.0, -200.0), (92.0, 104.0, 200.0))


def placement(head: Head) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix and shift that lead from the scan's mm to the standard head's."""
    pivot = np.array([0, 0, 30.0])
    turn = rotation(head.pose_deg)
    matrix = np.diag(1 / np.array(head.scale)) @ turn.T
    # The pivot of the standard head stays where it is, apart from the shift.
    return matrix, pivot + head.shift_mm - np.linalg.inv(matrix) @ pivot


def paint(scene: Scene, head: Head, bleed: Bleed | None) -> None:
    """Paint a head into a scene of air."""
    skull.paint_holder(scene)
    whole = scene.cut(*_BOX)
    if whole is None:
        return
    cavity = skull.paint(whole, head)
    window = whole.window(np.any(cavity > -whole.mm, axis=0))
    if window is not None:
        brain.paint(whole.at(window), head, cavity[window], bleed)
