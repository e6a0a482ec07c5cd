"""Does this look like a head CT? Coarse measures of a few slices; generous, since skull base and vertex are heads too.

Limits were set on every slice of 66 CT-ICH patients and 108 RSNA 2019 slices (each stands well outside what was seen
there) and against phantoms of chest and abdomen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
_APEX_SHARE = 0.1
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


@dataclass(frozen=True)
class _Slice:
    """Shares of one slice's body (0..1), of the picture for `area`; extent in mm, or 0."""

    area: float
    extent_mm: float
    bone: float
    lung: float
    fat: float
    enclosed: float
    brain: float
    soft: float
    rim: float


def why_not_head(hu: NDArray[np.int16], spacing_mm: tuple[float, float] | None) -> str:
    """Reason why (slices, rows, columns) HU are no head CT, or "".

    Examples
    --------
    >>> why_not_head(np.full((3, 64, 64), -1000, np.int16), (0.5, 0.5))
    'there is nothing but air'
    """
    sample = _sample(hu)
    if sample.min() > _AIR_HU:
        return f"no air is in the picture (lowest value {sample.min()} HU, air is -1000)"
    step = _step(hu)
    mm = (spacing_mm[0] * step, spacing_mm[1] * step) if spacing_mm else (0.0, 0.0)
    measured = [measure for image in sample if (measure := _measure(image, mm)) is not None]
    if not measured:
        return "there is nothing but air"
    reason = _most([_complaint(measure) for measure in measured])
    if not reason and len(measured) >= _ENOUGH_FOR_BRAIN and not any(map(_is_brain, measured)):
        reason = _NO_BRAIN
    is_open = 3 * sum(map(_is_open_skull, measured)) >= len(measured)
    return OPEN_SKULL if is_open and reason in (_NO_BONE, _NO_BRAIN) else reason


def shows_brain(hu: NDArray[np.int16]) -> bool:
    """Whether a slice of (slices, rows, columns) HU shows brain inside a closed skull.

    Examples
    --------
    >>> shows_brain(np.full((3, 64, 64), -1000, np.int16))
    False
    """
    measured = (_measure(image, (0.0, 0.0)) for image in _sample(hu))
    return any(measure is not None and _is_brain(measure) for measure in measured)


def brain_inside(hu: NDArray[np.int16], limits: tuple[int, int]) -> tuple[NDArray[np.bool_], float]:
    """Where one coarse (rows, columns) slice has HU between `limits` inside the skull, and its share of the body.

    Examples
    --------
    >>> brain_inside(np.full((64, 64), -1000, np.int16), (0, 80))[1]
    0.0
    """
    body = _largest(ndimage.binary_opening(hu > _BODY_HU))
    bone = (hu > _BONE_HU) & body
    inside = ndimage.binary_erosion(_cavity(bone) & body & ~bone, iterations=2)
    mask: NDArray[np.bool_] = inside & (hu > limits[0]) & (hu < limits[1])
    return mask, float(mask.sum() / max(1, body.sum()))


def missing_ends(hu: NDArray[np.int16]) -> tuple[str, ...]:
    """Ends of a head, "skull base" and "vertex", that (slices, rows, columns) HU from foot to head do not reach.

    Examples
    --------
    >>> from ichscope.phantom import make
    >>> head = make(slices=32, size=64).hu
    >>> missing_ends(head), missing_ends(head[:19]), missing_ends(head[12:])
    ((), ('vertex',), ('skull base',))
    """
    brain = _brain(_measured(hu))
    ends = (("skull base", brain[:2].min()), ("vertex", brain[-2:].min()))
    return tuple(name for name, share in ends if share > _MOST_AT_AN_END * brain.max())


def is_upside_down(hu: NDArray[np.int16]) -> bool:
    """Whether (slices, rows, columns) HU run from head to foot: small at first, and without brain in the end.

    Examples
    --------
    >>> from ichscope.phantom import make
    >>> head = make(slices=32, size=64).hu
    >>> is_upside_down(head), is_upside_down(head[::-1])
    (False, True)
    """
    measured = _measured(hu)
    brain = _brain(measured)
    bodies = [measure.area if measure else 0.0 for measure in measured]
    ends_in_base = brain[-1] < _BASE_BRAIN * brain.max()
    return bool(ends_in_base and bodies[-1] - bodies[0] > _UPSIDE_DOWN * max(bodies))


def _measured(hu: NDArray[np.int16]) -> list[_Slice | None]:
    step = _step(hu)
    return [_measure(image, (0.0, 0.0)) for image in hu[:, ::step, ::step]]


def _brain(measured: Sequence[_Slice | None]) -> NDArray[np.float64]:
    """Brain inside a closed skull on each slice, as a share of the picture."""
    return np.array([m.area * m.enclosed * m.brain if m and m.enclosed > _ENCLOSED else 0.0 for m in measured])


def _most(complaints: Sequence[str]) -> str:
    """The commonest complaint, if most slices have one."""
    made = [complaint for complaint in complaints if complaint]
    return max(made, key=made.count) if 2 * len(made) > len(complaints) else ""


def _step(hu: NDArray[np.int16]) -> int:
    return max(1, int(max(hu.shape[1:])) // _GRID)


def _sample(hu: NDArray[np.int16]) -> NDArray[np.int16]:
    """A few slices, evenly spread, on a coarse grid."""
    step = _step(hu)
    chosen = np.unique(np.linspace(0, len(hu) - 1, min(len(hu), _SAMPLED)).round().astype(int))
    return hu[chosen, ::step, ::step]


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


def _is_brain(measure: _Slice) -> bool:
    return measure.enclosed > _ENCLOSED and measure.brain > _BRAIN_INSIDE


def _is_open_skull(measure: _Slice) -> bool:
    closed = measure.enclosed > _ENCLOSED
    bony = measure.bone > _SOME_BONE and measure.rim > _BONE_AT_RIM
    return not closed and bony and measure.soft > _MOSTLY_BRAIN


def _cavity(bone: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """All that bone encloses, small gaps closed; with the bone itself."""
    return _filled(ndimage.binary_closing(np.pad(bone, 4), iterations=3))[4:-4, 4:-4]


def _measure(hu: NDArray[np.int16], mm: tuple[float, float]) -> _Slice | None:
    body = _largest(ndimage.binary_opening(hu > _BODY_HU))
    area = body.sum()
    if area < _EMPTY_SHARE * body.size:
        return None
    inside = hu[body]
    bone = (hu > _BONE_HU) & body
    cavity = _cavity(bone) & body
    within = hu[cavity & ~bone]
    high, wide = (np.ptp(np.flatnonzero(body.any(axis=axis))) + 1 for axis in (1, 0))

    def share(values: NDArray[np.int16], low: int, high: int) -> float:
        return float(np.mean((values > low) & (values < high))) if values.size else 0.0

    return _Slice(
        area=float(area / body.size),
        extent_mm=float(max(high * mm[0], wide * mm[1])),
        bone=float(bone.sum() / area),
        lung=float(np.mean(inside < _LUNG_HU)),
        fat=share(inside, *_FAT_HU),
        enclosed=float(cavity.sum() / area),
        soft=share(inside, *_BRAIN_HU),
        rim=_share_at_rim(bone, body),
        brain=share(within, *_BRAIN_HU) if within.size > _SOFT_INSIDE * area else 0.0,
    )


def _share_at_rim(bone: NDArray[np.bool_], body: NDArray[np.bool_]) -> float:
    """Share of bone that lies near the body's border, by the body's mean radius."""
    depth = max(1, round(_RIM * float(np.sqrt(body.sum() / np.pi))))
    deep = ndimage.binary_erosion(np.pad(body, 1), iterations=depth)[1:-1, 1:-1]
    return float(np.mean(~deep[bone])) if bone.any() else 0.0


def _complaint(measure: _Slice) -> str:
    if measure.lung > _MOST_LUNG:
        return "there is as much air inside the body as lungs have"
    if measure.extent_mm > _LONGEST_MM:
        return f"the body is larger than a head (more than {_LONGEST_MM:.0f} mm)"
    if measure.area < _APEX_SHARE:
        return ""
    if measure.bone < _LEAST_BONE:
        return _NO_BONE
    return "there is more fat than a head has" if measure.fat > _MOST_FAT else ""
