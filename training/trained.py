"""Trained models ready to run: a published folder, or a run that is not published yet."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ichscope.models import providers
from ichscope.models.detector import MICRO_BATCH, Detector
from training.out_of_fold import CONFIG_FILE


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model says of a study, in the order of its labels.

    slice_probability : (slices, labels); study_probability : (labels,); evidence : (slices, h, w, labels)
    """

    slice_probability: NDArray[np.floating]
    study_probability: NDArray[np.floating]
    evidence: NDArray[np.floating]


class Model(Protocol):
    """What both give; `threshold` is on the study probability of `any`."""

    @property
    def labels(self) -> Sequence[str]: ...

    @property
    def slice_thresholds(self) -> Mapping[str, float]: ...

    @property
    def threshold(self) -> float: ...

    def run(self, hu: NDArray[np.int16]) -> Answer:
        """Predict one study (slices, 224, 224)."""


class Published:
    """A model folder."""

    def __init__(self, folder: Path) -> None:
        self._detector = Detector(folder)
        card = self._detector.card
        self.labels = card.labels
        self.slice_thresholds = card.slice_thresholds or card.thresholds
        self.threshold = card.thresholds["any"]

    def run(self, hu: NDArray[np.int16]) -> Answer:
        result = self._detector.run(hu)
        return Answer(result.slice_probability, result.study_probability, result.evidence)


class Run:
    """A run that training left, calibrated by what `training.evaluate` found for all of them."""

    def __init__(self, folder: Path, metrics: Mapping[str, Any]) -> None:
        from training import models, train  # bring Keras, which published models do without

        config = json.loads((folder / CONFIG_FILE).read_text())
        shared = config["options"]["encoder"]
        encoder = (folder if shared == "None" else Path(shared) / folder.name) / "encoder.onnx"
        self._encoder = providers.session(encoder, providers.choose(), int(os.environ.get("OMP_NUM_THREADS", "0")))
        self.labels = config["labels"]
        self._columns = [config["encoder_labels"].index(label) for label in self.labels]
        width = next(output.shape[1] for output in self._encoder.get_outputs() if output.name == "features")
        self._head = models.head_for(config, width)
        self._head.load_weights(folder / train.HEAD_FILE)
        self._calibration = {level: np.array(rows).T for level, rows in metrics["calibration"].items()}
        self.slice_thresholds = metrics["operating_points"]["thresholds"]["slice"]
        self.threshold = metrics["operating_points"]["thresholds"]["study"]["any"]

    def run(self, hu: NDArray[np.int16]) -> Answer:
        parts = [
            self._encoder.run(["features", "evidence"], {"hu": np.asarray(hu[at : at + MICRO_BATCH])})
            for at in range(0, len(hu), MICRO_BATCH)
        ]
        features, evidence = (np.concatenate(values) for values in zip(*parts, strict=True))
        out = self._head(features[None], training=False)
        probability = {
            level: expit(np.asarray(out[level])[0] * slope + intercept)
            for level, (slope, intercept) in self._calibration.items()
        }
        return Answer(probability["slice"], probability["study"], evidence[..., self._columns])
