"""Contact sheets of what the folds get wrong."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

mistakes = pytest.importorskip("training.mistakes")
study_module = pytest.importorskip("training.data.study")
run_builder = pytest.importorskip("tests.support.run_builder")
out_of_fold = pytest.importorskip("training.out_of_fold")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    truth = np.array([[0.0, 0], [0, 0], [1, 1], [1, 1], [np.nan, np.nan]])
    logits = np.array([[-3.0, 0], [4, 0], [2, 0], [-5, 0], [9, 0]])
    folder = tmp_path / "runs"
    one = run_builder.Study("ct-ich", "ct-ich/1", "ct-ich/1/a", truth, logits)
    run_builder.write(folder / "fold-0" / "predictions.csv", ("any", "subdural"), [one])
    trained = run_builder.Study("ct-ich", "ct-ich/2", "ct-ich/2/b", truth, logits + 10)
    run_builder.write(folder / "final" / "predictions.csv", ("any", "subdural"), [trained])
    return folder


def test_the_worst_come_first_and_the_final_run_does_not_count(runs: Path) -> None:
    found = mistakes.mistakes(out_of_fold.read_runs(runs), "ct-ich", 5)
    assert [(m.study, m.place, m.logit) for m in found["false alarm"]] == [("ct-ich/1/a", 1, 4), ("ct-ich/1/a", 0, -3)]
    assert [(m.place, m.logit) for m in found["miss"]] == [(3, -5), (2, 2)]
    assert len(mistakes.mistakes(out_of_fold.read_runs(runs), "ct-ich", 1)["miss"]) == 1
    with pytest.raises(ValueError, match="expected slices of bhsd that a fold held back, found only ct-ich"):
        mistakes.mistakes(out_of_fold.read_runs(runs), "bhsd", 1)


def test_sheets_and_list(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hu = np.full((5, 224, 224), 40, np.int16)
    one = study_module.training_study("ct-ich", "ct-ich/1", "ct-ich/1/a", hu, np.zeros((5, 6), np.float32), "abcde")
    monkeypatch.setattr(mistakes, "load", lambda *_: [one])
    assert mistakes.main([str(runs), "--source", "ct-ich", "--out", str(tmp_path / "sheets")]) == 0
    rows = list(csv.DictReader((tmp_path / "sheets" / "mistakes.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["kind"], row["number"], row["slice"], row["cause"]) for row in rows] == [
        ("false alarm", "1", "1", ""),
        ("false alarm", "2", "0", ""),
        ("miss", "1", "3", ""),
        ("miss", "2", "2", ""),
    ]
    with Image.open(tmp_path / "sheets" / "false-alarms-1.png") as sheet:
        assert sheet.size == (6 * 224, 4 * 238)
        assert sheet.getpixel((100, 100)) == 127
        assert sheet.getpixel((5 * 224, 100)) == 0, "no third slice"


def test_no_slice_of_a_patient_is_written_into_the_repository(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inside = Path(mistakes.__file__).parent / "sheets"
    with pytest.raises(SystemExit):
        mistakes.main([str(runs), "--source", "ct-ich", "--out", str(inside)])
    assert "no slice of a patient belongs" in capsys.readouterr().err
    assert not inside.exists()
