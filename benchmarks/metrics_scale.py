"""How long the figures of an RSNA-sized evaluation take: 750,000 slices of 25,000 patients, six labels.

`python -m benchmarks.metrics_scale` computes all that `ichscope evaluate` shows, with intervals over patients, in a
fresh process: the aim is at most 10 s cold. (On the page, what was computed once is kept.) With --files it also writes
the two tables to a temporary folder and times the whole command. Processor seconds stand beside those of the clock,
because on a busy computer only they mean something.
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

from ichscope.audit.evaluate import evaluated  # noqa: E402
from ichscope.audit.pairing import Pairing, Partners  # noqa: E402
from ichscope.audit.values import Values  # noqa: E402
from ichscope.labels import LABELS  # noqa: E402

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


def figures(truth: np.ndarray, probability: np.ndarray, patient: np.ndarray) -> np.ndarray:
    """Seconds that all figures take."""
    keys, nobody = list(map(str, range(len(patient)))), [""] * len(patient)
    real, said = (dict(zip(LABELS, np.ascontiguousarray(values.T), strict=True)) for values in (truth, probability))
    partners = Partners(said, np.ones(len(patient), np.bool_), patient, "patient", [], {}, [])
    pairing = Pairing("slice", "sop", Values(keys, nobody, nobody, real), {"model": partners})
    start = clocks()
    found = evaluated(pairing, {}).models["model"]
    assert all(one.auc.low is not None for one in found.labels.values())
    return clocks() - start


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
        run = [sys.executable, "-c", "from ichscope.cli import app; app()", "evaluate", *options]
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
    cold, warm = figures(*data), figures(*data)
    print(f"{options.slices:,} slices of {options.patients:,} patients, {len(LABELS)} labels")
    for name, (clock, processor) in (
        ("imports", imports),
        ("figures", cold),
        ("cold", imports + cold),
        ("again", warm),
    ):
        print(f"{name:8} {clock:6.2f} s, processor {processor:6.2f} s")
    if options.files:
        print(f"evaluate {whole_command(*data):6.2f} s, two CSV files to the table")


if __name__ == "__main__":
    main()
