"""How long reading a series takes, beside pydicom's pixel_array alone on the same files.

    python -m benchmarks.decode
    python -m benchmarks.decode --compressed     # decoders in processes of their own, beside the same in this process

Files are written to a temporary folder and read from the page cache; the two ways take turns, and medians count.
The aim is a ratio of at most 2. Of compressed series the seconds of the processor count, too, those of the decoders
included; the aim is a loss of at most 3 %.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from ichscope import phantom
from ichscope.imaging import codecs, decoding, dicom
from ichscope.imaging.decoder import decode_frames
from ichscope.imaging.dicom import read_series
from ichscope.imaging.intake import collect
from ichscope.imaging.limits import DecodingLimits
from tests import encoders


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=40, help="slices of the series (default 40)")
    parser.add_argument("--size", type=int, default=512, help="rows and columns of a slice (default 512)")
    parser.add_argument("--rounds", type=int, default=15, help="how often each way is timed (default 15)")
    parser.add_argument("--folder", type=Path, help="time the largest series of this folder instead of a phantom")
    parser.add_argument("--compressed", action="store_true", help="time a series in each compressed transfer syntax")
    options = parser.parse_args()
    if options.compressed:
        report_compressed(options.slices, options.size, options.rounds)
        return
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


# ---- compressed series -------------------------------------------------------------------------------------


class Here:
    """What `decoding.Decoders` does, in this process."""

    limits = DecodingLimits()

    def frames(self, codestreams: Sequence[bytes], **form: Any) -> Future[list[NDArray[Any]]]:
        data = memoryview(b"".join(codestreams))
        answer = decode_frames(data, [len(codestream) for codestream in codestreams], **form)
        assert isinstance(answer, tuple), "a codestream that can be decoded"
        about, pixels = answer
        shape = (len(codestreams), form["rows"], form["columns"])
        future: Future[list[NDArray[Any]]] = Future()
        future.set_result(list(np.frombuffer(pixels, about["kind"]).reshape(shape)))
        return future


def report_compressed(slices: int, size: int, rounds: int) -> None:
    """Ratios of processes to here are by round, so that a busy moment hits both; medians count."""
    plain = [phantom.to_bytes(one) for one in phantom.datasets(phantom.make("subdural", 1, slices, size))]
    print(f"{slices} slices of {size} x {size}, {rounds} rounds; ms a slice here and in processes, and the ratio")
    print(f"{'':40s}{'processor':>24s}{'wall':>24s}")
    for syntax in (RLELossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless):
        files = [encoders.encode(file, syntax) for file in plain]
        taken = [(_taken(Here(), files), _taken(decoding.decoders(), files)) for _ in range(rounds + 1)][1:]
        line = f"{syntax.keyword:40s}"
        for which in (0, 1):
            here, apart = ([way[which] for way in ways] for ways in zip(*taken, strict=True))
            ratio = statistics.median(b / a for a, b in zip(here, apart, strict=True))
            line += f"{statistics.median(here) / slices:8.2f}{statistics.median(apart) / slices:8.2f}{ratio:8.2f}"
        print(line)


def _taken(ways: Any, files: list[bytes]) -> tuple[float, float]:
    """Milliseconds of the processor, decoders included, and of the wall that a series takes."""
    codecs.decoders = dicom.decoders = lambda: ways  # type: ignore[attr-defined]
    processor, wall = _processor_ms(), time.perf_counter()
    read_series(files)
    return _processor_ms() - processor, (time.perf_counter() - wall) * 1000


def _processor_ms() -> float:
    """Of this process and all below it, by the kernel's clock of each (clock_getcpuclockid)."""
    return sum(time.clock_gettime((~number << 3) | 2) for number in _with_all_below(os.getpid())) * 1000


def _with_all_below(process: int) -> Iterator[int]:
    yield process
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in children.read_text(encoding="ascii").split():
            yield from _with_all_below(int(child))


if __name__ == "__main__":
    main()
