"""Thin slices as slabs: how long 300 of them take beside 32 thick ones, and whether bleeds are found as in thick ones.

    python -m benchmarks.slabs                             # time: synthetic studies, everything after decoding
    python -m benchmarks.slabs --data ../shared/data       # detection: bleeds painted into CT-ICH heads made thin

For detection the normal heads of CT-ICH are interpolated to slices of 1 mm with the noise of such slices, and bleeds
are painted into these. The models see the same thin head in four ways: as a scanner's own slices of 5 mm (whose places
are not those of our slabs), as slabs, as slabs that overlap by half, and slice by slice. They have trained on the heads
themselves, so that what counts is the difference between the ways, not how high the AUC is.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ichscope import phantom
from ichscope.analyse import run_models
from ichscope.imaging import quality
from ichscope.imaging.dicom import read_series
from ichscope.imaging.slabs import SLAB_MM, averaged, evenly, seen_by_models
from ichscope.labels import SUBTYPES
from ichscope.models.detector import Detector
from ichscope.models.registry import default_models_folder, load_detectors

THIN, THICK, AIM = 300, 32, 1.5
# A slab of five slices has the noise of a slice of 5 mm, 3 HU in CT-ICH; the interpolated head has that already.
_NOISE_HU = 5.0
_DRAWS = 1000


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=default_models_folder(), help="folder of models")
    parser.add_argument("--provider", default="auto")
    parser.add_argument("--rounds", type=int, default=5, help="of the time; the first does not count")
    parser.add_argument("--data", type=Path, help="the collections; detection is measured instead of time")
    parser.add_argument("--heads", type=int, default=30, help="normal heads to paint bleeds into")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    options = parser.parse_args(arguments)
    detectors = load_detectors(options.models, provider=options.provider)
    figures = detection(options.data, options.heads, detectors) if options.data else speed(detectors, options.rounds)
    print(json.dumps(figures, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def speed(detectors: Mapping[str, Detector], rounds: int) -> dict[str, Any]:
    """Seconds of checks, models' input and models, of both studies in turns."""
    read = {}
    for count in (THIN, THICK):
        made = phantom.make("subdural", seed=0, slices=count)
        read[count] = read_series([phantom.to_bytes(one) for one in phantom.datasets(made)])
    taken: dict[int, list[float]] = {count: [] for count in read}
    for _ in range(rounds + 1):
        for count, series in read.items():
            start = time.perf_counter()
            quality.assess(series)
            run_models(seen_by_models(series), detectors)
            taken[count].append(time.perf_counter() - start)
    seconds = {count: statistics.median(some[1:]) for count, some in taken.items()}
    ratio = seconds[THIN] / seconds[THICK]
    return {
        "thin": f"{THIN} slices, {read[THIN].spacing_mm}",
        "thick": f"{THICK} slices, {read[THICK].spacing_mm}",
        "seconds": {str(count): round(value, 3) for count, value in seconds.items()},
        "ratio": round(ratio, 2),
        "good": ratio <= AIM,
    }


def detection(data: Path, heads: int, detectors: Mapping[str, Detector]) -> dict[str, Any]:
    """AUC of `any` by study, of heads and the same heads with a bleed, by way, with differences from slices of 5 mm."""
    from training.data import load
    from training.implants import NoRoomError, implant
    from training.splits import is_host

    hosts = [study for study in load(data, ["ct-ich"]) if is_host(study)][:heads]
    # By model and way, a row a head: without a bleed, and with one of each kind (nan where there was no room).
    found: dict[str, dict[str, list[list[float]]]] = {name: defaultdict(list) for name in detectors}
    for number, host in enumerate(hosts):
        rng = np.random.default_rng(number)
        head = thin(host.hu, host.spacing_mm or SLAB_MM, rng)
        volumes: list[NDArray[np.int16] | None] = [head]
        for kind in SUBTYPES:
            try:
                volumes.append(implant(head, rng, kind, spacing_mm=1.0, companion=0.0)[0])
            except NoRoomError:
                volumes.append(None)
        for way, made in _WAYS.items():
            seen = [None if volume is None else made(volume) for volume in volumes]
            for name, detector in detectors.items():
                said = [
                    np.nan
                    if hu is None
                    else float(detector.run(hu).study_probability[detector.card.labels.index("any")])
                    for hu in seen
                ]
                found[name][way].append(said)
        print(f"{number + 1} of {len(hosts)} heads", flush=True)
    return {name: _compared({way: np.array(rows) for way, rows in ways.items()}) for name, ways in found.items()}


def _said(detector: Detector, hu: NDArray[np.int16]) -> float:
    return float(detector.run(hu).study_probability[detector.card.labels.index("any")])


def thin(hu: NDArray[np.int16], spacing_mm: float, rng: np.random.Generator) -> NDArray[np.int16]:
    """(n, h, w) HU of slices so far apart to slices of 1 mm, with their noise."""
    fine = ndimage.zoom(hu.astype(np.float32), (spacing_mm, 1, 1), order=1, mode="nearest", grid_mode=True)
    fine += np.where(fine > -200, rng.normal(0, _NOISE_HU, fine.shape), 0)
    made: NDArray[np.int16] = np.rint(fine).astype(np.int16)
    return made


def _as_thick(hu: NDArray[np.int16]) -> NDArray[np.int16]:
    """A scanner's slices of 5 mm: two millimetres from where our slabs begin."""
    return averaged(hu[2:], np.arange(len(hu) - 2) // 5)


def _as_slabs(hu: NDArray[np.int16]) -> NDArray[np.int16]:
    return averaged(hu, evenly(len(hu), 5))


def _overlapping(hu: NDArray[np.int16]) -> NDArray[np.int16]:
    """Slabs of five slices, every two or three."""
    starts = np.unique(np.linspace(0, len(hu) - 5, 2 * len(hu) // 5 - 1).astype(int))
    return np.stack([np.rint(hu[start : start + 5].mean(axis=0)).astype(np.int16) for start in starts])


_WAYS: dict[str, Callable[[NDArray[np.int16]], NDArray[np.int16]]] = {
    "slices of 5 mm": _as_thick,
    "slabs": _as_slabs,
    "overlapping slabs": _overlapping,
    "slices of 1 mm": np.asarray,
}


def _compared(ways: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    reference = next(iter(ways))
    draws = np.random.default_rng(0).integers(len(ways[reference]), size=(_DRAWS, len(ways[reference])))
    drawn = {way: np.array([_auc(rows[draw]) for draw in draws]) for way, rows in ways.items()}
    figures = {}
    for way, rows in ways.items():
        difference = np.percentile(drawn[way] - drawn[reference], [2.5, 97.5])
        figures[way] = {
            "auc": round(_auc(rows), 4),
            "less than slices of 5 mm": round(_auc(ways[reference]) - _auc(rows), 4),
            "95 %": [round(float(-end), 4) for end in difference[::-1]],
        }
    return {"heads": len(ways[reference]), "bleeds": int(np.isfinite(ways[reference][:, 1:]).sum()), "ways": figures}


def _auc(rows: NDArray[np.float64]) -> float:
    from sklearn.metrics import roc_auc_score

    score, truth = rows.ravel(), np.tile(np.arange(rows.shape[1]) > 0, len(rows))
    known = np.isfinite(score)
    return float(roc_auc_score(truth[known], score[known]))


if __name__ == "__main__":
    main()
