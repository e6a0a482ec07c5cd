"""What is painted, as plain data: a head, and a bleed in it."""

from __future__ import annotations

from dataclasses import dataclass

from .scene import Triple, Waves


@dataclass(frozen=True)
class Head:
    """What makes one head differ from another.

    scale : of the standard head, to the left, back and head
    pose_deg : nod, tilt to the side, turn; shift_mm : place of the head in the scan
    field_mm : width of the scan; noise_hu : its standard deviation
    egg : by how much the skull is wider at the back; thickness_mm, scalp_mm : of the skull and of what covers it
    atrophy : 0 (young, narrow sulci) to 1 (old, wide ones); ventricles : their width, 1 is usual
    asymmetry : of the ventricles; calcified : pineal gland, choroid plexus
    shape, texture, gyri, depth, folia : patterns of the skull, of tissue, of sulci, of slow changes, of the cerebellum
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


@dataclass(frozen=True)
class Bleed:
    """A bleed in the standard head.

    centre : its middle, in mm; for blood under the skull only the direction from the head's middle counts
    radii : half of its extents in mm; for blood under the skull along it, in the slice and upwards
    thickness : mm, of blood under the skull; shift : mm that the midline gives way
    mixed : 0 (clotted) to 1 (older and fresh blood side by side)
    ventricles : how much wider they are; cast : whether blood fills the one of its side
    """

    kind: str
    centre: Triple
    radii: Triple
    hu: float
    waves: Waves
    thickness: float = 0.0
    shift: float = 0.0
    mixed: float = 0.0
    ventricles: float = 1.0
    cast: bool = False

    @property
    def side(self) -> int:
        """1 if it lies to the left, -1 to the right."""
        return 1 if self.centre[0] >= 0 else -1
