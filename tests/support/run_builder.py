"""Runs as training leaves them, with drawn logits whose worth is known. For tests of what comes after training."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit

from training.out_of_fold import Predictions

NAN = float("nan")
_LABELS = ("any", "subdural")


@dataclass(frozen=True)
class Study:
    """truth, logits: (slices, labels); the study's own logits are the largest, `more` higher."""

    source: str
    patient: str
    study: str
    truth: np.ndarray
    logits: np.ndarray
    more: float = 1.0


def write(path: Path, labels: tuple[str, ...], studies: Iterable[Study]) -> None:
    """predictions.csv of one run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        names = [f"{what} {label}" for what in ("truth", "logit") for label in labels]
        table.writerow(["source", "patient", "study", "slice", *names])
        for study in studies:
            known = np.where(
                (study.truth == 1).any(axis=0),
                1,
                np.where(np.isnan(study.truth).any(axis=0), NAN, study.truth.max(axis=0)),
            )
            rows = [
                *enumerate(zip(study.truth, study.logits, strict=True)),
                ("", (known, study.logits.max(axis=0) + study.more)),
            ]
            for place, (truth, logits) in rows:
                cells = ["" if value != value else int(value) for value in truth]
                table.writerow([study.source, study.patient, study.study, place, *cells, *(f"{x:.5g}" for x in logits)])


def drawn(
    rng: np.random.Generator,
    source: str,
    patient: str,
    bleeds: bool,
    slices: int = 8,
    labels: int = 2,
    skill: float = 3.0,
    name: str = "",
) -> Study:
    """A study that bleeds on two slices, kind 1 of the labels, or not at all."""
    truth = np.zeros((slices, labels))
    if bleeds:
        truth[: min(2, slices)] = 1
        truth[:, 2:] = 0
    logits = rng.normal(-2, 1, (slices, labels)) + rng.normal(0, 0.4) + skill * truth
    return Study(source, patient, f"{patient}-{name}", truth, logits)


def model(folder: Path, labels: tuple[str, ...] = ("any", "subdural"), folds: int = 4, skill: float = 3.0) -> Path:
    """Folds and a final run: a collection with both classes, one that bleeds, implants, and two from elsewhere."""
    rng = np.random.default_rng(0)
    count = len(labels)
    for fold in range(folds):
        studies = []
        for i in range(12):
            patient = f"a{fold}-{i}"
            studies.append(drawn(rng, "ct-ich", patient, i < 5, labels=count, skill=skill))
            if i >= 5:
                studies.append(drawn(rng, "implanted", patient, True, labels=count, skill=skill, name="bleed"))
                studies.append(drawn(rng, "implanted", patient, False, labels=count, skill=skill, name="decoy"))
        for i in range(6):
            study = drawn(rng, "phe-sich", f"b{fold}-{i}", True, labels=count, skill=skill)
            study.truth[:, 0] = np.where(study.truth[:, 0] == 1, 1, NAN)
            studies.append(study)
        write(folder / f"fold-{fold}" / "predictions.csv", labels, [*studies, *_elsewhere(rng, count, skill - 1.5)])
    bleeds = [drawn(rng, "rsna-sdh", f"d{i}", True, 1, count, skill) for i in range(9)]
    write(folder / "final" / "predictions.csv", labels, [*_elsewhere(rng, count, skill - 1.5), *bleeds])
    return folder


def _elsewhere(rng: np.random.Generator, labels: int, skill: float) -> list[Study]:
    return [drawn(rng, "rsna-sample", f"c{i}", i < 6, 1, labels, skill) for i in range(14)]


# ---------------------------------------------------------------- rows without files


def rows(
    x: np.ndarray, truth: np.ndarray, source: str = "ct-ich", patient: np.ndarray | None = None, fold: int = 0
) -> Predictions:
    """Studies and, with the same numbers, slices; of the second label nothing is known unless truth has it."""
    n = len(x)
    x, truth = (np.reshape(values, (n, -1)).astype(float) for values in (x, truth))
    x = np.repeat(x, 2, axis=1)[:, :2]
    truth = np.column_stack([truth, np.full(n, np.nan)])[:, :2]
    patient = np.array([f"{source}{fold}-{i}" for i in range(n)]) if patient is None else patient
    parts = []
    for level in ("study", "slice"):
        text = [np.full(n, source), patient, patient, np.full(n, level)]
        parts.append(Predictions(_LABELS, *text, np.full(n, -1), np.full(n, fold), truth, x))
    return joined(*parts)


def joined(*parts: Predictions) -> Predictions:
    names = ("source", "patient", "study", "level", "place", "fold", "truth", "logit")
    return Predictions(_LABELS, *(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def by_chance(n: int, seed: int, slope: float = 1.0, shift: float = 0.0, **more) -> Predictions:
    """Truth follows the logit: P(1) = sigmoid(slope * logit + shift)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 2, n)
    return rows(x, rng.random(n) < expit(slope * x + shift), **more)


def binormal(normal: int, bleeding: int, seed: int, gap: float = 3.0, fold: int = 0, **more) -> Predictions:
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.normal(0, 1, normal), rng.normal(gap, 1, bleeding)])
    return rows(x, np.arange(normal + bleeding) >= normal, fold=fold, **more)
