"""Does this look like a head CT? Coarse measures of a few slices; generous, since skull base and vertex are heads too.

Limits were set on every slice of 66 CT-ICH patients and 108 RSNA 2019 slices (each stands well outside what was seen
there) and against phantoms of chest and abdomen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_GRID = 112
_SAMPLED = 12
_BODY_HU, _LUNG_HU, _BONE_HU, _AIR_HU = -300, -500, 250, -700
_FAT_HU, _BRAIN_HU = (-150, -30), (5, 70)
_EMPTY_SHARE = 0.005
# Largest seen in heads: lung-like air 0.12, extent 228 mm; fat 0.44, least bone in slices
# that are no apex 0.054.
_MOST_LUNG, _LONGEST_MM, _LEAST_BONE, _MOST_FAT = 0.2, 285.0, 0.03, 0.55
APEX_SHARE = 0.1
# A slice through brain: the skull closes around this share of the body, with this share of it at brain's HU.
_ENCLOSED, _BRAIN_INSIDE = 0.3, 0.15
OPEN_SKULL = "the skull is thin or open around the brain, as in an infant"
_NO_BRAIN = "no slice shows brain inside a skull"
_NO_BONE = "there is hardly any bone where a skull should be"
# Of a head with an open skull: what is not bone is brain, and bone lies within the outer fifth of its radius.
_RIM, _BONE_AT_RIM, _MOSTLY_BRAIN, _SOME_BONE = 0.22, 0.8, 0.6, 0.005
# Inside the skull there is more than bone, or else the rescale slope is wrong.
_SOFT_INSIDE = 0.05
_ENOUGH_FOR_BRAIN = 6
# Brain at either end, as a share of the largest cross-section: real heads that are whole have at most 0.24 at the
# base and 0.41 at the vertex (66 CT-ICH heads, most of which end some slices below the vertex); cut off in their
# middle they have 0.7 and more.
_MOST_AT_AN_END = 0.5
# The body at the vertex is at most so much larger than at the base (0.06 seen), as a share of the largest.
_UPSIDE_DOWN, _BASE_BRAIN = 0.2, 0.15


@dataclass(frozen=True, eq=False)
class HeadSlice:
    """One slice (rows, columns) HU on a coarse grid; whatever is measured of it is so once, when first asked for.

    step : pixels of the series from one of the grid to the next
    like : a slice a few millimetres away, whose skull is taken for this one's where only brain is measured
    """

    hu: NDArray[np.int16]
    step: int
    like: HeadSlice | None = None

    @cached_property
    def body(self) -> NDArray[np.bool_]:
        """Where the body is."""
        return _largest(ndimage.binary_opening(self.hu > _BODY_HU))

    @cached_property
    def bone_mask(self) -> NDArray[np.bool_]:
        """Where bone is."""
        mask: NDArray[np.bool_] = (self.hu > _BONE_HU) & self.body
        return mask

    @cached_property
    def cavity(self) -> NDArray[np.bool_]:
        """All that bone encloses of the body, with the bone."""
        return _cavity(self.bone_mask) & self.body

    @cached_property
    def pixels(self) -> int:
        """Size of the body."""
        return int(self.body.sum())

    @property
    def is_empty(self) -> bool:
        """Whether there is hardly any body."""
        return self.pixels < _EMPTY_SHARE * self.body.size

    @property
    def area(self) -> float:
        """The body, as a share of the picture."""
        return float(self.pixels / self.body.size)

    @property
    def bone(self) -> float:
        """Share of bone in the body."""
        return float(self.bone_mask.sum() / self.pixels)

    @property
    def enclosed(self) -> float:
        """Share of the body that bone encloses."""
        return float(self.cavity.sum() / self.pixels)

    @property
    def lung(self) -> float:
        """Share of air as in lungs."""
        return float(np.mean(self._inside < _LUNG_HU))

    @property
    def fat(self) -> float:
        """Share of fat."""
        return _share(self._inside, *_FAT_HU)

    @property
    def soft(self) -> float:
        """Share with the HU of brain, in the whole body."""
        return _share(self._inside, *_BRAIN_HU)

    @cached_property
    def brain(self) -> float:
        """Share with the HU of brain of what bone encloses, where that is more than bone."""
        within = self.hu[self.cavity & ~self.bone_mask]
        return _share(within, *_BRAIN_HU) if within.size > _SOFT_INSIDE * self.pixels else 0.0

    @property
    def bone_at_rim(self) -> float:
        """Share of bone that lies near the body's border, by the body's mean radius."""
        depth = max(1, round(_RIM * float(np.sqrt(self.body.sum() / np.pi))))
        deep = ndimage.binary_erosion(np.pad(self.body, 1), iterations=depth)[1:-1, 1:-1]
        return float(np.mean(~deep[self.bone_mask])) if self.bone_mask.any() else 0.0

    @property
    def _inside(self) -> NDArray[np.int16]:
        return self.hu[self.body]

    @cached_property
    def sides(self) -> tuple[int, int]:
        """How many rows and columns of the grid the body reaches over."""
        high, wide = (int(np.ptp(np.flatnonzero(self.body.any(axis=axis)))) + 1 for axis in (1, 0))
        return high, wide

    def sides_mm(self, spacing_mm: tuple[float, float]) -> tuple[float, float]:
        """Height and width of the body on the picture: length and width of a head."""
        return self.sides[0] * spacing_mm[0] * self.step, self.sides[1] * spacing_mm[1] * self.step

    def brain_inside(self, limits: tuple[int, int]) -> tuple[NDArray[np.bool_], float]:
        """Where HU between `limits` lie inside the skull, and their share of the body.

        Examples
        --------
        >>> HeadSlice(np.full((64, 64), -1000, np.int16), 1).brain_inside((0, 80))[1]
        0.0
        """
        skull = self.like or self
        mask: NDArray[np.bool_] = skull.interior & (self.hu > limits[0]) & (self.hu < limits[1])
        return mask, float(mask.sum() / max(1, skull.pixels))

    @cached_property
    def interior(self) -> NDArray[np.bool_]:
        """What bone encloses, without the bone and what lies next to it."""
        mask: NDArray[np.bool_] = ndimage.binary_erosion(self.cavity & ~self.bone_mask, iterations=2)
        return mask


def head_slices(hu: NDArray[np.int16], slab_of: NDArray[np.intp] | None = None) -> tuple[HeadSlice, ...]:
    """The slices of (slices, rows, columns) HU on a coarse grid, for the checks here: all of them measure the same.

    slab_of : (slices,) of thin slices, which slab each belongs to: they share a skull

    Examples
    --------
    >>> len(head_slices(np.full((3, 512, 512), -1000, np.int16)))
    3
    """
    step = max(1, int(max(hu.shape[1:])) // _GRID)
    coarse = hu[:, ::step, ::step]
    if slab_of is None:
        return tuple(HeadSlice(image, step) for image in coarse)
    _, first = np.unique(slab_of, return_index=True)
    skulls = [HeadSlice(image, step) for image in coarse[first]]
    return tuple(HeadSlice(image, step, skulls[slab]) for image, slab in zip(coarse, slab_of, strict=True))


def why_not_head(slices: Sequence[HeadSlice], spacing_mm: tuple[float, float] | None) -> str:
    """Reason why slices are no head CT, or "".

    Examples
    --------
    >>> why_not_head(head_slices(np.full((3, 64, 64), -1000, np.int16)), (0.5, 0.5))
    'there is nothing but air'
    """
    sample = _sample(slices)
    if (lowest := min(image.hu.min() for image in sample)) > _AIR_HU:
        return f"no air is in the picture (lowest value {lowest} HU, air is -1000)"
    bodies = [image for image in sample if not image.is_empty]
    if not bodies:
        return "there is nothing but air"
    reason = _most([_complaint(image, spacing_mm or (0.0, 0.0)) for image in bodies])
    if not reason and len(bodies) >= _ENOUGH_FOR_BRAIN and not any(map(_is_brain, bodies)):
        reason = _NO_BRAIN
    if reason not in (_NO_BONE, _NO_BRAIN):
        return reason
    return OPEN_SKULL if 3 * sum(map(_is_open_skull, bodies)) >= len(bodies) else reason


def shows_brain(slices: Sequence[HeadSlice]) -> bool:
    """Whether a slice shows brain inside a closed skull.

    Examples
    --------
    >>> shows_brain(head_slices(np.full((3, 64, 64), -1000, np.int16)))
    False
    """
    return any(not image.is_empty and _is_brain(image) for image in _sample(slices))


def missing_ends(slices: Sequence[HeadSlice]) -> tuple[str, ...]:
    """Ends of a head, "skull base" and "vertex", that slices from foot to head do not reach.

    Examples
    --------
    >>> from ichscope.phantom import make
    >>> head = head_slices(make(slices=32, size=64).hu)
    >>> missing_ends(head), missing_ends(head[:19]), missing_ends(head[12:])
    ((), ('vertex',), ('skull base',))
    """
    brain = _brain(slices)
    ends = (("skull base", brain[:2].min()), ("vertex", brain[-2:].min()))
    return tuple(name for name, share in ends if share > _MOST_AT_AN_END * brain.max())


def is_upside_down(slices: Sequence[HeadSlice]) -> bool:
    """Whether slices run from head to foot: small at first, and without brain in the end.

    Examples
    --------
    >>> from ichscope.phantom import make
    >>> head = head_slices(make(slices=32, size=64).hu)
    >>> is_upside_down(head), is_upside_down(head[::-1])
    (False, True)
    """
    brain = _brain(slices)
    bodies = [0.0 if image.is_empty else image.area for image in slices]
    ends_in_base = brain[-1] < _BASE_BRAIN * brain.max()
    return bool(ends_in_base and bodies[-1] - bodies[0] > _UPSIDE_DOWN * max(bodies))


def _brain(slices: Sequence[HeadSlice]) -> NDArray[np.float64]:
    """Brain inside a closed skull on each slice, as a share of the picture."""
    closed = [not image.is_empty and image.enclosed > _ENCLOSED for image in slices]
    return np.array(
        [i.area * i.enclosed * i.brain if is_closed else 0.0 for i, is_closed in zip(slices, closed, strict=True)]
    )


def _most(complaints: Sequence[str]) -> str:
    """The commonest complaint, if most slices have one."""
    made = [complaint for complaint in complaints if complaint]
    return max(made, key=made.count) if 2 * len(made) > len(complaints) else ""


def _sample(slices: Sequence[HeadSlice]) -> list[HeadSlice]:
    """A few slices, evenly spread."""
    chosen = np.unique(np.linspace(0, len(slices) - 1, min(len(slices), _SAMPLED)).round().astype(int))
    return [slices[number] for number in chosen]


def _share(values: NDArray[np.int16], low: int, high: int) -> float:
    return float(np.mean((values > low) & (values < high))) if values.size else 0.0


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected part, holes filled."""
    parts, count = ndimage.label(mask)
    if count > 1:
        mask = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    return _filled(mask)


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask and its holes: all that the outside does not reach. Ten times faster than binary_fill_holes."""
    parts, _ = ndimage.label(np.pad(~mask, 1, constant_values=True))
    reached: NDArray[np.bool_] = parts == parts[0, 0]
    return ~reached[1:-1, 1:-1]


def _is_brain(image: HeadSlice) -> bool:
    return image.enclosed > _ENCLOSED and image.brain > _BRAIN_INSIDE


def _is_open_skull(image: HeadSlice) -> bool:
    bony = image.bone > _SOME_BONE and image.bone_at_rim > _BONE_AT_RIM
    return image.enclosed <= _ENCLOSED and bony and image.soft > _MOSTLY_BRAIN


def _cavity(bone: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """All that bone encloses, small gaps closed; with the bone itself."""
    return _filled(ndimage.binary_closing(np.pad(bone, 4), iterations=3))[4:-4, 4:-4]


def _complaint(image: HeadSlice, spacing_mm: tuple[float, float]) -> str:
    if image.lung > _MOST_LUNG:
        return "there is as much air inside the body as lungs have"
    if max(image.sides_mm(spacing_mm)) > _LONGEST_MM:
        return f"the body is larger than a head (more than {_LONGEST_MM:.0f} mm)"
    if image.area < APEX_SHARE:
        return ""
    if image.bone < _LEAST_BONE:
        return _NO_BONE
    return "there is more fat than a head has" if image.fat > _MOST_FAT else ""
