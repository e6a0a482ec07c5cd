from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.embedded import EmbeddedStudy, save
from training.source_probe import UNSEEN_FILE, Slices, as_table, main, probe, told_apart


def studies(source: str, bleeds: bool, shift: float, count: int = 40, seed: int = 0) -> list[EmbeddedStudy]:
    """Slices that come alone; `shift` is how different this collection's features are."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((1, 6), np.float32)
    labels[0, [0, 5]] = bleeds
    name = f"{source}/{bleeds}"
    return [
        EmbeddedStudy(source, f"{name}{i}", f"{name}{i}", rng.normal(shift, 1, (1, 6)).astype(np.float32), labels)
        for i in range(count)
    ]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two folds in which normal slices of two collections are alike, and bleeding ones are not."""
    for fold in range(2):
        kept = [
            *studies("ct-ich", False, 0, seed=1),
            *studies("rsna-more", False, 0, seed=2),
            *studies("ct-ich", True, 0, seed=3),
            *studies("rsna-more", True, 3, seed=4),
            *studies("rsna-sample", True, 9, count=5, seed=5),
            *studies("implanted", True, 9, seed=6),
        ]
        (tmp_path / f"fold-{fold}").mkdir()
        save(kept, tmp_path / f"fold-{fold}" / UNSEEN_FILE)
    return tmp_path


def test_within_a_label_collections_that_look_alike_are_not_told_apart(runs: Path) -> None:
    alike, different = told_apart(runs)
    assert (alike["bleed"], different["bleed"]) == (False, True)
    assert alike["collections"] == different["collections"] == ["ct-ich", "rsna-more"]
    assert alike["slices"] == [40, 40]
    assert alike["auc"] == pytest.approx(0.5, abs=0.15)
    assert different["auc"] > 0.99


def test_a_patient_does_not_teach_the_probe_about_itself() -> None:
    """Slices of a patient are alike; a probe that saw some of them would know the others."""
    rng = np.random.default_rng(0)

    def collection(name: str) -> Slices:
        of_patient = rng.normal(size=(12, 300)).astype(np.float32)
        features = np.repeat(of_patient, 8, axis=0) + rng.normal(0, 0.01, (96, 300)).astype(np.float32)
        return Slices(features, np.repeat([f"{name}{i}" for i in range(12)], 8))

    assert probe(collection("a"), collection("b")) == pytest.approx(0.5, abs=0.3)


def test_the_table_is_printed(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(runs)]) == 0
    printed = capsys.readouterr().out
    assert printed.strip() == as_table(told_apart(runs)).strip()
    assert "| with a bleed | ct-ich | rsna-more | 40 | 40 |" in printed


def test_without_features_it_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 1
    assert UNSEEN_FILE in capsys.readouterr().err
