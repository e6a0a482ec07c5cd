"""How good a model is, on patients that none of its runs has seen: calibration, operating points, metrics, ablations.

    python -m training.evaluate runs/cranioscan

reads `fold-*/predictions.csv`, `final/predictions.csv` and, beside them, `without-*/fold-*/predictions.csv`; writes
`metrics.json` (what the export and the model card need), `metrics.md` (the same to read) and `out_of_fold.csv`.

Collections that are trained on: every row is predicted by the fold that did not train on its patient, and calibrated
and judged by what the other folds fitted. AUC and average precision see the order alone and are of raw logits: a
published model has one calibration, which changes no order, but each fold another. Collections that no run trains on:
the mean of the folds' metrics (what one such model gives, not an ensemble), and those of the final model, with the
published calibration. Runs without a hospital (`--without rsna`) show what an unknown one gets: all of its patients,
by the mean of these runs. Intervals are 95 %, from a bootstrap over patients; those of sensitivity and specificity are
Wilson's for the effective number of patients.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ichscope import metrics
from ichscope.metrics.calibration import KAGGLE_WEIGHTS
from training.ablation import WITHOUT, ablations, runs_without
from training.bootstrap import ECE_BINS, ScoredRows, interval, replicates
from training.estimates import value_of
from training.metrics_tables import as_markdown
from training.operating_points import Fitted, Judged, cross_fit, operating_points
from training.out_of_fold import FINAL, SYNTHETIC, Predictions, read_runs
from training.source_probe import told_apart

METRICS_FILE, TABLE_FILE, OUT_OF_FOLD_FILE = "metrics.json", "metrics.md", "out_of_fold.csv"


def evaluate(folder: Path) -> dict[str, Any]:
    """Measure the runs of a model and write what was found beside them.

    Raises
    ------
    FileNotFoundError, ValueError
        if there are no predictions, or not what training writes
    """
    runs = read_runs(folder)
    held_out, elsewhere = runs.where(runs.held_out), runs.where(np.isin(runs.source, runs.elsewhere))
    _refuse_leaks(held_out)
    fitted, unseen = Fitted.of(held_out), cross_fit(held_out)
    by_folds, by_final = (elsewhere.where((elsewhere.fold == FINAL) == final) for final in (False, True))
    points = operating_points(held_out, fitted, unseen)
    report = {
        "labels": list(runs.labels),
        "folds": held_out.folds,
        "calibration": fitted.calibration,
        "operating_points": points,
        "measured": {
            "cross-validation": measure([(held_out, unseen)]),
            "elsewhere": measure([(part, fitted.judge(part)) for part in _by_fold(by_folds, runs.folds)]),
            "elsewhere, final model": measure([(by_final, fitted.judge(by_final))]),
        },
        "unknown_hospitals": unknown_hospitals(folder, fitted),
        "sources_told_apart": told_apart(folder),
        "found_by_kind": found_by_kind(held_out, unseen.z[:, 0] >= unseen.points[points["default"]]),
        "final_shift": _shift(fitted, by_folds, by_final),
        "ablations": ablations(folder, runs),
    }
    (folder / METRICS_FILE).write_text(json.dumps(report, indent=1))
    (folder / TABLE_FILE).write_text(as_markdown(folder.name, report), encoding="utf-8")
    _write_rows(folder / OUT_OF_FOLD_FILE, [(held_out, unseen), (elsewhere, fitted.judge(elsewhere))])
    return report


def unknown_hospitals(folder: Path, fitted: Fitted) -> dict[str, dict[str, Any]]:
    """Measure, for every hospital that runs were made without, those runs on it: by its name, as `measure`.

    Calibration and thresholds are of the same runs' held-out patients, or, where these do not give them, `fitted`.
    """
    found = {}
    for path, runs in runs_without(folder):
        name = path.name.removeprefix(WITHOUT)
        left_out = ((runs.source == name) | (runs.hospital == name)) & (runs.source != SYNTHETIC) & (runs.fold != FINAL)
        if left_out.any():
            parts = _by_fold(runs.where(left_out), runs.folds)
            own = _fitted(runs.where(~left_out & runs.held_out)) or fitted
            found[name] = measure([(part, own.judge(part)) for part in parts])
    return found


def _fitted(held_out: Predictions) -> Fitted | None:
    try:
        return Fitted.of(held_out)
    except ValueError:
        return None


def _by_fold(some: Predictions, folds: Sequence[int]) -> list[Predictions]:
    parts = [some.where(some.fold == fold) for fold in folds]
    return [part for part in parts if len(part)]


def _refuse_leaks(held_out: Predictions) -> None:
    pairs = np.unique(np.stack([held_out.patient, held_out.fold.astype(np.str_)]), axis=1)
    if pairs.shape[1] > len(np.unique(held_out.patient)):
        raise ValueError("expected every patient to be held out by one fold, found some held out by two")


def measure(models: Sequence[tuple[Predictions, Judged]]) -> dict[str, Any]:
    """Metrics by "collection level label", each the mean over models that predicted the same rows."""
    measures: dict[str, Any] = {}
    pairs = {pair for some, _ in models for pair in zip(some.source.tolist(), some.level.tolist(), strict=True)}
    for source, level in sorted(pairs):
        parts = [
            (predicted.where(mine), expit(judged.z[mine]), _called(predicted.labels, judged, mine))
            for predicted, judged in models
            if (mine := (predicted.source == source) & (predicted.level == level)).any()
        ]
        for i, label in enumerate(parts[0][0].labels):
            samples = [_known(rows, p[:, i], called[label], i) for rows, p, called in parts]
            measures[f"{source} {level} {label}"] = _metrics(samples)
        if overall := _log_loss([(rows, p) for rows, p, _ in parts]):
            measures[f"{source} {level} all"] = overall
    return measures


def _called(labels: Sequence[str], judged: Judged, mine: NDArray[np.bool_]) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """By label and name of the threshold, which rows are called positive."""
    called = {label: {"Youden": judged.z[mine, i] >= judged.thresholds[mine, i]} for i, label in enumerate(labels)}
    called[labels[0]] = {name: judged.z[mine, 0] >= value[mine] for name, value in judged.points.items()}
    return called


def _known(rows: Predictions, p: NDArray[np.float64], called: dict[str, NDArray[np.bool_]], label: int) -> ScoredRows:
    known = np.isfinite(rows.truth[:, label])
    return ScoredRows(
        rows.truth[known, label] == 1,
        p[known],
        rows.logit[known, label],
        {name: flags[known] for name, flags in called.items()},
        rows.patient[known],
    )


def _metrics(samples: Sequence[ScoredRows]) -> dict[str, Any]:
    rows = samples[0]
    positives = int(rows.truth.sum())
    measures: dict[str, Any] = {
        "n": len(rows.truth),
        "positives": positives,
        "patients": len(np.unique(rows.patient)),
        "positive_patients": len(np.unique(rows.patient[rows.truth])),
    }
    if not positives:
        return measures | {"auc": None, "why": "no positives" if len(rows.truth) else "no known labels"}
    measures["at"] = {}
    for name in rows.called:
        at = [metrics.at_threshold(sample.truth, sample.called[name], 0.5, sample.patient) for sample in samples]
        measures["at"][name] = {
            **_mean("sensitivity", [point.sensitivity for point in at]),
            **_mean("specificity", [point.specificity for point in at]),
        }
    if positives == len(rows.truth):
        return measures | {"auc": None, "why": "positives only"}
    drawn = [replicates(sample) for sample in samples]
    for name, metric in _METRICS.items():
        values = [value_of(metric(sample)) for sample in samples]
        ends = interval([draws[name] for draws in drawn]) if measures["positive_patients"] > 1 else None
        measures |= {name: round(float(np.mean(values)), 4), f"{name}_95": ends}
    return measures | {"log_loss_floor": round(value_of(metrics.log_loss_floor(rows.truth[:, None], (1.0,))), 4)}


_METRICS: dict[str, Callable[[ScoredRows], metrics.Estimate]] = {
    "auc": lambda rows: metrics.roc_auc(rows.truth, rows.score),
    "ap": lambda rows: metrics.average_precision(rows.truth, rows.score),
    "log_loss": lambda rows: metrics.weighted_log_loss(rows.truth[:, None], rows.probability[:, None], (1.0,)),
    "brier": lambda rows: metrics.brier(rows.truth, rows.probability),
    "ece": lambda rows: metrics.expected_calibration_error(rows.truth, rows.probability, ECE_BINS),
}


def _mean(name: str, estimates: Sequence[metrics.Estimate]) -> dict[str, Any]:
    """Mean of estimates and of their ends; nothing where there is none."""
    if any(estimate.value is None for estimate in estimates):
        return {}
    ends = None
    if all(estimate.low is not None for estimate in estimates):
        ends = [round(float(np.mean([getattr(estimate, end) for estimate in estimates])), 4) for end in ("low", "high")]
    return {name: round(float(np.mean([estimate.value for estimate in estimates])), 4), f"{name}_95": ends}


def found_by_kind(some: Predictions, flagged: NDArray[np.bool_]) -> dict[str, dict[str, Any]]:
    """Share of bleeding studies that are flagged, by collection and kind of bleed."""
    shares: dict[str, dict[str, Any]] = {}
    for source in np.unique(some.source).tolist():
        for i, label in enumerate(some.labels[1:], 1):
            mine = (some.source == source) & (some.level == "study") & (some.truth[:, i] == 1)
            if mine.any():
                at = metrics.at_threshold(np.ones(mine.sum()), flagged[mine], 0.5, some.patient[mine])
                shares.setdefault(source, {})[label] = {"n": int(mine.sum()), **_mean("sensitivity", [at.sensitivity])}
    return shares


def _log_loss(parts: Sequence[tuple[Predictions, NDArray[np.float64]]]) -> dict[str, Any]:
    """RSNA's weighted log loss over all labels, where all of them are known and `any` has both classes."""
    rows = parts[0][0]
    known = np.isfinite(rows.truth)
    if len(rows.labels) == 1 or not known.any(axis=0).all() or not {0.0, 1.0} <= set(rows.truth[:, 0].tolist()):
        return {}
    weights = KAGGLE_WEIGHTS[: len(rows.labels)]
    overall = {"n": int(known.any(axis=1).sum()), "patients": len(np.unique(rows.patient[known.any(axis=1)]))}
    estimates = [metrics.weighted_log_loss(predicted.truth, p, weights, predicted.patient) for predicted, p in parts]
    overall |= _mean("log_loss", estimates)
    return overall | {"log_loss_floor": round(value_of(metrics.log_loss_floor(rows.truth, weights)), 4)}


def _shift(fitted: Fitted, by_folds: Predictions, by_final: Predictions) -> dict[str, float]:
    """How far the final model's calibrated logits of `any` lie above the folds' on the same rows, by level.

    The published calibration was fitted on the folds: far from 0, it does not suit the final model.
    """
    shift = {}
    by_final = by_final.where(np.isin(by_final.study, by_folds.study))
    final, folds = fitted.judge(by_final).z[:, 0], fitted.judge(by_folds).z[:, 0]
    for level in np.unique(by_final.level).tolist():
        shift[level] = round(float(final[by_final.level == level].mean() - folds[by_folds.level == level].mean()), 3)
    return shift


def _write_rows(path: Path, parts: Sequence[tuple[Predictions, Judged]]) -> None:
    labels = parts[0][0].labels
    header = ["source", "patient", "study", "slice", "fold"]
    header += [f"{what} {label}" for what in ("truth", "logit", "probability") for label in labels]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(header)
        for some, judged in parts:
            table.writerows(_cells(some, expit(judged.z)))


def _cells(some: Predictions, p: NDArray[np.float64]) -> Iterator[list[Any]]:
    for i in range(len(some)):
        place = "" if some.place[i] < 0 else some.place[i]
        fold = "final" if some.fold[i] == FINAL else some.fold[i]
        truth = ["" if value != value else int(value) for value in some.truth[i]]
        numbers = [f"{value:.6f}" for value in (*some.logit[i], *p[i])]
        yield [some.source[i], some.patient[i], some.study[i], place, fold, *truth, *numbers]


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="the runs of a model, such as runs/cranioscan")
    options = parser.parse_args(arguments)
    try:
        evaluate(options.runs)
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print((options.runs / TABLE_FILE).read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
