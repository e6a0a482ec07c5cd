from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

evaluate = pytest.importorskip("training.evaluate")
sequences = pytest.importorskip("training.sequences")

NAN = float("nan")


class EchoHead:
    """Stands for a head: a slice's features are its logits, the study's are the largest."""

    def __call__(self, features: NDArray[np.float32], training: bool) -> dict[str, NDArray[np.float32]]:
        assert not training
        return {"slice": features, "study": features.max(axis=1)}


HEAD = EchoHead()


@pytest.fixture(autouse=True)
def _few_bootstraps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "_BOOTSTRAPS", 60)


def study(patient: str, logits: list[list[float]], truth: list[list[float]], source: str = "ours"):
    labels = np.full((len(truth), 6), NAN, np.float32)
    labels[:, : len(truth[0])] = truth
    return sequences.EmbeddedStudy(source, patient, patient, np.array(logits, np.float32), labels)


def drawn(patients: int, seed: int, slope: float = 1.0, shift: float = 0.0, positive: bool | None = None) -> list:
    """One-slice studies whose truth follows the logit: P(1) = sigmoid(slope * logit + shift)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, patients)
    truth = rng.random(patients) < 1 / (1 + np.exp(-(slope * logits + shift)))
    made = [study(f"p{seed}-{i}", [[x]], [[float(y)]]) for i, (x, y) in enumerate(zip(logits, truth, strict=True))]
    return [one for one in made if positive is None or bool(one.labels[0, 0]) == positive]


# ---------------------------------------------------------------- slice_auc


@pytest.mark.parametrize(
    ("truth", "score", "expected"),
    [
        ([0, 0, 1, 1], [1, 2, 3, 4], 1.0),
        ([1, 1, 0, 0], [1, 2, 3, 4], 0.0),
        ([0, 1, NAN], [1, 2, 9], 1.0),
        ([0, 1, 0, 1], [1, 1, 1, 1], 0.5),
        ([0, 0, NAN], [1, 2, 3], NAN),
        ([], [], NAN),
    ],
)
def test_slice_auc(truth: list[float], score: list[float], expected: float) -> None:
    found = evaluate.slice_auc(np.array(truth, np.float32), np.array(score, np.float32))
    assert found == pytest.approx(expected, nan_ok=True)


# ---------------------------------------------------------------- predict


def test_predict_lines_up_logits_truth_and_patients() -> None:
    some = [
        study("b", [[1, 2], [3, 0]], [[0, NAN], [1, 0]]),
        study("a", [[5, 6]], [[0, 0]]),
        study("b", [[7, 8]], [[NAN, 1]]),
    ]
    found = evaluate.predict(HEAD, some, [0, 1])
    logits, truth, patient = found["slice"]
    np.testing.assert_array_equal(logits, [[1, 2], [3, 0], [5, 6], [7, 8]])
    np.testing.assert_array_equal(truth, [[0, NAN], [1, 0], [0, 0], [NAN, 1]])
    np.testing.assert_array_equal(patient, [1, 1, 0, 1])
    logits, truth, patient = found["study"]
    np.testing.assert_array_equal(logits, [[3, 2], [5, 6], [7, 8]])
    np.testing.assert_array_equal(truth, [[1, NAN], [0, 0], [NAN, 1]])
    np.testing.assert_array_equal(patient, [1, 0, 1])


# ---------------------------------------------------------------- calibrate


def test_calibration_finds_the_slope_and_shift_of_the_truth() -> None:
    calibration = evaluate.calibrate(HEAD, drawn(4000, 0, slope=0.5, shift=-1), [study("i", [[0.0]], [[0]])], [0])
    assert calibration["slice"][0] == pytest.approx([0.5, -1], abs=0.1)
    assert calibration["study"][0] == pytest.approx([0.5, -1], abs=0.1)


def test_implants_leave_the_share_of_positives_as_it_was() -> None:
    real = drawn(600, 1, shift=-2)
    implants = drawn(3000, 2, positive=True)
    slope, intercept = evaluate.calibrate(HEAD, real, implants, [0])["study"][0]
    logits, truth, _ = evaluate.predict(HEAD, real, [0])["study"]
    probability = 1 / (1 + np.exp(-(slope * logits[:, 0] + intercept)))
    assert probability.mean() == pytest.approx(truth.mean(), abs=0.05)


@pytest.mark.parametrize(
    ("subtype", "borrowed"), [([NAN] * 400, True), ([0.0] * 400, True), ([1.0] * 2 + [0.0] * 398, True)]
)
def test_a_label_with_too_few_positives_borrows_from_any(subtype: list[float], borrowed: bool) -> None:
    real = [
        study(one.patient, [[one.features[0, 0]] * 2], [[one.labels[0, 0], kind]])
        for one, kind in zip(drawn(400, 3), subtype, strict=True)
    ]
    rows = evaluate.calibrate(HEAD, real, [study("i", [[0, 0]], [[0, 0]])], [0, 1])["study"]
    assert (rows[0] == rows[1]) is borrowed


def test_a_slope_is_never_negative() -> None:
    """Else a head that is wrong on a few patients would call the least suspicious slices bleeds."""
    upside_down = [study(str(i), [[-2.0 if i % 2 else 2.0]], [[float(i % 2)]]) for i in range(40)]
    assert evaluate.calibrate(HEAD, upside_down, [study("i", [[0.0]], [[0]])], [0])["slice"][0][0] == 0.05


# ---------------------------------------------------------------- operating points

AS_IS = {"slice": [[1.0, 0.0]], "study": [[1.0, 0.0]]}


def points(some: list, calibration: dict = AS_IS) -> dict[str, dict]:
    found = evaluate.operating_points(HEAD, calibration, some, [study("i", [[-9.0]], [[NAN]])], ("any",), [0])
    return {point["name"]: point for point in found["points"]} | {"thresholds": found["thresholds"]}


def test_points_reach_the_sensitivity_that_they_name() -> None:
    some = drawn(500, 4)
    truth = np.array([one.labels[0, 0] for one in some])
    score = 1 / (1 + np.exp(-np.array([one.features[0, 0] for one in some], np.float64)))
    found = points(some)
    assert set(found) == {"sensitivity 0.90", "sensitivity 0.95", "Youden", "thresholds"}
    for name, wanted in (("sensitivity 0.90", 0.90), ("sensitivity 0.95", 0.95)):
        point = found[name]
        called = score >= point["threshold"]
        assert wanted <= called[truth == 1].mean() < wanted + 0.01
        assert point["sensitivity"] == pytest.approx(called[truth == 1].mean(), abs=1e-3)
        assert point["specificity"] == pytest.approx(1 - called[truth == 0].mean(), abs=1e-3)
    assert found["thresholds"] == {"any": found["Youden"]["threshold"]}


def test_youden_parts_what_can_be_parted() -> None:
    some = [study(str(i), [[float(i)]], [[float(i > 3)]]) for i in range(-4, 9)]
    point = points(some)["Youden"]
    low, high = 1 / (1 + np.exp([-3.0, -4.0]))
    assert point["threshold"] == pytest.approx((low + high) / 2)
    assert (point["sensitivity"], point["specificity"]) == (1, 1)


def test_a_threshold_stands_between_scores_however_close_they_are() -> None:
    """Else its sensitivity and specificity would be those of another threshold."""
    some = [study(str(i), [[9.0 + i / 1000]], [[float(i > 3)]]) for i in range(8)]
    score = 1 / (1 + np.exp(-np.array([9.003, 9.004])))
    assert score[0] < points(some)["Youden"]["threshold"] < score[1]


def test_one_class_gives_no_figures_but_a_threshold() -> None:
    youden = evaluate._youden(np.zeros(5), np.linspace(0, 1, 5))
    assert youden["threshold"] == 0.5
    assert np.isnan([youden["sensitivity"], youden["specificity"]]).all()


# ---------------------------------------------------------------- measure


def test_measure_names_source_level_and_label() -> None:
    some = [*drawn(60, 5), study("r", [[0.0]], [[0]], source="rsna")]
    found = evaluate.measure(HEAD, AS_IS, some, ("any",), [0])
    assert set(found) == {"ours slice any", "ours study any", "rsna slice any", "rsna study any"}
    figures = found["ours slice any"]
    assert figures["n"] == figures["patients"] == 60
    assert figures["positives"] == figures["positive_patients"] == sum(one.labels[0, 0] == 1 for one in some)
    low, high = figures["auc_95"]
    assert 0.5 < low < figures["auc"] < high <= 1
    assert found["rsna study any"]["auc"] is None
    assert found["rsna study any"]["why"] == "only one class"


def test_figures_leave_out_what_is_unknown() -> None:
    some = [study(str(i), [[float(i)], [99.0]], [[float(i > 4)], [NAN]]) for i in range(10)]
    figures = evaluate.measure(HEAD, AS_IS, some, ("any",), [0])["ours slice any"]
    assert (figures["n"], figures["auc"], figures["ap"]) == (10, 1, 1)


def test_intervals_respect_patients() -> None:
    """Twenty copies of a slice are one patient's, and make nothing surer."""
    single = drawn(40, 6)
    copied = [study(one.patient, [one.features[0].tolist()] * 20, [[one.labels[0, 0]]] * 20) for one in single]
    widths = []
    for some in (single, copied):
        low, high = evaluate.measure(HEAD, AS_IS, some, ("any",), [0])["ours slice any"]["auc_95"]
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0], abs=0.03)
    assert widths[0] > 0.05


def test_with_one_positive_patient_there_is_hardly_an_interval() -> None:
    some = [study(str(i), [[float(i)]], [[float(i == 2)]]) for i in range(3)]
    figures = evaluate.measure(HEAD, AS_IS, some, ("any",), [0])["ours study any"]
    assert figures["positive_patients"] == 1
    assert figures["auc"] == 1


def test_the_brier_score_is_of_calibrated_probabilities() -> None:
    some = [study("a", [[0.0]], [[1]]), study("b", [[0.0]], [[0]])]
    sure = {"slice": [[1.0, np.log(4)]], "study": [[1.0, np.log(4)]]}
    figures = evaluate.measure(HEAD, sure, some, ("any",), [0])["ours slice any"]
    assert figures["brier"] == pytest.approx((0.2**2 + 0.8**2) / 2, abs=1e-4)


def test_summary_is_a_line_a_figure() -> None:
    assert evaluate.summary({"a": 1, "b": SimpleNamespace}).count("\n") == 1
