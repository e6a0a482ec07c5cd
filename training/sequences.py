"""The second half of training: a head over the slices of a study, on the features of a trained encoder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ichscope.atomic import replacing
from ichscope.models import providers
from ichscope.models.detector import MICRO_BATCH
from training import models
from training.augment import augment
from training.batches import masked_loss
from training.data import TrainingStudy

# Lengths of the pieces of studies that the head trains on: one picture up to a thin-slice half head. All pieces of
# a batch have the same length, so nothing is padded or masked, and the ONNX files stay plain.
LENGTHS = (1, 4, 12, 24)
EXCERPT = 12


@dataclass(frozen=True, eq=False)
class EmbeddedStudy:
    """Features (slices, d) of one study, with its labels (slices, 6), nan where unknown."""

    source: str
    patient: str
    study: str
    features: NDArray[np.float32]
    labels: NDArray[np.float32]


def embed(
    encoder: keras.Model,
    run: Path,
    studies: Sequence[TrainingStudy],
    rng: np.random.Generator | None = None,
    copies: int = 1,
) -> list[EmbeddedStudy]:
    """Encode studies on ONNX Runtime (some ten times as fast as Keras), `copies` times each, augmented if `rng`."""
    path, weights = run / "encoder.onnx", run / "encoder.weights.h5"
    # Left by an earlier run, the file may hold other weights.
    stale = weights.is_file() and path.is_file() and path.stat().st_mtime < weights.stat().st_mtime
    if stale or not path.is_file():
        from training import onnx_files  # brings TensorFlow, which other backends train without

        onnx_files.convert(onnx_files.encoder_function(encoder), path)
    session = providers.session(path, providers.choose(), int(os.environ.get("OMP_NUM_THREADS", "0")))
    return [
        EmbeddedStudy(
            study.source,
            study.patient,
            study.study,
            _features(session, study.hu if rng is None else augment(study.hu, None, rng)[0]),
            study.labels,
        )
        for study in studies
        for _ in range(copies)
    ]


def save(studies: Sequence[EmbeddedStudy], path: Path) -> None:
    """Keep features, whole or not at all."""
    with replacing(path) as part:
        np.savez(
            part,
            features=np.concatenate([study.features for study in studies]),
            labels=np.concatenate([study.labels for study in studies]),
            lengths=[len(study.features) for study in studies],
            names=[(study.source, study.patient, study.study) for study in studies],
        )


def restore(path: Path) -> list[EmbeddedStudy]:
    """Read what `save` wrote."""
    with np.load(path) as saved:
        ends = np.cumsum(saved["lengths"])[:-1]
        features, labels = np.split(saved["features"], ends), np.split(saved["labels"], ends)
        names = saved["names"].tolist()
    return [EmbeddedStudy(*name, *values) for name, *values in zip(names, features, labels, strict=True)]


def excerpt(study: TrainingStudy, rng: np.random.Generator, slices: int = EXCERPT) -> TrainingStudy:
    """Cut a run of slices out of a study, around a bleeding one if there is one: encoding takes most of the time."""
    bleeding = np.flatnonzero((study.labels == 1).any(axis=1))
    middle = int(rng.choice(bleeding)) if len(bleeding) else int(rng.integers(len(study.hu)))
    first = int(np.clip(middle - rng.integers(slices), 0, max(0, len(study.hu) - slices)))
    return study.part(slice(first, first + slices))


def _features(session: ort.InferenceSession, hu: NDArray[np.int16]) -> NDArray[np.float32]:
    parts = range(0, len(hu), MICRO_BATCH)
    return np.concatenate([session.run(["features"], {"hu": np.asarray(hu[i : i + MICRO_BATCH])})[0] for i in parts])


def fit_head(
    head: keras.Model,
    columns: Sequence[int],
    studies: Sequence[EmbeddedStudy],
    steps: int,
    rate: float,
    run: Path,
    lengths: Sequence[int] = LENGTHS,
    batch: int = 32,
) -> None:
    """Train a sequence head on random pieces of the studies; columns are the studies' labels that it gives."""
    models.normalise_features(head, np.concatenate([study.features for study in studies]))
    decay = keras.optimizers.schedules.CosineDecay(rate / 20, steps, 0.02, warmup_target=rate, warmup_steps=steps // 20)
    optimizer = keras.optimizers.AdamW(decay, weight_decay=0.02, clipnorm=1.0, use_ema=True, ema_momentum=0.99)
    head.compile(optimizer, {"slice": masked_loss(), "study": masked_loss()}, loss_weights={"slice": 1.0, "study": 0.5})
    epochs = 10
    head.fit(
        _pieces(studies, columns, lengths, batch),
        steps_per_epoch=steps // epochs,
        epochs=epochs,
        shuffle=False,  # pieces are drawn at random already
        verbose=2,
        callbacks=[keras.callbacks.CSVLogger(str(run / "head.csv"))],
    )


def _pieces(
    studies: Sequence[EmbeddedStudy], columns: Sequence[int], lengths: Sequence[int], batch: int
) -> Iterator[tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]]:
    """Endless batches: every source of studies equally often, every piece of a batch equally long."""
    rng = np.random.default_rng(0)
    groups: dict[str, list[EmbeddedStudy]] = {}
    for study in studies:
        known = study.labels[:, columns]
        if np.isfinite(known).any():
            bleeding = "with" if np.nanmax(known) > 0 else "without"
            groups.setdefault(f"{study.source} {bleeding}", []).append(study)
    # Implants weigh double, for they are the variety; so do heads without a bleed, for whole studies of them are few.
    roles = [role for role in groups for _ in range(1 if role.startswith("phe") else 2)]
    while True:
        length = int(rng.choice(lengths))
        drawn = [_piece(groups[roles[rng.integers(len(roles))]], length, rng) for _ in range(batch)]
        features, slices = (np.stack(part) for part in zip(*drawn, strict=True))
        slices = slices[:, :, columns]
        yield features, {"slice": slices, "study": study_labels(slices)}


def _piece(
    group: Sequence[EmbeddedStudy], length: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    study = group[int(rng.integers(len(group)))]
    start = rng.integers(0, max(1, len(study.features) - length + 1))
    index = np.arange(start, start + length)
    index = np.minimum(index, len(study.features) - 1)
    if rng.random() < 0.5:  # head first or feet first: neighbours are neighbours
        index = index[::-1]
    return study.features[index], study.labels[index]


def study_labels(slices: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, slices, labels) to (n, labels): 1 where any slice is, 0 where all are, nan where that is not known."""
    positive = (slices == 1).any(axis=1)
    return np.where(positive, 1.0, np.where(np.isnan(slices).any(axis=1), np.nan, 0.0)).astype(np.float32)
