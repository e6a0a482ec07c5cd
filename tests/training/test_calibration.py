from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from tests.support.run_builder import binormal, by_chance, joined, rows
from training.calibration import cases, fit

# ---------------------------------------------------------------- cases


def test_positives_come_from_everywhere_and_negatives_from_real_heads() -> None:
    some = joined(
        binormal(4, 2, 0),
        binormal(3, 5, 1, source="implanted"),
        rows(np.zeros(60), np.ones(60), source="phe-sich"),
    )
    chosen = cases(some.where(some.level == "study"), 0)
    source = some.where(some.level == "study").source[chosen.row]
    assert set(source[~chosen.truth]) == {"ct-ich"}
    shares = {
        name: chosen.weight[chosen.truth & (source == name)].sum() for name in ("ct-ich", "implanted", "phe-sich")
    }
    # 2 and 5 patients, and 60, of which 30 count.
    assert shares == pytest.approx({"ct-ich": 2 / 37, "implanted": 5 / 37, "phe-sich": 30 / 37})
    assert chosen.weight[~chosen.truth].sum() == pytest.approx(1)
    assert chosen.patients == (4, 67)


def test_the_prevalence_is_that_of_collections_with_both_classes() -> None:
    some = joined(binormal(6, 2, 0), rows(np.zeros(60), np.ones(60), source="phe-sich"))
    assert cases(some.where(some.level == "study"), 0).prevalence == (2 + 1) / (8 + 2)


# ---------------------------------------------------------------- fit


def test_calibration_finds_the_slope_and_shift_of_the_truth() -> None:
    calibration = fit(by_chance(4000, 0, slope=0.5, shift=-1))
    for level in ("slice", "study"):
        assert calibration[level][0] == pytest.approx([0.5, -1], abs=0.1)


def test_implants_leave_the_share_of_positives_as_it_was() -> None:
    real = by_chance(600, 1, shift=-2)
    rng = np.random.default_rng(2)
    implants = rows(rng.normal(2, 2, 3000), np.ones(3000), source="implanted")
    slope, intercept = fit(joined(real, implants))["study"][0]
    study = real.where(real.level == "study")
    assert expit(slope * study.logit[:, 0] + intercept).mean() == pytest.approx(study.truth[:, 0].mean(), abs=0.07)


@pytest.mark.parametrize(
    ("positives", "slope_is_own", "intercept_is_own"),
    [(0, False, False), (2, False, False), (5, False, True), (40, True, True)],
)
def test_a_label_with_few_positives_borrows_from_any(
    positives: int, slope_is_own: bool, intercept_is_own: bool
) -> None:
    base = by_chance(400, 3)
    x = base.logit[base.level == "study", 0]
    truth = np.column_stack([base.truth[base.level == "study", 0], np.zeros(400)])
    truth[np.argsort(-x)[:positives], 1] = 1
    any_row, row = fit(rows(np.column_stack([x, x]), truth))["study"]
    assert (row[0] != any_row[0]) is slope_is_own
    assert (row[1] != any_row[1]) is intercept_is_own


def test_a_slope_is_never_negative_and_never_endless() -> None:
    x = np.linspace(-3, 3, 60)
    assert fit(rows(x, x < 0))["slice"][0][0] == 0.05
    assert 1 < fit(rows(x, x > 0))["slice"][0][0] < 50
