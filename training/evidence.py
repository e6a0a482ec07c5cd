"""Tell whether a model sees a bleed where it is, and which synthetic bleeds it misses.

    python -m training.evidence runs/cranioscan      # also writes evidence.json, for the model card
    python -m training.evidence models/cranioscan    # a published model, on phantoms alone

On every detected slice (probability of a label at or above its threshold, the label being right) the highest cell of
the label's evidence map must lie inside the known mask, widened by one cell. Runs are tried on bleeds painted into
the heads that each fold held back, and the final run on phantoms; the folds need the collections. Takes a few minutes
on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ichscope import phantom
from ichscope.imaging.preprocess import model_input, resample
from ichscope.labels import LABELS, SUBTYPES
from ichscope.metrics import at_threshold
from ichscope.models.card import CARD_FILE
from training.estimates import rounded_ends
from training.evaluate import METRICS_FILE
from training.out_of_fold import CONFIG_FILE
from training.trained import Model, Published, Run

EVIDENCE_FILE = "evidence.json"
# Maps are coarse, and the edge of a bleed is as telling as its middle.
TOLERANCE_CELLS = 1
SEEDS, SLICES = 8, 16
# Slices beside a bleed that the head is shown with it.
_BESIDE = 2


@dataclass(frozen=True, eq=False)
class Case:
    """A study with the truth.

    hu : (slices, 224, 224) int16 HU; mask : the same shape, bool; labels : (slices, 6), nan where unknown
    patient : whose head it is; about : what tells it from others
    """

    hu: NDArray[np.int16]
    mask: NDArray[np.bool_]
    labels: NDArray[np.float32]
    patient: str
    about: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Tried:
    """Peaks by label, a pair a slice of (inside, patient), and what a study was given."""

    inside: dict[str, list[tuple[bool, str]]]
    slices: int
    studies: list[dict[str, Any]]


def peak_inside(
    evidence: NDArray[np.float32], mask: NDArray[np.bool_], cells: int = TOLERANCE_CELLS
) -> NDArray[np.bool_]:
    """Tell for each slice whether the highest evidence lies in the mask, widened by some cells.

    evidence : (n, h, w); mask : (n, rows, columns), multiples of h and w; a cell is in if any of its pixels is
    """
    n, h, w = evidence.shape
    blood = mask.reshape(n, h, mask.shape[1] // h, w, mask.shape[2] // w).any(axis=(2, 4))
    wide = ndimage.binary_dilation(blood, np.ones((1, 2 * cells + 1, 2 * cells + 1), bool))
    peak = evidence.reshape(n, h * w).argmax(axis=1)
    return np.asarray(wide.reshape(n, h * w)[np.arange(n), peak])


def trial(model: Model, cases: Iterable[Case]) -> Tried:
    """Run a model on studies with masks."""
    tried = Tried({label: [] for label in model.labels}, 0, [])
    slices = 0
    for case in cases:
        answer = model.run(case.hu)
        one_kind = np.nansum(case.labels[:, 1:], axis=1) == 1
        for i, label in enumerate(model.labels):
            # Where two kinds are on a slice, the mask does not say which is which.
            right = (case.labels[:, LABELS.index(label)] == 1) & (one_kind | (label == "any"))
            slices += int(right.sum())
            seen = right & (answer.slice_probability[:, i] >= model.slice_thresholds[label])
            inside = peak_inside(answer.evidence[seen][..., i], case.mask[seen])
            tried.inside[label] += [(bool(hit), case.patient) for hit in inside]
        tried.studies.append({**case.about, "probability": round(float(answer.study_probability[0]), 3)})
    return Tried(tried.inside, slices, tried.studies)


def summary(tried: Sequence[Tried]) -> dict[str, Any]:
    """Share of detected slices whose peak is right, over all labels and by label, with 95 % intervals over patients."""
    labels = list(tried[0].inside)
    pairs = {label: [pair for part in tried for pair in part.inside[label]] for label in labels}
    everything = [pair for some in pairs.values() for pair in some]
    return {
        "slices_with_a_bleed": sum(part.slices for part in tried),
        **_share(everything),
        "by_label": {label: _share(pairs[label]) for label in labels},
    }


def _share(pairs: Sequence[tuple[bool, str]]) -> dict[str, Any]:
    if not pairs:
        return {"detected": 0, "inside": None}
    hits, patients = (np.array(values) for values in zip(*pairs, strict=True))
    ends = rounded_ends(at_threshold(np.ones(len(hits)), hits, 0.5, patients).sensitivity)
    return {"detected": len(pairs), "inside": round(float(hits.mean()), 3), "inside_95": ends}


# --- phantoms ------------------------------------------------------------------------------------------


def phantoms(seeds: int = SEEDS) -> Iterator[Case]:
    """Heads with each kind of bleed and without, as `ichscope phantom` writes them."""
    for kind in (*SUBTYPES, None):
        for seed in range(seeds):
            made = phantom.make(kind, seed, SLICES)
            hu, box = model_input(made.hu, made.spacing_mm[1:])
            mask = resample(np.where(made.mask, np.int16(0), np.int16(-1000)), box) >= -500
            ml = float(made.mask.sum() * np.prod(made.spacing_mm) / 1000)
            about = {"bleed": kind, "seed": seed, "slices": SLICES, "ml": round(ml, 1)}
            yield Case(hu, mask, made.labels.astype(np.float32), str(seed), about)


def failures(studies: Sequence[Mapping[str, Any]], threshold: float) -> list[dict[str, Any]]:
    """Phantoms on the wrong side of the threshold."""
    return [dict(study) for study in studies if (study["probability"] >= threshold) != (study["bleed"] is not None)]


def on_phantoms(model: Model, seeds: int = SEEDS) -> dict[str, Any]:
    """Evidence, and which phantoms are judged wrongly."""
    tried = trial(model, phantoms(seeds))
    counts = {kind or "none": {"studies": seeds, "flagged": 0} for kind in (*SUBTYPES, None)}
    for study in tried.studies:
        counts[study["bleed"] or "none"]["flagged"] += study["probability"] >= model.threshold
    return {
        "phantoms": summary([tried]) | {"flagged": counts},
        "failures": failures(tried.studies, model.threshold),
    }


# --- runs ----------------------------------------------------------------------------------------------


def held_out_implants(root: Path, cache: Path, run: Path) -> Iterator[Case]:
    """Bleeds in the heads that the run of a fold held back, with a few slices beside them."""
    from training.batches import implanted
    from training.data import folds
    from training.splits import FOLDS, cache_of, hosts, trained_on

    config = json.loads((run / CONFIG_FILE).read_text())
    fold, rehearse = config["fold"], config["rehearse"]
    ours = trained_on(root, cache, config["sources"], rehearse)
    heads = hosts([study for study, number in zip(ours, folds(ours, FOLDS), strict=True) if number == fold], rehearse)
    for study in implanted(heads, 1, 0, cache_of(cache, rehearse), report=lambda _: None):
        bleeding = np.flatnonzero((study.labels == 1).any(axis=1))
        if len(bleeding) and study.mask is not None:
            part = slice(max(0, bleeding[0] - _BESIDE), bleeding[-1] + _BESIDE + 1)
            mask = study.mask[part].astype(bool)
            yield Case(study.hu[part], mask, study.labels[part], study.patient, {"study": study.study})


def try_runs(runs: Path, root: Path, cache: Path) -> dict[str, Any]:
    """Try the folds on implants and the final run on phantoms, and write what was found beside them."""
    metrics = json.loads((runs / METRICS_FILE).read_text())
    tried = [
        trial(Run(runs / f"fold-{fold}", metrics), held_out_implants(root, cache, runs / f"fold-{fold}"))
        for fold in metrics["folds"]
    ]
    evidence = {"tolerance_cells": TOLERANCE_CELLS, "implants": summary(tried)}
    evidence |= on_phantoms(Run(runs / "final", metrics))
    (runs / EVIDENCE_FILE).write_text(json.dumps(evidence, indent=1))
    return evidence


def report(evidence: Mapping[str, Any]) -> str:
    """A line a metric."""
    lines = []
    for name in ("implants", "phantoms"):
        if name in evidence:
            part = evidence[name]
            lines.append(f"{name}: peak inside the bleed {_words(part)}; {part['slices_with_a_bleed']} in all")
            lines += [f"    {label}: {_words(share)}" for label, share in part["by_label"].items()]
    for kind, count in evidence["phantoms"]["flagged"].items():
        lines.append(f"phantoms, {kind}: {count['flagged']} of {count['studies']} flagged")
    lines += [f"    judged wrongly: {failure}" for failure in evidence["failures"]]
    return "\n".join(lines)


def _words(share: Mapping[str, Any]) -> str:
    if share["inside"] is None:
        return "not estimable: no slice detected"
    ends = share["inside_95"]
    return f"{share['inside']:.3f}{f' ({ends[0]:.3f} to {ends[1]:.3f})' if ends else ''} of {share['detected']} slices"


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, try the model, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="runs/<model> or models/<model>")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("ICHSCOPE_DATA", "../shared/data")), help="the collections"
    )
    parser.add_argument("--cache", type=Path, default=Path(".cache/training"), help="for prepared arrays")
    options = parser.parse_args(arguments)
    if (options.folder / CARD_FILE).is_file():
        print(report(on_phantoms(Published(options.folder))))
    elif (options.folder / METRICS_FILE).is_file():
        print(report(try_runs(options.folder, options.data, options.cache)))
    else:
        parser.error(f"{options.folder}: expected {CARD_FILE} of a model, or {METRICS_FILE} of measured runs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
