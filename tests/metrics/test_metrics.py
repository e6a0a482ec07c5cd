"""Figures against scikit-learn, against formulas written out the slow way, and at their limits."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve as sk_calibration_curve
from sklearn.linear_model import LogisticRegression

from ichscope import metrics
from ichscope.metrics import Estimate
from ichscope.metrics.sample import ThresholdCounts, known

SEEDS = [0, 1, 2]


def draw(seed: int, n: int = 400, ties: bool = False, share: float = 0.25) -> tuple[np.ndarray, np.ndarray]:
    """Truth and probabilities that say something about it, with or without many equal ones."""
    random = np.random.default_rng(seed)
    truth = (random.random(n) < share).astype(float)
    score = 1 / (1 + np.exp(1 - random.normal(size=n) - 1.2 * truth))
    return truth, np.round(score, 1) if ties else score


def plain(value: Any) -> Any:
    """Everything a result holds, as numbers and texts."""
    if dataclasses.is_dataclass(value):
        return [plain(getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [plain(one) for one in value] if isinstance(value, (tuple, list)) else value


def numbers(value: Any) -> list[float]:
    if isinstance(value, list):
        return [number for one in value for number in numbers(one)]
    return [value] if isinstance(value, float) else []


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_figures_are_those_of_scikit_learn(seed: int, ties: bool) -> None:
    truth, p = draw(seed, ties=ties)
    assert metrics.roc_auc(truth, p).value == pytest.approx(sk.roc_auc_score(truth, p), abs=1e-12)
    assert metrics.average_precision(truth, p).value == pytest.approx(sk.average_precision_score(truth, p), abs=1e-12)
    assert metrics.brier(truth, p).value == pytest.approx(sk.brier_score_loss(truth, p), abs=1e-12)
    point = metrics.at_threshold(truth, p, 0.4)
    tn, fp, fn, tp = sk.confusion_matrix(truth, p >= 0.4).ravel()
    assert dataclasses.astuple(point.confusion) == (tp, fp, tn, fn)
    assert point.sensitivity.value == pytest.approx(sk.recall_score(truth, p >= 0.4))
    assert point.ppv.value == pytest.approx(sk.precision_score(truth, p >= 0.4))
    fpr, tpr, thresholds = sk.roc_curve(truth, p, drop_intermediate=False)
    curve = metrics.roc_curve(truth, p)
    np.testing.assert_allclose(np.stack([1 - curve.specificity, curve.sensitivity]), np.stack([fpr, tpr]), atol=1e-12)
    np.testing.assert_array_equal(curve.threshold, thresholds)
    precision, recall, _ = sk.precision_recall_curve(truth, p)
    pr = metrics.pr_curve(truth, p)
    np.testing.assert_allclose(pr.ppv[::-1], precision[:-1], atol=1e-12)
    np.testing.assert_allclose(pr.sensitivity[::-1], recall[:-1], atol=1e-12)


@pytest.mark.parametrize("quantile", [False, True])
def test_calibration_curve_is_that_of_scikit_learn(quantile: bool) -> None:
    truth, p = draw(3)
    share, mean = sk_calibration_curve(truth, p, n_bins=10, strategy="quantile" if quantile else "uniform")
    found = metrics.calibration_curve(truth, p, 10, quantile=quantile)
    np.testing.assert_allclose([one.probability for one in found], mean, atol=1e-12)
    np.testing.assert_allclose([one.positive.value for one in found], share, atol=1e-12)
    error = sum(one.rows * abs(one.probability - one.positive.value) for one in found) / len(truth)
    assert metrics.expected_calibration_error(truth, p, quantile=quantile).value == pytest.approx(error, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_calibration_line_of_a_useless_or_contrary_model_is_found_too(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = (rng.random(60) < 0.4).astype(float)
    p = np.clip(rng.random(60) ** 3 - 0.05 * seed * truth, 0, 1)
    p = np.clip(p, 1e-9, 1 - 1e-9)
    x = np.log(p / (1 - p))[:, None]
    fitted = LogisticRegression(C=np.inf, tol=1e-10).fit(x, truth)
    assert metrics.calibration_line(truth, p).slope.value == pytest.approx(fitted.coef_[0, 0], abs=1e-5)


def test_probabilities_that_separate_the_classes_have_no_slope() -> None:
    p = np.linspace(0.1, 0.9, 40)
    assert metrics.calibration_line(p > 0.5, p).slope.reason == "not estimable: the probabilities separate the classes"


def test_calibration_line_is_that_of_a_logistic_regression() -> None:
    truth, p = draw(4, 2000)
    x = np.log(p / (1 - p))
    line = metrics.calibration_line(truth, p)
    fit = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(x[:, None], truth)
    assert line.slope.value == pytest.approx(fit.coef_[0, 0], abs=1e-5)
    shifted = 1 / (1 + np.exp(-x - line.intercept.value))
    assert shifted.mean() == pytest.approx(truth.mean(), abs=1e-9)
    assert line.slope.low < line.slope.value < line.slope.high


def test_weighted_log_loss_is_the_mean_over_labels_with_any_counted_twice() -> None:
    random = np.random.default_rng(5)
    truth, p = (random.random((300, 6)) < 0.2).astype(float), random.uniform(0.01, 0.99, (300, 6))
    each = [sk.log_loss(truth[:, i], p[:, i]) for i in range(6)]
    found = metrics.weighted_log_loss(truth, p)
    assert found.value == pytest.approx((2 * each[0] + sum(each[1:])) / 7)
    assert found.low < found.value < found.high
    floor = [sk.log_loss(truth[:, i], np.full(300, truth[:, i].mean())) for i in range(6)]
    assert metrics.log_loss_floor(truth).value == pytest.approx((2 * floor[0] + sum(floor[1:])) / 7)


def test_log_loss_leaves_unknown_cells_out_and_survives_certainty() -> None:
    truth, p = np.array([[1.0, 0.0], [np.nan, 1.0]]), np.array([[1.0, 0.5], [0.2, 0.0]])
    found = metrics.weighted_log_loss(truth, p, weights=(2, 1))
    assert found.value == pytest.approx((0 + math.log(2) - math.log(1e-15)) / 4)
    assert metrics.weighted_log_loss(np.full((2, 6), np.nan), np.full((2, 6), 0.5)).value is None
    assert metrics.log_loss_floor(np.full((2, 6), np.nan)).value is None
    assert metrics.log_loss_floor([[1.0, 0.0], [np.nan, 1.0]], (2, 1)).value == pytest.approx(2 * math.log(2) / 4)


def slow_covariance(truth: np.ndarray, scores: np.ndarray, patient: np.ndarray) -> np.ndarray:
    """Obuchowski (1997), formula by formula and pair by pair."""
    positive, negative = np.flatnonzero(truth == 1), np.flatnonzero(truth == 0)
    m, n = len(positive), len(negative)
    v10, v01, theta = [], [], []
    for score in scores:
        wins = (score[positive][:, None] > score[negative]) + 0.5 * (score[positive][:, None] == score[negative])
        v10.append(wins.mean(1))
        v01.append(wins.mean(0))
        theta.append(wins.mean())
    ids = np.unique(patient)
    a = np.array([[(v[patient[positive] == i] - t).sum() for i in ids] for v, t in zip(v10, theta, strict=True)])
    b = np.array([[(v[patient[negative] == i] - t).sum() for i in ids] for v, t in zip(v01, theta, strict=True)])
    i10, i01, i = len(set(patient[positive])), len(set(patient[negative])), len(ids)
    s10, s01 = i10 / ((i10 - 1) * m) * a @ a.T, i01 / ((i01 - 1) * n) * b @ b.T
    s11 = i / (i - 1) * (a @ b.T)
    return s10 / m + s01 / n + (s11 + s11.T) / (m * n)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("rows_a_patient", [1, 4])
def test_auc_varies_as_obuchowski_says(ties: bool, rows_a_patient: int) -> None:
    truth, p = draw(6, 200, ties)
    other = np.random.default_rng(7).permutation(p) + p
    patient = np.arange(200) // rows_a_patient
    variance = slow_covariance(truth, np.array([p, other]), patient)
    found = metrics.roc_auc(truth, p, patient, interval="delong")
    assert found.method == ("DeLong" if rows_a_patient == 1 else "Obuchowski")
    assert (found.high - found.low) / 2 == pytest.approx(1.959963984540054 * math.sqrt(variance[0, 0]), abs=1e-12)
    paired = metrics.compare_auc(truth, p, other, patient)
    error = math.sqrt(variance[0, 0] + variance[1, 1] - 2 * variance[0, 1])
    assert paired.difference.value == pytest.approx(paired.first.value - paired.second.value)
    assert (paired.difference.high - paired.difference.low) / 2 == pytest.approx(1.959963984540054 * error)
    assert paired.p == pytest.approx(math.erfc(abs(paired.difference.value) / error / math.sqrt(2)))


def test_patients_may_be_names_or_numbers_and_their_order_does_not_matter() -> None:
    truth, p = draw(8, 120)
    number = np.arange(120) // 3
    shuffled = np.random.default_rng(0).permutation(120)
    by_number = metrics.roc_auc(truth, p, number)
    for patients in (number * 1_000_000, -number, np.array([f"P{i}" for i in number])):
        assert plain(metrics.roc_auc(truth, p, patients)) == plain(by_number)
    assert metrics.roc_auc(truth[shuffled], p[shuffled], number[shuffled]).low == pytest.approx(by_number.low)


def test_unknown_truth_and_unknown_scores_are_left_out() -> None:
    truth, p = draw(9, 300)
    patient = np.arange(300) // 2
    with_gaps, scored = truth.copy(), p.copy()
    with_gaps[::5] = np.nan
    scored[1::5] = np.nan
    keep = ~np.isnan(with_gaps + scored)
    for function in (metrics.roc_auc, metrics.average_precision, metrics.brier, metrics.calibration_line):
        assert plain(function(with_gaps, scored, patients=patient)) == plain(
            function(truth[keep], p[keep], patients=patient[keep])
        )
    assert (
        metrics.at_threshold(with_gaps, scored, 0.5).confusion
        == metrics.at_threshold(truth[keep], p[keep], 0.5).confusion
    )


@pytest.mark.parametrize("rows_a_patient", [1, 3])
@pytest.mark.parametrize("name", ["average_precision", "brier"])
def test_intervals_of_the_jackknife_are_those_of_a_bootstrap(name: str, rows_a_patient: int) -> None:
    """A bootstrap over patients finds the same width, on large data, within its own noise."""
    truth, p = draw(10, 1200)
    patient = np.arange(1200) // rows_a_patient
    if rows_a_patient > 1:  # rows of a patient are alike, so that leaving the patients out would be wrong
        truth, p = np.repeat(truth[::3], 3), np.repeat(p[::3], 3)
    scikit = {"average_precision": sk.average_precision_score, "brier": sk.brier_score_loss}[name]
    random = np.random.default_rng(11)
    rows = np.arange(1200).reshape(-1, rows_a_patient)
    drawn = (rows[random.integers(0, len(rows), len(rows))].ravel() for _ in range(200))
    low, high = np.quantile([scikit(truth[i], p[i]) for i in drawn], (0.025, 0.975))
    found = getattr(metrics, name)(truth, p, patients=patient)
    assert found.high - found.low == pytest.approx(high - low, rel=0.2)


def test_wilson_intervals_are_those_of_the_book() -> None:
    """Newcombe, Statistics in Medicine 1998, table I: 81 of 263, 15 of 148, 0 of 20 and 1 of 29."""
    for hits, rows, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        truth, score = np.ones(rows), np.arange(rows) < hits
        found = metrics.at_threshold(truth, score, 0.5).sensitivity
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_rows_that_repeat_a_patient_do_not_narrow_an_interval() -> None:
    truth, p = draw(12, 200)
    once = metrics.at_threshold(truth, p, 0.4)
    again = metrics.at_threshold(np.tile(truth, 5), np.tile(p, 5), 0.4, np.tile(np.arange(200), 5))
    for name in ("sensitivity", "specificity", "ppv", "npv"):
        few, many = getattr(once, name), getattr(again, name)
        assert many.value == pytest.approx(few.value)
        assert many.high - many.low == pytest.approx(few.high - few.low, rel=0.05)
    for function in (metrics.roc_auc, metrics.average_precision, metrics.brier):
        few = function(truth, p)
        many = function(np.tile(truth, 5), np.tile(p, 5), np.tile(np.arange(200), 5))
        assert many.high - many.low == pytest.approx(few.high - few.low, rel=0.01), function.__name__


def test_a_proportion_that_is_the_same_in_all_rows_counts_patients() -> None:
    found = metrics.at_threshold([1, 1, 1, 1, 0], [1, 1, 1, 1, 0], 0.5, [1, 1, 2, 2, 3])
    assert (found.sensitivity.low, found.sensitivity.method) == (
        pytest.approx(2 / (2 + 1.95996**2), abs=1e-4),
        "Wilson, effective n",
    )
    alone = metrics.at_threshold([1, 1], [1, 0], 0.5, [1, 1]).sensitivity
    assert (alone.value, alone.low) == (0.5, None)
    assert "one patient" in alone.reason


@pytest.mark.parametrize("wanted", [0.0, 0.5, 0.9, 0.95, 1.0])
def test_operating_points_reach_what_is_wanted_and_not_more(wanted: float) -> None:
    truth, p = draw(13, 300, ties=True)
    scores = np.unique(p)
    at_sensitivity = metrics.operating_point_at_sensitivity(truth, p, wanted)
    reached = [t for t in (*scores, np.inf) if (p >= t)[truth == 1].mean() >= wanted]
    assert ((p >= at_sensitivity.threshold) == (p >= max(reached))).all()
    at_specificity = metrics.operating_point_at_specificity(truth, p, wanted)
    reached = [t for t in (*scores, np.inf) if (p < t)[truth == 0].mean() >= wanted]
    assert ((p >= at_specificity.threshold) == (p >= min(reached))).all()
    for point in (at_sensitivity, at_specificity):
        found = metrics.at_threshold(truth, p, point.threshold)
        assert (found.sensitivity.value, found.specificity.value) == pytest.approx(
            (point.sensitivity, point.specificity)
        )


def test_nine_of_ten_positives_are_a_sensitivity_of_nine_tenths() -> None:
    """0.9 * 10 must not become a tenth positive by rounding."""
    truth, score = [1] * 10 + [0] * 10, [*range(20, 10, -1), *range(10)]
    assert metrics.operating_point_at_sensitivity(truth, score, 0.9).sensitivity == 0.9
    assert (
        metrics.operating_point_at_specificity([0] * 10 + [1] * 10, [*range(20, 10, -1), *range(10)], 0.7).specificity
        == 0.7
    )


def test_youden_is_the_largest_sum_and_of_equals_the_most_sensitive() -> None:
    truth, p = draw(14, ties=True)
    point = metrics.youden(truth, p)
    curve = metrics.roc_curve(truth, p)
    assert point.sensitivity + point.specificity == pytest.approx((curve.sensitivity + curve.specificity).max())
    assert metrics.youden([1, 0, 1, 0], [4, 3, 2, 1]).sensitivity == 1


def test_thresholds_stand_half_way_to_the_next_lower_score() -> None:
    truth, score = [1, 1, 0, 0], [0.8, 0.6, 0.2, 0.1]
    assert metrics.youden(truth, score).threshold == pytest.approx(0.4)
    assert metrics.operating_point_at_sensitivity(truth, score, 0.5).threshold == pytest.approx(0.7)
    assert metrics.operating_point_at_specificity(truth, score, 0.0).threshold == 0.1
    assert metrics.operating_point_at_specificity([0, 1], [0.9, 0.1], 1.0).threshold > 0.9
    neighbours = [1.0, math.nextafter(1.0, 0)]
    assert metrics.at_threshold([1, 0], neighbours, metrics.youden([1, 0], neighbours).threshold).confusion.fp == 0


def test_an_auc_of_one_has_an_interval() -> None:
    truth = np.r_[np.ones(6), np.zeros(200)]
    found = metrics.roc_auc(truth, truth)
    assert found.value == found.high == 1
    assert 0.5 < found.low < 0.95
    assert "Newcombe" in found.method
    assert "only 6 positive patients" in found.reason
    plain_interval = metrics.roc_auc(truth, truth, interval="delong")
    assert (plain_interval.low, plain_interval.high) == (1, 1)
    assert metrics.roc_auc(1 - truth, truth).low == 0


def test_with_enough_patients_the_interval_is_delongs() -> None:
    truth, p = draw(15, 2000)
    assert plain(metrics.roc_auc(truth, p)) == plain(metrics.roc_auc(truth, p, interval="delong"))


def test_errors_so_small_that_their_squares_vanish() -> None:
    found = metrics.brier([1, 1, 0, 0], [1, 1, 1e-60, 1e-80])
    assert (found.value, found.low) == (pytest.approx(0), pytest.approx(0))
    assert math.isfinite(found.high)


def test_two_scores_that_rank_alike_are_not_tested() -> None:
    truth, p = draw(16)
    found = metrics.compare_auc(truth, p, 2 * p)
    assert (found.difference.value, found.p) == (0, None)
    assert "rank all rows alike" in found.difference.reason


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("positives", [3, 6, 12])
def test_with_few_positives_the_difference_is_zou_and_yues_and_its_p_says_the_same(seed: int, positives: int) -> None:
    random = np.random.default_rng(seed)
    truth = np.r_[np.ones(positives), np.zeros(80)]
    first, second = random.normal(size=(2, len(truth))) + np.outer([3, 1.2], truth)
    found = metrics.compare_auc(truth, first, second)
    assert found.difference.method == "Zou and Yue, paired DeLong correlation"
    assert (found.p < 0.05) == (not found.difference.low <= 0 <= found.difference.high)
    # Their formula, written out, from the intervals of both areas.
    (x, low, high), (y, other_low, other_high) = (one.limits() for one in (found.first, found.second))
    covariance = slow_covariance(truth, np.array([first, second]), np.arange(len(truth)))
    r = covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1]) if covariance[0, 0] else 0
    if "Newcombe" in found.first.method and "Newcombe" in found.second.method:
        below = math.sqrt((x - low) ** 2 + (other_high - y) ** 2 - 2 * r * (x - low) * (other_high - y))
        above = math.sqrt((high - x) ** 2 + (y - other_low) ** 2 - 2 * r * (high - x) * (y - other_low))
        assert (found.difference.low, found.difference.high) == pytest.approx((x - y - below, x - y + above))
    swapped = metrics.compare_auc(truth, second, first)
    assert swapped.p == pytest.approx(found.p)
    assert swapped.difference.low == pytest.approx(-found.difference.high)


def test_a_calibration_error_of_few_patients_says_so() -> None:
    found = metrics.expected_calibration_error([1, 0, 0, 0, 0, 1], [0.2, 0.1, 0.3, 0.2, 0.1, 0.6])
    assert found.low == 0
    assert "only 2 positive patients" in found.reason
    assert "perfectly calibrated model would show" in found.reason


def test_predictive_values_at_the_own_prevalence_are_those_of_the_data() -> None:
    truth, p = draw(17)
    point = metrics.at_threshold(truth, p, 0.4)
    same = metrics.at_prevalence(point, truth.mean())
    assert (same.ppv.value, same.npv.value) == pytest.approx((point.ppv.value, point.npv.value))
    rare = metrics.at_prevalence(point, 0.02)
    sensitivity, specificity = point.sensitivity.value, point.specificity.value
    ppv = 0.02 * sensitivity / (0.02 * sensitivity + 0.98 * (1 - specificity))
    npv = 0.98 * specificity / (0.98 * specificity + 0.02 * (1 - sensitivity))
    assert (rare.ppv.value, rare.npv.value) == pytest.approx((ppv, npv))
    assert rare.ppv.low < ppv < rare.ppv.high
    assert rare.npv.low < npv < rare.npv.high


def test_predictive_values_at_the_ends() -> None:
    truth, p = draw(18)
    nothing = metrics.at_prevalence(metrics.at_threshold(truth, p, 2.0), 0.1)
    assert nothing.ppv.reason == "not estimable: nothing is called positive"
    assert nothing.npv.value == pytest.approx(0.9)
    perfect = metrics.at_prevalence(metrics.at_threshold(truth, truth, 0.5), 0.1)
    assert (perfect.ppv.value, perfect.ppv.high, perfect.npv.value) == (1, 1, 1)
    assert perfect.ppv.low < 1
    one_class = metrics.at_prevalence(metrics.at_threshold([1, 1], [0.1, 0.9], 0.5), 0.1)
    assert one_class.ppv.reason == one_class.npv.reason == "not estimable: no negatives"


def test_mover_r_limits_solve_its_defining_quadratic() -> None:
    """Donner and Zou 2012, eq. 9, for the ratio of false-positive rate to sensitivity."""
    point = metrics.at_threshold(*draw(19), 0.4)
    f, f_low, f_high = (1 - getattr(point.specificity, end) for end in ("value", "high", "low"))
    s, s_low, s_high = (getattr(point.sensitivity, end) for end in ("value", "low", "high"))

    def limit(f_end: float, s_end: float, sign: int) -> float:
        root = math.sqrt((f * s) ** 2 - f_end * s_end * (2 * f - f_end) * (2 * s - s_end))
        return (f * s + sign * root) / (s_end * (2 * s - s_end))

    low, high = limit(f_low, s_high, -1), limit(f_high, s_low, 1)
    found = metrics.at_prevalence(point, 0.1).ppv
    assert (found.low, found.high) == pytest.approx((1 / (1 + 9 * high), 1 / (1 + 9 * low)))


def test_workload_counts_all_rows_at_the_threshold() -> None:
    truth, p = draw(20)
    wanted = metrics.operating_point_at_sensitivity(truth, p, 0.9)
    point = metrics.at_threshold(truth, p, wanted.threshold)
    assert point.flagged.value == pytest.approx((p >= wanted.threshold).mean())
    assert metrics.at_threshold([0, 0], [0.1, 0.2], 0.15).flagged.value == 0.5
    assert metrics.at_threshold([], [], 0.5).flagged.reason == "not estimable: no rows"


def test_workload_at_a_prevalence_is_what_both_classes_add_to_it() -> None:
    truth, p = draw(20)
    point = metrics.at_threshold(truth, p, 0.4)
    assert metrics.at_prevalence(point, truth.mean()).flagged.value == pytest.approx(point.flagged.value)
    found, right, alarms = metrics.at_prevalence(point, 0.1).flagged, point.sensitivity, point.specificity
    assert found.value == pytest.approx(0.1 * right.value + 0.9 * (1 - alarms.value))
    below = math.hypot(0.1 * (right.value - right.low), 0.9 * (alarms.high - alarms.value))
    above = math.hypot(0.1 * (right.high - right.value), 0.9 * (alarms.value - alarms.low))
    assert (found.low, found.high) == pytest.approx((found.value - below, found.value + above))
    one_class = metrics.at_prevalence(metrics.at_threshold([1, 1], [0.1, 0.9], 0.5), 0.1)
    assert one_class.flagged.reason == "not estimable: no negatives"


def test_decision_curve_counts_true_and_false_positives() -> None:
    truth, p = draw(21)
    thresholds = np.array([0.0, 0.1, 0.35, 0.9])
    curve = metrics.decision_curve(truth, p, thresholds)
    for t, net in zip(thresholds, curve.net_benefit, strict=True):
        tp, fp = ((p >= t) & (truth == 1)).sum(), ((p >= t) & (truth == 0)).sum()
        assert net == pytest.approx((tp - fp * t / (1 - t)) / len(truth))
    assert curve.call_all[0] == curve.net_benefit[0] == truth.mean()


def test_bands_hold_the_curve_and_narrow_with_more_patients() -> None:
    truth, p = draw(22, 300)
    wide = metrics.roc_curve(truth, p, np.arange(300) // 10, band=True, replicates=100)
    narrow = metrics.roc_curve(truth, p, band=True, replicates=100)
    curve = np.interp(narrow.band.x, 1 - narrow.specificity, narrow.sensitivity)
    assert ((narrow.band.low <= curve) & (curve <= narrow.band.high)).mean() > 0.9
    assert (wide.band.high - wide.band.low).mean() > 0.8 * (narrow.band.high - narrow.band.low).mean()
    again = metrics.roc_curve(truth, p, band=True, replicates=100)
    np.testing.assert_array_equal(again.band.low, narrow.band.low)
    pr = metrics.pr_curve(truth, p, band=True, replicates=100)
    middle = pr.ppv[np.searchsorted(pr.sensitivity, pr.band.x - 1e-12)]
    assert ((pr.band.low <= middle) & (middle <= pr.band.high)).mean() > 0.9
    few = metrics.roc_curve([1, 0, 0, 0], [4, 3, 2, 1], band=True, replicates=20)
    assert np.isfinite(few.band.low).all()


def test_ece_of_a_calibrated_model_reaches_down_to_nothing_and_says_what_chance_shows() -> None:
    random = np.random.default_rng(23)
    p = random.random(500)
    truth = (random.random(500) < p).astype(float)
    found = metrics.expected_calibration_error(truth, p)
    assert found.low == 0
    assert "perfectly calibrated" in found.reason
    off = metrics.expected_calibration_error(truth, p**3)
    assert off.low > 0.05
    assert off.reason == ""


def test_subgroups_are_those_rows_alone_and_small_ones_are_withheld() -> None:
    truth, p = draw(24, 300)
    groups = np.array(["A", "B", ""])[np.r_[np.zeros(150, int), np.ones(145, int), np.full(5, 2)]]
    a, b, unknown = metrics.subgroups(truth, p, groups, 0.4)
    assert [one.name for one in (a, b, unknown)] == ["A", "B", "unknown"]
    assert plain(a.auc) == plain(metrics.roc_auc(truth[:150], p[:150]))
    assert plain(b.sensitivity) == plain(metrics.at_threshold(truth[150:295], p[150:295], 0.4).sensitivity)
    assert (unknown.rows, unknown.positives, unknown.withheld, unknown.auc.value) == (5, None, True, None)
    assert "fewer than 20 patients" in unknown.auc.reason
    many_rows = metrics.subgroups(truth, p, ["X"] * 300, 0.4, patients=np.arange(300) // 30)
    assert many_rows[0].withheld


def test_joint_confusion_counts_every_row_once() -> None:
    labels = ("epidural", "subdural")
    truth = [[0, 1], [0, 1], [1, 1], [0, 0], [np.nan, 1]]
    p = [[0.9, 0.9], [0.1, 0.9], [0.9, 0.1], [0.1, 0.1], [0.9, 0.9]]
    found = metrics.joint_confusion(truth, p, (0.5, 0.8), labels)
    assert found.names == ("none", "subdural", "epidural + subdural", "epidural")
    assert found.counts.tolist() == [[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    merged = metrics.joint_confusion(truth, p, (0.5, 0.8), labels, most=3)
    assert merged.names == ("none", "subdural", "other")
    assert merged.counts.sum() == 4


def test_slices_become_studies_by_rule() -> None:
    study, p = ["b", "a", "b", "a", "b"], [0.1, 0.9, 0.3, 0.2, 0.5]
    for rule, expected in (("max", [0.9, 0.5]), ("top-k", [0.55, 0.4]), ("noisy-or", [0.92, 0.685])):
        names, score = metrics.study_score(p, study, rule, k=2)
        assert names.tolist() == ["a", "b"]
        np.testing.assert_allclose(score, expected)
    assert metrics.study_score([1.0, 0.2], [1, 1], "noisy-or")[1].tolist() == [1]
    assert metrics.study_score([0.4], [1], "top-k")[1].tolist() == [0.4]
    found = metrics.study_truth([0, np.nan, 1, 0, np.nan, 0], ["b", "a", "b", "a", "b", "c"])[1]
    np.testing.assert_array_equal(found, [np.nan, 1, 0])


CLASSES = {"nothing": [], "unknown": [np.nan] * 3, "positives": [1, 1, 1], "negatives": [0, 0], "one each": [1, 0]}
SAID = {"nothing": "no rows", "unknown": "no rows", "positives": "no negatives", "negatives": "no positives"}


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("one_patient", [False, True])
@pytest.mark.parametrize("constant", [False, True])
def test_never_nan_and_never_a_crash(classes: str, one_patient: bool, constant: bool) -> None:
    truth = np.array(CLASSES[classes], float)
    p = np.full(len(truth), 0.5) if constant else np.linspace(0.2, 0.8, len(truth))
    patient = np.zeros(len(truth), int) if one_patient else None
    results = [
        metrics.roc_auc(truth, p, patient),
        metrics.roc_auc(truth, p, patient, interval="delong"),
        metrics.average_precision(truth, p, patient),
        metrics.brier(truth, p, patient),
        metrics.expected_calibration_error(truth, p, patients=patient),
        metrics.expected_calibration_error(truth, p, patients=patient, quantile=True),
        metrics.calibration_line(truth, p, patient),
        metrics.calibration_curve(truth, p, patients=patient, quantile=True),
        metrics.compare_auc(truth, p, p, patient),
        metrics.compare_auc(truth, p, 1 - p, patient),
        metrics.at_threshold(truth, p, 0.5, patient),
        metrics.at_prevalence(metrics.at_threshold(truth, p, 0.5, patient), 0.1),
        metrics.youden(truth, p),
        metrics.operating_point_at_sensitivity(truth, p, 0.9),
        metrics.operating_point_at_specificity(truth, p, 0.9),
        metrics.decision_curve(truth, p),
        metrics.pr_curve(truth, p),
        metrics.weighted_log_loss(np.tile(truth, (6, 1)).T, np.tile(p, (6, 1)).T, patients=patient),
        metrics.log_loss_floor(np.tile(truth, (6, 1)).T),
        metrics.subgroups(truth, p, ["A"] * len(truth), 0.5, patient),
        metrics.subgroups(truth, p, ["A"] * len(truth), 0.5, patient, minimum=1),
    ]
    for result in results:
        assert all(math.isfinite(number) for number in numbers(plain(result))), result
    if classes in SAID:
        assert metrics.roc_auc(truth, p, patient).reason == f"not estimable: {SAID[classes]}"
        assert metrics.youden(truth, p).reason == f"not estimable: {SAID[classes]}"
        assert metrics.roc_curve(truth, p, band=True) is None
    if one_patient and classes == "one each":
        assert metrics.roc_auc(truth, p, patient, interval="delong").low is None


def test_an_estimate_says_no_more_than_one_thing() -> None:
    assert Estimate.none("no rows").with_caveat("few").reason == "not estimable: no rows"
    assert Estimate(0.5).with_caveat("few").reason == "few"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(([0, 1], [0.5]), "one length"), (([0, 2], [0.5, 0.5]), "0, 1 or nan"), (([[0, 1]], [[0.5, 0.5]]), "one length")],
)
def test_arrays_that_make_no_sense_are_refused(arguments: tuple[Any, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metrics.roc_auc(*arguments)


def test_counts_at_thresholds_take_ties_as_one_step() -> None:
    counts = ThresholdCounts.of(known([1, 0, 1, 0], [0.5, 0.5, 0.9, 0.1]))
    assert counts.threshold.tolist() == [0.9, 0.5, 0.1]
    assert counts.true_positives.tolist() == [1, 2, 2]
    assert counts.false_positives.tolist() == [0, 1, 2]
    assert counts.step.tolist() == [1, 1, 0, 2]
