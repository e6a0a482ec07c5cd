"""AUC, DeLong's interval and the paired test against R's pROC (Debian: r-base-core, r-cran-proc)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ichscope import metrics

# Each line out: file, AUC and interval of both scores, then the paired test's p. aSAH is pROC's own data.
SCRIPT = """
suppressMessages(library(pROC))
data(aSAH)
folder <- commandArgs(trailingOnly = TRUE)[1]
for (score in c("ndka", "wfns")) {
  table <- data.frame(truth = as.integer(aSAH$outcome == "Poor"), a = aSAH$s100b, b = as.numeric(aSAH[[score]]))
  write.csv(table, file.path(folder, paste0("aSAH-", score, ".csv")), row.names = FALSE)
}
for (path in list.files(folder, "csv$", full.names = TRUE)) {
  table <- read.csv(path)
  curves <- lapply(c("a", "b"), function(s) roc(table$truth, table[[s]], levels = 0:1, direction = "<", quiet = TRUE))
  ci <- sapply(curves, function(curve) ci.auc(curve, method = "delong"))
  p <- roc.test(curves[[1]], curves[[2]], method = "delong", paired = TRUE)$p.value
  cat(basename(path), format(c(ci[2, 1], ci[-2, 1], ci[2, 2], ci[-2, 2], p), digits = 17), "\\n")
}
"""
NAMES = ["aSAH-ndka", "aSAH-wfns", *(f"{kind}-{seed}" for kind in ("random", "tied", "few") for seed in range(3))]


@pytest.fixture(scope="module")
def by_r(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[float]]]:
    if shutil.which("Rscript") is None:
        if os.environ.get("CI"):
            pytest.fail("R is missing; install r-base-core and r-cran-proc")
        pytest.skip("R is not installed (Debian: r-base-core, r-cran-proc)")
    folder = tmp_path_factory.mktemp("r")
    for name in NAMES[2:]:
        kind, seed = name.split("-")
        random = np.random.default_rng(int(seed))
        truth = (random.random(250) < (0.04 if kind == "few" else 0.3)).astype(float)
        a, b = random.normal(size=(2, 250)) + truth * (2 if kind == "few" else 1)
        table = np.stack([truth, *((np.round(a), np.round(b)) if kind == "tied" else (a, b))], 1)
        np.savetxt(folder / f"{name}.csv", table, delimiter=",", header="truth,a,b", comments="", fmt="%.17g")
    done = subprocess.run(["Rscript", "-", folder], input=SCRIPT, capture_output=True, text=True)
    if "no package called" in done.stderr and not os.environ.get("CI"):
        pytest.skip("R's package pROC is not installed (Debian: r-cran-proc)")
    assert done.returncode == 0, done.stderr
    lines = (line.split() for line in done.stdout.splitlines())
    return folder, {name.removesuffix(".csv"): [float(number) for number in rest] for name, *rest in lines}


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_proc(by_r: tuple[Path, dict[str, list[float]]], name: str) -> None:
    folder, expected = by_r
    truth, a, b = np.genfromtxt(folder / f"{name}.csv", delimiter=",", skip_header=1).T
    first, second = (metrics.roc_auc(truth, score, interval="delong") for score in (a, b))
    paired = metrics.compare_auc(truth, a, b)
    found = [first.value, first.low, first.high, second.value, second.low, second.high, paired.p_delong]
    assert found == pytest.approx(expected[name], abs=1e-6)
    # Figures of this size need no other interval, so that what is shown is pROC's; few positives do.
    enough = not name.startswith("few")
    assert ((paired.first, paired.second, paired.p) == (first, second, paired.p_delong)) == enough
