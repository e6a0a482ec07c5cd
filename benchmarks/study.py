"""How long one study takes, stage by stage: ICHScope on the best provider, on the plain CPU one, and Keras `predict`.

    python -m benchmarks.study
    python -m benchmarks.study --model cranioscan --batches --json study.json

A synthetic study lies in memory as DICOM files; "total" is from these bytes to the result. All ways take turns, so
that a busy moment hits all; medians count. The aim is a total of at most 1.25 times the encoder.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichscope import phantom
from ichscope.analyse import analyse
from ichscope.imaging import quality
from ichscope.imaging.dicom import read_series
from ichscope.imaging.intake import collect
from ichscope.imaging.slabs import seen_by_models
from ichscope.models import autotuning, providers
from ichscope.models.card import ModelError
from ichscope.models.detector import MICRO_BATCH, Detector
from ichscope.models.registry import default_models_folder, encoder_groups, load_detectors

STAGES = ("intake", "decode", "quality", "preprocess", "encoder", "head")
MICRO_BATCHES = (1, 2, 4, 8, 16, 32)
TARGET = 1.25

Files = list[tuple[str, bytes]]
Seconds = dict[str, float]
Predict = Callable[[NDArray[np.int16]], Seconds]


def main() -> int:
    options = _parse()
    files = _files(options.slices, options.size)
    try:
        loaded = {choice: _load(options, choice) for choice in _choices(options)}
    except ModelError as error:
        print(error, file=sys.stderr)
        return 1
    report = {"machine": _machine(), "study": {"slices": options.slices, "size": options.size}, "models": {}}
    print(_conditions(report["machine"], options))
    for name in next(iter(loaded.values())):
        detectors = {detector.provider: detector for detector in (by_name[name] for by_name in loaded.values())}
        report["models"][name] = measured = measure(name, detectors, files, options)
        print("\n" + _table(measured))
        if options.batches:
            measured["batches"] = measure_batches(detectors, files, options.rounds)
            print("\n" + _batch_table(measured["batches"]))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def measure(name: str, detectors: Mapping[str, Detector], files: Files, options: argparse.Namespace) -> dict[str, Any]:
    """Time every way in turns; the first round warms up and is told apart."""
    ways: dict[str, Callable[[], Seconds]] = {
        label: partial(_by_hand_and_whole, files, name, detector) for label, detector in detectors.items()
    }
    note = "left out"
    if not options.no_keras:
        predict, note = _keras(name, options.runs)
        ways["Keras predict"] = lambda: _one_study(files, predict)
    taken = take_turns(ways, options.rounds)
    card = next(iter(detectors.values())).card
    return {
        "name": card.name,
        "version": card.version,
        "keras": note,
        "first": {way: rounds[0] for way, rounds in taken.items()},
        "median": {way: _median(rounds[1:]) for way, rounds in taken.items()},
        "rounds": options.rounds,
    }


def take_turns(ways: Mapping[str, Callable[[], Seconds]], rounds: int) -> dict[str, list[Seconds]]:
    """Seconds by way, round and stage; the first round is extra."""
    taken: dict[str, list[Seconds]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            taken[name].append(way())
    return taken


def measure_batches(detectors: Mapping[str, Detector], files: Files, rounds: int) -> dict[str, dict[int, float]]:
    """Slices a second of the encoder by provider and micro-batch."""
    hu = seen_by_models(read_series(collect(files).groups[0].sources)).hu
    taken: dict[tuple[str, int], list[float]] = defaultdict(list)
    for _ in range(rounds + 1):
        for label, detector in detectors.items():
            for size in MICRO_BATCHES:
                start = time.perf_counter()
                detector.encode(hu, micro_batch=size)
                taken[label, size].append(time.perf_counter() - start)
    return {
        label: {size: len(hu) / statistics.median(taken[label, size][1:]) for size in MICRO_BATCHES}
        for label in detectors
    }


# --- one way through ------------------------------------------------------------------------------------


def _one_study(files: Files, predict: Predict) -> Seconds:
    """Go through the stages by hand; "total" is all of it."""
    seconds: Seconds = {}
    with _timed(seconds, "total"):
        with _timed(seconds, "intake"):
            (group,) = collect(files).groups
        with _timed(seconds, "decode"):
            series = read_series(group.sources)
        with _timed(seconds, "quality"):
            quality.status(quality.assess(series))
        with _timed(seconds, "preprocess"):
            seen = seen_by_models(series)
        seconds |= predict(seen.hu)
    return seconds


def _by_hand_and_whole(files: Files, name: str, detector: Detector) -> Seconds:
    return _one_study(files, _onnx(detector)) | _real_total(files, name, detector)


def _real_total(files: Files, name: str, detector: Detector) -> Seconds:
    """Time what users call, instead of the sum of what was taken apart."""
    seconds: Seconds = {}
    with _timed(seconds, "total"):
        (study,) = analyse(files, {name: detector})
    assert study.speaks.models, study.speaks.reasons
    return seconds


def _onnx(detector: Detector) -> Predict:
    return lambda hu: detector.run(hu).seconds


def _keras(name: str, runs: Path) -> tuple[Predict, str]:
    """Rebuild the model of a run in Keras, or with random weights, which take as long; and say which."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from training import models

    run = runs / name
    trained = all((run / file).is_file() for file in ("config.json", "encoder.weights.h5", "head.weights.h5"))
    kind = models.ARCHITECTURES[name]
    backbone, head_kind, labels = kind.backbone, kind.head, kind.labels
    if trained:
        config = json.loads((run / "config.json").read_text())
        backbone, head_kind, labels = config["backbone"], config["head"], config["labels"]
    encoder = models.slice_encoder(backbone, labels)
    head = models.sequence_head(head_kind, encoder.output["features"].shape[-1], labels)
    if trained:
        encoder.load_weights(run / "encoder.weights.h5")
        head.load_weights(run / "head.weights.h5")

    def predict(hu: NDArray[np.int16]) -> Seconds:
        seconds: Seconds = {}
        with _timed(seconds, "encoder"):
            features = encoder.predict(hu, batch_size=MICRO_BATCH, verbose=0)["features"]
        with _timed(seconds, "head"):
            head.predict(features[None], verbose=0)
        return seconds

    return predict, f"{backbone} and {head_kind}, weights of {run}" if trained else f"{backbone}, random weights"


@contextmanager
def _timed(seconds: Seconds, stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start


# --- what is compared -----------------------------------------------------------------------------------


def _choices(options: argparse.Namespace) -> list[str]:
    """Give the wanted provider, or the one that ICHScope takes here, and beside it the plain CPU one."""
    if options.provider != "auto":
        return list(dict.fromkeys((options.provider, "cpu")))
    groups = encoder_groups(options.models, options.model).values()
    return list(dict.fromkeys((*(autotuning.choose(folders).choice for folders in groups), "cpu")))


def _load(options: argparse.Namespace, choice: str) -> dict[str, Detector]:
    return load_detectors(options.models, options.model, choice)


def _files(slices: int, size: int) -> Files:
    made = phantom.datasets(phantom.make("intraparenchymal", slices=slices, size=size))
    return [(f"study/IM{i:04d}.dcm", phantom.to_bytes(dataset)) for i, dataset in enumerate(made, 1)]


def _machine() -> dict[str, Any]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="ignore")
    except OSError:
        text = ""
    model = re.search(r"model name\s*:\s*(.+)", text)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {"processor": model[1] if model else platform.processor(), "cores": providers.cores(), "load_before": load}


# --- what is shown --------------------------------------------------------------------------------------


def _conditions(machine: Mapping[str, Any], options: argparse.Namespace) -> str:
    text = (
        f"{machine['processor']}, {machine['cores']} cores; {options.slices} slices of {options.size} x {options.size}"
    )
    if machine["load_before"] is not None and machine["load_before"] > 0.3:
        text += f"\nNot quiet: the load average was {machine['load_before']:.1f} before; other programs slow this down."
    return text


def _median(rounds: list[Seconds]) -> Seconds:
    return {stage: statistics.median(seconds[stage] for seconds in rounds) for stage in (*STAGES, "total")}


def _table(measured: Mapping[str, Any]) -> str:
    medians: dict[str, Seconds] = measured["median"]
    model = f"{measured['name']} {measured['version']}"
    lines = [f"{model}, medians of {measured['rounds']} rounds in ms; Keras: {measured['keras']}"]
    lines.append(_line("", medians))
    lines += [
        _line(stage, [f"{1000 * seconds[stage]:.1f}" for seconds in medians.values()]) for stage in (*STAGES, "total")
    ]
    lines.append(
        _line("total / encoder", [f"{seconds['total'] / seconds['encoder']:.2f}" for seconds in medians.values()])
    )
    lines.append(_line("first total", [f"{1000 * seconds['total']:.0f}" for seconds in measured["first"].values()]))
    return "\n".join(lines)


def _batch_table(rates_of: Mapping[str, Mapping[int, float]]) -> str:
    lines = [_line("slices/s of the encoder", [f"{size} a call" for size in MICRO_BATCHES])]
    lines += [_line(label, [f"{rate:.0f}" for rate in rates.values()]) for label, rates in rates_of.items()]
    return "\n".join(lines)


def _line(title: str, cells: Any) -> str:
    return f"{title:24s}" + "".join(f"{cell:>15s}" for cell in cells)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=default_models_folder(), help="folder of models")
    parser.add_argument("--model", action="append", metavar="NAME", help="only this model; may be given again")
    parser.add_argument("--provider", default="auto", help='"auto" (the best that is there), cuda, openvino or cpu')
    parser.add_argument("--slices", type=int, default=32, help="slices of the study (default 32)")
    parser.add_argument("--size", type=int, default=512, help="rows and columns of a slice (default 512)")
    parser.add_argument("--rounds", type=int, default=9, help="how often each way is timed (default 9)")
    parser.add_argument("--batches", action="store_true", help="time the encoder by slices a call, too")
    parser.add_argument("--no-keras", action="store_true", help="leave out Keras (needs no TensorFlow then)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of training runs, for Keras' weights")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers, in seconds")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
