from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from training import published
from training.data import TrainingStudy
from training.trained import Answer


class FakeModel:
    """Says of a slice what stands in its first pixel, in per cent."""

    labels: Sequence[str] = ("any", "subdural")
    slice_thresholds: Mapping[str, float] = {"any": 0.5, "subdural": 0.3}
    threshold = 0.5

    def run(self, hu: NDArray[np.int16]) -> Answer:
        p = np.stack([hu[:, 0, 0], hu[:, 0, 1]], axis=1) / 100
        return Answer(p, p.max(axis=0), np.zeros((len(hu), 1, 1, 2)))


def slice_of(patient: str, said: tuple[int, int], any_: float, subdural: float) -> TrainingStudy:
    hu = np.zeros((1, 2, 2), np.int16)
    hu[0, 0] = said
    labels = np.array([[any_, 0, 0, 0, 0, subdural]], np.float32)
    return TrainingStudy("rsna-more", patient, patient, hu, labels, None, ("one",))


STUDIES = [
    slice_of("a", (90, 80), 1, 1),
    slice_of("b", (70, 20), 1, 0),
    slice_of("c", (60, 40), 0, 0),
    slice_of("d", (10, 10), 0, np.nan),
]


def test_every_label_is_measured_where_it_is_known() -> None:
    judged = published.judge(FakeModel(), STUDIES)
    first, second = published.rows(FakeModel(), judged)
    assert first[:4] == ["any", "4", "2", "4"]
    assert [cell[:5] for cell in first[4:7]] == ["1.000", "1.000", "0.500"]
    assert second[:4] == ["subdural", "3", "1", "3"]
    assert [cell[:5] for cell in second[5:7]] == ["1.000", "0.500"]
    assert "an anecdote" in first[7]


def test_the_command_needs_the_collection(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["models/cranioscan", "--data", str(tmp_path), "--cache", str(tmp_path / "cache")]
    assert published.main(arguments) == 1
    assert "rsna-more" in capsys.readouterr().err
