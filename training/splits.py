"""Who trains, who validates and who is kept for the figures. By patient, always."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.batches import implanted, is_normal
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
    training = [s for s, f in zip(ours, fold, strict=True) if f not in (TEST_FOLD, VALIDATION_FOLD)]
    validation = [s for s, f in zip(ours, fold, strict=True) if f == VALIDATION_FOLD]
    return Split(
        training,
        implanted(_hosts(training), implants_per_kind, 0, cache / "implants"),
        validation,
        implanted(_hosts(validation), 1, 1, cache / "implants"),
        [s for s, f in zip(ours, fold, strict=True) if f == TEST_FOLD],
        elsewhere,
    )


def _hosts(studies: Sequence[TrainingStudy]) -> list[TrainingStudy]:
    return [study for study in studies if not study.pictures and is_normal(study)]
