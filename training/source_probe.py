"""Do features tell collections apart where their label is the same? Then a label may give its scanner away.

    python -m training.source_probe runs/cranioscan

A linear probe learns, from what the encoders of the folds see in slices of patients held back from them, of which of
two collections a slice with a bleed is, and a slice without; by patients, five times on four fifths. An AUC of .5 is
what is wanted, 1 says that the collections look quite different. `training.evaluate` has the same in its tables.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichscope.markdown import table
from ichscope.metrics import roc_auc
from training.embedded import EmbeddedStudy, restore
from training.estimates import value_of
from training.out_of_fold import SYNTHETIC

UNSEEN_FILE = "features-unseen.npz"
# Slices of a collection and label that a probe looks at, and patients that it needs.
_MOST_SLICES, _FEWEST_PATIENTS = 600, 10
_PARTS = 5
# Of the ridge, in shares of the number of slices: features are many and alike.
_RIDGE = 0.1


@dataclass(frozen=True, eq=False)
class Slices:
    """Slices of one collection and label: features (n, d), patient (n,)."""

    features: NDArray[np.float32]
    patient: NDArray[np.str_]


def told_apart(runs: Path) -> list[dict[str, Any]]:
    """AUC of the probe by label and pair of collections, the mean over the folds; nothing where none were kept."""
    found: dict[tuple[str, str, str], list[tuple[int, int, float]]] = {}
    for path in sorted(runs.glob(f"fold-[0-9]*/{UNSEEN_FILE}")):
        for key, one, other, auc in _of_fold(restore(path)):
            found.setdefault(key, []).append((one, other, auc))
    return [
        {
            "bleed": label == "1",
            "collections": [one, other],
            "slices": [int(np.mean([fold[side] for fold in folds])) for side in (0, 1)],
            "auc": round(float(np.mean([fold[2] for fold in folds])), 3),
        }
        for (label, one, other), folds in sorted(found.items())
    ]


def _of_fold(studies: Sequence[EmbeddedStudy]) -> Iterator[tuple[tuple[str, str, str], int, int, float]]:
    for label in (0, 1):
        slices = _chosen(studies, label)
        for one, other in combinations(sorted(slices), 2):
            yield (
                (str(label), one, other),
                len(slices[one].patient),
                len(slices[other].patient),
                probe(slices[one], slices[other]),
            )


def _chosen(studies: Sequence[EmbeddedStudy], label: int) -> dict[str, Slices]:
    """Slices by collection whose `any` is this, of real patients; a collection with few patients is left out."""
    rng = np.random.default_rng(0)
    slices = {}
    for source in sorted({study.source for study in studies} - {SYNTHETIC}):
        mine = [study for study in studies if study.source == source]
        kept = [study.labels[:, 0] == label for study in mine]
        features = np.concatenate([study.features[keep] for study, keep in zip(mine, kept, strict=True)])
        patient = np.concatenate([np.repeat(study.patient, keep.sum()) for study, keep in zip(mine, kept, strict=True)])
        few = np.sort(rng.permutation(len(patient))[:_MOST_SLICES])
        if len(np.unique(patient[few])) >= _FEWEST_PATIENTS:
            slices[source] = Slices(features[few], patient[few])
    return slices


def probe(one: Slices, other: Slices) -> float:
    """AUC of a ridge regression that tells two collections apart, on patients that it did not learn from.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> names = np.arange(200).astype(str)
    >>> a, b = (Slices(rng.normal(size=(200, 4)).astype(np.float32), names) for _ in range(2))
    >>> 0.4 < probe(a, b) < 0.6
    True
    >>> probe(a, Slices(b.features + 5, names)) > 0.99
    True
    """
    x = np.concatenate([one.features, other.features]).astype(np.float64)
    truth = np.repeat([False, True], [len(one.patient), len(other.patient)])
    names, number = np.unique(np.concatenate([one.patient, other.patient]), return_inverse=True)
    part = np.random.default_rng(0).permutation(len(names))[number] % _PARTS
    score = np.empty(len(truth))
    for held in range(_PARTS):
        seen = part != held
        score[~seen] = _ridge(x[seen], truth[seen], x[~seen])
    return value_of(roc_auc(truth, score))


def _ridge(x: NDArray[np.float64], truth: NDArray[np.bool_], unseen: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores of unseen rows; both classes weigh the same."""
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    x, unseen = (x - mean) / spread, (unseen - mean) / spread
    weight = np.where(truth, 0.5 / max(1, truth.sum()), 0.5 / max(1, (~truth).sum()))
    target = np.where(truth, 1.0, -1.0)
    gram = (x * weight[:, None]).T @ x + _RIDGE * np.eye(x.shape[1])
    return np.asarray(unseen @ np.linalg.solve(gram, x.T @ (weight * target)))


def as_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Markdown."""
    rows = [
        ["with a bleed" if row["bleed"] else "without", *row["collections"], *row["slices"], f"{row['auc']:.3f}"]
        for row in found
    ]
    return table(["slices", "collection", "other collection", "n", "n of the other", "AUC of the probe"], rows)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, probe, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="the runs of a model, such as runs/cranioscan")
    options = parser.parse_args(arguments)
    if not (found := told_apart(options.runs)):
        print(
            f"{options.runs}: expected fold-0/{UNSEEN_FILE} with two collections or more, found none", file=sys.stderr
        )
        return 1
    print(as_table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
