"""Train and measure the gate that tells pictures of head CT from all others.

    python -m training.picture_gate --data ../shared/data --others PICTURES --out ichscope/imaging/picture_gate.json

`PICTURES/{train,test}/KIND/*.png` holds pictures that are no head CT (photographs, faces, documents, MRI; those used
come with scikit-image, SciPy's neighbours, Matplotlib, pydicom and DIPY), `PICTURES/brains/*.png` slices of the MNI
template from nilearn. Two CPU cores, about 15 minutes. Scores: docs/reading.md.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichscope.imaging.picture_gate import SIDE, Gate, gate_input, scores, to_json
from ichscope.imaging.picture_regions import Region, regions
from training.gate.draw import Drawer, Made

Array = NDArray[np.float32]
_WIDTHS = (12, 20, 32)
_HIDDEN = 24
_IS_HEAD, _IS_NONE = 0.62, 0.2
# Share of heads that the threshold lets through on the patients kept for it.
ACCEPTED = 0.9875


def crops(made: Made) -> Iterator[tuple[Array, float]]:
    """Every rectangle of a picture as the gate sees it, and 1 for a head, 0 for none; what is neither is left out."""
    for region in regions(made.picture.grey):
        truth = _truth(region, made)
        if truth is not None:
            yield gate_input(np.ascontiguousarray(made.picture.grey[region.cut])), truth


def _truth(region: Region, made: Made) -> float | None:
    heads = [Region(*(int(edge) for edge in box)) for box in made.picture.heads]
    whole = sum(region.overlap(head) > 0.8 * head.area for head in heads)
    if whole > 1:
        return 0.0
    likest = max((region.likeness(head) for head in heads), default=0.0)
    if likest >= _IS_HEAD:
        return 1.0
    touched = any(region.overlap(head) > _IS_NONE * min(head.area, region.area) for head in heads)
    return None if touched else 0.0


def gathered(pictures: Iterable[Made]) -> tuple[Array, Array]:
    """(n, SIDE, SIDE, 2) crops and (n,) truths of many pictures."""
    pairs = [pair for made in pictures for pair in crops(made)]
    return np.stack([crop for crop, _ in pairs]).astype(np.float16), np.array([truth for _, truth in pairs], np.float32)


def trained(seen: Array, truth: Array, epochs: int, seed: int) -> Gate:
    """The gate fitted to crops and truths, and to their mirror images; both classes weigh the same."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    keras.utils.set_random_seed(seed)
    seen = np.concatenate([seen, seen[:, :, ::-1], seen[:, ::-1]]).astype(np.float32)
    truth = np.tile(truth, 3)
    layers = keras.layers
    model = keras.Sequential([keras.Input((SIDE, SIDE, 2))])
    for width in _WIDTHS:
        model.add(layers.Conv2D(width, 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dropout(0.3))
    model.add(layers.Dense(_HIDDEN, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-4)))
    model.add(layers.Dense(1))
    steps = epochs * -(-len(seen) // 128)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    model.compile(keras.optimizers.Adam(rate), keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.02))
    weight = np.where(truth > 0.5, 0.5 / truth.mean(), 0.5 / (1 - truth.mean()))
    model.fit(seen, truth, 128, epochs, sample_weight=weight, verbose=2)
    held = [layer.get_weights() for layer in model.layers if layer.get_weights()]
    return Gate(tuple((kernel.astype(np.float32), bias.astype(np.float32)) for kernel, bias in held), 0.0)


def best(made: Made, gate: Gate) -> float:
    """The score of the rectangle most like a head."""
    grey = made.picture.grey
    seen = [gate_input(np.ascontiguousarray(grey[region.cut])) for region in regions(grey)]
    return float(scores(np.stack(seen), gate).max()) if seen else -99.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--others", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=6000, help="of each of the two kinds")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--cache", type=Path, help="NPZ file of the crops, made if it is not there")
    given = parser.parse_args()
    seen, truth = _training(given)
    print(f"{len(truth)} crops, {truth.mean():.2f} of them heads", flush=True)
    gate = trained(seen, truth, given.epochs, given.seed)
    tune = Drawer(given.data, given.others, "tune", np.random.default_rng([given.seed, 1]))
    threshold = float(np.quantile([best(made, gate) for made in tune.heads_dressed(900)], 1 - ACCEPTED))
    refused = np.mean([best(made, gate) < threshold for made in tune.others_dressed(900)])
    gate = Gate(gate.layers, threshold)
    print(f"threshold {threshold:.2f}: refuses {refused:.3f} of the others it was tuned on", flush=True)
    given.out.write_text(to_json(gate, trained_by="training/picture_gate.py"), "utf-8")
    print(json.dumps(measured(gate, given), indent=1))


def _training(given: argparse.Namespace) -> tuple[Array, Array]:
    if given.cache and given.cache.exists():
        held = np.load(given.cache)
        return held["seen"], held["truth"]
    drawer = Drawer(given.data, given.others, "train", np.random.default_rng([given.seed, 0]))
    films = drawer.films(given.pictures // 30)
    seen, truth = gathered(chain(drawer.heads_dressed(given.pictures, 4), films, drawer.others_dressed(given.pictures)))
    if given.cache:
        np.savez(given.cache, seen=seen, truth=truth)
    return seen, truth


def measured(gate: Gate, given: argparse.Namespace) -> dict[str, str]:
    """Accepted heads and refused others of the test part, by dress and by kind: count of count."""
    drawer = Drawer(given.data, given.others, "test", np.random.default_rng([given.seed, 2]))
    right, all_of = Counter[str](), Counter[str]()
    for made in chain(drawer.heads_dressed(900), drawer.others_dressed(1200)):
        name = f"head, {made.dress}" if made.kind == "head CT" else made.kind
        for key in (name, "all heads" if made.kind == "head CT" else "all others"):
            all_of[key] += 1
            right[key] += (best(made, gate) >= gate.threshold) == (made.kind == "head CT")
    return {key: f"{right[key]} of {all_of[key]}" for key in all_of}


if __name__ == "__main__":
    main()
