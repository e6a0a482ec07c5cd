"""How long reading a series takes, beside pydicom's pixel_array alone on the same files.

    python -m benchmarks.decode

Files are written to a temporary folder and read from the page cache; the two ways take turns, and medians count.
The aim is a ratio of at most 2.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from pydicom import dcmread

from ichscope import phantom
from ichscope.imaging.dicom import read_series
from ichscope.imaging.intake import collect


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=40, help="slices of the series (default 40)")
    parser.add_argument("--size", type=int, default=512, help="rows and columns of a slice (default 512)")
    parser.add_argument("--rounds", type=int, default=15, help="how often each way is timed (default 15)")
    parser.add_argument("--folder", type=Path, help="time the largest series of this folder instead of a phantom")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        if not options.folder:
            phantom.write(phantom.make(slices=options.slices, size=options.size), folder)
        report(folder, options.rounds)


def report(folder: Path, rounds: int) -> None:
    group = max(collect([folder]).groups, key=lambda group: len(group.sources))
    paths = [source.path for source in group.sources if source.path]
    data = [path.read_bytes() for path in paths]
    ways: dict[str, Callable[[], object]] = {
        "pydicom, paths": lambda: [dcmread(path).pixel_array for path in paths],
        "read_series, paths": lambda: read_series(paths),
        "pydicom, bytes": lambda: [dcmread(BytesIO(file)).pixel_array for file in data],
        "read_series, bytes": lambda: read_series(data),
        "collect and read_series": lambda: read_series(collect([folder]).groups[0].sources),
    }
    seconds = take_turns(ways, rounds)
    print(f"{len(paths)} files, {sum(map(len, data)) / 1e6:.1f} MB, {rounds} rounds, medians in ms")
    for name, median in seconds.items():
        print(f"{name:26s}{1000 * median:8.1f}")
    for kind in ("paths", "bytes"):
        print(f"ratio, {kind:19s}{seconds[f'read_series, {kind}'] / seconds[f'pydicom, {kind}']:8.2f}")


def take_turns(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each way; one after the other, so that a busy moment hits all."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds[1:]) for name, seconds in taken.items()}


if __name__ == "__main__":
    main()
