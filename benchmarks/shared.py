"""What the benchmarks have in common: options, the machine they ran on, turns, and reports."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ichscope.models import autotuning
from ichscope.models.registry import default_models_folder

QUIET = 0.3


def parser(doc: str | None, rounds: int) -> argparse.ArgumentParser:
    """Options that every benchmark of models has."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--models", type=Path, default=default_models_folder(), help="folder of models")
    made.add_argument("--rounds", type=int, default=rounds, help=f"how often each way is timed (default {rounds})")
    made.add_argument("--json", type=Path, metavar="FILE", help="write all numbers")
    return made


def machine() -> dict[str, Any]:
    """Processor, cores, versions, and how busy it was before."""
    return autotuning.machine() | {"load_before": os.getloadavg()[0], "date": time.strftime("%Y-%m-%d")}


def conditions(about: Mapping[str, Any]) -> str:
    """The machine in a line, and a warning where it was not quiet."""
    text = f"{about['date']}, {about['processor']}, {about['cores']} cores"
    if about["instructions"]:
        text += f", no further than {about['instructions']}"
    if about["load_before"] > QUIET:
        text += f"\nNot quiet: the load average was {about['load_before']:.1f} before; other programs slow this down."
    return text


def take_turns(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds by way and round; a round more is run before, which warms up and is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if turn:
                taken[name].append(time.perf_counter() - start)
    return taken


def line(title: str, cells: Iterable[str], width: int = 34) -> str:
    return f"{title:{width}s}" + "".join(f"{cell:>12s}" for cell in cells)


def save(report: Mapping[str, Any], path: Path | None) -> None:
    if path:
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
