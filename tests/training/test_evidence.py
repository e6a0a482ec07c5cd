from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ichscope.labels import LABELS
from tests.support import tiny_model
from training import evidence
from training.evidence import Case, Tried, failures, main, on_phantoms, peak_inside, phantoms, summary, trial
from training.trained import Answer, Published


def square(row: int, column: int, size: int = 16, side: int = 2) -> np.ndarray:
    mask = np.zeros((1, size, size), bool)
    mask[0, row : row + side, column : column + side] = True
    return mask


@pytest.mark.parametrize(
    ("peak", "cells", "inside"),
    [
        ((3, 3), 0, True),
        ((3, 4), 0, False),
        ((3, 4), 1, True),
        ((2, 2), 1, True),
        ((3, 5), 1, False),
        ((3, 5), 2, True),
    ],
)
def test_a_peak_is_inside_up_to_some_cells_away(peak: tuple[int, int], cells: int, inside: bool) -> None:
    """Cells of two pixels; the mask is one whole cell, (3, 3)."""
    evidence = np.zeros((1, 8, 8), np.float32)
    evidence[0][peak] = 1
    assert peak_inside(evidence, square(6, 6), cells).tolist() == [inside]


def test_one_pixel_of_blood_makes_a_cell_and_slices_do_not_mix() -> None:
    evidence = np.zeros((3, 4, 4), np.float32)
    evidence[:, 1, 1] = 1
    mask = np.concatenate([square(7, 7, side=1), square(12, 12), square(4, 4, side=1)])
    assert peak_inside(evidence, mask, 0).tolist() == [True, False, True]


def test_nothing_detected_is_no_peak() -> None:
    assert peak_inside(np.zeros((0, 4, 4), np.float32), np.zeros((0, 16, 16), bool)).shape == (0,)


class Fake:
    """Sees everything in one corner, as sure as it is told."""

    labels = ("any", "subdural")
    slice_thresholds = {"any": 0.5, "subdural": 0.2}  # noqa: RUF012
    threshold = 0.5

    def __init__(self, slices: list[tuple[float, float]]) -> None:
        self._slices = np.array(slices, np.float32)

    def run(self, hu: np.ndarray) -> Answer:
        evidence = np.zeros((len(hu), 4, 4, 2), np.float32)
        evidence[:, 0, 0] = 1
        return Answer(self._slices, self._slices.max(axis=0), evidence)


def case(kinds: list[tuple[str, ...]], masks: list[np.ndarray]) -> Case:
    labels = np.array([[label in kind for label in LABELS] for kind in kinds], np.float32)
    return Case(np.zeros((len(kinds), 16, 16), np.int16), np.concatenate(masks), labels, "p", {"study": "s"})


def test_only_slices_that_are_rightly_detected_count() -> None:
    both, corner, far = ("any", "subdural"), square(0, 0), square(12, 12)
    tried = trial(
        Fake([(0.9, 0.3), (0.9, 0.1), (0.4, 0.9), (0.9, 0.9), (0.9, 0.9)]),
        [case([both, both, both, (), both], [corner, far, corner, corner, far])],
    )
    assert [inside for inside, _ in tried.inside["any"]] == [True, False, False]
    assert [inside for inside, _ in tried.inside["subdural"]] == [True, True, False]
    assert tried.slices == 8
    assert tried.studies == [{"study": "s", "probability": 0.9}]


def test_a_mask_of_two_kinds_tells_only_where_any_blood_is() -> None:
    tried = trial(Fake([(0.9, 0.9)]), [case([("any", "subdural", "epidural")], [square(0, 0)])])
    assert [len(tried.inside[label]) for label in ("any", "subdural")] == [1, 0]


def test_the_summary_pools_models_and_respects_patients() -> None:
    parts = [
        Tried({"any": [(True, f"{n}-{i}") for i in range(9)] + [(False, f"{n}-9")], "subdural": []}, 12, [])
        for n in range(2)
    ]
    share = summary(parts)
    assert (share["detected"], share["inside"], share["slices_with_a_bleed"]) == (20, 0.9, 24)
    assert share["by_label"]["subdural"] == {"detected": 0, "inside": None}
    low, high = share["inside_95"]
    assert 0.6 < low < 0.9 < high < 1
    one_patient = summary([Tried({"any": [(True, "p")] * 9 + [(False, "p")]}, 10, [])])
    assert one_patient["inside"] == 0.9
    assert one_patient["inside_95"] is None


def test_failures_are_misses_and_false_alarms() -> None:
    studies = [
        {"bleed": bleed, "seed": i, "probability": p}
        for i, (bleed, p) in enumerate([("subdural", 0.3), ("subdural", 0.5), (None, 0.5), (None, 0.1)])
    ]
    assert [study["seed"] for study in failures(studies, 0.5)] == [0, 2]


def test_phantoms_come_with_masks_where_the_model_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "SLICES", 3)
    monkeypatch.setattr(evidence, "SUBTYPES", ("intraparenchymal",))
    bleeding, normal = phantoms(seeds=1)
    assert bleeding.about == {"bleed": "intraparenchymal", "seed": 0, "slices": 3, "ml": pytest.approx(30, abs=29.9)}
    shown = bleeding.labels[:, 0] == 1
    assert bleeding.mask.any(axis=(1, 2)).tolist() == shown.tolist()
    assert bleeding.hu.shape == bleeding.mask.shape == (3, 224, 224)
    assert 45 < bleeding.hu[bleeding.mask].mean() < 85
    assert not normal.mask.any()
    assert normal.about["bleed"] is None


def test_a_published_model_is_tried_on_phantoms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tiny model's evidence is the share of pixels as dense as blood: right in a head without anything else."""
    monkeypatch.setattr(evidence, "SLICES", 3)
    monkeypatch.setattr(evidence, "SEEDS", 1)
    folder = tiny_model.build(tmp_path)
    tried = on_phantoms(Published(folder), seeds=1)
    assert set(tried["phantoms"]["flagged"]) == {*LABELS[1:], "none"}
    assert tried["phantoms"]["slices_with_a_bleed"] > 10
    missed = sum(failure["bleed"] is not None for failure in tried["failures"])
    assert missed == 5 - sum(tried["phantoms"]["flagged"][label]["flagged"] for label in LABELS[1:])
    json.dumps(tried)
    monkeypatch.setattr(evidence, "on_phantoms", lambda _: tried)
    assert main([str(folder)]) == 0
    assert "phantoms: peak inside the bleed" in capsys.readouterr().out


def test_a_folder_of_neither_kind_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path)])
    assert "expected card.json of a model, or metrics.json of measured runs" in capsys.readouterr().err
