"""Who trains and who is kept for the metrics. By patient, always."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichscope.atomic import replacing
from ichscope.labels import LABELS
from training.batches import IMPLANTED, implanted, is_normal
from training.data import TrainingStudy, folds, load
from training.pseudo_masks import pseudo_mask

TRAINING_SOURCES = ("ct-ich", "phe-sich")
# RSNA slices are never trained on: they show how a model does at other hospitals. The second has bleeds only.
ELSEWHERE, ELSEWHERE_BLEEDS = "rsna-sample", "rsna-sdh"
ONE_SIDED = "phe-sich"
FOLDS = 5
MOST_HOSTS = 300
_PARENCHYMA = LABELS.index("intraparenchymal")


@dataclass(frozen=True)
class Split:
    """Real studies of disjoint patients, and implants into the normal heads among them."""

    training: list[TrainingStudy]
    training_implants: list[TrainingStudy]
    held_out: list[TrainingStudy]
    held_out_implants: list[TrainingStudy]
    elsewhere: list[TrainingStudy]


def split(
    root: Path,
    cache: Path,
    fold: int | None,
    implants_per_kind: int = 3,
    without: str = "",
    sources: Sequence[str] = TRAINING_SOURCES,
) -> Split:
    """Read the collections below `root` and hold back one fold of patients.

    Patients of the collections that only measure, where those are there, never train under another name.

    Parameters
    ----------
    fold : 0 to 4, or None to train on every patient
    without : "phe-sich" or "implants", to learn what they are worth; a collection left out is held out whole
    sources : collections to train on
    """
    elsewhere = load(root, [name for name in (ELSEWHERE,) if (root / name).is_dir()], cache)
    bleeds = load(root, [name for name in (ELSEWHERE_BLEEDS,) if (root / name).is_dir()], cache)
    measuring = {study.patient for study in [*elsewhere, *bleeds]}
    if fold is None:
        known = {study.patient for study in elsewhere}
        elsewhere = [*elsewhere, *(study for study in bleeds if study.patient not in known)]
    ours = [study for study in load(root, sources, cache) if study.patient not in measuring]
    back = [number == fold or study.source == without for study, number in zip(ours, folds(ours, FOLDS), strict=True)]
    training = [for_training(study, cache) for study, held in zip(ours, back, strict=True) if not held]
    held_out = [study for study, held in zip(ours, back, strict=True) if held]
    return Split(
        training,
        [] if without == "implants" else implanted(_hosts(training), implants_per_kind, 0, cache),
        held_out,
        implanted(_hosts(held_out), 1, 0, cache),
        elsewhere,
    )


def for_training(study: TrainingStudy, cache: Path) -> TrainingStudy:
    """Hide `any` of a collection whose patients all bleed: it would teach that such pictures mean blood.

    Instead their haematomas get pseudo-masks, so that a picture shows what blood is and what is none.
    """
    if study.source != ONE_SIDED:
        return study
    labels = study.labels.copy()
    labels[:, 0] = np.nan
    return replace(study, labels=labels, mask=_kept_pseudo_mask(study, cache / "pseudo-masks"))


def _kept_pseudo_mask(study: TrainingStudy, cache: Path) -> NDArray[np.uint8]:
    path = cache / f"{study.study.replace('/', '_')}.npz"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            np.savez_compressed(part, mask=pseudo_mask(study.hu, study.labels[:, _PARENCHYMA] == 1))
    with np.load(path) as saved:
        mask: NDArray[np.uint8] = saved["mask"]
        return mask


def _hosts(studies: Sequence[TrainingStudy]) -> list[TrainingStudy]:
    """Normal heads of CT to put bleeds into, at most some hundreds, spread over the collection."""
    normal = [study for study in studies if not study.pictures and is_normal(study)]
    return normal[:: 1 + len(normal) // MOST_HOSTS]


_CITATIONS = {
    "ct-ich": ("CC BY 4.0", "Hssayeni et al., Data 2020, 5(1):14"),
    "phe-sich": ("free for non-commercial use", "Ma et al., arXiv 2308.10521"),
    "rsna-sample": ("non-commercial use", "Flanders et al., Radiology: AI 2020, 2(3):e190211"),
    "rsna-sdh": ("non-commercial use", "Flanders et al., Radiology: AI 2020, 2(3):e190211"),
    "rsna-2019": ("non-commercial use", "Flanders et al., Radiology: AI 2020, 2(3):e190211"),
    "cq500": ("CC BY-NC-SA 4.0", "Chilamkurthy et al., Lancet 2018, 392(10162):2388-2396"),
    "imagenet": ("Apache-2.0 (weights)", "Deng et al., CVPR 2009; Sandler et al., CVPR 2018"),
}
_CITATIONS["rsna"] = _CITATIONS["rsna-2019"]  # as its patients are named
_UNKNOWN = ("see its publisher", "see its publisher")
_USES = {
    "training": "training",
    "training_implants": "training",
    "held_out": "figures only",
    "held_out_implants": "figures only",
    "elsewhere": "figures only",
}


def provenance(data: Split, pretrained: bool) -> list[dict[str, Any]]:
    """List what trained and tested a model, with licences, for its card."""
    rows = []
    for part, use in _USES.items():
        studies: list[TrainingStudy] = getattr(data, part)
        for name, collection in sorted({_named(study) for study in studies}):
            some = [study for study in studies if _named(study) == (name, collection)]
            licence, citation = _CITATIONS.get(collection, _UNKNOWN)
            rows.append(
                {
                    "name": name,
                    "use": use,
                    "patients": len({study.patient for study in some}),
                    "slices": sum(len(study.labels) for study in some),
                    "licence": licence,
                    "citation": citation,
                }
            )
    if pretrained:
        licence, citation = _CITATIONS["imagenet"]
        words = {"name": "ImageNet", "use": "pre-trained backbone", "patients": 0, "slices": 0}
        rows.append({**words, "licence": licence, "citation": citation})
    return rows


def _named(study: TrainingStudy) -> tuple[str, str]:
    """What a card calls a study's data, and the collection that it is of."""
    if study.source != IMPLANTED:
        return study.source, study.source
    host = study.patient.split("/")[0]
    return f"synthetic bleeds in normal {host} heads", host
