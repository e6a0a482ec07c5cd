from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

predictions = pytest.importorskip("training.predictions")
sequences = pytest.importorskip("training.sequences")

LABELS = ("any", "subdural")


def head(features: np.ndarray, training: bool) -> dict[str, np.ndarray]:
    """Logits of a slice are its feature and its negative; of a study, the sum of all, so that company matters."""
    assert not training
    slices = np.concatenate([features, -features], axis=-1)
    return {"slice": slices, "study": slices.sum(axis=1)}


@pytest.fixture
def study():
    labels = np.zeros((3, 6), np.float32)
    labels[1, [0, 5]] = 1
    labels[2, 5] = np.nan
    return sequences.EmbeddedStudy("ours", "ours/p", "ours/p/1", np.array([[1.0], [2.0], [4.0]], np.float32), labels)


def test_a_row_a_slice_and_one_for_the_study(study, tmp_path: Path) -> None:
    predictions.write(predictions.predict(head, [study, study], LABELS, [0, 5], alone=False), tmp_path)
    table = pd.read_csv(tmp_path / predictions.FILE)
    assert len(table) == 8
    assert set(table["source"]) == {"ours"}
    slices, whole = table[:3], table[3:4]
    assert slices["slice"].tolist() == [0, 1, 2]
    assert whole["slice"].isna().all()
    np.testing.assert_array_equal(slices["truth any"], [0, 1, 0])
    np.testing.assert_array_equal(slices["truth subdural"], [0, 1, np.nan])
    np.testing.assert_array_equal(slices["logit any"], [1, 2, 4])
    np.testing.assert_array_equal(slices["logit subdural"], [-1, -2, -4])
    assert whole[["truth any", "truth subdural", "logit any", "logit subdural"]].to_numpy().tolist() == [[1, 1, 7, -7]]


def test_alone_a_study_is_its_worst_slice(study) -> None:
    table = predictions.predict(head, [study], LABELS, [0, 5], alone=True)
    assert table["logit any"].tolist() == [1, 2, 4, 4]
    assert table["logit subdural"].tolist() == [-1, -2, -4, -1]
