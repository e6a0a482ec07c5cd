"""A head from the skin inwards, in the mm of a standard head whose z is 0 at the height of the petrous bones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import brain, skull
from .bleeds import Bleed
from .scene import Array, Scene, Waves, bump, rotation

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
            texture=Waves.draw(rng, 11.0),
            gyri=Waves.draw(rng, 25.0, 8),
            depth=Waves.draw(rng, 55.0, 5),
            folia=Waves.draw(rng, 13.0, 6),
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
    surface = skull.surface(scene, head)
    skull.paint_holder(scene)
    skull.paint_scalp(scene, head, surface)
    cavity = skull.paint_bone(scene, head, surface)
    inside = _bounds(scene, cavity)
    if inside is not None:
        part, depth = inside
        brain.paint(part, head, depth, bleed)
        _harden(part, depth)


def _bounds(scene: Scene, cavity: Array) -> tuple[Scene, Array] | None:
    """The part of a scene with the skull's cavity, and the depth in it."""
    filled = (cavity > -1).any(axis=0)
    rows, columns = filled.any(axis=1).nonzero()[0], filled.any(axis=0).nonzero()[0]
    if not len(rows):
        return None
    window = np.s_[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    arrays = (scene.x, scene.y, scene.z, scene.hu, scene.blood)
    return Scene(*(array[window] for array in arrays), scene.mm), cavity[window]


def _harden(part: Scene, depth: Array) -> None:
    """Beam hardening: brighter under the skull, a dark band between the petrous bones."""
    inside = part.cover(depth)
    part.hu[...] += inside * 2.5 * np.maximum(0, 1 - depth / 14)
    part.hu[...] -= inside * 6 * bump(part.y, 8, 9) * bump(part.z, 5, 16) * bump(part.x, 0, 60)
