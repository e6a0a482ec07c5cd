from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import logit

from ichscope import metrics
from tests.support import run_builder
from training import bootstrap
from training.evaluate import METRICS_FILE, OUT_OF_FOLD_FILE, TABLE_FILE, evaluate, main
from training.out_of_fold import FINAL, read_runs


@pytest.fixture(scope="module", autouse=True)
def _few_draws() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "DRAWS", 100)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of four folds, all of them and without implants, measured."""
    folder = run_builder.model(tmp_path_factory.mktemp("runs") / "cranioscan")
    run_builder.model(folder / "without-implants", folds=2, skill=0.5)
    evaluate(folder)
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / METRICS_FILE).read_text())


@pytest.fixture(scope="module")
def table(folder: Path) -> list[dict[str, str]]:
    with (folder / OUT_OF_FOLD_FILE).open(newline="") as file:
        return list(csv.DictReader(file))


def column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([float(row[name] or "nan") for row in rows])


# ---------------------------------------------------------------- metrics


def test_every_collection_level_and_label_is_measured(report: dict[str, Any]) -> None:
    measured = report["measured"]
    names = {f"{source} {level} {label}" for source in ("ct-ich", "implanted", "phe-sich")
             for level in ("slice", "study") for label in ("any", "subdural")}  # fmt: skip
    assert {name for name in measured["cross-validation"] if not name.endswith(" all")} == names
    elsewhere = {f"rsna-sample {level} {label}" for level in ("slice", "picture") for label in ("any", "subdural")}
    assert elsewhere == {name for name in measured["elsewhere"] if not name.endswith(" all")}
    assert {"rsna-sdh slice any", "rsna-sample slice any"} <= set(measured["elsewhere, final model"])


@pytest.mark.parametrize("level", ["slice", "study"])
def test_metrics_can_be_recomputed_from_the_rows(
    report: dict[str, Any], table: list[dict[str, str]], level: str
) -> None:
    rows = [row for row in table if row["source"] == "ct-ich" and bool(row["slice"]) == (level == "slice")]
    truth, p, logit = (column(rows, f"{what} any") for what in ("truth", "probability", "logit"))
    patients = np.array([row["patient"] for row in rows])
    measures = report["measured"]["cross-validation"][f"ct-ich {level} any"]
    assert (measures["n"], measures["positives"]) == (len(rows), truth.sum())
    assert (measures["patients"], measures["positive_patients"]) == (48, 20)
    assert measures["auc"] == pytest.approx(metrics.roc_auc(truth, logit).value, abs=1e-4)
    assert measures["ap"] == pytest.approx(metrics.average_precision(truth, logit).value, abs=1e-4)
    assert measures["brier"] == pytest.approx(metrics.brier(truth, p).value, abs=1e-4)
    assert measures["log_loss"] == pytest.approx(-np.mean(np.log(np.where(truth == 1, p, 1 - p))), abs=1e-4)
    share = truth.mean()
    floor = -share * np.log(share) - (1 - share) * np.log(1 - share)
    assert measures["log_loss_floor"] == pytest.approx(floor, abs=1e-4)
    for name in ("auc", "ap", "log_loss", "brier"):
        low, high = measures[f"{name}_95"]
        assert low <= measures[name] <= high, name
    drawn = bootstrap.replicates(bootstrap.ScoredRows(truth == 1, p, logit, {}, patients))
    assert measures["auc_95"] == pytest.approx(bootstrap.interval([drawn["auc"]]), abs=1e-3)
    assert set(measures["at"]) == {"sensitivity 0.90", "sensitivity 0.95", "sensitivity 0.98", "Youden"}


def test_all_labels_together_are_weighed_as_by_rsna(report: dict[str, Any], table: list[dict[str, str]]) -> None:
    rows = [row for row in table if row["source"] == "ct-ich" and row["slice"]]
    truth = np.stack([column(rows, f"truth {label}") for label in ("any", "subdural")], axis=1)
    p = np.stack([column(rows, f"probability {label}") for label in ("any", "subdural")], axis=1)
    losses = -np.where(truth == 1, np.log(p), np.log(1 - p)).mean(axis=0)
    measures = report["measured"]["cross-validation"]["ct-ich slice all"]
    assert measures["log_loss"] == pytest.approx((2 * losses[0] + losses[1]) / 3, abs=1e-4)
    assert "phe-sich slice all" not in report["measured"]["cross-validation"]


def test_a_collection_of_bleeds_has_sensitivities_alone(report: dict[str, Any]) -> None:
    for part, name in (("cross-validation", "phe-sich study any"), ("elsewhere, final model", "rsna-sdh slice any")):
        measures = report["measured"][part][name]
        assert (measures["auc"], measures["why"]) == (None, "positives only")
        assert all(set(at) == {"sensitivity", "sensitivity_95"} for at in measures["at"].values())
        assert not {"ap", "brier", "log_loss"} & set(measures)


def test_elsewhere_is_the_mean_of_the_folds_and_not_their_ensemble(report: dict[str, Any], folder: Path) -> None:
    runs = read_runs(folder)
    values = []
    for fold in range(4):
        mine = (runs.source == "rsna-sample") & (runs.level == "slice") & (runs.fold == fold)
        values.append(metrics.roc_auc(runs.truth[mine, 0], runs.logit[mine, 0]).value)
    measures = report["measured"]["elsewhere"]["rsna-sample slice any"]
    assert measures["auc"] == pytest.approx(np.mean(values), abs=1e-4)
    assert (measures["n"], measures["positives"]) == (14, 6)
    low, high = measures["auc_95"]
    assert low < measures["auc"] <= high


def test_kinds_of_bleeds_have_the_share_that_is_flagged(report: dict[str, Any]) -> None:
    name = report["operating_points"]["default"]
    share = report["found_by_kind"]["ct-ich"]["subdural"]
    assert share["n"] == 20
    # All bleeds of the runs are subdural, so it is the sensitivity of any.
    expected = report["measured"]["cross-validation"]["ct-ich study any"]["at"][name]
    assert (share["sensitivity"], share["sensitivity_95"]) == (expected["sensitivity"], expected["sensitivity_95"])
    assert set(report["found_by_kind"]) == {"ct-ich", "implanted", "phe-sich"}


# ---------------------------------------------------------------- calibration and points


def test_held_out_rows_are_calibrated_by_other_folds_and_the_rest_as_published(
    report: dict[str, Any], table: list[dict[str, str]], folder: Path
) -> None:
    runs = read_runs(folder)
    raw = {(int(f), s, int(k)): x[0] for f, s, k, x in zip(runs.fold, runs.study, runs.place, runs.logit, strict=True)}
    slope, intercept = report["calibration"]["slice"][0]
    gaps: dict[str, list[float]] = {}
    for row in table:
        if row["slice"]:
            fold = FINAL if row["fold"] == "final" else int(row["fold"])
            published = slope * raw[fold, row["study"], int(row["slice"])] + intercept
            gaps.setdefault(row["source"], []).append(abs(logit(float(row["probability any"])) - published))
    assert max(gaps["rsna-sample"] + gaps["rsna-sdh"]) < 0.02
    assert 0.01 < np.mean(gaps["ct-ich"]) < 1


def test_what_the_export_needs_is_there(report: dict[str, Any]) -> None:
    assert report["labels"] == ["any", "subdural"]
    assert report["folds"] == [0, 1, 2, 3]
    assert np.shape([report["calibration"][level] for level in ("slice", "study")]) == (2, 2, 2)
    points = report["operating_points"]
    assert points["default"] in [point["name"] for point in points["points"]]
    assert set(points["thresholds"]["study"]) == set(points["thresholds"]["slice"]) == {"any", "subdural"}


def test_a_final_model_that_scores_higher_than_the_folds_is_noticed(tmp_path: Path) -> None:
    folder = run_builder.model(tmp_path / "model", folds=2)
    before = evaluate(folder)["final_shift"]["slice"]
    path = folder / "final" / "predictions.csv"
    rows = list(csv.reader(path.read_text().splitlines()))
    at = rows[0].index("logit any")
    for row in rows[1:]:
        row[at] = str(float(row[at]) + 2)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    report = evaluate(folder)
    assert report["final_shift"]["slice"] - before == pytest.approx(2 * report["calibration"]["slice"][0][0], abs=0.01)


# ---------------------------------------------------------------- ablations


def test_an_ablation_is_compared_on_the_same_folds(report: dict[str, Any]) -> None:
    (ablation,) = report["ablations"]
    assert (ablation["without"], ablation["folds"]) == ("implants", [0, 1])
    auc = ablation["auc"]["ct-ich slice any"]
    assert auc["with"] - auc["without"] == pytest.approx(auc["difference"], abs=2e-3)
    low, high = auc["difference_95"]
    assert 0 < low < auc["difference"] < high
    assert {"ct-ich slice subtypes", "rsna-sample slice any", "phe-sich study any, against normal heads"} <= set(
        ablation["auc"]
    )


def test_without_a_collection_only_rows_that_both_held_out_are_compared(tmp_path: Path) -> None:
    """A collection that is left out is held out whole, by every fold of the ablation."""
    folder = run_builder.model(tmp_path / "model", folds=2)
    for fold in (0, 1):
        rows, others = ((folder / f"fold-{i}" / "predictions.csv").read_text() for i in (fold, 1 - fold))
        path = folder / "without-phe-sich" / f"fold-{fold}" / "predictions.csv"
        path.parent.mkdir(parents=True)
        path.write_text(rows + "".join(row for row in others.splitlines(True) if row.startswith("phe-sich")))
    (folder / "without-implants" / "fold-0").mkdir(parents=True)  # still training
    (ablation,) = evaluate(folder)["ablations"]
    assert all(auc["difference"] == 0 for auc in ablation["auc"].values())
    assert ablation["folds"] == [0, 1]


# ---------------------------------------------------------------- files and refusals


@pytest.mark.parametrize(
    "text",
    [
        "| sensitivity 0.95 |",
        "ct-ich slice any",
        "rsna-sdh picture any",
        "Default: sensitivity 0.",
        "without",
        "floor 0.",
    ],
)
def test_the_tables_tell_what_was_found(folder: Path, text: str) -> None:
    assert text in (folder / TABLE_FILE).read_text(encoding="utf-8")


def test_a_model_of_one_label_is_measured_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run_builder.model(tmp_path / "cerebroscan", labels=("any",), folds=2)
    assert main([str(folder)]) == 0
    assert "| ct-ich study any | 24 | 10 |" in capsys.readouterr().out
    assert json.loads((folder / METRICS_FILE).read_text())["labels"] == ["any"]


def test_a_patient_in_two_folds_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run_builder.model(tmp_path / "model", folds=2)
    text = (folder / "fold-1" / "predictions.csv").read_text()
    (folder / "fold-1" / "predictions.csv").write_text(text.replace("a1-3", "a0-3"))
    assert main([str(folder)]) == 1
    assert "held out by two" in capsys.readouterr().err
    assert not (folder / METRICS_FILE).exists()


def test_no_runs_are_said_to_be_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 1
    assert "found none" in capsys.readouterr().err


# ---------------------------------------------------------------- many scanners, unknown hospitals, pictures alone


def slices_of_rsna(folder: Path, fold: int, patients: range, skill: float) -> None:
    """Add single slices of RSNA patients to what a run said."""
    rng = np.random.default_rng(100 * fold + len(patients))
    studies = [run_builder.drawn(rng, "rsna-more", f"rsna/{i}", i % 3 == 0, 1, 2, skill) for i in patients]
    path = folder / f"fold-{fold}" / "predictions.csv"
    before = path.read_text() if path.is_file() else ""
    run_builder.write(path, ("any", "subdural"), studies)
    path.write_text(before + "".join(path.read_text().splitlines(keepends=True)[bool(before) :]))


@pytest.fixture(scope="module")
def with_rsna(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folds that trained on RSNA, too, and hold some of it back; and two that saw nothing of it."""
    folder = run_builder.model(tmp_path_factory.mktemp("rsna") / "cranioscan", folds=2)
    run_builder.model(folder / "without-rsna", folds=2)
    for fold in range(2):
        slices_of_rsna(folder, fold, range(fold, 60, 2), skill=2)
        slices_of_rsna(folder / "without-rsna", fold, range(60), skill=0.5)
    evaluate(folder)
    return folder


def test_rsna_slices_are_measured_out_of_fold_beside_ct_ich(with_rsna: Path) -> None:
    measured = json.loads((with_rsna / METRICS_FILE).read_text())["measured"]
    figures = measured["cross-validation"]["rsna-more slice any"]
    assert (figures["n"], figures["positives"], figures["patients"]) == (60, 20, 60)
    low, high = figures["auc_95"]
    assert low < figures["auc"] <= high
    assert {"rsna-more slice subdural", "rsna-more picture any", "ct-ich slice any"} <= set(
        measured["cross-validation"]
    )
    assert not any(name.startswith("rsna-more") for name in measured["elsewhere"])


def test_runs_without_a_hospital_are_measured_on_all_of_it(with_rsna: Path) -> None:
    report = json.loads((with_rsna / METRICS_FILE).read_text())
    figures = report["unknown_hospitals"]["rsna"]["rsna-more slice any"]
    values = []
    for fold in range(2):
        run = read_runs(with_rsna / "without-rsna")
        mine = (run.source == "rsna-more") & (run.level == "slice") & (run.fold == fold)
        values.append(metrics.roc_auc(run.truth[mine, 0], run.logit[mine, 0]).value)
    assert figures["auc"] == pytest.approx(np.mean(values), abs=1e-4)
    assert (figures["n"], figures["patients"]) == (60, 60)
    assert figures["auc"] < report["measured"]["cross-validation"]["rsna-more slice any"]["auc"]
    assert "unknown hospital, by runs without rsna" in (with_rsna / TABLE_FILE).read_text()


def test_one_fold_without_a_hospital_is_enough(tmp_path: Path) -> None:
    folder = run_builder.model(tmp_path / "model", folds=2)
    run_builder.model(folder / "without-rsna", folds=1)
    slices_of_rsna(folder / "without-rsna", 0, range(30), skill=1)
    assert evaluate(folder)["unknown_hospitals"]["rsna"]["rsna-more slice any"]["n"] == 30


def test_runs_on_pictures_alone_have_operating_points(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for fold in range(2):
        studies = [run_builder.drawn(rng, "pictures", f"pictures/{fold}-{i}", i % 2 == 0, 1, 1, 3.0) for i in range(20)]
        run_builder.write(tmp_path / f"fold-{fold}" / "predictions.csv", ("any",), studies)
    report = evaluate(tmp_path)
    points = report["operating_points"]
    assert points["patients"] == {"with a bleed": {"pictures": 20}, "without": {"pictures": 20}}
    assert 0 < points["thresholds"]["study"]["any"] < 1
    assert report["measured"]["cross-validation"]["pictures picture any"]["auc"] > 0.9


def test_a_collection_that_measures_elsewhere_is_judged_by_fold_where_it_trains(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for fold in range(2):
        studies = [run_builder.drawn(rng, "rsna-sample", f"rsna/{fold}-{i}", i % 2 == 0, 1, 2) for i in range(20)]
        run_builder.write(tmp_path / f"fold-{fold}" / "predictions.csv", ("any", "subdural"), studies)
    assert "rsna-sample slice any" in evaluate(tmp_path)["measured"]["cross-validation"]
