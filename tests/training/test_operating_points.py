from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from tests.support.run_builder import binormal, joined, rows
from training.operating_points import Fitted, cross_fit, operating_points
from training.out_of_fold import Predictions


def test_points_reach_what_they_name_in_heads_never_seen() -> None:
    folds = joined(*(binormal(400, 300, seed=fold, fold=fold) for fold in range(4)))
    fitted = Fitted.of(folds)
    points = {point["name"]: point for point in operating_points(folds, fitted, cross_fit(folds))["points"]}
    assert list(points) == ["sensitivity 0.90", "sensitivity 0.95", "sensitivity 0.98", "Youden"]
    new = binormal(4000, 4000, seed=99)
    judged = fitted.judge(new)
    called, truth = judged.z[:, 0] >= judged.points["sensitivity 0.90"], new.truth[:, 0]
    assert called[truth == 1].mean() == pytest.approx(0.90, abs=0.02)
    assert points["sensitivity 0.90"]["sensitivity"] == pytest.approx(0.90, abs=0.01)
    assert points["sensitivity 0.90"]["specificity"] == pytest.approx(1 - called[truth == 0].mean(), abs=0.02)
    low, high = points["sensitivity 0.90"]["specificity_95"]
    assert low < points["sensitivity 0.90"]["specificity"] < high
    # Equal spread: the best threshold lies half-way between the classes.
    assert fitted.points["study"]["Youden"] == pytest.approx(
        fitted.calibration["study"][0] @ np.array([1.5, 1]), abs=0.4
    )


def test_with_few_heads_the_specificity_is_nearer_the_truth_than_their_count() -> None:
    """What smoothing is for: 38 normal heads at a time, against what a large hospital sees."""
    smooth, counted = [], []
    for seed in range(12):
        some = joined(*(binormal(19, 40, seed=(seed, fold), fold=fold) for fold in range(2)))
        fitted, unseen = Fitted.of(some), cross_fit(some)
        smoothed = operating_points(some, fitted, unseen)["points"][0]["specificity"]
        slope, intercept = fitted.calibration["study"][0]
        x = (fitted.points["study"]["sensitivity 0.90"] - intercept) / slope
        truth = 1 - expit(-1.702 * x)  # a normal distribution, to 0.01
        study = (some.level == "study") & (some.truth[:, 0] == 0)
        smooth.append(smoothed - truth)
        counted.append((unseen.z[study, 0] < unseen.points["sensitivity 0.90"][study]).mean() - truth)
    assert np.sqrt(np.mean(np.square(smooth))) < np.sqrt(np.mean(np.square(counted)))
    assert np.abs(smooth).mean() < 0.04


def test_cross_fitting_keeps_a_fold_out_of_its_own_judgement() -> None:
    folds = [binormal(30, 30, seed=fold, fold=fold) for fold in range(3)]
    unseen = cross_fit(joined(*folds))
    others = Fitted.of(joined(folds[0], folds[2])).judge(folds[1])
    mine = joined(*folds).fold == 1
    np.testing.assert_array_equal(unseen.z[mine], others.z)
    np.testing.assert_array_equal(unseen.points["Youden"][mine], others.points["Youden"])
    np.testing.assert_array_equal(unseen.thresholds[mine], others.thresholds)


def test_one_fold_alone_is_judged_by_itself() -> None:
    some = binormal(30, 30, seed=0)
    np.testing.assert_array_equal(cross_fit(some).z, Fitted.of(some).judge(some).z)


def test_pictures_are_judged_as_studies() -> None:
    some = binormal(30, 30, seed=0)
    fitted = Fitted.of(some)
    fitted.calibration["slice"][0][1] += 1
    fitted.points["slice"]["Youden"] += 1
    labels = ("any", "subdural")
    three = Predictions(
        labels, *(np.repeat("x", 3),) * 3, np.array(["slice", "study", "picture"]), *(np.zeros(3, int),) * 2,
        np.zeros((3, 2)), np.ones((3, 2)),
    )  # fmt: skip
    judged = fitted.judge(three)
    assert judged.z[0, 0] == judged.z[1, 0] + 1
    assert judged.z[2, 0] == judged.z[1, 0]
    assert judged.points["Youden"][0] == pytest.approx(judged.points["Youden"][1] + 1)
    assert judged.points["Youden"][2] == judged.points["Youden"][1]


def test_heads_of_one_class_give_no_points() -> None:
    with pytest.raises(ValueError, match="with and without a bleed"):
        Fitted.of(rows(np.zeros(20), np.ones(20)))


@pytest.mark.parametrize(
    ("gap", "expected"), [(8.0, "sensitivity 0.98"), (2.3, "sensitivity 0.90"), (0.5, "sensitivity 0.90")]
)
def test_the_default_is_the_most_sensitive_point_that_is_specific_enough(gap: float, expected: str) -> None:
    some = joined(*(binormal(200, 200, seed=fold, fold=fold, gap=gap) for fold in range(2)))
    chosen = operating_points(some, Fitted.of(some), cross_fit(some))
    by_name = {point["name"]: point["specificity"] for point in chosen["points"]}
    assert chosen["default"] == expected
    assert (by_name[expected] >= 0.8) == (gap > 1)
    assert f"{by_name[expected]:.2f} at {expected}" in chosen["reason"]
    assert chosen["thresholds"]["study"]["any"] == next(
        p["threshold"] for p in chosen["points"] if p["name"] == expected
    )


def test_counts_of_patients_stand_beside_the_points() -> None:
    some = joined(binormal(5, 4, 0), rows(np.ones(3), np.ones(3), source="phe-sich"))
    chosen = operating_points(some, Fitted.of(some), cross_fit(some))
    assert chosen["patients"] == {"with a bleed": {"ct-ich": 4, "phe-sich": 3}, "without": {"ct-ich": 5}}
    assert chosen["prevalence"] == round(5 / 11, 3)
    assert 0 < chosen["thresholds"]["slice"]["subdural"] < 1

    assert logit(chosen["points"][0]["threshold"]) == pytest.approx(Fitted.of(some).points["study"]["sensitivity 0.90"])
