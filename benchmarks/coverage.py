"""How often 95 % intervals hold the true value: simulated patients, alone and with several rows each.

`python -m benchmarks.coverage` takes about a minute of one core at the default 300 repeats (a coverage of 95 % is then
known to +- 2.5 points); `--repeats 2000` is for changing a method. Scores of negatives are normal, those of
positives the same, shifted to the AUC asked for; probabilities are calibrated. Clustered patients have 1 to 5 rows:
half of a score's variance is the patient's, and so is the tendency to bleed. The true values come from a sample of
400,000 patients.

What was found stands in the README beside this file. In short: from 20 positive patients on intervals hold 93 to 99 of
100; with one to five, those of Brier score, calibration error, sensitivity and calibration slope may hold less than 93,
and carry the warning of few patients. "AUC plain" is DeLong's or Obuchowski's own interval, which the pages do not use
where few positives are ranked wrongly.

A line says how many intervals there were, and by metric how many of 100 held the truth; `!` marks what is outside of
93 to 97 by more than chance, "few" is how many of 100 carried the warning of few positive patients, and `-` stands
where under half of the samples gave an interval.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from scipy.special import expit, ndtri

from ichscope import metrics
from ichscope.metrics import Estimate

POPULATION = 400_000
LOW, HIGH = 93, 97

Draw = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def draw(random: np.random.Generator, patients: int, prevalence: float, auc: float, clustered: bool) -> Draw:
    """Truth, probability, a second and noisier score, and patient, (rows,) each."""
    patient = np.repeat(np.arange(patients), random.integers(1, 6, patients) if clustered else 1)
    tendency = random.beta(prevalence, 1 - prevalence, patients)[patient] if clustered else prevalence
    truth = (random.random(len(patient)) < tendency).astype(float)
    own = random.normal(size=patients)[patient]
    shift = math.sqrt(2) * ndtri(auc)
    noise = math.sqrt(0.5) * (own + random.normal(size=len(patient))) if clustered else own
    score = noise + shift * truth
    probability = expit(shift * score - shift**2 / 2 + math.log(prevalence / (1 - prevalence)))
    return truth, probability, score + 0.7 * random.normal(size=len(patient)), patient


def metrics_of(sample: Draw, prevalence: float) -> Iterator[tuple[str, Estimate]]:
    truth, p, other, patient = sample
    yield "AUC", metrics.roc_auc(truth, p, patient)
    yield "AUC plain", metrics.roc_auc(truth, p, patient, interval="delong")
    yield "AUC diff.", metrics.compare_auc(truth, p, other, patient).difference
    yield "AP", metrics.average_precision(truth, p, patient)
    yield "Brier", metrics.brier(truth, p, patient)
    yield "ECE of p^2", metrics.expected_calibration_error(truth, p**2, patients=patient)
    line = metrics.calibration_line(truth, p, patient)
    yield "slope", line.slope
    yield "intercept", line.intercept
    point = metrics.at_threshold(truth, p, prevalence, patient)
    yield from (("sens.", point.sensitivity), ("spec.", point.specificity), ("PPV", point.ppv), ("NPV", point.npv))
    yield "PPV at 8 %", metrics.at_prevalence(point, 0.08).ppv


def coverage(
    random: np.random.Generator, repeats: int, patients: int, prevalence: float, auc: float, clustered: bool
) -> tuple[dict[str, list[bool]], float]:
    """By metric, whether each interval held the truth; and the share that warned of few patients."""
    population = draw(random, POPULATION, prevalence, auc, clustered)
    truth = {name: estimate.value for name, estimate in metrics_of(population, prevalence)}
    held: dict[str, list[bool]] = defaultdict(list)
    warned = 0
    for _ in range(repeats):
        for name, estimate in metrics_of(draw(random, patients, prevalence, auc, clustered), prevalence):
            value = truth[name]
            if estimate.low is not None and estimate.high is not None and value is not None:
                # Rounding must not decide about an interval that ends at the end of the scale.
                held[name].append(estimate.low - 1e-9 <= value <= estimate.high + 1e-9)
            warned += name == "AUC" and estimate.reason.startswith("only")
    return held, warned / repeats


def cell(held: list[bool], repeats: int) -> str:
    if len(held) < repeats / 2:
        return "-"
    percent = 100 * float(np.mean(held))
    slack = 196 * math.sqrt(0.05 * 0.95 / len(held))
    return f"{percent:.0f}{'!' if not LOW - slack <= percent <= HIGH + slack else ''}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=300)
    parser.add_argument("--patients", type=int, nargs="+", default=[50, 200, 500, 2000])
    parser.add_argument("--prevalence", type=float, nargs="+", default=[0.02, 0.1, 0.5])
    parser.add_argument("--auc", type=float, nargs="+", default=[0.9])
    options = parser.parse_args()
    random = np.random.default_rng(0)
    names: list[str] = []
    for auc in options.auc:
        for clustered in (False, True):
            print(f"\nAUC {auc}, {'1 to 5 rows' if clustered else 'one row'} a patient")
            for prevalence in options.prevalence:
                for patients in options.patients:
                    held, few = coverage(random, options.repeats, patients, prevalence, auc, clustered)
                    if not names:
                        names = list(held)
                        print("   n   prev.  few ", *(f"{name:>10}" for name in names))
                    cells = (f"{cell(held[name], options.repeats):>10}" for name in names)
                    print(f"{patients:5} {prevalence:6.0%} {100 * few:5.0f} ", *cells, flush=True)


if __name__ == "__main__":
    main()
