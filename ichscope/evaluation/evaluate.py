"""`ichscope evaluate`: predictions against truth, from two files, for every label that both have."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from ichscope import __version__, metrics
from ichscope.evaluation.label_metrics import LabelMetrics, WantedPoints, label_metrics
from ichscope.evaluation.pairing import MatchedOutput, Pairing, Reading, pair
from ichscope.labels import LABELS
from ichscope.levels import PLURALS
from ichscope.metrics import AucComparison, Estimate
from ichscope.models.card import file_sha256
from ichscope.tabular.foreign_table import Floats, Ints
from ichscope.tabular.table import whole
from ichscope.tabular.values import LabelValues
from ichscope.texts import json_text

_FIRST_KEYS = 5


@dataclass(frozen=True)
class ModelMetrics:
    """What is found of one model.

    rows : how its rows found those of the truth, as plain values
    log_loss : of the six labels together, and its floor; empty where one of them is missing
    """

    rows: dict[str, Any]
    labels: dict[str, LabelMetrics]
    log_loss: dict[str, Estimate]

    def to_json(self) -> dict[str, Any]:
        """Give the metrics as plain values."""
        labels = {label: of_label.to_json() for label, of_label in self.labels.items()}
        return self.rows | {"labels": labels, "weighted_log_loss": _as_dicts(self.log_loss) or None}


@dataclass(frozen=True)
class Evaluation:
    """What `ichscope evaluate` finds: `to_json` is its file, `ichscope.commands.show_evaluation` its table.

    header : which files, and how they were read, as plain values
    comparisons : two models -> label -> paired test
    """

    header: dict[str, Any]
    models: dict[str, ModelMetrics]
    comparisons: dict[tuple[str, str], dict[str, AucComparison]]

    def to_json(self) -> dict[str, Any]:
        """Give everything as plain values."""
        models = {name: model.to_json() for name, model in self.models.items()}
        tests = [{"models": list(pair), "labels": _as_dicts(labels)} for pair, labels in self.comparisons.items()]
        return self.header | {"models": models, "comparisons": tests}


def to_json_text(evaluation: Evaluation) -> str:
    """Give an evaluation as JSON text with a final newline."""
    return json_text(evaluation.to_json())


def _as_dicts(items: Mapping[str, Any]) -> dict[str, Any]:
    return {name: asdict(item) for name, item in items.items()}


@whole
def evaluate(
    truth_file: Path, predictions_file: Path, reading: Reading | None = None, wanted: WantedPoints | None = None
) -> Evaluation:
    r"""Compare the predictions of a file with the truth of another, for every label that both have.

    Raises
    ------
    TableError
        if a file cannot be used or the two do not fit; nothing is half read

    References
    ----------
    DeLong et al. (1988) and Obuchowski (1997) for the AUC and its comparison, Wilson (1927) for shares; each function
    of `ichscope.metrics` names its own.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     truth, predictions = Path(folder) / "truth.csv", Path(folder) / "tool.csv"
    ...     _ = truth.write_text("study,ICH\nA,1\nB,0\nC,1\nD,0\n")
    ...     _ = predictions.write_text("study,probability_any\nA,0.9\nB,0.2\nC,0.4\nD,0.6\n")
    ...     found = evaluate(truth, predictions)
    >>> found.header["level"], found.models["model"].labels["any"].auc.value
    ('study', 0.75)
    """
    reading = reading or Reading()
    pairing = pair(truth_file, predictions_file, reading)
    header = {
        "ichscope": __version__,
        "truth": {"file": truth_file.name, "sha256": file_sha256(truth_file), "rows": len(pairing.truth.keys)},
        "predictions": {"file": predictions_file.name, "sha256": file_sha256(predictions_file)},
        "level": pairing.level,
        "matched_by": pairing.matched_by,
        "readers": reading.readers or "majority",
        "slices_to_study": reading.rule,
        "notes": pairing.truth.notes,
    }
    return evaluate_pairing(pairing, header, wanted)


def evaluate_pairing(
    pairing: Pairing,
    header: dict[str, Any],
    wanted: WantedPoints | None = None,
    moved: Mapping[str, Mapping[str, float]] | None = None,
) -> Evaluation:
    """Find all metrics of all models, and compare each two of them.

    header : where truth and predictions come from; at least with `level` and `notes`
    moved : model -> label -> a threshold that a user set while looking at the metrics
    """
    moved = moved or {}
    return Evaluation(
        header=header,
        models={
            name: _model_metrics(pairing, output, wanted, moved.get(name, {}))
            for name, output in pairing.models.items()
        },
        comparisons={
            (a, b): _compare(pairing.truth, pairing.models[a], pairing.models[b])
            for a, b in combinations(pairing.models, 2)
        },
    )


def _model_metrics(
    pairing: Pairing, output: MatchedOutput, wanted: WantedPoints | None, moved: Mapping[str, float]
) -> ModelMetrics:
    there, group = output.matched, output.group[output.matched]
    truth = {label: values[there] for label, values in pairing.truth.labels.items()}
    probability = {label: values[there] for label, values in output.labels.items() if not np.isnan(values).all()}
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # most of the time is NumPy's, outside of Python's lock
        of_labels = pool.map(
            lambda label: label_metrics(
                truth[label], probability[label], group, wanted, output.thresholds.get(label), moved.get(label)
            ),
            probability,
        )
        by_label = dict(zip(probability, of_labels, strict=True))
    return ModelMetrics(_rows(pairing, output), by_label, _log_loss(truth, probability, group))


def _rows(pairing: Pairing, output: MatchedOutput) -> dict[str, Any]:
    missing = [key for key, there in zip(pairing.truth.keys, output.matched, strict=True) if not there]
    notes = list(output.notes)
    if pairing.level != "study" and not output.grouped_by:
        notes.append(
            f"neither file says whose {PLURALS[pairing.level]} these are: intervals take them as independent, "
            "and are too narrow"
        )
    return {
        "matched": int(np.count_nonzero(output.matched)),
        "grouped_by": output.grouped_by or None,
        "truth_without_prediction": {"count": len(missing), "first": missing[:_FIRST_KEYS]},
        "predictions_without_truth": {
            "count": len(output.without_truth),
            "first": output.without_truth[:_FIRST_KEYS],
        },
        "notes": notes,
    }


def _log_loss(truth: Mapping[str, Floats], probability: Mapping[str, Floats], group: Ints) -> dict[str, Estimate]:
    if not probability.keys() >= set(LABELS):
        return {}
    real, p = (np.stack([values[label] for label in LABELS], axis=1) for values in (truth, probability))
    return {
        "model": metrics.weighted_log_loss(real, p, patients=group),
        "floor": metrics.log_loss_floor(np.where(np.isnan(p), np.nan, real)),
    }


def _compare(truth: LabelValues, first: MatchedOutput, second: MatchedOutput) -> dict[str, AucComparison]:
    return {
        label: metrics.compare_auc(values, first.labels[label], second.labels[label], first.group)
        for label, values in truth.labels.items()
        if label in first.labels and label in second.labels
        if not (np.isnan(first.labels[label]).all() or np.isnan(second.labels[label]).all())
    }
