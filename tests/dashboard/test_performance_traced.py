"""Every table and figure of the Performance page, computed again from the CSV that the page gives away.

Values come from scikit-learn and NumPy; intervals from `ichscope.metrics`, whose own tests compare them with R's pROC.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, precision_recall_curve, roc_auc_score, roc_curve
from streamlit.testing.v1 import AppTest

from dashboard import cached
from dashboard.performance.files import csv_bytes
from dashboard.performance.rows import Audit
from ichscope import metrics
from ichscope.evaluation.selection import Selection, load
from ichscope.imaging.series import Header
from ichscope.labels import LABELS, SUBTYPES
from ichscope.reporting.figures.counts import short_combination
from ichscope.reporting.figures.formatting import interval, label_name
from ichscope.store import Store
from tests.support import results_builder as build
from tests.support import store_cases as cases
from tests.support.people import review

VIEW = str(Path(__file__).parents[2] / "dashboard/views/performance.py")
FIRST, SECOND = "model:cranioscan@1.0", "model:cerebroscan@1.0"
STUDIES, OWN = 150, 0.5
Cells = dict[str, list[str]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, np.ndarray]]:
    """A store whose studies a reader has seen, as the page shows it; gives the columns of the page's CSV."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ICHSCOPE_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("ICHSCOPE_DATABASE_URL", raising=False)
        cached.store.clear()
        fill(cached.store())
        evaluation_set = load(cached.store(), Selection("reviews", (FIRST, SECOND)))
        assert set(Audit(evaluation_set, FIRST, SECOND).labels) == set(LABELS)
        rows = list(csv.DictReader(io.StringIO(csv_bytes(evaluation_set).decode())))
        yield {name: np.array([row[name] for row in rows]) for name in rows[0]}
        cached.store().close()
        cached.store.clear()


def fill(store: Store) -> None:
    random = np.random.default_rng(4)
    for i in range(STUDIES):
        truth = {label: bool(random.random() < 0.2) for label in SUBTYPES}
        truth = {"any": any(truth.values()), **truth}
        p = {label: float(1 / (1 + np.exp(-(1.8 * bleeds - 1 + random.normal())))) for label, bleeds in truth.items()}
        other = build.model("cerebroscan", along=(float(random.random()) * 0.5 + 0.4 * truth["any"],), labels=("any",))
        header = Header(
            kvp=(100.0, 120.0, 140.0)[i % 3],
            sex="FM"[i % 2],
            age_years=20 + i % 60,
            institution=("", "Saint Elsewhere", "County")[i // 2 % 3],
            slice_thickness_mm=(None, 1.25, 5.0)[i // 3 % 3],
        )
        # The second model has not seen all.
        models = [build.model(probability=p), *([other] if i % 4 else [])]
        study = cases.add(store, i, *models, header=header)
        # Of some studies the reader does not say what kind it is.
        said = {label: bleeds for label, bleeds in truth.items() if label == "any" or i % 10}
        review(store, study, "Ann", labels=said, at=cases.MORNING)


def numbers(exported: dict[str, np.ndarray], name: str) -> np.ndarray:
    return np.array([float(cell or "nan") for cell in exported[name]])


def known(exported: dict[str, np.ndarray], label: str, model: str = FIRST) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, probability and group of the rows that have both."""
    truth, said = numbers(exported, f"truth_{label}"), numbers(exported, f"{model}:{label}")
    there = ~np.isnan(truth + said)
    return truth[there], said[there], exported["group"][there].astype(int)


def page(tab: str = "Threshold", **state: Any) -> AppTest:
    app = AppTest.from_file(VIEW, default_timeout=60)
    for name, value in {"tabs": tab, **state}.items():
        app.session_state[f"performance-{name}"] = value
    app.run()
    assert not app.exception, app.exception
    return app


def tables(app: AppTest) -> list[list[list[str]]]:
    """All tables, rows of cells without tags."""
    found = []
    for one in app.get("html"):
        rows = re.findall(r"<tr>(.*?)</tr>", one.proto.body)
        cells = [re.findall(r"<t[dh]>(.*?)</t[dh]>", row) for row in rows]
        found.append([[unescape(re.sub(r"<[^>]+>", "", cell)).replace("\xa0", " ") for cell in row] for row in cells])
    return [one for one in found if one]


def table(app: AppTest, heading: str) -> Cells:
    """The table with this first heading, the rest of each row by its first cell."""
    (found,) = (one for one in tables(app) if one[0][0] == heading)
    return {row[0]: row[1:] for row in found[1:]}


def figures(app: AppTest) -> list[dict[str, Any]]:
    return [json.loads(one.proto.spec) for one in app.get("plotly_chart")]


def array(values: Any) -> np.ndarray:
    """Plotly's numbers, be they a list or packed."""
    if isinstance(values, dict):
        found = np.frombuffer(base64.b64decode(values["bdata"]), np.dtype(values["dtype"]))
        return found.reshape([int(n) for n in values.get("shape", str(len(found))).split(",")])
    return np.array(values, float)


def trace(figure: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in figure["data"] if one.get("name") == name)


def expect_roc(figure: dict[str, Any], name: str, truth: np.ndarray, said: np.ndarray) -> None:
    wrong, right, _ = roc_curve(truth, said, drop_intermediate=False)
    line = trace(figure, name)
    np.testing.assert_allclose(array(line["x"]), wrong, atol=1e-12)
    np.testing.assert_allclose(array(line["y"]), right, atol=1e-12)


def expect_precision_recall(figure: dict[str, Any], name: str, truth: np.ndarray, said: np.ndarray) -> None:
    precision, recall, _ = precision_recall_curve(truth, said)
    line = trace(figure, name)
    # scikit-learn begins with everything called positive, and ends with nothing.
    np.testing.assert_allclose(array(line["x"]), recall[-2::-1], atol=1e-12)
    np.testing.assert_allclose(array(line["y"]), precision[-2::-1], atol=1e-12)


def expect_band(figure: dict[str, Any], name: str, band: Any) -> None:
    outline = trace(figure, f"{name}: 95 % band")
    np.testing.assert_allclose(array(outline["y"]), np.r_[band.high, band.low[::-1]])


def counts(truth: np.ndarray, said: np.ndarray, threshold: float) -> list[int]:
    """TP, FN, FP, TN."""
    called, real = said >= threshold, truth == 1
    pairs = ((called, real), (~called, real), (called, ~real), (~called, ~real))
    return [int(np.count_nonzero(one & other)) for one, other in pairs]


def expect_matrix(figure: dict[str, Any], truth: np.ndarray, said: np.ndarray, threshold: float) -> None:
    texts = [note["text"] for note in figure["layout"]["annotations"]]
    tp, fn, fp, tn = counts(truth, said, threshold)
    rows = (tp + fn, tp + fn, fp + tn, fp + tn)
    shares = [100 * count / row for count, row in zip((tp, fn, fp, tn), rows, strict=True)]
    expected = [f"<b>{n}</b><br>{share:.1f} %" for n, share in zip((tp, fn, fp, tn), shares, strict=True)]
    assert texts == expected


@pytest.mark.parametrize("label", ["any", "subdural"])
def test_curves_matrix_and_figures_at_the_threshold(exported: dict[str, np.ndarray], label: str) -> None:
    truth, said, group = known(exported, label)
    app = page(label=label)
    roc, pr, matrix = figures(app)
    expect_roc(roc, "cranioscan 1.0", truth, said)
    expect_precision_recall(pr, "cranioscan 1.0", truth, said)
    expect_band(roc, "cranioscan 1.0", metrics.roc_curve(truth, said, group, band=True).band)
    expect_band(pr, "cranioscan 1.0", metrics.pr_curve(truth, said, group, band=True).band)
    expect_matrix(matrix, truth, said, OWN)
    tp, fn, fp, tn = counts(truth, said, OWN)
    at = metrics.at_threshold(truth, said, OWN, group)
    elsewhere = metrics.at_prevalence(at, 0.1)
    shown = table(app, "At this threshold")
    for name, value, of, (a, b) in (
        ("Sensitivity", at.sensitivity, tp / (tp + fn), (tp, tp + fn)),
        ("Specificity", at.specificity, tn / (tn + fp), (tn, tn + fp)),
        ("PPV in these data", at.ppv, tp / (tp + fp), (tp, tp + fp)),
        ("NPV in these data", at.npv, tn / (tn + fn), (tn, tn + fn)),
    ):
        assert value.value == pytest.approx(of)
        assert shown[name] == [interval(value), f"{a} of {b}"]
    assert shown["PPV at prevalence 10 %"][0] == interval(elsewhere.ppv)
    assert shown["NPV at prevalence 10 %"][0] == interval(elsewhere.npv)
    assert shown["Flagged at prevalence 10 %"][0] == interval(elsewhere.flagged)
    assert elsewhere.flagged.value == pytest.approx(0.1 * tp / (tp + fn) + 0.9 * fp / (fp + tn))
    share = (tp + fp) / len(truth)
    assert shown["Flagged in these data"][0].startswith(f"{share:.3f} (")
    assert shown["Flagged in these data"][1] == f"{tp + fp} of {len(truth)}"


def test_operating_points(exported: dict[str, np.ndarray]) -> None:
    truth, said, group = known(exported, "any")
    shown = table(page(), "Operating point")
    chosen = metrics.operating_points(truth, said, (0.9, 0.95), (0.9,))
    points = {"The model's own": OWN, **{one.name[0].upper() + one.name[1:]: one.threshold for one in chosen}}
    assert [name.removesuffix(" (1)") for name in shown] == list(points)
    for (name, cells), threshold in zip(shown.items(), points.values(), strict=True):
        at = metrics.at_threshold(truth, said, threshold, group)
        shares = (at.sensitivity, at.specificity, at.ppv, at.npv)
        assert cells[:5] == [f"{threshold:.4g}", *map(interval, shares)], name
        assert cells[5].startswith(f"{np.mean(said >= threshold):.3f} (")
    assert np.mean(said[truth == 1] >= points["Sensitivity 0.90"]) >= 0.9


def test_all_labels(exported: dict[str, np.ndarray]) -> None:
    app = page("All labels")
    ranked, own = ({row[0]: row[1:] for row in one[1:]} for one in tables(app) if one[0][0] == "Label")
    roc, joint = figures(app)
    for label in LABELS:
        truth, said, group = known(exported, label)
        name = label_name(label)
        expect_roc(roc, name, truth, said)
        auc, precision = metrics.roc_auc(truth, said, group), metrics.average_precision(truth, said, group)
        brier, slope = metrics.brier(truth, said, group), metrics.calibration_line(truth, said, group).slope
        for found, by in ((auc, roc_auc_score), (precision, average_precision_score), (brier, brier_score_loss)):
            assert found.value == pytest.approx(by(truth, said))
        n = [int(truth.sum()), int((1 - truth).sum()), STUDIES - len(truth)]
        cells = [cell.split(") (")[0] for cell in ranked[name]]
        assert cells[:3] == [str(one) for one in n]
        assert [cell.rstrip(")") for cell in cells[3:]] == [
            interval(one).rstrip(")") for one in (auc, precision, brier, slope)
        ]
        at = metrics.at_threshold(truth, said, OWN, group)
        assert own[name][:5] == [f"{OWN:.4g}", *(str(count) for count in counts(truth, said, OWN))]
        assert own[name][5:] == [interval(one) for one in (at.sensitivity, at.specificity, at.ppv, at.npv)]
    expect_joint(joint, exported)


def expect_joint(figure: dict[str, Any], exported: dict[str, np.ndarray]) -> None:
    """Each cell counts the studies whose truth is the one combination and whose call the other."""
    names = list(figure["data"][0]["x"])
    real = np.array([numbers(exported, f"truth_{label}") for label in SUBTYPES])
    said = np.array([numbers(exported, f"{FIRST}:{label}") for label in SUBTYPES])
    there = ~np.isnan(real).any(axis=0)

    def combination(flags: np.ndarray) -> str:
        name = short_combination(" + ".join(np.array(SUBTYPES)[flags]) or "none")
        return name if name in names else "other"

    pairs = Counter(
        (combination(a), combination(b)) for a, b in zip(real.T[there] == 1, said.T[there] >= OWN, strict=True)
    )
    texts = {(note["y"], note["x"]): note["text"] for note in figure["layout"]["annotations"]}
    assert {pair: int(text) for pair, text in texts.items() if text} == dict(pairs)


def test_calibration_and_decision_curve(exported: dict[str, np.ndarray]) -> None:
    truth, said, group = known(exported, "any")
    app = page("Calibration")
    reliability, benefit = figures(app)
    bins = np.minimum((said * 10).astype(int), 9)
    there = np.unique(bins)
    line, bars = reliability["data"][1:]
    np.testing.assert_allclose(array(line["x"]), [said[bins == one].mean() for one in there])
    np.testing.assert_allclose(array(line["y"]), [truth[bins == one].mean() for one in there])
    np.testing.assert_allclose(array(bars["y"]), [(bins == one).sum() for one in there])
    lows = [one.positive.value - one.positive.low for one in metrics.calibration_curve(truth, said, patients=group)]
    np.testing.assert_allclose(array(line["error_y"]["arrayminus"]), lows)
    drawn = trace(benefit, "cranioscan 1.0")
    for t, net in zip(array(drawn["x"]), array(drawn["y"]), strict=True):
        tp, _, fp, _ = counts(truth, said, t)
        assert net == pytest.approx((tp - fp * t / (1 - t)) / len(truth))
    shown = table(app, "Calibration")
    fit = metrics.calibration_line(truth, said, group)
    error = metrics.expected_calibration_error(truth, said, patients=group)
    gaps = [abs((said[bins == one] - truth[bins == one]).sum()) for one in there]
    assert error.value == pytest.approx(sum(gaps) / len(truth))
    for name, found in (
        ("Brier score, 0 is best", metrics.brier(truth, said, group)),
        ("Expected calibration error, 0 is best", error),
        ("Calibration slope, 1 is ideal", fit.slope),
        ("Calibration intercept, 0 is ideal", fit.intercept),
    ):
        assert shown[name][0].startswith(interval(found))
    losses = table(app, "Weighted log loss, all six labels")
    real = np.stack([numbers(exported, f"truth_{label}") for label in LABELS], 1)
    p = np.stack([numbers(exported, f"{FIRST}:{label}") for label in LABELS], 1)
    weight = np.where(np.isnan(real), 0, [2, 1, 1, 1, 1, 1])
    loss = -np.log(np.where(real == 1, p, 1 - p))
    assert losses["The model, 0 is best"][0].startswith(f"{(weight * loss).sum() / weight.sum():.3f} (")
    share = np.nanmean(real, axis=0)
    floor = -np.log(np.where(real == 1, share, 1 - share))
    assert losses["Floor: each label's prevalence"][0] == f"{(weight * floor).sum() / weight.sum():.3f}"


def test_subgroups(exported: dict[str, np.ndarray]) -> None:
    truth, said, group = known(exported, "any")
    app = page("Subgroups")
    shown = table(app, "Group")
    (forest,) = figures(app)
    expected = {"All": np.ones(len(truth), bool)}
    titles = ("Institution", "kVp", "Slice thickness", "Age", "Sex")
    for by, title in ((one.lower(), one) for one in titles):
        assert len(set(exported[by])) > 1
        names = sorted(set(exported[by]), key=lambda name: name or "unknown")
        expected |= {f"{title}: {name or 'unknown'}": exported[by] == name for name in names}
    assert set(shown) == set(expected)
    values = []
    for name, rows in expected.items():
        n, patients = int(rows.sum()), len(set(group[rows]))
        assert shown[name][:2] == [str(n), str(patients)]
        if patients < 20:
            assert shown[name][2:] == ["-", "- (1)", "- (1)", "- (1)"]
            continue
        at = metrics.at_threshold(truth[rows], said[rows], OWN, group[rows])
        auc = metrics.roc_auc(truth[rows], said[rows], group[rows])
        assert auc.value == pytest.approx(roc_auc_score(truth[rows], said[rows]))
        cells = [re.sub(r" \(\d\)$", "", cell) for cell in shown[name][2:]]
        assert cells == [str(int(truth[rows].sum())), *(interval(one) for one in (auc, at.sensitivity, at.specificity))]
        values.append((auc.value, at.sensitivity.value, at.specificity.value))
    drawn = [array(one["x"]) for one in forest["data"]]
    np.testing.assert_allclose(np.array(drawn).T, values)


def test_two_models(exported: dict[str, np.ndarray]) -> None:
    app = page("Two models", second=SECOND)
    truth, other, group = known(exported, "any", SECOND)
    one = numbers(exported, f"{FIRST}:any")[exported[f"{SECOND}:any"] != ""]
    assert f"on the {len(truth)} rows that both cover" in " ".join(said.value for said in app.caption)
    assert len(truth) < STUDIES
    found = metrics.compare_auc(truth, one, other, group)
    assert found.difference.value == pytest.approx(roc_auc_score(truth, one) - roc_auc_score(truth, other))
    cells = table(app, "Label")[label_name("any")]
    assert cells[:3] == [interval(found.first), interval(found.second), interval(found.difference)]
    assert cells[3] == ("<0.0001" if found.p < 1e-4 else f"{found.p:.3g}")
    roc, left, pr, right = figures(app)
    for name, said, matrix in (("cranioscan 1.0", one, left), ("cerebroscan 1.0", other, right)):
        expect_roc(roc, name, truth, said)
        expect_precision_recall(pr, name, truth, said)
        expect_matrix(matrix, truth, said, OWN)


def test_errors(exported: dict[str, np.ndarray]) -> None:
    truth, said, _ = known(exported, "any")
    _, missed, alarms, _ = counts(truth, said, OWN)
    options = page("Errors").segmented_control(key="performance-errors").options
    assert options == [f"False negatives: {missed}", f"False positives: {alarms}"]


def test_the_answer_above_all_tabs(exported: dict[str, np.ndarray]) -> None:
    truth, said, group = known(exported, "any")
    text = unescape(" ".join(one.proto.body for one in page(second=SECOND).get("html")))
    auc = metrics.roc_auc(truth, said, group)
    at = metrics.at_threshold(truth, said, OWN, group)
    assert f"AUC {interval(auc)}" in text
    assert f"n {len(truth)}, {int(truth.sum())} positive ({100 * truth.mean():.1f} %)" in text
    assert f"sensitivity {interval(at.sensitivity)}, specificity {interval(at.specificity)}" in text
    truth, other, group = known(exported, "any", SECOND)
    at = metrics.at_threshold(truth, other, OWN, group)
    assert f"cerebroscan 1.0: AUC {interval(metrics.roc_auc(truth, other, group))}" in text
    assert f"sensitivity {interval(at.sensitivity)}, specificity {interval(at.specificity)}" in text
