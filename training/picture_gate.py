"""Train and measure the gate that tells pictures of head CT from all others.

    python -m training.gate.packages --packages PACKAGES --out PICTURES    # says how to get PACKAGES
    python -m training.picture_gate --data ../shared/data --others PICTURES --out ichscope/imaging/picture_gate.json

Heads are slices of CT-ICH, RSNA 2019 and PHE-SICH-CT-IDS and phantoms; all else is drawn (training/gate/others.py) or
comes out of packages. Everything follows from the seed, in as many processes as may be (`--workers`): on one kind of
processor the same file, on others the same but for rounding. `--measure` measures the file that is there. Two CPU
cores: about 10 minutes. Scores: docs/reading.md.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from ichscope.imaging.images import WINDOW_WIDTH_HU
from ichscope.imaging.picture_gate import SIDE, Gate, from_json, gate_input, to_json
from ichscope.imaging.picture_heads import find_heads, is_large, scored
from ichscope.imaging.picture_regions import Region, grids, regions
from ichscope.imaging.preprocess import head_box
from training.gate.draw import Drawer, Made

if TYPE_CHECKING:
    import keras

T = TypeVar("T")
Array = NDArray[np.float32]
_WIDTHS = (12, 20, 32)
_HIDDEN, _BATCH = 24, 128
# Likeness of a rectangle to a head's, for one that is cut closely and for one with black around; what it may share with
# a head and still show none; the share of a head that is the whole.
_IS_HEAD, _IS_PANEL, _IS_NONE, _WHOLE = 0.62, 0.3, 0.2, 0.8
# The reader tolerates edges off by a tenth of the head; those off by more than a fifth are wrong.
_UNMOVED, _MOVED = 0.1, 0.2
# Rectangles taken of one picture, so that one with many does not count for more.
_EACH, _EACH_FILM = 6, 12
# Share of heads that the threshold lets through on the patients kept for it.
ACCEPTED = 0.9875
# Pictures are drawn in so many parts, each from a seed of its own, so that several processes may draw them.
_SHARDS = 12
# Heads that set the threshold; heads, and pictures that are none, that are measured with.
_TUNED, _MEASURED = 600, (900, 1200)


def crops(made: Made) -> Iterator[tuple[Array, float]]:
    """Every rectangle of a picture as the gate sees it, and 1 for a head, 0 for none; what is neither is left out."""
    grey = made.picture.grey
    tiles = chain.from_iterable(grids(grey)) if made.kind == "film" else ()
    for region in (*regions(grey), *tiles):
        if (value := truth(region, made)) is not None:
            yield gate_input(np.ascontiguousarray(grey[region.cut])), value


def truth(region: Region, made: Made) -> float | None:
    """1 for a rectangle that shows a head, 0 for one that does not, None where neither would be fair.

    It shows one if the reader would find the head's edges in it. With margins that would be taken for the head, or with
    a part of a second head of a film, it does not. On a photograph of a monitor it is not known what is black.
    """
    heads = [Region(*(int(edge) for edge in box)) for box in made.picture.heads]
    touched = [head for head in heads if region.overlap(head) > _IS_NONE * min(head.area, region.area)]
    if len(touched) != 1:
        return 0.0
    head = touched[0]
    likeness = region.likeness(head)
    if made.dress.startswith("monitor"):
        return 1.0 if likeness >= _IS_HEAD else None
    moved = _moved(region, head, made.picture.grey)
    if region.overlap(head) > _WHOLE * head.area:
        return 1.0 if moved <= _UNMOVED and likeness >= _IS_PANEL else 0.0 if moved > _MOVED else None
    return 1.0 if likeness >= _IS_HEAD and moved <= _MOVED else None


def _moved(region: Region, head: Region, grey: Array) -> float:
    """How far the edges that the reader finds in a rectangle lie from the head's, as a share of its height."""
    seen, wanted = _found(region, grey), _found(head, grey)
    return float(np.abs(seen - wanted).max() / wanted[2])


def _found(kept: Region, grey: Array) -> NDArray[np.float64]:
    """Top, left and height of the head that the reader finds in a rectangle of the picture."""
    box = head_box(np.rint(grey[kept.cut] * WINDOW_WIDTH_HU).astype(np.int16)[None])
    return np.array([box.top + kept.top, box.left + kept.left, box.height])


def gathered(pictures: Iterable[Made], rng: np.random.Generator) -> tuple[Array, Array]:
    """(n, SIDE, SIDE, 2) crops and (n,) truths of many pictures, a few at random of each."""
    pairs = [pair for made in pictures for pair in _some(made, rng)]
    return np.stack([crop for crop, _ in pairs]).astype(np.float16), np.array([value for _, value in pairs], np.float32)


def _some(made: Made, rng: np.random.Generator) -> list[tuple[Array, float]]:
    pairs = list(crops(made))
    return [pairs[i] for i in rng.permutation(len(pairs))[: _EACH_FILM if made.kind == "film" else _EACH]]


def network() -> keras.Model:
    """The gate in Keras, with weights still to be found: what `picture_gate.scores` computes, and dropout."""
    import keras

    layers = keras.layers
    model = keras.Sequential([keras.Input((SIDE, SIDE, 2))])
    for width in _WIDTHS:
        model.add(layers.Conv2D(width, 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dropout(0.3))
    model.add(layers.Dense(_HIDDEN, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-4)))
    model.add(layers.Dense(1))
    return model


def trained(seen: Array, truth: Array, epochs: int, seed: int) -> keras.Model:
    """The network fitted to crops and truths, and to their mirror images; both classes weigh the same."""
    import keras

    keras.utils.set_random_seed(seed)
    seen = np.concatenate([seen, seen[:, :, ::-1], seen[:, ::-1]]).astype(np.float32)
    truth = np.tile(truth, 3)
    model = network()
    rate = keras.optimizers.schedules.CosineDecay(2e-3, epochs * -(-len(seen) // _BATCH))
    model.compile(keras.optimizers.Adam(rate), keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.02))
    weight = np.where(truth > 0.5, 0.5 / truth.mean(), 0.5 / (1 - truth.mean()))
    model.fit(seen, truth, _BATCH, epochs, sample_weight=weight, verbose=2)
    return model


def as_gate(model: keras.Model, threshold: float = 0.0) -> Gate:
    """The network's weights, rounded as the file that ships holds them."""
    held = [layer.get_weights() for layer in model.layers if layer.get_weights()]
    return from_json(to_json(Gate(tuple((kernel, bias) for kernel, bias in held), threshold)))


def best(made: Made, gate: Gate) -> float:
    """The score of the rectangle most like a head, of those large enough to be the only one."""
    grey = made.picture.grey
    return max((score for score, region in scored(grey, gate) if is_large(region, grey)), default=-99.0)


@dataclass(frozen=True)
class _Draw:
    """A share of the pictures of one part: where they come from, their seed, and how many of each kind of two."""

    data: Path
    others: Path
    part: str
    seed: tuple[int, ...]
    heads: int
    rest: int

    def drawer(self) -> Drawer:
        return Drawer(self.data, self.others, self.part, np.random.default_rng(self.seed))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--others", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=2400, help="of each of the two kinds")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cache", type=Path, help="NPZ file of the crops, made if it is not there")
    parser.add_argument("--measure", action="store_true", help="only measure the file that --out names")
    given = parser.parse_args(arguments)
    if not given.measure:
        text = _made(given)
        given.out.write_text(text, "utf-8")
        print(f"SHA-256 {sha256(text.encode()).hexdigest()}", flush=True)
    print(json.dumps(_measured(from_json(given.out.read_text("utf-8")), given), indent=1))


def _made(given: argparse.Namespace) -> str:
    """The weights file: crops, weights, and the threshold found on patients kept for it."""
    seen, truth = _training(given)
    print(f"{len(truth)} crops, {truth.mean():.2f} of them heads", flush=True)
    _same_every_time()
    gate = as_gate(trained(seen, truth, given.epochs, given.seed))
    best_scores = chain.from_iterable(_shared_out(_tuned, given, "tune", _TUNED, 0, gate))
    gate = replace(gate, threshold=float(np.quantile(list(best_scores), 1 - ACCEPTED)))
    print(f"threshold {gate.threshold:.2f}", flush=True)
    return to_json(gate, trained_by="training/picture_gate.py", seed=given.seed)


def _same_every_time() -> None:
    """Sums in one order: the same weights on every run on this kind of processor."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(1)
        tensorflow.config.experimental.enable_op_determinism()


def _training(given: argparse.Namespace) -> tuple[Array, Array]:
    """(n, SIDE, SIDE, 2) crops and (n,) truths to train with."""
    if given.cache and given.cache.exists():
        held = np.load(given.cache)
        return held["seen"], held["truth"]
    parts = _shared_out(_crops_of, given, "train", given.pictures, given.pictures)
    seen, truth = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    if given.cache:
        np.savez(given.cache, seen=seen, truth=truth)
    return seen, truth


def _measured(gate: Gate, given: argparse.Namespace) -> dict[str, str]:
    """Accepted heads and refused others of the test part, by dress and by kind: count of count."""
    right, all_of = Counter[str](), Counter[str]()
    for verdicts in _shared_out(_verdicts, given, "test", *_MEASURED, gate):
        for kind, dress, accepted in verdicts:
            name = f"head, {dress}" if kind == "head CT" else kind
            for key in (name, "all heads" if kind == "head CT" else "all others"):
                all_of[key] += 1
                right[key] += accepted == (kind == "head CT")
    return {key: f"{right[key]} of {all_of[key]}" for key in sorted(all_of)}


def _shared_out(
    work: Callable[..., T], given: argparse.Namespace, part: str, heads: int, rest: int, *more: object
) -> list[T]:
    """Give each shard of the pictures of a part to a process, and the results in the shards' order."""
    place = ("train", "tune", "test").index(part)
    draws = [
        _Draw(given.data, given.others, part, (given.seed, place, shard), heads // _SHARDS, rest // _SHARDS)
        for shard in range(_SHARDS)
    ]
    repeated = [[thing] * _SHARDS for thing in more]
    if given.workers == 1:
        return list(map(work, draws, *repeated))
    with ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(work, draws, *repeated))


def _crops_of(draw: _Draw) -> tuple[Array, Array]:
    drawer = draw.drawer()
    pictures = chain(
        drawer.heads_dressed(draw.heads, 4), drawer.films(draw.heads // 20), drawer.others_dressed(draw.rest, 2)
    )
    return gathered(pictures, np.random.default_rng([*draw.seed, 1]))


def _tuned(draw: _Draw, gate: Gate) -> list[float]:
    return [best(made, gate) for made in draw.drawer().heads_dressed(draw.heads)]


def _verdicts(draw: _Draw, gate: Gate) -> list[tuple[str, str, bool]]:
    """Kind, dress, and whether it was accepted, of heads and of all else."""
    drawer = draw.drawer()
    pictures = chain(drawer.heads_dressed(draw.heads), drawer.others_dressed(draw.rest))
    return [(made.kind, made.dress, not find_heads(made.picture.grey, gate).reason) for made in pictures]


if __name__ == "__main__":
    main()
