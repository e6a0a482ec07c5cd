"""The second half of training: a head over the slices of a study, on the features of a trained encoder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ichscope.models import providers
from ichscope.models.detector import MICRO_BATCH
from training import models
from training.augment import augment
from training.batches import IMPLANTED, masked_loss
from training.data import TrainingStudy
from training.embedded import EmbeddedStudy, labels_of_study

# Lengths of the pieces of studies that the head trains on: one picture up to a thin-slice half head. All pieces of
# a batch have the same length, so nothing is padded or masked, and the ONNX files stay plain.
LENGTHS = (1, 4, 12, 24)
EXCERPT = 12


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
            study.study_labels,
        )
        for study in studies
        for _ in range(copies)
    ]


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
    eagerly: bool = False,
) -> None:
    """Train a sequence head on random pieces of the studies; columns are the studies' labels that it gives.

    eagerly : spare the time to compile a graph, which a few steps do not pay back
    """
    models.normalise_features(head, np.concatenate([study.features for study in studies]))
    decay = keras.optimizers.schedules.CosineDecay(rate / 20, steps, 0.02, warmup_target=rate, warmup_steps=steps // 20)
    optimizer = keras.optimizers.AdamW(decay, weight_decay=0.02, clipnorm=1.0, use_ema=True, ema_momentum=0.99)
    head.compile(
        optimizer,
        {"slice": masked_loss(), "study": masked_loss()},
        loss_weights={"slice": 1.0, "study": 0.5},
        run_eagerly=eagerly,
    )
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
    """Endless batches: every hospital's bleeds and others by their weight, every piece of a batch equally long.

    A slice that comes alone is a piece of one; longer pieces are of studies with neighbours, where there are any.
    """
    rng = np.random.default_rng(0)
    known = [study for study in studies if _is_known(study, columns)]
    if not known:
        raise ValueError("expected a study with a known label for the head to learn from, found none")
    neighbours = [study for study in known if len(study.features) > 1]
    if not neighbours:
        lengths = (1,)
    alone, together = _roles(known, columns), _roles(neighbours, columns)
    while True:
        length = int(rng.choice(lengths))
        roles = alone if length == 1 else together
        drawn = [_piece(roles[rng.integers(len(roles))], length, rng) for _ in range(batch)]
        features, slices, whole = (np.stack(part) for part in zip(*drawn, strict=True))
        yield features, {"slice": slices[:, :, columns], "study": whole[:, columns]}


def _is_known(study: EmbeddedStudy, columns: Sequence[int]) -> bool:
    return bool(np.isfinite(study.labels[:, columns]).any() or np.isfinite(study.whole_labels[columns]).any())


def _roles(studies: Sequence[EmbeddedStudy], columns: Sequence[int]) -> list[list[list[EmbeddedStudy]]]:
    """Studies of a role by source; roles and sources are drawn equally often, whatever their size.

    A hospital with bleeds and others has two roles, which stand twice, as implants do, for they are the variety; one
    whose studies all bleed, or none of them, stands once.
    """
    groups: dict[tuple[str, bool], dict[str, list[EmbeddedStudy]]] = {}
    for study in studies:
        known = np.concatenate([study.labels[:, columns].ravel(), study.whole_labels[columns]])
        hospital = IMPLANTED if study.source == IMPLANTED else study.hospital
        groups.setdefault((hospital, bool((known == 1).any())), {}).setdefault(study.source, []).append(study)
    roles = []
    for (hospital, bleeds), sources in groups.items():
        both = (hospital, not bleeds) in groups or hospital == IMPLANTED
        roles += [list(sources.values())] * (2 if both else 1)
    return roles


def _piece(
    role: Sequence[Sequence[EmbeddedStudy]], length: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Features and labels (length, ...) of a run of neighbours, and labels (6,) of it as a whole."""
    group = role[int(rng.integers(len(role)))]
    study = group[int(rng.integers(len(group)))]
    if length == max(LENGTHS) and study.study_labels is not None:
        index = np.rint(np.linspace(0, len(study.features) - 1, length)).astype(int)
    else:
        start = rng.integers(0, max(1, len(study.features) - length + 1))
        index = np.minimum(np.arange(start, start + length), len(study.features) - 1)
    if rng.random() < 0.5:  # head first or feet first: neighbours are neighbours
        index = index[::-1]
    slices = study.labels[index]
    whole = labels_of_study(slices[None])[0]
    # What readers said of the study holds of a piece that goes from end to end of it.
    if index.min() == 0 and index.max() == len(study.features) - 1:
        whole = np.where(np.isnan(whole), study.whole_labels, whole)
    return study.features[index], slices, whole
