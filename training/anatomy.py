"""A rough map of the inside of a head on CT: enough to know where a bleed of each kind may lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_BONE_HU = 100
_PICTURE_BONE_HU = 79
# Pixels are near 1 mm: the model input shows a head of about 20 cm in 200 pixels.
_SUTURE_PX = 4
_SMALLEST_AREA_PX = 300
_SMALLEST_SLICE_PX = 1500
# Lateral ventricles lie this far below the vertex; fluid further down is mostly cisterns.
_VENTRICLES_BELOW_VERTEX_MM = (25.0, 71.0)
_IN_PLANE = np.zeros((3, 3, 3), bool)
_IN_PLANE[1] = ndimage.generate_binary_structure(2, 1)


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Maps of one study, each (n, rows, columns) unless said otherwise.

    inside : bool, the intracranial space
    depth : float16, distance in pixels to the inner table
    ventricles, sulci : bool, and float16 0..1: fluid in the middle; fluid at the surface and in cisterns
    centres : (n, 2) row and column of the intracranial centre; angle : tilt of the midline in radians
    brain_hu : median HU of brain tissue; noise_hu : spread of the noise
    """

    inside: NDArray[np.bool_]
    depth: NDArray[np.float16]
    ventricles: NDArray[np.bool_]
    sulci: NDArray[np.float16]
    centres: NDArray[np.float64]
    angle: float
    brain_hu: float
    noise_hu: float

    @property
    def area(self) -> NDArray[np.int64]:
        """Intracranial pixels of each slice, (n,)."""
        return np.asarray(self.inside.sum(axis=(1, 2)))

    def frame(self, part: slice) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Distance from the midline (signed), and position along it (front negative), of some slices."""
        rows, columns = np.indices(self.inside.shape[1:], dtype=np.float32)
        dy = rows - self.centres[part, 0, None, None]
        dx = columns - self.centres[part, 1, None, None]
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        return (dx * cosine - dy * sine).astype(np.float32), (dx * sine + dy * cosine).astype(np.float32)


def study_anatomy(hu: NDArray[np.int16], spacing_mm: float = 5.0) -> Anatomy:
    """Map a study of model input, (n, rows, columns) int16 HU from foot to head."""
    inside = intracranial(hu)
    depth = _depth(inside)
    smooth = masked_gaussian(hu, inside, 1.0)
    tissue = hu[inside & (hu > 15) & (hu < 60)]
    brain_hu = float(np.median(tissue)) if tissue.size else 33.0
    grain = (hu - smooth)[inside]
    noise_hu = 1.48 * float(np.median(np.abs(grain))) if grain.size else 0.0
    centres = np.array([ndimage.center_of_mass(brain) if brain.any() else (np.nan, np.nan) for brain in inside])
    centres = np.where(np.isnan(centres), np.array(hu.shape[1:]) / 2, centres)
    angle = _midline_angle(inside)
    ventricles = np.zeros_like(inside)
    sulci = np.zeros(inside.shape, np.float16)
    bare = Anatomy(inside, depth.astype(np.float16), ventricles, sulci, centres, angle, brain_hu, noise_hu)
    side, _ = bare.frame(slice(None))
    ventricles[:] = _ventricles(smooth, depth, side, brain_hu, inside, spacing_mm)
    fluid = np.clip((brain_hu - 7 - smooth) / 10, 0, 1)
    # White matter is a little dark too: far from the surface only clear fluid (cisterns, fissures) counts.
    fluid = np.where(depth < 22, fluid, np.clip((brain_hu - 13 - smooth) / 8, 0, 1)) * inside
    fluid[ndimage.binary_dilation(ventricles, np.ones((1, 5, 5)))] = 0
    sulci[:] = fluid
    return bare


def _depth(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance in pixels to the inner table, slice by slice."""
    depth = np.zeros(inside.shape, np.float32)
    for distance, brain in zip(depth, inside, strict=True):
        if brain.any():
            rows, columns = bounding_box(brain)
            box = slice(max(rows.start - 1, 0), rows.stop + 1), slice(max(columns.start - 1, 0), columns.stop + 1)
            distance[box] = ndimage.distance_transform_edt(brain[box])
    return depth


def intracranial(hu: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Find the intracranial space: enclosed by bone in the widest slice, followed slice by slice both ways."""
    bone_hu = _BONE_HU if hu.max() > 2 * _BONE_HU else _PICTURE_BONE_HU
    enclosed = _enclosed(hu, bone_hu)
    start = int(enclosed.sum(axis=(1, 2)).argmax())
    inside = np.zeros(hu.shape, bool)
    inside[start] = enclosed[start]
    for order in (range(start + 1, len(hu)), range(start - 1, -1, -1)):
        previous = inside[start]
        for i in order:
            here = _components_over(enclosed[i], _SMALLEST_AREA_PX, previous)
            if here.sum() < _SMALLEST_SLICE_PX:
                break
            inside[i] = previous = here
    return inside


def _enclosed(hu: NDArray[np.int16], bone_hu: int) -> NDArray[np.bool_]:
    """The soft regions inside the skull of every slice; fractures and sutures are bridged."""
    bone = _components_over(hu >= bone_hu, 150)
    wall = ~_grown(~_grown(bone, _SUTURE_PX), _SUTURE_PX - 0.5) | bone
    within = _filled(wall)
    soft = within & ~wall & (hu > -10)
    core = _components_over(_grown(~_grown(~soft, 3), 3), _SMALLEST_AREA_PX)
    for regions, values in zip(core, hu, strict=True):
        components, count = ndimage.label(regions)
        for number in range(1, count + 1):
            piece = components == number
            regions[piece] = _looks_like_brain(values[piece])
    return _filled(core | (_grown(core, 4.5) & within & (hu < bone_hu) & (hu > -15)))


def _grown(mask: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """Every pixel within ``radius`` of the mask, slice by slice: far faster than a distance map for a few pixels."""
    reach = int(radius)
    size = mask.shape[1:]
    edged = np.pad(mask, ((0, 0), (reach, reach), (reach, reach)))
    out = np.zeros_like(mask)
    wide = edged[:, :, reach : reach + size[1]].copy()
    done = 0
    for down in range(reach, -1, -1):
        half = int(np.sqrt(radius**2 - down**2))
        for across in range(done + 1, half + 1):
            wide |= edged[:, :, reach - across : reach - across + size[1]]
            wide |= edged[:, :, reach + across : reach + across + size[1]]
        done = half
        out |= wide[:, reach - down : reach - down + size[0]]
        out |= wide[:, reach + down : reach + down + size[0]]
    return out


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill the holes of every slice."""
    components, _ = ndimage.label(~mask, _IN_PLANE)
    edges = components[:, [0, -1], :].ravel(), components[:, :, [0, -1]].ravel()
    around = np.zeros(components.max() + 1, bool)
    around[np.concatenate(edges)] = True
    around[0] = False
    return np.asarray(~around[components])


def _looks_like_brain(values: NDArray[np.int16]) -> bool:
    return bool(np.mean((values > 2) & (values < 75)) > 0.85 and 20 < np.median(values) < 50)


def _components_over(
    mask: NDArray[np.bool_], size: int, touching: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Keep components of at least ``size`` pixels, of which a third lies over ``touching`` if given."""
    components, _ = ndimage.label(mask, _IN_PLANE if mask.ndim == 3 else None)
    sizes = np.bincount(components.ravel())
    keep = sizes >= size
    keep[0] = False
    if touching is not None:
        keep &= np.bincount(components.ravel(), touching.ravel(), len(sizes)) > sizes / 3
    return np.asarray(keep[components])


def masked_gaussian(values: NDArray[np.generic], mask: NDArray[np.bool_], sigma: float) -> NDArray[np.float32]:
    """Gaussian in every slice that takes no pixel from outside the mask; 0 outside."""
    out = np.zeros(mask.shape, np.float32)
    box = bounding_box(mask)
    part = mask[box]
    if not part.size:
        return out
    widths = (0, sigma, sigma)
    kept = np.where(part, values[box], 0).astype(np.float32)
    total, weight = (
        ndimage.gaussian_filter(field, widths, mode="constant", truncate=3) for field in (kept, part.astype(np.float32))
    )
    out[box] = np.where(part, total / np.maximum(weight, 1e-3), 0)
    return out


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The smallest box around a mask."""
    spans = []
    for axis in range(mask.ndim):
        used = np.flatnonzero(mask.any(axis=tuple(i for i in range(mask.ndim) if i != axis)))
        spans.append(slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 0))
    return tuple(spans)


def _midline_angle(inside: NDArray[np.bool_]) -> float:
    """Tilt in radians of the axis of best mirror symmetry of the wide slices."""
    area = inside.sum(axis=(1, 2))
    chosen = area > 0.6 * max(area.max(), 1)
    if not chosen.any() or not area.any():
        return 0.0
    mean = ndimage.zoom(inside[chosen].mean(axis=0), 0.25, order=1)
    return float(np.deg2rad(min(range(-40, 41, 4), key=lambda degrees: _asymmetry(mean, degrees))))


def _asymmetry(mean: NDArray[np.float64], degrees: float) -> float:
    turned = ndimage.rotate(mean, -degrees, reshape=False, order=1)
    total = turned.sum()
    centre = (turned.sum(axis=0) * np.arange(turned.shape[1])).sum() / total
    mirrored = ndimage.shift(turned[:, ::-1], (0, 2 * centre - turned.shape[1] + 1), order=1)
    # A nearly round head has no clear axis: prefer an upright one.
    return float(np.abs(turned - mirrored).sum() / total) + abs(degrees) / 400


def _ventricles(
    smooth: NDArray[np.float32],
    depth: NDArray[np.float32],
    side: NDArray[np.float32],
    brain_hu: float,
    inside: NDArray[np.bool_],
    spacing_mm: float,
) -> NDArray[np.bool_]:
    """Fluid deep in the brain and near the midline, in pieces that are not specks."""
    reach = depth.max(axis=(1, 2), keepdims=True)
    fluid = inside & (smooth < brain_hu - 12) & (depth > 0.4 * reach) & (np.abs(side) < 0.6 * reach)
    present = np.flatnonzero(inside.any(axis=(1, 2)))
    if len(present) > 4:
        below = (present[-1] - np.arange(len(inside))) * spacing_mm
        nearest, furthest = _VENTRICLES_BELOW_VERTEX_MM
        fluid[(below < nearest) | (below > furthest)] = False
    fluid = _components_over(fluid, 12)
    components, _ = ndimage.label(fluid, np.ones((3, 3, 3)))
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    return np.asarray((sizes >= 60)[components] if len(inside) > 1 else fluid)
