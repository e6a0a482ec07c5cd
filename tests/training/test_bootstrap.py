from __future__ import annotations

import numpy as np
import pytest

from ichscope import metrics
from training import bootstrap
from training.bootstrap import ScoredRows, draw, interval, replicates, weighted


def rows(n: int = 200, patients: int = 40, ties: bool = False) -> ScoredRows:
    rng = np.random.default_rng(n)
    truth = rng.random(n) < 0.3
    p = 1 / (1 + np.exp(-rng.normal(-1 + 2 * truth, 1)))
    score = rng.normal(1.5 * truth, 1)
    p, score = (np.round(p, 1), np.round(score)) if ties else (p, score)
    return ScoredRows(truth, p, score, {}, rng.integers(0, patients, n).astype(str))


@pytest.mark.parametrize("ties", [False, True])
def test_with_every_patient_once_the_figures_are_those_of_the_metrics(ties: bool) -> None:
    some = rows(ties=ties)
    number, _ = draw(some.patient)
    drawn = weighted(some, number, np.ones((1, number.max() + 1)))
    truth, p = some.truth, some.probability
    expected = {
        "auc": metrics.roc_auc(truth, some.score),
        "ap": metrics.average_precision(truth, some.score),
        "brier": metrics.brier(truth, p),
        "log_loss": metrics.weighted_log_loss(truth[:, None], p[:, None], (1.0,)),
        "ece": metrics.expected_calibration_error(truth, p, bootstrap.ECE_BINS),
    }
    assert set(drawn) == set(expected)
    for name, estimate in expected.items():
        assert drawn[name][0] == pytest.approx(estimate.value), name


def test_a_weight_is_as_many_copies_of_the_patient() -> None:
    some = rows(60, 7)
    number, weight = draw(some.patient)
    picked = np.concatenate(
        [np.flatnonzero(number == i) for i, times in enumerate(weight[5]) for _ in range(int(times))]
    )
    copies = ScoredRows(some.truth[picked], some.probability[picked], some.score[picked], {}, some.patient[picked])
    once = np.unique(copies.patient, return_inverse=True)[1]
    expected = weighted(copies, once, np.ones((1, once.max() + 1)))
    for name, values in replicates(some).items():
        assert values[5] == pytest.approx(expected[name][0]), name


def test_small_portions_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = replicates(rows())["auc"]
    monkeypatch.setattr(bootstrap, "_MOST_CELLS", 1000)
    np.testing.assert_array_equal(replicates(rows())["auc"], whole)


def test_intervals_respect_patients() -> None:
    """Twenty copies of a row are one patient's, and make nothing surer."""
    some = rows(80, 10**6)
    values = (np.repeat(column, 20) for column in (some.truth, some.probability, some.score))
    copied = ScoredRows(*values, {}, np.repeat(some.patient, 20))
    widths = [np.ptp(interval([replicates(sample)["auc"]])) for sample in (some, copied)]
    assert widths[1] == pytest.approx(widths[0], abs=1e-6)


def test_an_interval_is_as_wide_as_theory_has_it() -> None:
    some = rows(900, 10**6)
    low, high = interval([replicates(some)["auc"]])
    analytic = metrics.roc_auc(some.truth, some.score)
    assert [low, high] == pytest.approx([analytic.low, analytic.high], abs=0.005)


def test_draws_of_one_class_are_left_out_and_too_many_give_no_interval() -> None:
    truth = np.arange(4) == 0
    p = np.array([0.9, 0.1, 0.2, 0.3])
    lonely = ScoredRows(truth, p, p, {}, np.arange(4).astype(str))
    values = replicates(lonely)["auc"]
    assert 0.6 < np.isfinite(values).mean() < 0.75  # 1 - (3/4)^4
    assert interval([values]) == [1, 1]
    assert interval([np.where(np.arange(1000) < 499, values[0], np.nan)]) is None


def test_the_interval_of_a_mean_is_of_what_was_drawn_together() -> None:
    draws = np.linspace(0, 1, 1001)
    assert interval([draws, 1 - draws]) == [0.5, 0.5]
    assert interval([draws, draws]) == [0.025, 0.975]
    assert interval([draws, np.full(1001, np.nan)]) == [0.025, 0.975]
