"""How quickly the pages answer with 100,000 studies in the store, and how much memory the dashboard takes.

    python -m benchmarks.scale
    python -m benchmarks.scale --studies 10000 --json scale.json

A thousand studies are recorded as any other; the rest are copies of them that came in on other days, made by the
database itself. Performance is opened on the reviews of these, and on a sheet of truth and one of a product's
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
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, func, insert, literal, select

from ichscope.labels import LABELS
from ichscope.store import Store
from ichscope.store.tables import Finding, Result, Review, Study, Volume
from ichscope.tabular.importing import import_predictions, import_truth
from tests.support import store_cases as cases

ROOT = Path(__file__).resolve().parents[1]
IMPORTED = {"performance-truth": "import:1", "performance-first": "import:2:product"}
PAGES: dict[str, tuple[str, dict[str, str]]] = {
    "Worklist": ("views/worklist.py", {}),
    "Cohort": ("views/cohort.py", {}),
    "Performance": ("views/performance.py", {}),
    "imported": ("views/performance.py", IMPORTED),
}
TARGET_S, TARGET_FIRST_S, TARGET_MB = 1.0, 2.0, 1024
_DAY_MS = timedelta(days=1) // timedelta(milliseconds=1)
_TIMES = ("arrived_at", "analysed_at", "first_result_at", "first_review_at", "reviewed_at")


def main() -> int:
    options = _parse()
    if options.measure:
        print(json.dumps(measure(options.rounds)))
        return 0
    with tempfile.TemporaryDirectory(prefix="ichscope-scale-") as folder:
        start = time.perf_counter()
        fill(Path(folder), options.studies)
        import_sheets(Path(folder), options.studies)
        built = round(time.perf_counter() - start, 1)
        found = _in_a_process(Path(folder), options.rounds)
        size = sum(file.stat().st_size for file in Path(folder).glob("ichscope.db*")) >> 20
    pages = found["pages"]
    good = all(page["later_s"] < TARGET_S for page in pages.values()) and found["memory_mb"] < TARGET_MB
    good &= all(pages[name]["first_s"] < TARGET_FIRST_S for name in ("Performance", "imported"))
    report = {"studies": options.studies, "built_s": built, "database_mb": size, **found, "good": good}
    print(table(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0 if good else 1


def fill(home: Path, studies: int, seeds: int = 1000) -> None:
    """Put so many studies into the store of a home folder: a few as any other, and copies of them."""
    store = Store.open(home=home)
    cases.many(store, seeds)
    with store.database.engine.connect().execution_options(writes=True) as connection, connection.begin():
        for copy in range(1, studies // seeds):
            copy_studies(connection, seeds, copy)
    store.close()


def import_sheets(home: Path, studies: int) -> None:
    """Import truth and a product's probabilities of studies that are not in the store."""
    random = np.random.default_rng(0)
    truth = (random.random((studies, len(LABELS))) < 0.15).astype(int)
    truth[:, 0] = truth.max(axis=1)
    said = 1 / (1 + np.exp(2 - 2.5 * truth - random.normal(size=truth.shape)))
    store = Store.open(home=home)
    for name, values, read in (("truth", truth, import_truth), ("product", said.round(4), import_predictions)):
        file = home / f"{name}.csv"
        with file.open("w", newline="") as handle:
            writer = csv.writer(handle)
            writer.writerow(["study", "model", *LABELS])
            writer.writerows([f"S{i}", name, *row] for i, row in enumerate(values.tolist()))
        read(store, file)
        file.unlink()
    store.close()


def copy_studies(connection: Connection, seeds: int, copy: int) -> None:
    """Copy the first studies, with all that belongs to them, as ones that came some days later."""
    shift = {name: Study.__table__.c[name] + literal(copy * 3 * _DAY_MS) for name in _TIMES}
    key = literal(f"{copy:08x}")
    names = {
        "content": func.substr(Study.content, 1, 56) + key,
        "study_key": func.substr(Study.study_key, 1, 8) + key,
    }
    _copy(connection, Study.__table__, "id", seeds, copy, shift | names)
    for table in (Volume, Finding, Result, Review):
        _copy(connection, table.__table__, "study_id", seeds, copy, {})


def _copy(connection: Connection, table: Any, owner: str, seeds: int, copy: int, changed: dict[str, Any]) -> None:
    assert isinstance(table, Table)
    changed = {owner: table.c[owner] + literal(copy * seeds)} | changed
    # Numbers of results and reviews are the database's to give.
    columns = [column for column in table.c if column.name == owner or column.name != "id"]
    values = [changed.get(column.name, column) for column in columns]
    connection.execute(insert(table).from_select(columns, select(*values).where(table.c[owner] <= seeds)))


def measure(rounds: int) -> dict[str, Any]:
    """Open each page in this process, the first time and again."""
    from streamlit.testing.v1 import AppTest

    app = AppTest.from_file(str(ROOT / "dashboard/app.py"), default_timeout=600).run()
    pages = {}
    for page, (path, state) in PAGES.items():
        for key, value in state.items():
            app.session_state[key] = value
        app.switch_page(path)
        first, *later = (_load(app) for _ in range(1 + rounds))
        clock, processor = (statistics.median(one[i] for one in later) for i in range(2))
        pages[page] = {"first_s": first[0], "first_cpu_s": first[1], "later_s": clock, "later_cpu_s": processor}
    return {"pages": pages, "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


def _load(app: Any) -> tuple[float, float]:
    """Run the page; gives seconds of the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    app.run()
    if app.exception or app.error:
        raise RuntimeError(f"the page failed: {[one.value for one in (*app.exception, *app.error)]}")
    return round(time.perf_counter() - clock, 3), round(time.process_time() - processor, 3)


def _in_a_process(home: Path, rounds: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.scale", "--measure", "--rounds", str(rounds)]
    environment = {**os.environ, "ICHSCOPE_HOME": str(home)}
    environment.pop("ICHSCOPE_DATABASE_URL", None)
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [f"{report['studies']:,} studies, {report['database_mb']} MB, made in {report['built_s']} s"]
    lines.append(f"{'page':11} {'first load':>10} {'(CPU)':>8} {'later':>9} {'(CPU)':>8}")
    for page, found in report["pages"].items():
        lines.append(f"{page:11} " + " ".join(f"{value:>7.2f} s" for value in found.values()))
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
