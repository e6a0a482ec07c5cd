"""What makes collections differ, at random: pose, scale, scanner noise and sharpness, windows, JPEG.

Every source goes through the same calls with the same probabilities, so that the treatment of a picture tells
nothing about its label.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from ichscope.imaging.preprocess import head_box
from training.data.study import LOOKALIKE, bleeding

Field = NDArray[np.float32]

_AIR_HU = -1000
_PICTURE_HU = 80.0
# How often a part of a slice without blood is taken around that.
_LOOKALIKE_RATE = 0.5


@dataclass(frozen=True)
class Strength:
    """How far each change may go, and how often it is made (a probability ends in ``_rate``).

    window_hu : of pictures, whose window is known no better: RSNA's headers centre it at 30 to 40 HU
    """

    rotation_deg: float = 10.0
    rotation_wide_deg: float = 25.0
    wide_rate: float = 0.15
    zoom: tuple[float, float] = (0.8, 1.25)
    stretch: float = 0.05
    shift_px: float = 12.0
    flip_rate: float = 0.5
    own_crop_rate: float = 0.35
    hu_shift: float = 4.0
    hu_scale: float = 0.05
    blur_rate: float = 0.25
    sharpen_rate: float = 0.15
    resolution_rate: float = 0.2
    noise_rate: float = 0.5
    noise_hu: float = 6.0
    window_hu: float = 5.0
    picture_rate: float = 0.35
    jpeg_rate: float = 0.35


DEFAULT = Strength()
# For measuring what the rest is worth.
NONE = Strength(
    rotation_deg=0, rotation_wide_deg=0, zoom=(1.0, 1.0), stretch=0, shift_px=0, flip_rate=0, own_crop_rate=0,
    hu_shift=0, hu_scale=0, blur_rate=0, sharpen_rate=0, resolution_rate=0, noise_rate=0, window_hu=0,
    picture_rate=0, jpeg_rate=0,
)  # fmt: skip


def augment(
    hu: NDArray[np.int16],
    mask: NDArray[np.generic] | None,
    rng: np.random.Generator,
    strength: Strength = DEFAULT,
    side: int | None = None,
) -> tuple[NDArray[np.int16], NDArray[np.generic] | None]:
    """Change a stack of slices as another scanner, head position or hospital would.

    Parameters
    ----------
    hu : (n, rows, columns) int16 HU; pose, window and sharpness are drawn once for the stack, noise per slice
    mask : (n, rows, columns) of whole numbers, moved with the slices, or None
    side : give only a random square part with this side, around some pixel where the mask shows blood, if one does, or
        often around a LOOKALIKE

    Returns
    -------
    HU and mask with the types that came in, and their shapes unless `side` is given
    """
    picture = is_picture(hu)
    empty = 0 if picture else _AIR_HU
    matrix, offset = _pose(hu, rng, strength)
    new_mask = None if mask is None else _moved_mask(mask, matrix, offset)
    size = hu.shape[1:]
    if side is not None and side < min(size):
        corner = _corner(new_mask, size, side, rng)
        offset, size = offset + matrix @ corner, (side, side)
        new_mask = None if new_mask is None else new_mask[:, corner[0] : corner[0] + side, corner[1] : corner[1] + side]
    moved = np.stack([_moved(pixels.astype(np.float32), matrix, offset, empty, size) for pixels in hu])
    if picture:
        moved = _unclipped(moved) + np.float32(rng.uniform(-strength.window_hu, strength.window_hu))
    moved = _scanner(moved, rng, strength)
    if rng.random() < strength.picture_rate:
        moved = _rewindowed(moved, rng) if picture else as_picture(moved, *random_window(rng))
        picture = True
    elif picture:
        moved = np.clip(moved, 0, _PICTURE_HU)
    if rng.random() < strength.jpeg_rate:
        # A picture is compressed as it is; CT as CT-ICH was, within a brain window.
        low, width = (0.0, _PICTURE_HU) if picture else (-20.0, float(rng.uniform(110, 160)))
        quality = int(rng.integers(40, 96))
        moved = np.stack([jpeg(pixels, low, width, quality) for pixels in moved])
    return np.rint(moved).astype(hu.dtype), new_mask


def is_picture(hu: NDArray[np.int16]) -> bool:
    """Tell whether the HU come from 8-bit pictures: nothing below 0 or above 80."""
    return bool(hu.min() >= 0 and hu.max() <= _PICTURE_HU)


# --- pose ----------------------------------------------------------------------------------------------


def _pose(
    hu: NDArray[np.int16], rng: np.random.Generator, strength: Strength
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix and offset from output to input pixels, for the whole stack."""
    size = np.array(hu.shape[1:], np.float64)
    most = strength.rotation_wide_deg if rng.random() < strength.wide_rate else strength.rotation_deg
    angle = np.deg2rad(rng.uniform(-most, most))
    zoom = np.exp(rng.uniform(*np.log(strength.zoom)))
    stretch = 1 + rng.uniform(-strength.stretch, strength.stretch)
    centre = size / 2 - 0.5
    if len(hu) == 1 and rng.random() < strength.own_crop_rate:
        # A slice that comes alone is cropped to itself, not to its study: near the vertex it looks larger.
        box = head_box(hu)
        zoom *= size[0] / box.height
        centre = np.array([box.top + box.height / 2, box.left + box.width / 2]) - 0.5
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    scale = np.diag([1 / (zoom * stretch), stretch / zoom])
    if rng.random() < strength.flip_rate:
        scale[1, 1] *= -1
    matrix = turn @ scale
    shift = rng.uniform(-strength.shift_px, strength.shift_px, 2)
    return matrix, centre + shift - matrix @ (size / 2 - 0.5)


def _corner(
    mask: NDArray[np.generic] | None, size: tuple[int, ...], side: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Choose the upper left corner of a square part: anywhere, or around some blood or what looks like it."""
    room = np.array(size) - side
    corner = rng.integers(0, room + 1, 2)
    places = np.argwhere(bleeding(mask)) if mask is not None else np.zeros((0, 3), np.int64)
    if mask is not None and not len(places) and rng.random() < _LOOKALIKE_RATE:
        places = np.argwhere(mask == LOOKALIKE)
    if len(places):
        middle = places[rng.integers(len(places)), -2:]
        corner = np.clip(middle - rng.integers(side // 6, side - side // 6, 2), 0, room)
    return corner


def _moved(
    pixels: Field, matrix: NDArray[np.float64], offset: NDArray[np.float64], empty: float, size: tuple[int, ...]
) -> Field:
    """Bilinear; Pillow does in 0.5 ms what scipy does in 3. Pillow counts x first, from pixel corners."""
    (yy, yx), (xy, xx) = matrix
    corner = offset + 0.5 - matrix @ (0.5, 0.5)
    terms = (xx, xy, corner[1], yx, yy, corner[0])
    image = Image.fromarray(pixels)
    shape = size[1], size[0]
    moved = image.transform(shape, Image.Transform.AFFINE, terms, Image.Resampling.BILINEAR, fillcolor=empty)
    return np.asarray(moved)


def _moved_mask(
    mask: NDArray[np.generic], matrix: NDArray[np.float64], offset: NDArray[np.float64]
) -> NDArray[np.generic]:
    moved = np.zeros_like(mask)
    for i, slice_mask in enumerate(mask):
        for value in np.unique(slice_mask[slice_mask > 0]):
            share = _moved((slice_mask == value).astype(np.float32), matrix, offset, 0, slice_mask.shape)
            moved[i][share >= 0.5] = value
    return moved


def _unclipped(hu: Field) -> Field:
    """Take what a picture shows as black or white well out of its window: noise must not bring it back."""
    return np.where(hu >= _PICTURE_HU - 0.5, np.float32(160), np.where(hu <= 0.5, np.float32(-40), hu))


# --- scanner -------------------------------------------------------------------------------------------


def _scanner(hu: Field, rng: np.random.Generator, strength: Strength) -> Field:
    """Calibration, reconstruction kernel, resolution and noise."""
    scale = 1 + rng.uniform(-strength.hu_scale, strength.hu_scale)
    shift = rng.uniform(-strength.hu_shift, strength.hu_shift)
    # Air stays air: only what is near water and above drifts.
    hu = np.where(hu > -100, hu * np.float32(scale) + np.float32(shift), hu)
    choice = rng.random()
    if choice < strength.blur_rate:
        hu = _blurred(hu, rng.uniform(0.3, 1.0))
    elif choice < strength.blur_rate + strength.sharpen_rate:
        hu = hu + np.float32(rng.uniform(0.2, 0.8)) * (hu - _blurred(hu, 1.0))
    if rng.random() < strength.resolution_rate:
        hu = _coarse(hu, rng.uniform(0.45, 0.9))
    if rng.random() < strength.noise_rate:
        hu = hu + _scan_noise(rng, hu.shape, strength.noise_hu)
    return np.clip(hu, -1024, 4095).astype(np.float32)


def _blurred(hu: Field, sigma: float) -> Field:
    return np.asarray(ndimage.gaussian_filter(hu, (0, sigma, sigma), truncate=2.5), np.float32)


def _coarse(hu: Field, share: float) -> Field:
    """Resample down and up again."""
    size = hu.shape[2], hu.shape[1]
    small = max(8, int(size[0] * share)), max(8, int(size[1] * share))
    bilinear = Image.Resampling.BILINEAR
    out = [Image.fromarray(pixels).resize(small, bilinear).resize(size, bilinear) for pixels in hu]
    return np.stack([np.asarray(pixels) for pixels in out])


def _scan_noise(rng: np.random.Generator, shape: tuple[int, ...], most: float) -> Field:
    """Noise of a random amount and grain (the kernel decides how far it reaches)."""
    noise = rng.standard_normal(shape, np.float32)
    grain = rng.uniform(0, 1.2)
    if grain > 0.4:
        noise = _blurred(noise, grain) * np.float32(2 * np.sqrt(np.pi) * grain)
    return np.asarray(noise * np.float32(rng.uniform(0, most)), np.float32)


# --- pictures ------------------------------------------------------------------------------------------


def random_window(rng: np.random.Generator) -> tuple[float, float]:
    """Level and width of a brain-like window."""
    return float(rng.uniform(30, 50)), float(rng.uniform(70, 160))


def as_picture(hu: Field, level: float, width: float) -> Field:
    """Show HU in a window and read the grey back as ``ichscope.imaging.images`` does: 0 to 80 HU."""
    return np.asarray(np.clip((hu - (level - width / 2)) / width, 0, 1) * _PICTURE_HU, np.float32)


def _rewindowed(hu: Field, rng: np.random.Generator) -> Field:
    """Change contrast and brightness of what is a picture already, within what it can still show."""
    low, high = rng.uniform(-12, 8), rng.uniform(68, 95)
    return np.asarray(np.clip((hu - low) / (high - low), 0, 1) * _PICTURE_HU, np.float32)


def jpeg(pixels: Field, low: float, width: float, quality: int) -> Field:
    """Send one slice through a JPEG of the window low..low+width; values outside the window stay."""
    grey = np.clip((pixels - low) / width, 0, 1) * 255
    file = io.BytesIO()
    Image.fromarray(np.rint(grey).astype(np.uint8)).save(file, "JPEG", quality=quality)
    back = np.asarray(Image.open(file), np.float32) / 255 * width + low
    within = (pixels >= low) & (pixels <= low + width)
    return np.where(within, back, pixels).astype(np.float32)
