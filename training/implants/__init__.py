"""Synthetic haemorrhages in HU on real slices without a bleed, with masks and labels, and mimics that are none.

A bleed is drawn as a fraction 0..1 of every voxel that is blood (so edges and end slices show partial volume)
and a density in HU. Tissue is pushed aside first; the noise of the scan is kept on top.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ichscope.labels import LABELS, SUBTYPES
from training.anatomy import Anatomy, study_anatomy
from training.implants.artefacts import beam_hardening, motion, partial_volume
from training.implants.epidural import epidural
from training.implants.host import vary_host
from training.implants.intraparenchymal import intraparenchymal
from training.implants.intraventricular import intraventricular
from training.implants.lesion_painter import Field, Lesion, NoRoomError, paint
from training.implants.mimics import MIMICS
from training.implants.scalp import swelling
from training.implants.subarachnoid import subarachnoid
from training.implants.subdural import subdural

__all__ = ["VERSION", "Lesion", "NoRoomError", "implant", "mimic", "paint", "vary_host"]

# Raised with every change of what is drawn: implants that are kept belong to the code that drew them.
VERSION = 2

# What often comes with a bleed, and how often, given that a second kind is drawn at all.
_COMPANIONS = {
    "epidural": ("subarachnoid", "intraparenchymal", "subdural"),
    "intraparenchymal": ("intraventricular", "subarachnoid", "intraventricular", "subdural"),
    "intraventricular": ("intraparenchymal", "intraparenchymal", "subarachnoid"),
    "subarachnoid": ("subdural", "intraventricular", "intraparenchymal"),
    "subdural": ("subarachnoid", "subarachnoid", "intraparenchymal"),
}
# A slice counts as positive from this visible area on (pixels, about 1 mm2 each: the 5th percentile of the
# outlines of CT-ICH is 25 to 60); with less, but some, its label is unknown. A bleed that is tiny as a whole
# is positive where it shows half of what it shows at most.
_POSITIVE_PX = 14
_DOUBTFUL_PX = 4
_SMALLEST_PX = 5
_ATTEMPTS = 5
# Swelling of the scalp comes with bleeds and without them equally often, or it would give the label away.
_SWOLLEN = 0.25
# How often a study is turned before anything is drawn into it.
_TURNED = 0.35
# Mimics that are not painted as a lesion.
_EDITS = (beam_hardening, motion, partial_volume, swelling)


def implant(
    hu: NDArray[np.int16],
    rng: np.random.Generator,
    kind: str,
    anatomy: Anatomy | None = None,
    spacing_mm: float = 5.0,
    companion: float = 0.3,
) -> tuple[NDArray[np.int16], NDArray[np.bool_], NDArray[np.float32]]:
    """Put a bleed of one kind (at times with a second) into a study without one.

    Parameters
    ----------
    hu : (n, rows, columns) int16 HU, model input from foot to head; one slice will do
    kind : one of SUBTYPES
    anatomy : ``study_anatomy(hu)``, when several bleeds are drawn for the same study; without it the head is at
        times turned first (``vary_host``)
    companion : how often a second kind is added

    Returns
    -------
    The new HU; a bool mask of visible blood; labels (n, 6) float32, nan where too little shows to call

    Raises
    ------
    NoRoomError
        when there is no place for it
    """
    out, head = _host(hu, rng, anatomy, spacing_mm)
    kinds = [kind]
    if rng.random() < companion:
        kinds.append(str(rng.choice(_COMPANIONS[kind])))
    mask = np.zeros(hu.shape, bool)
    labels = np.zeros((len(hu), len(LABELS)), np.float32)
    for number, name in enumerate(kinds):
        try:
            out, visible = _painted(out, head, rng, name, spacing_mm)
        except NoRoomError:
            if number == 0:
                raise
            continue
        mask |= visible
        _mark(labels, visible.sum(axis=(1, 2)), LABELS.index(name))
    labels[:, 0] = _any(labels[:, 1:])
    return _swollen_at_times(out, head, rng, spacing_mm), mask, labels


def mimic(
    hu: NDArray[np.int16],
    rng: np.random.Generator,
    anatomy: Anatomy | None = None,
    spacing_mm: float = 5.0,
) -> NDArray[np.int16]:
    """Put something that is no bleed into a study, by the same painter; its labels stay as they are.

    Fluid under the skull, a dark or equally dense patch of brain, pushed tissue, calcifications, dense falx or
    sinuses, bright cortex, streaks, motion, bone shining through, a swollen scalp: a model trained with these
    cannot take the marks of the painter, or what comes with injury, for blood.
    """
    out, head = _host(hu, rng, anatomy, spacing_mm)
    refused = NoRoomError("no place for any mimic")
    for _ in range(_ATTEMPTS):
        try:
            return _swollen_at_times(_mimicked(out, head, rng, spacing_mm), head, rng, spacing_mm)
        except NoRoomError as error:
            refused = error
    raise refused


def _mimicked(hu: NDArray[np.int16], head: Anatomy, rng: np.random.Generator, spacing_mm: float) -> NDArray[np.int16]:
    choice = int(rng.integers(len(MIMICS) + len(_EDITS)))
    if choice >= len(MIMICS):
        return _edited(hu, _EDITS[choice - len(MIMICS)], head, rng, spacing_mm)
    out = hu.copy()
    paint(out, head, MIMICS[choice](head, rng, spacing_mm))
    return out


def _host(
    hu: NDArray[np.int16], rng: np.random.Generator, anatomy: Anatomy | None, spacing_mm: float
) -> tuple[NDArray[np.int16], Anatomy]:
    out = np.array(hu)
    if anatomy is None and rng.random() < _TURNED:
        out = vary_host(out, rng, spacing_mm)
    head = anatomy or study_anatomy(out, spacing_mm)
    if not head.inside.any():
        raise NoRoomError("found no brain enclosed by a skull")
    return out, head


def _painted(
    hu: NDArray[np.int16], head: Anatomy, rng: np.random.Generator, kind: str, spacing_mm: float
) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Draw until a bleed finds room and shows in at least one slice."""
    refused = NoRoomError("what was drawn is too faint to see")
    for _ in range(_ATTEMPTS):
        out = hu.copy()
        try:
            visible = paint(out, head, _DRAW[kind](head, rng, spacing_mm))
        except NoRoomError as error:
            refused = error
            continue
        if visible.sum(axis=(1, 2)).max() >= _SMALLEST_PX:
            return out, visible
    raise refused


def _mark(labels: NDArray[np.float32], area: NDArray[np.int64], column: int) -> None:
    positive = np.clip(area.max() / 2, _SMALLEST_PX, _POSITIVE_PX)
    labels[(area >= _DOUBTFUL_PX) & (area < positive), column] = np.nan
    labels[area >= positive, column] = 1


def _any(kinds: NDArray[np.float32]) -> NDArray[np.float32]:
    """Whether any kind is there (n,): unknown where one is unknown and none is sure."""
    return np.where((kinds == 1).any(axis=1), np.float32(1), kinds.sum(axis=1))


def _swollen_at_times(
    hu: NDArray[np.int16], head: Anatomy, rng: np.random.Generator, spacing_mm: float
) -> NDArray[np.int16]:
    return _edited(hu, swelling, head, rng, spacing_mm) if rng.random() < _SWOLLEN else hu


def _edited(
    hu: NDArray[np.int16],
    edit: Callable[[Field, Anatomy, np.random.Generator, float], Field],
    head: Anatomy,
    rng: np.random.Generator,
    spacing_mm: float,
) -> NDArray[np.int16]:
    return np.rint(edit(hu.astype(np.float32), head, rng, spacing_mm)).astype(np.int16)


_DRAW: dict[str, Callable[[Anatomy, np.random.Generator, float], Lesion]] = {
    "epidural": epidural,
    "intraparenchymal": intraparenchymal,
    "intraventricular": intraventricular,
    "subarachnoid": subarachnoid,
    "subdural": subdural,
}
assert set(_DRAW) == set(SUBTYPES)
