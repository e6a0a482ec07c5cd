"""The dashboard as a browser sees it: first paint, server time of page switches, memory over many studies.

    python -m benchmarks.served                 # needs Chromium
    python -m benchmarks.served --no-browser    # page switches alone

First paint is from the start of the server process to the heading in a browser that keeps asking, beside that of a
page with nothing but a heading: the difference is ICHScope's own. Page switches are timed by Streamlit's test runner
with 10,000 studies in the store. Memory is the server's after each of many synthetic studies checked in one tab; what
counts is growth from the tenth on, when every cache is filled. Processor seconds stand beside those of the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import scale, shared
from benchmarks.dashboard_server import DASHBOARD, FLAGS, ROOT, resident_mb, running
from tests.support.large_store import fill

PAGES = ("worklist", "cohort", "performance", "monitoring", "models", "study_check")
PAINT_S, SWITCH_S, GROWTH_MB = 2.0, 0.3, 64
_WARM = 10
_EMPTY = 'import streamlit as st\n\nst.title("Study check")\n'


def main() -> int:
    options = _parse()
    if options.measure:
        print(json.dumps(switch(options.rounds)))
        return 0
    report: dict[str, Any] = {"machine": shared.machine()}
    print(shared.conditions(report["machine"]))
    with tempfile.TemporaryDirectory(prefix="ichscope-served-") as folder:
        home = Path(folder)
        if not options.no_browser:
            report |= in_a_browser(home, options)
        fill(home / "many", options.stored)
        report["stored"], report["switch"] = options.stored, _in_a_process(home / "many", options.rounds)
    print(table(report))
    shared.save(report, options.json)
    return 0


# --- in a browser ---------------------------------------------------------------------------------------


def in_a_browser(home: Path, options: argparse.Namespace) -> dict[str, Any]:
    """First paint, and memory over studies."""
    from playwright.sync_api import sync_playwright

    empty = home / "empty.py"
    empty.write_text(_EMPTY, encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        paints: dict[str, list[float]] = {"ichscope": [], "empty": []}
        for _ in range(options.rounds):
            for name, script in (("ichscope", DASHBOARD), ("empty", empty)):
                paints[name].append(_first_paint(browser, script, home / "one", options.models))
        memory = _memory(browser, home / "one", options)
        browser.close()
    later = memory[_WARM:] or memory
    return {
        "paint_s": {name: statistics.median(seconds) for name, seconds in paints.items()},
        "memory_mb": memory,
        "growth_mb": later[-1] - later[0],
    }


def _first_paint(browser: Any, script: Path, home: Path, models: Path) -> float:
    page = browser.new_page()
    start = time.perf_counter()
    with running(script, home, models) as (address, _):
        page.goto(address)
        page.get_by_role("heading", name="Study check").wait_for(timeout=120_000)
        seconds = time.perf_counter() - start
        page.close()
    return seconds


def _memory(browser: Any, home: Path, options: argparse.Namespace) -> list[float]:
    """Resident memory of the server in MB after each study that is checked."""
    memory = []
    with running(DASHBOARD, home, options.models) as (address, process):
        page = browser.new_page()
        page.goto(address)
        for _ in range(options.studies):
            page.get_by_role("button", name="Subdural bleed").click(timeout=300_000)
            page.locator(".verdict").wait_for(timeout=300_000)
            memory.append(resident_mb(process.pid))
            page.get_by_role("button", name="New study").click()
            page.get_by_text("Drop a study here").wait_for(timeout=120_000)
        page.close()
    return memory


# --- page switches --------------------------------------------------------------------------------------


def switch(rounds: int) -> dict[str, dict[str, float]]:
    """Go from page to page; the first time of each fills its caches and is told apart."""
    from streamlit.testing.v1 import AppTest

    app = AppTest.from_file(str(ROOT / "dashboard/router.py"), default_timeout=600).run()
    taken: dict[str, list[tuple[float, float]]] = {page: [] for page in PAGES}
    for _ in range(rounds + 1):
        for page in PAGES:
            app.switch_page(f"views/{page}.py")
            taken[page].append(scale.timed_load(app))
    seconds = {}
    for page, (first, *later) in taken.items():
        clock, processor = (statistics.median(turn[i] for turn in later) for i in range(2))
        seconds[page] = {"first_s": first[0], "later_s": clock, "later_cpu_s": processor}
    return seconds


def _in_a_process(home: Path, rounds: int) -> dict[str, dict[str, float]]:
    command = [sys.executable, "-m", "benchmarks.served", "--measure", "--rounds", str(rounds)]
    environment = {**os.environ, "ICHSCOPE_HOME": str(home)}
    environment.pop("ICHSCOPE_DATABASE_URL", None)
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    seconds: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return seconds


# --- what is shown --------------------------------------------------------------------------------------


def table(report: Mapping[str, Any]) -> str:
    lines = []
    if "paint_s" in report:
        paints = report["paint_s"]
        lines.append(shared.line("first paint", [f"{paints['ichscope']:.2f} s", f"aim {PAINT_S:g} s"]))
        lines.append(shared.line("the same of a bare heading", [f"{paints['empty']:.2f} s"]))
        memory = report["memory_mb"]
        growth = f"{report['growth_mb']:+.0f} MB"
        lines.append(shared.line(f"memory after {len(memory)} studies", [f"{memory[-1]:.0f} MB"]))
        lines.append(shared.line(f"its growth from study {_WARM} on", [growth, f"aim {GROWTH_MB} MB"]))
    lines.append(f"page switches with {report['stored']:,} studies in the store (aim {SWITCH_S:g} s)")
    lines.append(shared.line("", ["first", "later", "(CPU)"]))
    for page, seconds in report["switch"].items():
        lines.append(shared.line(page, [f"{value:.3f} s" for value in seconds.values()]))
    return "\n".join(lines)


def _parse() -> argparse.Namespace:
    parser = shared.parser(__doc__, rounds=3)
    parser.add_argument("--studies", type=int, default=100, help="studies checked in one tab (default 100)")
    parser.add_argument("--stored", type=int, default=10_000, help="studies in the store, in whole thousands")
    parser.add_argument("--no-browser", action="store_true", help="page switches alone")
    parser.add_argument("--measure", action="store_true", help="only switch pages, of the store at ICHSCOPE_HOME")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
