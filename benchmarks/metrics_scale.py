"""How long the metrics of an RSNA-sized evaluation take: 750,000 slices of 25,000 patients, six labels.

`python -m benchmarks.metrics_scale` computes in a fresh process, with intervals over patients, all that `ichscope
evaluate` shows, and then all that the page Performance shows of every label: metrics, curves with their bands,
calibration, decision curve, subgroups by two columns, workload, subtypes taken for each other, and log loss. The aim is
at most 10 s cold; and at most 1 s when the page is asked again, by another user or after a change of mind: its arrays
are then loaded anew, and the metrics are found in the page's caches by what is in these arrays. With --files it also
writes the two tables to a temporary folder and times the whole command. Processor seconds stand beside those of the
clock, because on a busy computer only they mean something.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

START = (time.perf_counter(), time.process_time())

import numpy as np  # noqa: E402 - importing is part of a cold start

from dashboard import cached  # noqa: E402
from dashboard.performance.rows import Audit  # noqa: E402
from ichscope.evaluation.evaluate import evaluate_pairing  # noqa: E402
from ichscope.evaluation.selection import EvaluationSet, ModelColumn  # noqa: E402
from ichscope.labels import LABELS, SUBTYPES  # noqa: E402

# RSNA 2019, share of positive slices (FIELD: Flanders et al. 2020), in the order of LABELS.
PREVALENCE = (0.144, 0.004, 0.048, 0.035, 0.048, 0.063)


def simulate(slices: int, patients: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth and probability (slices, labels), and patient (slices,)."""
    random = np.random.default_rng(0)
    patient = np.sort(random.integers(0, patients, slices))
    logit = np.log(np.array(PREVALENCE) / (1 - np.array(PREVALENCE)))
    tendency = logit + 1.5 * random.normal(size=(patients, len(LABELS)))[patient]
    truth = (random.random(tendency.shape) < 1 / (1 + np.exp(-tendency))).astype(float)
    score = logit + 3 * truth + random.normal(size=truth.shape) + 0.5 * random.normal(size=patients)[patient, None]
    return truth, 1 / (1 + np.exp(-score)), patient


def clocks() -> np.ndarray:
    """Seconds of the clock and of the processor."""
    return np.array([time.perf_counter(), time.process_time()])


def loaded(truth: np.ndarray, probability: np.ndarray, patient: np.ndarray) -> EvaluationSet:
    """The rows as the page has them, in arrays of their own."""
    columns = (np.array(values.T, order="C") for values in (truth, probability))
    real, probabilities = (dict(zip(LABELS, values, strict=True)) for values in columns)
    rows = len(patient)
    return EvaluationSet(
        level="slice",
        keys=list(map(str, range(rows))),
        study=np.full(rows, -1),
        slice=np.full(rows, -1),
        truth=real,
        models={"model": ModelColumn("model", "", probabilities, dict.fromkeys(LABELS, 0.3), "", "")},
        group=patient.copy(),
        grouped_by="patient",
        columns={
            "scanner": [f"scanner {number % 7}" for number in patient],
            "sex": ["FM"[number % 2] for number in patient],
        },
        notes=[],
        missing={"model": 0},
    )


def command(evaluation_set: EvaluationSet) -> np.ndarray:
    """Seconds that the metrics of `ichscope evaluate` take."""
    pairing, start = evaluation_set.pairing(), clocks()
    measured = evaluate_pairing(pairing, {}).models["model"]
    assert all(label.auc.low is not None for label in measured.labels.values())
    return np.asarray(clocks() - start)


def page(evaluation_set: EvaluationSet) -> np.ndarray:
    """Seconds that everything on the page takes, every label looked at."""
    start = clocks()
    audit = Audit(evaluation_set, "model", None)
    rows = {label: audit.rows(label) for label in audit.labels}
    for label_rows in rows.values():
        measured = cached.label_metrics(label_rows, 0.3)
        assert all(point.metrics for point in measured.operating_points)
        cached.curves(label_rows)
        cached.calibration(label_rows)
        for by in (audit.everyone, *audit.by.values()):
            cached.subgroups(label_rows, by, 0.3)
    cached.joint({label: rows[label] for label in SUBTYPES}, (0.3,) * len(SUBTYPES))
    cached.log_loss([rows[label] for label in LABELS])
    return np.asarray(clocks() - start)


def whole_command(truth: np.ndarray, probability: np.ndarray, patient: np.ndarray) -> float:
    """Seconds of `ichscope evaluate` on the same as CSV files."""
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.csv" for name in ("truth", "predictions")}
        for values, file in zip((truth.astype(int), probability.round(5)), files.values(), strict=True):
            with file.open("w", newline="") as handle:
                writer = csv.writer(handle)
                writer.writerow(["sop", "patient", *LABELS])
                writer.writerows(
                    [i, f"P{p}", *row] for i, (p, row) in enumerate(zip(patient, values.tolist(), strict=True))
                )
        start = time.perf_counter()
        options = [text for name, file in files.items() for text in (f"--{name}", str(file))]
        run = [sys.executable, "-c", "from ichscope.commands.cli import app; app()", "evaluate", *options]
        subprocess.run(run, check=True, capture_output=True)
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=750_000)
    parser.add_argument("--patients", type=int, default=25_000)
    parser.add_argument("--files", action="store_true", help="also time `ichscope evaluate` on files")
    options = parser.parse_args()
    imports = clocks() - START
    data = simulate(options.slices, options.patients)
    print(f"{options.slices:,} slices of {options.patients:,} patients, {len(LABELS)} labels")
    for name, (clock, processor) in (
        ("imports", imports),
        ("evaluate", command(loaded(*data))),
        ("page, cold", page(loaded(*data))),
        ("page, again", page(loaded(*data))),
    ):
        print(f"{name:11} {clock:6.2f} s, processor {processor:6.2f} s")
    if options.files:
        print(f"command     {whole_command(*data):6.2f} s, two CSV files to the table")


if __name__ == "__main__":
    main()
