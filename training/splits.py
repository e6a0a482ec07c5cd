"""Who trains, who validates and who is kept for the figures. By patient, always."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from training.batches import IMPLANTED, implanted, is_normal
from training.data import TrainingStudy, folds, load

# RSNA slices are never trained on: they show how a model does at other hospitals.
HELD_OUT_SOURCE = "rsna-sample"
TRAINING_SOURCES = ("ct-ich", "phe-sich")
TEST_FOLD, VALIDATION_FOLD = 0, 1


@dataclass(frozen=True)
class Split:
    """Real studies of disjoint patients, and implants into the normal ones of training and validation."""

    training: list[TrainingStudy]
    training_implants: list[TrainingStudy]
    validation: list[TrainingStudy]
    validation_implants: list[TrainingStudy]
    test: list[TrainingStudy]
    elsewhere: list[TrainingStudy]


def split(root: Path, cache: Path, implants_per_kind: int = 3) -> Split:
    """Read the collections below `root` and split them by patient: three folds train, one validates, one tests."""
    studies = load(root, (*TRAINING_SOURCES, HELD_OUT_SOURCE), cache)
    elsewhere = [study for study in studies if study.source == HELD_OUT_SOURCE]
    ours = [study for study in studies if study.source != HELD_OUT_SOURCE]
    fold = folds(ours)
    training = [_one_sided(s) for s, f in zip(ours, fold, strict=True) if f not in (TEST_FOLD, VALIDATION_FOLD)]
    validation = [s for s, f in zip(ours, fold, strict=True) if f == VALIDATION_FOLD]
    return Split(
        training,
        implanted(_hosts(training), implants_per_kind, 0, cache / "implants"),
        validation,
        implanted(_hosts(validation), 1, 1, cache / "implants"),
        [s for s, f in zip(ours, fold, strict=True) if f == TEST_FOLD],
        elsewhere,
    )


def _one_sided(study: TrainingStudy) -> TrainingStudy:
    """Hide `any` where a collection has only bleeding patients: it would teach that its pictures mean blood."""
    if not study.pictures:
        return study
    labels = study.labels.copy()
    labels[:, 0] = np.nan
    return replace(study, labels=labels)


def _hosts(studies: Sequence[TrainingStudy]) -> list[TrainingStudy]:
    return [study for study in studies if not study.pictures and is_normal(study)]


_CITATIONS = {
    "ct-ich": ("CC BY 4.0", "Hssayeni et al., Data 2020, 5(1):14"),
    "phe-sich": ("free for non-commercial use", "Ma et al., arXiv 2308.10521"),
    "rsna-sample": ("non-commercial use", "Flanders et al., Radiology: AI 2020, 2(3):e190211"),
    "imagenet": ("Apache-2.0 (weights)", "Deng et al., CVPR 2009; Sandler et al., CVPR 2018"),
}


def provenance(data: Split, pretrained: bool) -> list[dict[str, Any]]:
    """List what trained, validated and tested a model, with licences, for its card."""
    rows = []
    for use in ("training", "training_implants", "validation", "test", "elsewhere"):
        studies: list[TrainingStudy] = getattr(data, use)
        for source in sorted({study.source for study in studies}):
            some = [study for study in studies if study.source == source]
            licence, citation = _CITATIONS.get(source, _CITATIONS["ct-ich"])
            rows.append(
                {
                    "name": "synthetic bleeds in normal ct-ich heads" if source == IMPLANTED else source,
                    "use": "figures only" if use == "elsewhere" else use.removesuffix("_implants"),
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
