"""How good a published model is on a collection that it was not trained on, slice by slice.

    python -m training.published models/cranioscan --source rsna-more

A slice that comes alone is judged as the pages judge a picture: by the head over a sequence of one. 3,294 slices take a
core some two minutes. What a model was trained on stands in its card; that a collection has none of these patients is
for whoever names it to know.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichscope import metrics
from ichscope.labels import LABELS
from ichscope.markdown import table
from ichscope.metrics import Estimate
from training.data import ADAPTERS, DEFAULT_CACHE, TrainingStudy, load
from training.trained import Model, Published

_HEADER = ("label", "slices", "positive", "patients", "AUC", "sensitivity", "specificity", "remark")
_FEW = 20


@dataclass(frozen=True, eq=False)
class Judged:
    """What a model says of slices, (slices, labels), with truth, nan where unknown, and whose they are."""

    labels: Sequence[str]
    truth: NDArray[np.float64]
    probability: NDArray[np.float64]
    patient: NDArray[np.str_]


def judge(model: Model, studies: Sequence[TrainingStudy]) -> Judged:
    """Run a model on every study."""
    columns = [LABELS.index(label) for label in model.labels]
    probability = np.concatenate([model.run(study.hu).slice_probability for study in studies])
    truth = np.concatenate([study.labels[:, columns] for study in studies])
    patient = np.concatenate([np.full(len(study.labels), study.patient) for study in studies])
    return Judged(model.labels, truth.astype(np.float64), probability.astype(np.float64), patient)


def rows(model: Model, judged: Judged) -> Iterator[list[str]]:
    """One row a label: AUC, and sensitivity and specificity at the threshold of slices; intervals by patient."""
    for i, label in enumerate(judged.labels):
        known = np.isfinite(judged.truth[:, i])
        truth, score, patient = judged.truth[known, i], judged.probability[known, i], judged.patient[known]
        at = metrics.at_threshold(truth, score, model.slice_thresholds[label], patient)
        positives = int(truth.sum())
        yield [
            label,
            str(len(truth)),
            str(positives),
            str(len(np.unique(patient))),
            _text(metrics.roc_auc(truth, score, patient)),
            _text(at.sensitivity),
            _text(at.specificity),
            f"few positives: an anecdote (fewer than {_FEW})" if positives < _FEW else "",
        ]


def _text(estimate: Estimate) -> str:
    if (limits := estimate.limits()) is None:
        return estimate.reason or "-"
    value, low, high = limits
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a model folder, such as models/cranioscan")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the collections")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="for prepared arrays")
    parser.add_argument("--source", choices=sorted(ADAPTERS), default="rsna-more", help="default rsna-more")
    options = parser.parse_args(arguments)
    try:
        studies = load(options.data, [options.source], options.cache)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    model = Published(options.model)
    print(table(_HEADER, list(rows(model, judge(model, studies)))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
