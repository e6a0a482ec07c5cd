"""What a trained run says about studies that it has not seen, as a table that `training.evaluate` reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ichscope.atomic import replacing
from training.embedded import EmbeddedStudy

FILE = "predictions.csv"


def predict(
    head: keras.Model, studies: Sequence[EmbeddedStudy], labels: Sequence[str], columns: Sequence[int], alone: bool
) -> pd.DataFrame:
    """Table of one row a slice and, with `slice` empty, one a study.

    Columns are source, patient, study, slice, and for each label its truth (empty where unknown) and raw logit.

    Parameters
    ----------
    alone : show the head every slice on its own, and take the highest for the study
    """
    tables = []
    for study in studies:
        slices, whole = _logits(head, study.features, alone)
        truth = study.labels[:, columns]
        values = np.concatenate(
            [np.hstack([truth, slices]), np.hstack([study.whole_labels[None, columns], whole])],
        )
        names = [f"{what} {label}" for what in ("truth", "logit") for label in labels]
        table = pd.DataFrame(values.astype(np.float32), columns=names)
        table.insert(0, "slice", pd.Series([*range(len(slices)), None], dtype="Int64"))
        for column in ("study", "patient", "source"):
            table.insert(0, column, getattr(study, column))
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _logits(
    head: keras.Model, features: NDArray[np.float32], alone: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(slices, labels) and (1, labels)."""
    out = head(features[:, None] if alone else features[None], training=False)
    slices, study = np.asarray(out["slice"]), np.asarray(out["study"])
    return slices.reshape(len(features), -1), study.max(axis=0, keepdims=True)


def write(table: pd.DataFrame, run: Path) -> None:
    """Save as runs/<name>/<fold>/predictions.csv, whole or not at all."""
    with replacing(run / FILE) as part:
        table.to_csv(part, index=False, float_format="%.5g")
