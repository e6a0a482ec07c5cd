"""How quickly the pages answer with 100,000 studies in the store, and how much memory the dashboard takes.

    python -m benchmarks.scale
    python -m benchmarks.scale --studies 10000 --json scale.json

A thousand studies are recorded as any other; the rest are copies of them that came in on other days, made by the
database itself. Performance is opened on the reviews of these, and on a table of truth and one of a product's
probabilities with as many studies as there are. The pages are opened in one fresh process through Streamlit's AppTest,
so that a time is the server's: from the request to the last element. The aim is under 1 s after the first load, under
2 s for the first load of Performance, and under 1 GB of memory. Processor seconds stand beside those of the clock,
because on a busy computer only they mean something.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from ichscope.access import by_default, operator
from ichscope.labels import LABELS
from ichscope.store import Store
from ichscope.tabular.importing import import_predictions, import_truth
from tests.support.large_store import fill

ROOT = Path(__file__).resolve().parents[1]
IMPORTED = {"performance-truth": "import:1", "performance-first": "import:2:product"}
PAGES: dict[str, tuple[str, dict[str, str]]] = {
    "Worklist": ("views/worklist.py", {}),
    "Cohort": ("views/cohort.py", {}),
    "Performance": ("views/performance.py", {}),
    "imported": ("views/performance.py", IMPORTED),
}
TARGET_S, TARGET_FIRST_S, TARGET_MB = 1.0, 2.0, 1024


def main() -> int:
    by_default(operator)
    options = _parse()
    if options.measure:
        print(json.dumps(measure(options.rounds)))
        return 0
    with tempfile.TemporaryDirectory(prefix="ichscope-scale-") as folder:
        start = time.perf_counter()
        fill(Path(folder), options.studies)
        import_tables(Path(folder), options.studies)
        built = round(time.perf_counter() - start, 1)
        measured = _in_a_process(Path(folder), options.rounds)
        size = sum(file.stat().st_size for file in Path(folder).glob("ichscope.db*")) >> 20
    pages = measured["pages"]
    good = all(page["later_s"] < TARGET_S for page in pages.values()) and measured["memory_mb"] < TARGET_MB
    good &= all(pages[name]["first_s"] < TARGET_FIRST_S for name in ("Performance", "imported"))
    report = {"studies": options.studies, "built_s": built, "database_mb": size, **measured, "good": good}
    print(table(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0 if good else 1


def import_tables(home: Path, studies: int) -> None:
    """Import truth and a product's probabilities of studies that are not in the store."""
    random = np.random.default_rng(0)
    truth = (random.random((studies, len(LABELS))) < 0.15).astype(int)
    truth[:, 0] = truth.max(axis=1)
    probability = 1 / (1 + np.exp(2 - 2.5 * truth - random.normal(size=truth.shape)))
    store = Store.open(home=home)
    for name, values, read in (("truth", truth, import_truth), ("product", probability.round(4), import_predictions)):
        file = home / f"{name}.csv"
        with file.open("w", newline="") as handle:
            writer = csv.writer(handle)
            writer.writerow(["study", "model", *LABELS])
            writer.writerows([f"S{i}", name, *row] for i, row in enumerate(values.tolist()))
        read(store, file)
        file.unlink()
    store.close()


def measure(rounds: int) -> dict[str, Any]:
    """Open each page in this process, the first time and again."""
    from streamlit.testing.v1 import AppTest

    app = AppTest.from_file(str(ROOT / "dashboard/router.py"), default_timeout=600).run()
    pages = {}
    for page, (path, state) in PAGES.items():
        for key, value in state.items():
            app.session_state[key] = value
        app.switch_page(path)
        first, *later = (timed_load(app) for _ in range(1 + rounds))
        clock, processor = (statistics.median(seconds[i] for seconds in later) for i in range(2))
        pages[page] = {"first_s": first[0], "first_cpu_s": first[1], "later_s": clock, "later_cpu_s": processor}
    return {"pages": pages, "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


def timed_load(app: Any) -> tuple[float, float]:
    """Run the page; gives seconds of the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    app.run()
    if app.exception or app.error:
        raise RuntimeError(f"the page failed: {[shown.value for shown in (*app.exception, *app.error)]}")
    return round(time.perf_counter() - clock, 3), round(time.process_time() - processor, 3)


def _in_a_process(home: Path, rounds: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.scale", "--measure", "--rounds", str(rounds)]
    environment = {**os.environ, "ICHSCOPE_HOME": str(home)}
    environment.pop("ICHSCOPE_DATABASE_URL", None)
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def table(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [f"{report['studies']:,} studies, {report['database_mb']} MB, made in {report['built_s']} s"]
    lines.append(f"{'page':11} {'first load':>10} {'(CPU)':>8} {'later':>9} {'(CPU)':>8}")
    for page, seconds in report["pages"].items():
        lines.append(f"{page:11} " + " ".join(f"{value:>7.2f} s" for value in seconds.values()))
    lines.append(f"memory of the process {report['memory_mb']} MB")
    aim = f"under {TARGET_S:.0f} s later, Performance under {TARGET_FIRST_S:.0f} s at first, under {TARGET_MB} MB"
    lines.append(f"aim: {aim}: {'met' if report['good'] else 'MISSED'}")
    return "\n".join(lines)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=100_000, help="how many, in whole thousands (default 100000)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each page is opened again (default 5)")
    parser.add_argument("--measure", action="store_true", help="only open the pages, of the store at ICHSCOPE_HOME")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
