"""Who trains and who is kept for the metrics. By patient, always."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichscope.atomic import replacing
from ichscope.labels import LABELS
from training.batches import IMPLANTED, implanted, is_normal
from training.data import ADAPTERS, TrainingStudy, folds, load
from training.data.loading import folder_of
from training.pseudo_masks import pseudo_mask

TRAINING_SOURCES = ("ct-ich", "phe-sich", "rsna-more", "bhsd", "cpaisd", "rsna-sdh")
# Collections that measure where they do not train. The one with bleeds alone is for the final run.
ELSEWHERE, ELSEWHERE_BLEEDS = ("rsna-sample", "rsna-more"), "rsna-sdh"
ONE_SIDED = "phe-sich"
FOLDS = 5
MOST_HOSTS = 300
# Of each collection a rehearsal takes so many patients with a bleed, and as many without, if so many slices (or a few
# more) hold them; it puts implants into so many heads.
_REHEARSED, _REHEARSED_SLICES, _REHEARSED_HOSTS = 5, 300, 2
# So many slices of a study are enough for it.
_REHEARSED_LENGTH = 6
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
    rehearse: bool = False,
) -> Split:
    """Read the collections below `root` and hold back one fold of patients.

    Patients of the collections that only measure, where those are there, never train under another name.

    Parameters
    ----------
    fold : 0 to 4, or None to train on every patient
    without : "implants", or a collection or hospital (as "rsna", whatever its collections), to learn what they are
        worth; a collection left out is held out whole
    sources : collections to train on
    rehearse : take a few patients of each collection, and a few implants
    """
    ours, elsewhere, bleeds = _read(root, cache, sources, rehearse)
    cache = cache_of(cache, rehearse)
    if fold is None:
        known = {study.patient for study in elsewhere}
        elsewhere = [*elsewhere, *(study for study in bleeds if study.patient not in known)]
    numbers = folds(ours, FOLDS)
    back = [
        number == fold or without in (study.source, study.hospital) for study, number in zip(ours, numbers, strict=True)
    ]
    training = [for_training(study, cache) for study, held in zip(ours, back, strict=True) if not held]
    held_out = [study for study, held in zip(ours, back, strict=True) if held]
    return Split(
        training,
        [] if without == "implants" else implanted(hosts(training, rehearse), implants_per_kind, 0, cache),
        held_out,
        implanted(hosts(held_out, rehearse), 1, 0, cache),
        elsewhere,
    )


def cache_of(cache: Path, rehearse: bool) -> Path:
    """Where implants and pseudo-masks are kept; those of a rehearsal are of parts of studies."""
    return cache / "rehearsal" if rehearse else cache


def present(root: Path, sources: Sequence[str] = TRAINING_SOURCES) -> list[str]:
    """Those of the collections that lie below `root`."""
    return [name for name in sources if folder_of(root, name).is_dir()]


def trained_on(root: Path, cache: Path, sources: Sequence[str], rehearse: bool = False) -> list[TrainingStudy]:
    """Studies of the collections to train on, of which `folds` makes folds."""
    return _read(root, cache, sources, rehearse)[0]


def _read(
    root: Path, cache: Path, sources: Sequence[str], rehearse: bool
) -> tuple[list[TrainingStudy], list[TrainingStudy], list[TrainingStudy]]:
    """Studies to train on, whatever order their collections are given in; studies that measure; bleeds that measure."""

    def read(names: Sequence[str]) -> list[TrainingStudy]:
        return (
            [study for name in names for study in _a_few(root, name, cache)] if rehearse else load(root, names, cache)
        )

    others = [name for name in (*ELSEWHERE, ELSEWHERE_BLEEDS) if name not in sources and folder_of(root, name).is_dir()]
    elsewhere = read([name for name in others if name != ELSEWHERE_BLEEDS])
    bleeds = read([name for name in others if name == ELSEWHERE_BLEEDS])
    measuring = {study.patient for study in [*elsewhere, *bleeds]}
    ordered = sorted(set(sources), key=list(ADAPTERS).index)
    return [study for study in read(ordered) if study.patient not in measuring], elsewhere, bleeds


def _a_few(root: Path, source: str, cache: Path) -> list[TrainingStudy]:
    """All studies of the first patients with a bleed and of the first without, read no further than that needs."""
    for limit in (12 * 2**step for step in count()):
        studies = load(root, [source], cache, limit)
        bleeds: dict[str, bool] = {}
        for study in studies:
            bleeds[study.patient] = bleeds.get(study.patient, False) or bool(study.bleeds.any())
        sides = [[patient for patient, there in bleeds.items() if there == side] for side in (True, False)]
        slices = sum(len(study.labels) for study in studies)
        if min(map(len, sides)) >= _REHEARSED or slices >= _REHEARSED_SLICES or len(studies) < limit:
            break
    chosen = {patient for side in sides for patient in side[:_REHEARSED]}
    return [_short(study) for study in studies if study.patient in chosen]


def _short(study: TrainingStudy) -> TrainingStudy:
    """A few neighbouring slices of a study, with some of its bleed."""
    bleeding = np.flatnonzero((study.labels == 1).any(axis=1))
    middle = int(bleeding[len(bleeding) // 2]) if len(bleeding) else len(study.hu) // 2
    first = int(np.clip(middle - _REHEARSED_LENGTH // 2, 0, max(0, len(study.hu) - _REHEARSED_LENGTH)))
    part = slice(first, first + _REHEARSED_LENGTH)
    mask = None if study.mask is None else study.mask[part]
    return replace(study.part(part), mask=mask, study_labels=study.study_labels)


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


def hosts(studies: Sequence[TrainingStudy], rehearse: bool = False) -> list[TrainingStudy]:
    """Normal heads of CT to put bleeds into, at most some hundreds, spread over the collection; a few to rehearse."""
    normal = [study for study in studies if is_host(study)]
    return normal[:: 1 + len(normal) // (_REHEARSED_HOSTS if rehearse else MOST_HOSTS)]


def is_host(study: TrainingStudy) -> bool:
    """Tell whether a study is a head of CT without a bleed, with the neighbouring slices that a bleed lies on."""
    return not study.pictures and len(study.hu) > 1 and is_normal(study)


_CITATIONS = {
    "ct-ich": ("CC BY 4.0", "Hssayeni et al., Data 2020, 5(1):14"),
    "phe-sich": ("free for non-commercial use", "Ma et al., arXiv 2308.10521"),
    "rsna-sample": ("non-commercial use", "Flanders et al., Radiology: AI 2020, 2(3):e190211"),
    "rsna-sdh": ("non-commercial use", "Flanders et al., Radiology: AI 2020, 2(3):e190211"),
    "rsna-2019": ("non-commercial use", "Flanders et al., Radiology: AI 2020, 2(3):e190211"),
    "rsna-more": ("non-commercial use", "Flanders et al., Radiology: AI 2020, 2(3):e190211"),
    "bhsd": (
        "non-commercial use (slices, RSNA 2019), MIT (outlines)",
        "Flanders et al., Radiology: AI 2020, 2(3):e190211; Wu et al., arXiv 2308.11298",
    ),
    "cpaisd": ("CC BY 4.0", "Umerenkov et al., arXiv 2404.02518"),
    "own": ("your own", "your own studies"),
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
