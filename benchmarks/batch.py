"""Many studies into the store: how fast beside the bare detector, and how much memory.

    python -m benchmarks.batch

All studies are synthetic and differ. The bare rate is that of `Detector.run` alone, over and over on slices that are
ready in memory; the aim is at least 90 % of it, from files on disk to rows and volumes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ichscope import batch
from ichscope.access import by_default, operator
from ichscope.analyse import run_models
from ichscope.batch import workers
from ichscope.imaging.dicom import read_series
from ichscope.imaging.intake import collect
from ichscope.imaging.slabs import seen_by_models
from ichscope.models.registry import default_models_folder
from ichscope.store import Store
from tests.support.study_folders import DIFFERENT, write_studies

TARGET = 0.9


def main() -> int:
    by_default(operator)
    options = _parse()
    with tempfile.TemporaryDirectory(prefix="ichscope-batch-") as folder:
        inputs, home = Path(folder) / "in", Path(folder) / "home"
        write_studies(inputs, options.studies, options.slices, options.size)
        report = measure(inputs, home, options)
    print(json.dumps(report, indent=2))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0 if report["good"] else 1


def measure(inputs: Path, home: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Time batch and bare detectors in turns, since a busy moment slows either."""
    setup = batch.WorkerConfig(options.models.resolve(), tuple(options.model or ()), options.provider)
    detectors = workers.detectors(setup)
    groups = [group for folder in sorted(inputs.iterdir())[:DIFFERENT] for group in collect([folder]).groups]
    ready = [seen_by_models(_read(group)) for group in groups]
    run_models(ready[0], detectors)
    bare, whole = [], []
    for turn in range(options.rounds):
        bare.append(_bare(ready, detectors, options.studies // 2))
        store = Store.open(home=home / str(turn))
        start = time.perf_counter()
        with batch.executor(options.workers) as pool:
            job = batch.run([inputs], pool, store, setup, ahead=pool._max_workers + 2)
        whole.append(options.studies * options.slices / (time.perf_counter() - start))
        assert (job.done, job.failed) == (options.studies, 0), job
        store.close()
        bare.append(_bare(ready, detectors, options.studies // 2))
    share = statistics.median(whole) / statistics.median(bare)
    return {
        "studies": options.studies,
        "slices": options.slices,
        "size": options.size,
        "models": {name: f"{detector.card.version} on {detector.provider}" for name, detector in detectors.items()},
        "load_before": os.getloadavg()[0],
        "bare_slices_per_s": round(statistics.median(bare), 1),
        "batch_slices_per_s": round(statistics.median(whole), 1),
        "share": round(share, 3),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "good": share >= TARGET,
    }


def _read(group: Any) -> Any:
    return read_series(group.sources)


def _bare(ready: list[Any], detectors: Any, studies: int) -> float:
    start, slices = time.perf_counter(), 0
    for number in range(max(1, studies)):
        seen = ready[number % len(ready)]
        run_models(seen, detectors)
        slices += len(seen.hu)
    return slices / (time.perf_counter() - start)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=default_models_folder(), help="folder of models")
    parser.add_argument("--model", action="append", metavar="NAME", help="only this model; may be given again")
    parser.add_argument("--provider", default="auto", help='"auto" (the best that is there), cuda, openvino or cpu')
    parser.add_argument("--studies", type=int, default=64, help="how many (default 64)")
    parser.add_argument("--slices", type=int, default=32, help="slices of a study (default 32)")
    parser.add_argument("--size", type=int, default=512, help="rows and columns of a slice (default 512)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is timed (default 3)")
    parser.add_argument("--workers", type=int, help="threads (default: as `ichscope batch`)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
