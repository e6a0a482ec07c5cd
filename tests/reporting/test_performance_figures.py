"""Figures of performance: what they draw is what was computed, to the last digit."""

from functools import cache

import numpy as np
import plotly.graph_objects as go
import pytest

from ichscope import metrics
from ichscope.evaluation.confidence_bands import MANY_ROWS, Curves, curves_with_bands
from ichscope.evaluation.misclassified import misclassified
from ichscope.labels import SUBTYPES
from ichscope.metrics import Confusion, Estimate
from ichscope.reporting.figures import counts, performance
from ichscope.reporting.figures.formatting import in_full, interval, label_name
from ichscope.reporting.figures.performance import Traced, description

Arrays = tuple[np.ndarray, np.ndarray]


def sample(rows: int = 400, seed: int = 0, share: float = 0.3) -> Arrays:
    rng = np.random.default_rng(seed)
    truth = (rng.random(rows) < share).astype(float)
    return truth, 1 / (1 + np.exp(-(rng.normal(size=rows) + 1.5 * truth - 1)))


@cache
def curves_of(rows: int) -> Curves:
    return curves_with_bands(*sample(rows))


def traced(name: str = "cranioscan 1.0", threshold: float = 0.5, rows: int = 400) -> Traced:
    truth, said = sample(rows)
    curves = curves_of(rows)
    return Traced(name, "any", curves.roc, curves.pr, metrics.at_threshold(truth, said, threshold))


def named(figure: go.Figure, name: str) -> go.Scatter:
    (found,) = (one for one in figure.data if one.name == name)
    return found


# ---- curves ----------------------------------------------------------------------------------------------


def test_the_roc_curve_has_every_point_and_its_area_is_the_auc() -> None:
    one = traced()
    curve = named(performance.roc([one]), "cranioscan 1.0")
    np.testing.assert_array_equal(curve.x, 1 - one.roc.specificity)
    np.testing.assert_array_equal(curve.y, one.roc.sensitivity)
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(metrics.roc_auc(*sample()).value, abs=1e-12)


def test_the_precision_recall_curve_has_steps_whose_area_is_the_average_precision() -> None:
    curve = named(performance.precision_recall([traced()], 0.3), "cranioscan 1.0")
    assert curve.line.shape == "vh"
    area = np.diff(curve.x, prepend=0) @ curve.y
    assert area == pytest.approx(metrics.average_precision(*sample()).value, abs=1e-12)


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
def test_the_points_stand_on_the_curves_at_the_threshold(threshold: float) -> None:
    one = traced(threshold=threshold)
    for figure in (performance.roc([one]), performance.precision_recall([one])):
        curve, point = named(figure, "cranioscan 1.0"), named(figure, f"cranioscan 1.0: threshold {threshold:g}")
        assert min(np.abs(curve.x - point.x[0]) + np.abs(curve.y - point.y[0])) < 1e-12
    at = one.at
    roc_point = named(performance.roc([one]), f"cranioscan 1.0: threshold {threshold:g}")
    assert roc_point.y[0] + roc_point.error_y.array[0] == pytest.approx(at.sensitivity.high)
    assert 1 - (roc_point.x[0] + roc_point.error_x.array[0]) == pytest.approx(at.specificity.low)
    assert 1 - (roc_point.x[0] - roc_point.error_x.arrayminus[0]) == pytest.approx(at.specificity.high)


def test_bands_lie_around_the_curves() -> None:
    one = traced()
    band = named(performance.roc([one]), "cranioscan 1.0: 95 % band")
    assert band.fill == "toself"
    assert np.mean((one.roc.band.low <= one.roc.band.high) & (one.roc.band.high >= 0)) == 1
    inside = np.interp(one.roc.band.x, 1 - one.roc.specificity, one.roc.sensitivity)
    assert np.mean((one.roc.band.low <= inside + 1e-9) & (inside - 1e-9 <= one.roc.band.high)) > 0.95


def test_a_curve_of_many_points_is_thinned_where_no_eye_can_see() -> None:
    one = traced(rows=30_000)
    curve = named(performance.roc([one]), "cranioscan 1.0")
    assert len(curve.x) < 5_000 < len(one.roc.threshold)
    along, drawn = 1 - one.roc.specificity + one.roc.sensitivity, curve.x + curve.y
    assert np.abs(np.interp(along, drawn, curve.y) - one.roc.sensitivity).max() < 0.001
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)


@pytest.mark.parametrize("clustered", [False, True])
def test_quick_bands_of_many_rows_are_those_of_the_bootstrap(clustered: bool) -> None:
    truth, said = sample(MANY_ROWS + 1000, share=0.1)
    patients = np.arange(len(truth)) // 4 if clustered else None
    quick = curves_with_bands(truth, said, patients)
    slow = metrics.roc_curve(truth, said, patients, band=True, replicates=100)
    np.testing.assert_array_equal(quick.roc.sensitivity, slow.sensitivity)
    width = (slow.band.high - slow.band.low).mean()
    assert np.abs(quick.roc.band.low - slow.band.low).mean() < 0.2 * width
    assert np.abs(quick.roc.band.high - slow.band.high).mean() < 0.2 * width


def test_unknown_rows_and_empty_classes_leave_no_curve_and_no_error() -> None:
    truth, said = np.ones(MANY_ROWS + 1), np.linspace(0, 1, MANY_ROWS + 1)
    said[5] = np.nan
    curves = curves_with_bands(truth, said)
    assert curves.roc is None
    assert curves.pr is not None
    assert len(performance.roc([Traced("a", "any", curves.roc)]).data) == 1  # the diagonal alone
    assert curves_with_bands(np.full(3, np.nan), np.zeros(3)).pr is None


def test_two_models_differ_in_dash_and_colour() -> None:
    first, second = traced(), traced("other")
    figure = performance.roc([first, Traced("other", "any", second.roc, dash="dash")])
    lines = [named(figure, name).line for name in ("cranioscan 1.0", "other")]
    assert lines[0].dash != lines[1].dash
    assert lines[0].color != lines[1].color


def test_a_name_from_outside_is_no_markup() -> None:
    figure = performance.roc([Traced("<b>x</b>", "any", traced().roc)])
    assert not [one.name for one in figure.data if one.name and "<b>" in one.name]


# ---- calibration and net benefit ----------------------------------------------------------------------------


def test_the_reliability_diagram_has_bins_with_intervals_and_a_histogram_of_all_rows() -> None:
    truth, said = sample()
    bins = metrics.calibration_curve(truth, said)
    figure = performance.reliability(bins, "any", metrics.calibration_line(truth, said))
    _, points, bars = figure.data
    assert list(points.x) == [one.probability for one in bins]
    assert list(points.y) == [one.positive.value for one in bins]
    assert [y + up for y, up in zip(points.y, points.error_y.array, strict=True)] == pytest.approx(
        [one.positive.high for one in bins]
    )
    np.testing.assert_array_equal(np.histogram(said, 10, (0, 1))[0][np.histogram(said, 10, (0, 1))[0] > 0], bars.y)
    assert "Slope" in description(figure)


def test_the_decision_curve_has_its_alternatives_and_the_threshold() -> None:
    curve = metrics.decision_curve(*sample())
    figure = performance.net_benefit(curve, "any", "cranioscan", 0.4)
    np.testing.assert_array_equal(named(figure, "cranioscan").y, curve.net_benefit)
    np.testing.assert_array_equal(named(figure, "All called positive").y, curve.call_all)
    assert figure.layout.shapes[0].x0 == 0.4


# ---- counts ----------------------------------------------------------------------------------------------


def test_a_confusion_matrix_shows_counts_and_shares_of_its_rows() -> None:
    figure = counts.confusion(Confusion(tp=90, fp=30, tn=270, fn=10), "any")
    texts = [note.text for note in figure.layout.annotations]
    assert texts == [
        "<b>90</b><br>90.0 %",
        "<b>10</b><br>10.0 %",
        "<b>30</b><br>10.0 %",
        "<b>270</b><br>90.0 %",
    ]
    assert figure.layout.yaxis.autorange == "reversed"  # the positives on top
    assert figure.data[0].hovertext[1][0].startswith("30 false positives")


def test_a_confusion_matrix_without_positives_has_shares_of_nothing() -> None:
    figure = counts.confusion(Confusion(tp=0, fp=1, tn=3, fn=0), "any")
    assert figure.layout.annotations[0].text == "<b>0</b><br>0.0 %"


def test_joint_confusion_shows_every_count() -> None:
    rng = np.random.default_rng(1)
    truth = (rng.random((300, 5)) < 0.15).astype(float)
    found = metrics.joint_confusion(truth, np.clip(truth + rng.normal(0, 0.4, truth.shape), 0, 1), [0.5] * 5, SUBTYPES)
    figure = counts.joint(found)
    numbers = [int(note.text or 0) for note in figure.layout.annotations]
    assert numbers == found.counts.ravel().tolist()
    assert "EDH" in " ".join(figure.data[0].x)


def test_a_forest_has_a_line_a_group_and_no_point_where_one_is_withheld() -> None:
    truth, said = sample()
    names = np.array(["small"] * 5 + ["<i>a</i>"] * 200 + ["b"] * 195)
    (overall,) = metrics.subgroups(truth, said, ["all"] * 400, 0.5)
    groups = metrics.subgroups(truth, said, names, 0.5)
    figure = counts.forest({"kvp": groups}, overall)
    ticks = figure.layout.yaxis.ticktext
    assert ticks[1] == f"kVp: &lt;i&gt;a&lt;/i&gt; (n 200, {groups[0].positives}+)"
    assert ticks[3] == "kVp: small (withheld)"
    auc, sensitivity, specificity = figure.data
    assert list(auc.y) == [0, 1, 2]
    assert list(auc.x) == [overall.auc.value, groups[0].auc.value, groups[1].auc.value]
    assert list(sensitivity.x)[1] == groups[0].sensitivity.value
    assert list(specificity.x)[2] == groups[1].specificity.value
    assert "withheld, 5 rows" in description(figure)


def test_every_figure_has_axis_titles_or_names_and_words() -> None:
    truth, said = sample()
    curves = [
        performance.roc([traced()]),
        performance.precision_recall([traced()], 0.3),
        performance.net_benefit(metrics.decision_curve(truth, said), "any", "m"),
    ]
    for figure in curves:
        assert figure.layout.xaxis.title.text
        assert figure.layout.yaxis.title.text
        assert description(figure).endswith(".")
    assert "sensitivity" in description(curves[0])


# ---- words and errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "short", "full"),
    [
        (Estimate(0.9531, 0.931, 0.972), "0.953 (0.931-0.972)", "0.953 (0.931-0.972)"),
        (Estimate(0.1, -0.2, 0.4), "0.100 (-0.200 to 0.400)", "0.100 (-0.200 to 0.400)"),
        (Estimate(0.5, reason="no interval: x"), "0.500", "0.500"),
        (Estimate.none("no positives"), "-", "not estimable: no positives"),
    ],
)
def test_words(found: Estimate, short: str, full: str) -> None:
    assert (interval(found), in_full(found)) == (short, full)


def test_a_label_that_is_not_ours_keeps_its_name() -> None:
    assert label_name("fracture") == "fracture"


def test_errors_are_sorted_by_how_wrong_they_are() -> None:
    nan = np.nan
    truth = np.array([1, 1, 1, 0, 0, 0, nan, 1, 0, 1])
    said = np.array([0.4, 0.1, 0.5, 0.5, 0.9, 0.2, 0.9, nan, 0.9, 0.1])
    found = misclassified(truth, said, 0.5)
    assert found.missed.tolist() == [1, 9, 0]  # equal ones in the order of their rows
    assert found.false_alarms.tolist() == [4, 8, 3]  # the threshold itself is called positive


def test_errors_are_the_wrong_cells_of_the_confusion_matrix() -> None:
    truth, said = sample()
    found, matrix = misclassified(truth, said, 0.37), metrics.at_threshold(truth, said, 0.37).confusion
    assert (len(found.missed), len(found.false_alarms)) == (matrix.fn, matrix.fp)
