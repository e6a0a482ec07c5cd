"""What the models train on: a pool of implanted studies, batches of single slices, and their masked losses."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray
from scipy import ndimage

from ichscope.atomic import replacing
from ichscope.imaging.preprocess import INPUT_SIZE
from ichscope.labels import LABELS, SUBTYPES
from training.anatomy import intracranial, masked_gaussian
from training.augment import DEFAULT, Strength, augment
from training.data import TrainingStudy
from training.data.study import DOUBT, KINDS, LOOKALIKE, bleeding
from training.implants import VERSION, NoRoomError, implant, mimic

IMPLANTED = "implanted"
# What mimics were called first. Files of kept ones and predictions have this word in their names, and it is part of
# the seed: another would draw others.
_MIMIC = "decoy"
# Which slices a batch is made of. Positives are mostly implants: many shapes on real anatomy are what carries over
# to other hospitals; readers' own outlines keep their share, since small real bleeds look different.
_SHARES = {
    "implant": 0.25,
    "beside implant": 0.08,
    "outlined": 0.12,
    "bleeding": 0.12,
    "normal": 0.22,
    "outlined picture": 0.07,
    "bleeding picture": 0.36,
    "normal picture": 0.36,
    "picture": 0.05,
}
# In parts of slices pictures bleed only where they are outlined, so that others must not be commoner.
_SHARES_OF_PARTS = _SHARES | {
    "implant": 0.38,
    "beside implant": 0.12,
    "outlined": 0.16,
    "normal picture": _SHARES["outlined picture"],
}
_NONE = ("", "")
# In a head without a bleed, what is this much brighter than brain (in HU, smoothed) could be taken for one.
_BRIGHTER_HU = 8
# Nearer to bone than this, in pixels, all is bright.
_RIM_PX = 3
# Of kinds on a slice the one that it is drawn for; shares of slices in RSNA 2019 rise in this order.
_RAREST_FIRST = ("epidural", "intraventricular", "intraparenchymal", "subarachnoid", "subdural")
_EMPTY = np.zeros((1, INPUT_SIZE, INPUT_SIZE), np.uint8)
# A slice with a bleed or mimic as it is kept: thousands of them are memory-mapped, not read.
_SLICE = np.dtype(
    [
        ("hu", np.int16, (INPUT_SIZE, INPUT_SIZE)),
        ("mask", np.uint8, (INPUT_SIZE, INPUT_SIZE)),
        ("labels", np.float32, (len(LABELS),)),
    ]
)
_CELL = 8
# A cell of the evidence grid is positive from this share of blood on; with less, but some, it does not count.
_COVERED = 0.2
# Of a bleed so much must be on a part of a slice for the part to bleed.
_SEEN_PX = 14


def implanted(
    studies: Sequence[TrainingStudy], per_kind: int, seed: int, cache: Path, report: Callable[[str], None] = print
) -> list[TrainingStudy]:
    """Put `per_kind` bleeds of every subtype, and as many mimics, into studies without a bleed; cached as made."""
    pool, folder = [], cache / f"implants-v{VERSION}"
    for done, study in enumerate(studies, 1):
        for kind in (*SUBTYPES, _MIMIC):
            for number in range(per_kind):
                key = f"{study.study}-{kind}-{seed}-{number}".replace("/", "_")
                made = _implanted(study, kind, folder / f"{key}.npy")
                pool += [made] if made else []
        if done % 5 == 0 or done == len(studies):
            report(f"implants: {done} of {len(studies)} studies")
    return pool


def _implanted(study: TrainingStudy, kind: str, path: Path) -> TrainingStudy | None:
    """One study with a bleed or a mimic; None where there is no room for this kind. Its slices stay on disk."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(zlib.crc32(path.stem.encode()))
        try:
            drawn = _drawn(study, kind, rng)
        except NoRoomError:
            drawn = study.hu[:0], np.zeros(study.hu[:0].shape, bool), study.labels[:0]
        slices = np.empty(len(drawn[0]), _SLICE)
        slices["hu"], slices["mask"], slices["labels"] = drawn
        with replacing(path) as part, part.open("wb") as file:
            np.save(file, slices)
    slices = np.load(path, mmap_mode="r")
    if not len(slices):
        return None
    return replace(
        study,
        source=IMPLANTED,
        study=path.stem,
        hu=slices["hu"],
        mask=slices["mask"],
        labels=slices["labels"],
    )


def _drawn(study: TrainingStudy, kind: str, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    spacing = study.spacing_mm or 5.0
    if kind == _MIMIC:
        return mimic(study.hu, rng, spacing_mm=spacing), np.zeros(study.hu.shape, bool), study.labels
    return implant(study.hu, rng, kind, spacing_mm=spacing)


def is_normal(study: TrainingStudy) -> bool:
    """Tell whether readers found no bleed on any slice."""
    return bool((study.labels[:, 0] == 0).all())


@dataclass(frozen=True)
class _Place:
    study: TrainingStudy
    index: int
    mask: NDArray[np.uint8] | None


class SliceBatches(keras.utils.PyDataset):  # type: ignore[misc] # Keras ships no types
    """Random augmented slices for the encoder.

    Gives (n, crop, crop) int16 HU with targets, nan where unknown: `evidence` (n, grid, grid, labels), `slice`
    (n, labels), and `strongest` (n, labels) float32, which is `slice` where nothing is known of the evidence.

    Roles are drawn by their shares; within a role hospitals, and within these kinds of slices, larger ones more often,
    but not as much as they are larger. So a hospital has as many bleeds as it has others.

    Parameters
    ----------
    crop : side of a random part of the slice (a multiple of 32), or the whole slice; parts train a fully
        convolutional encoder at the same scale for a fraction of the time
    """

    def __init__(
        self,
        studies: Sequence[TrainingStudy],
        labels: Sequence[str],
        batch: int,
        steps: int,
        seed: int,
        crop: int = INPUT_SIZE,
        strength: Strength = DEFAULT,
        **parallel: Any,
    ) -> None:
        super().__init__(**parallel)
        self._strength = strength
        self._columns = [LABELS.index(label) for label in labels]
        self._batch, self._steps, self._seed, self._crop = batch, steps, seed, crop
        self._epoch = 0
        parts = crop < INPUT_SIZE
        self._pools = _pools(studies, parts)
        if not self._pools:
            what = "a slice of which it is known where it bleeds, or that it does not" if parts else "a labelled slice"
            raise ValueError(f"expected {what} to train on, found none")
        shares = np.array([(_SHARES_OF_PARTS if parts else _SHARES)[role] for role in self._pools])
        self._shares = shares / shares.sum()

    def __len__(self) -> int:
        return self._steps

    def on_epoch_end(self) -> None:
        self._epoch += 1

    def __getitem__(self, step: int) -> tuple[NDArray[np.int16], dict[str, NDArray[np.float32]]]:
        rng = np.random.default_rng((self._seed, self._epoch, step))
        items = [self._item(rng) for _ in range(self._batch)]
        hu, evidence, slices = (np.stack(part) for part in zip(*items, strict=True))
        evidence, slices = evidence[..., self._columns], slices[:, self._columns]
        unplaced = np.isnan(evidence).all(axis=(1, 2, 3))[:, None]
        return hu, {"evidence": evidence, "slice": slices, "strongest": np.where(unplaced, slices, np.float32(np.nan))}

    def _item(self, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        hospitals = list(self._pools.values())[rng.choice(len(self._shares), p=self._shares)]
        groups = hospitals[rng.choice(len(hospitals), p=_odds([hospital.patients for hospital in hospitals]))].groups
        group = groups[rng.choice(len(groups), p=_odds([len(group) for group in groups]))]
        place = group[rng.integers(len(group))]
        hu = place.study.hu[place.index : place.index + 1]
        hu, seen = augment(hu, place.mask, rng, self._strength, self._crop)
        labels = place.study.labels[place.index]
        if self._crop < INPUT_SIZE:
            assert seen is not None
            return hu[0], evidence_target(seen[0], labels), _part_labels(seen[0], labels)
        return hu[0], evidence_target(None if seen is None else seen[0], labels), labels


@dataclass(frozen=True, eq=False)
class _Hospital:
    """Slices of a role, in groups of their kinds, and of how many patients they are."""

    groups: list[list[_Place]]
    patients: int

    @classmethod
    def of(cls, groups: list[list[_Place]]) -> _Hospital:
        return cls(groups, len({place.study.patient for group in groups for place in group}))


def _odds(sizes: Sequence[int]) -> NDArray[np.float64]:
    """How often each of some sets of slices is drawn: by the root of its size, so that few are not seen too often."""
    roots = np.sqrt(np.array(sizes, np.float64))
    odds: NDArray[np.float64] = roots / roots.sum()
    return odds


def _pools(studies: Sequence[TrainingStudy], parts: bool) -> dict[str, list[_Hospital]]:
    """Sort slices by role; within a role by hospital and by what counts together (kind, or patient).

    parts : only slices of which it is known where they bleed
    """
    outlined = {study.hospital for study in studies if study.pictures and has_outlines(study)}
    pools: dict[str, dict[str, dict[str, list[_Place]]]] = {}
    for study in studies:
        masks = _masks(study, parts and study.hospital in outlined)
        hospital = IMPLANTED if study.source == IMPLANTED else study.hospital
        for i in range(len(study.labels)):
            role, group = _role(study, i)
            mask = None if masks is None or role == "bleeding" else masks[i : i + 1]
            place = _Place(study, i, mask)
            if role and not (parts and place.mask is None):
                pools.setdefault(role, {}).setdefault(hospital, {}).setdefault(group, []).append(place)
    return {
        role: [_Hospital.of(list(groups.values())) for groups in hospitals.values()]
        for role, hospitals in pools.items()
    }


def has_outlines(study: TrainingStudy) -> bool:
    """Tell whether it is known of some bleed of a study where it lies."""
    return study.mask is not None and bool(bleeding(study.mask).any())


def _role(study: TrainingStudy, index: int) -> tuple[str, str]:
    """What a slice is for and what it counts with, or two "" if nothing is known of it."""
    labels = study.labels[index]
    outlined = study.mask is not None and bool(bleeding(study.mask[index]).any())
    if study.pictures:
        if outlined:
            return ("outlined picture", study.patient)
        return _role_of_picture(study, labels)
    if study.source == IMPLANTED:
        kind = next((name for name, value in zip(SUBTYPES, labels[1:], strict=True) if value == 1), "")
        return ("implant" if kind else "beside implant", kind)
    if labels[0] == 1:
        return ("outlined" if outlined else "bleeding", study.patient)
    return ("normal", study.patient) if labels[0] == 0 else _NONE


def _role_of_picture(study: TrainingStudy, labels: NDArray[np.float32]) -> tuple[str, str]:
    """Role of a picture that nobody outlined; bleeds of a source are drawn by kind, rare ones as often as others."""
    if labels[0] == 1:
        kinds = [name for name, value in zip(SUBTYPES, labels[1:], strict=True) if value == 1]
        return ("bleeding picture", f"{study.source} {min(kinds, key=_RAREST_FIRST.index, default='any')}")
    if labels[0] == 0:
        return ("normal picture", study.source)
    return ("picture", f"{study.source} {np.nanmax(labels)}") if np.isfinite(labels).any() else _NONE


def _masks(study: TrainingStudy, empty: bool) -> NDArray[np.uint8] | None:
    """Give (n, h, w) masks as evidence_target reads them, if it is known where a study bleeds, if it does.

    empty : whether a normal picture has one, too. As a rule it has none: its hospital's bleeding pictures have none
        either, and evidence of nothing but normal ones would tell hospitals apart and not blood.
    """
    if not is_normal(study):
        return study.mask
    if study.pictures:
        return np.broadcast_to(_EMPTY, study.hu.shape) if empty else None
    return lookalikes(study.hu)


def lookalikes(hu: NDArray[np.int16]) -> NDArray[np.uint8]:
    """(n, h, w) HU of a head without a bleed to its mask: 3 where something (tentorium, falx, vessels) is bright."""
    inside = intracranial(hu)
    if not inside.any():
        return np.zeros(hu.shape, np.uint8)
    smooth = masked_gaussian(hu, inside, 1.5)
    deep = ndimage.binary_erosion(inside, np.ones((1, 3, 3)), _RIM_PX)
    bright = deep & (smooth > np.median(smooth[inside]) + _BRIGHTER_HU)
    return np.where(bright, np.uint8(LOOKALIKE), np.uint8(0))


def evidence_target(mask: NDArray[np.uint8] | None, labels: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w) mask and (6,) labels to (h/8, w/8, 6) float32 targets, nan where unknown.

    In the mask 0 is no blood, BLOOD is some, DOUBT is unknown, LOOKALIKE is none that looks like some. Where several
    subtypes are on one slice BLOOD does not say which is which: there they are unknown. KINDS say it.
    """
    side = INPUT_SIZE if mask is None else len(mask)
    target = np.full((side // _CELL, side // _CELL, len(LABELS)), np.nan, np.float32)
    if mask is None:
        return target
    doubts = _share(mask == DOUBT) > 0
    blood = _cells(bleeding(mask), doubts)
    target[..., 0] = blood
    if _tells_kinds(mask):
        target[..., 1:] = np.stack([_cells(mask == KINDS[kind], doubts) for kind in SUBTYPES], axis=-1)
        return target
    sure = (labels[1:] == 1).sum() == 1
    for i, label in enumerate(labels[1:], 1):
        if label == 1:
            target[..., i] = blood if sure else np.where(blood == 0, 0.0, np.nan)
        else:
            target[..., i] = 0.0 if label == 0 else np.where(blood == 0, 0.0, np.nan)
    return target


def _tells_kinds(mask: NDArray[np.uint8]) -> bool:
    return bool((mask >= min(KINDS.values())).any())


def _cells(blood: NDArray[np.bool_], doubts: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(h, w) blood to (h/8, w/8): 1 where it covers a cell, 0 where there is none, nan between and in doubt."""
    share = _share(blood)
    return np.where(share >= _COVERED, 1.0, np.where((share > 0) | doubts, np.nan, 0.0))


def _share(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    cells = len(mask) // _CELL
    share: NDArray[np.float64] = mask.reshape(cells, _CELL, cells, _CELL).mean(axis=(1, 3))
    return share


def _part_labels(mask: NDArray[np.uint8], labels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Labels of a part of a slice: what is bleeding elsewhere is not on it."""
    if _tells_kinds(mask):
        areas = [np.count_nonzero(bleeding(mask)), *(np.count_nonzero(mask == KINDS[kind]) for kind in SUBTYPES)]
        return np.array([1 if area >= _SEEN_PX else np.nan if area else 0 for area in areas], np.float32)
    area = int(np.count_nonzero(bleeding(mask)))
    if area == 0 and not (mask == DOUBT).any():
        return np.where(labels == 1, 0.0, labels).astype(np.float32)
    sure = (labels[1:] == 1).sum() <= 1
    return labels if area >= _SEEN_PX and sure else np.where(labels == 1, np.nan, labels).astype(np.float32)


def masked_loss(positive_weight: float = 1.0) -> Callable[[Any, Any], Any]:
    """Cross-entropy of logits that leaves out unknown (nan) targets; `any` counts twice, as in RSNA's metric."""

    def loss(target: Any, logits: Any) -> Any:
        known = ops.cast(ops.logical_not(ops.isnan(target)), logits.dtype)
        target = ops.where(ops.isnan(target), ops.zeros_like(target), target)
        weight = known * (1.0 + (positive_weight - 1.0) * target)
        if logits.shape[-1] > 1:
            weight = weight * ops.convert_to_tensor([2.0] + [1.0] * (logits.shape[-1] - 1), logits.dtype)
        each = ops.softplus(logits) - target * logits
        return ops.sum(each * weight) / (ops.sum(weight) + 1.0)

    return loss
