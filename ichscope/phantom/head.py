"""A head from the skin inwards, in the mm of a standard head whose z is 0 at the height of the petrous bones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import brain, skull
from .bleeds import Bleed
from .scene import Scene, Waves, rotation

HEIGHT_MM = 158.0
MIDDLE_MM = 47.0


@dataclass(frozen=True)
class Head:
    """What makes one head differ from another.

    scale : of the standard head, to the left, back and head
    pose_deg : nod, tilt to the side, turn; shift_mm : place of the head in the scan
    atrophy : 0 (young, narrow sulci) to 1 (old, wide ones); ventricles : their width, 1 is usual
    """

    scale: tuple[float, float, float]
    pose_deg: tuple[float, float, float]
    shift_mm: tuple[float, float, float]
    field_mm: float
    noise_hu: float
    egg: float
    thickness_mm: float
    scalp_mm: float
    atrophy: float
    ventricles: float
    asymmetry: float
    calcified: tuple[bool, bool]
    grey_hu: float
    shape: Waves
    texture: Waves
    gyri: Waves
    depth: Waves
    folia: Waves

    @classmethod
    def draw(cls, seed: int) -> Head:
        """The head of this seed."""
        rng = np.random.default_rng([seed, 1])
        atrophy = float(rng.beta(1.6, 1.8))
        return cls(
            scale=(rng.uniform(0.94, 1.05), rng.uniform(0.93, 1.05), rng.uniform(0.96, 1.04)),
            pose_deg=(rng.normal(0, 4), rng.normal(0, 2), rng.normal(0, 4)),
            shift_mm=(rng.normal(0, 4), rng.normal(0, 3), rng.normal(0, 2)),
            field_mm=rng.uniform(225, 250),
            noise_hu=rng.uniform(3, 4.6),
            egg=rng.uniform(0.0008, 0.0018),
            thickness_mm=rng.uniform(5.8, 8),
            scalp_mm=rng.uniform(4.5, 7),
            atrophy=atrophy,
            ventricles=0.75 + 0.55 * atrophy + rng.uniform(-0.12, 0.12),
            asymmetry=rng.normal(0, 0.04),
            calcified=(rng.random() < 0.7, rng.random() < 0.6),
            grey_hu=rng.uniform(35.5, 38),
            shape=Waves.draw(rng, 130.0),
            texture=Waves.draw(rng, 11.0, 9),
            gyri=Waves.draw(rng, 25.0, 8),
            depth=Waves.draw(rng, 55.0, 5),
            folia=Waves.draw(rng, 13.0, 14),
        )

    def placement(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Matrix and shift that lead from the scan's mm to the standard head's."""
        pivot = np.array([0, 0, 30.0])
        turn = rotation(self.pose_deg)
        matrix = np.diag(1 / np.array(self.scale)) @ turn.T
        # The pivot of the standard head stays where it is, apart from the shift.
        return matrix, pivot + self.shift_mm - np.linalg.inv(matrix) @ pivot


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


_BOX = ((-92.0, -118.0, -200.0), (92.0, 104.0, 200.0))
