from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support import run_builder
from tests.support.run_builder import NAN, Study
from training.out_of_fold import FINAL, read, read_runs

LABELS = ("any", "subdural")


def study(name: str, truth: list[list[float]], source: str = "ct-ich") -> Study:
    return Study(source, f"p-{name}", name, np.array(truth), np.arange(2.0 * len(truth)).reshape(-1, 2))


def test_a_run_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    run_builder.write(path, LABELS, [study("s", [[0, NAN]] * 4 + [[1, 1]]), study("t", [[0, 0]])])
    predictions = read(path, 3)
    assert predictions.labels == LABELS
    assert predictions.level.tolist() == ["slice"] * 5 + ["study", "slice", "picture"]
    assert predictions.place.tolist() == [0, 1, 2, 3, 4, -1, 0, -1]
    assert predictions.patient.tolist() == ["p-s"] * 6 + ["p-t"] * 2
    assert set(predictions.fold.tolist()) == {3}
    np.testing.assert_array_equal(predictions.truth[[0, 4, 5, 7]], [[0, NAN], [1, 1], [1, 1], [0, 0]])
    np.testing.assert_array_equal(predictions.logit[[1, 5]], [[2, 3], [9, 10]])


def test_runs_are_read_together_and_know_who_was_held_out(tmp_path: Path) -> None:
    normal = [[0.0, 0.0]] * 5
    for fold in (0, 1, 10):
        picture = study("r", [[1, 0]], "rsna-sample")
        run_builder.write(tmp_path / f"fold-{fold}" / "predictions.csv", LABELS, [study(f"s{fold}", normal), picture])
    run_builder.write(tmp_path / "final" / "predictions.csv", LABELS, [study("r", [[1, 0]], "rsna-sample")])
    runs = read_runs(tmp_path)
    assert runs.folds == [0, 1, 10]
    assert set(runs.study[runs.held_out].tolist()) == {"s0", "s1", "s10"}
    assert sorted(set(runs.fold[runs.study == "r"].tolist())) == [FINAL, 0, 1, 10]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("source,patient,study,slice,truth any\n", "expected a column 'logit any'"),
        ("source,patient,slice,truth any,logit any\n", "expected a column 'study'"),
        ("", "found none"),
        ("source,patient,study,slice,truth any,logit any\na,b,c,0,1,much\n", "line 2: .*'much'"),
        ("source,patient,study,slice,truth any,logit any\na,b,c,0,1,2\na,b,c,first,1,2\n", "line 3: .*'first'"),
        ("source,patient,study,slice,truth any,logit any\na,b,c,0\n", "line 2"),
    ],
)
def test_what_training_does_not_write_is_refused_by_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=says):
        read(path, 0)


def test_a_folder_without_runs_and_runs_of_two_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected fold-0/predictions\.csv"):
        read_runs(tmp_path)
    run_builder.write(tmp_path / "fold-0" / "predictions.csv", LABELS, [study("s", [[0, 0]])])
    run_builder.write(tmp_path / "fold-1" / "predictions.csv", ("any", "epidural"), [study("t", [[0, 0]])])
    with pytest.raises(ValueError, match="expected runs with the same labels"):
        read_runs(tmp_path)
