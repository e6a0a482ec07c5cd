"""`python -m training.data`: read collections and say what is there."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from ichscope.labels import LABELS
from training.data.loading import ADAPTERS, DEFAULT_CACHE, SOURCES, load, problems
from training.data.study import TrainingStudy


def summary(studies: Sequence[TrainingStudy]) -> str:
    """Tell patients, studies, slices and, for each label, positive slices / known slices (patients)."""
    lines = [f"{'source':<16} {'patients':>8} {'studies':>8} {'slices':>7}" + "".join(f"{n:>22}" for n in LABELS)]
    for source, count in Counter(study.source for study in studies).items():
        mine = [study for study in studies if study.source == source]
        labels = np.concatenate([study.labels for study in mine])
        line = f"{source:<16} {len({s.patient for s in mine}):>8} {count:>8} {len(labels):>7}"
        for column in range(len(LABELS)):
            patients = len({s.patient for s in mine if s.bleeds[column]})
            cell = f"{int((labels[:, column] == 1).sum())}/{int(np.isfinite(labels[:, column]).sum())} ({patients})"
            line += f"{cell:>22}"
        lines.append(line)
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Load the collections and print the summary table and the problems found."""
    options = _parse(arguments)
    with _helpers(options.workers) as executor:
        studies = load(options.root, options.sources, options.cache, options.limit, executor)
    print(summary(studies))
    print("positive slices / slices whose label is known (patients with a positive slice or study)")
    for problem in problems(options.root, options.sources, options.cache):
        print(f"{problem.file}: {problem.reason}")


@contextmanager
def _helpers(workers: int) -> Iterator[Executor | None]:
    if workers < 2:
        yield None
        return
    # Each process computes with one thread; the setting counts for those that are started from here.
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(workers, get_context("spawn")) as executor:
        yield executor


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    description = "Read the training collections and say what is there."
    parser = argparse.ArgumentParser("python -m training.data", description=description)
    parser.add_argument("--root", type=Path, default=Path("../shared/data"), help="folder of the collections")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="folder for the cached arrays")
    parser.add_argument("--sources", nargs="+", choices=ADAPTERS, default=list(SOURCES))
    parser.add_argument("--limit", type=int, help="read this many studies of each collection; again for more")
    parser.add_argument("--workers", type=int, default=1, help="processes that read a large collection")
    return parser.parse_args(arguments)
