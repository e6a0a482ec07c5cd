"""A trained model, ready to run: the slice encoder in micro-batches, then the head over the whole sequence."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ichscope import providers
from ichscope.card import ModelCard, ModelError

# Small batches stay in the CPU's cache: measured fastest at 8 slices a call (benchmarks/study.py --batches).
MICRO_BATCH = 8

ENCODER_FILE = "encoder.onnx"
HEAD_FILE = "head.onnx"


@dataclass(frozen=True, eq=False)
class Encoding:
    """What a slice encoder says of a series.

    features : (slices, d) float32
    evidence : (slices, h, w, labels) float32, 0 to 1
    """

    features: NDArray[np.float32]
    evidence: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of one series.

    slice_probability : (slices, labels) float32
    study_probability : (labels,) float32
    encoding : what the encoder gave, for another model that has the same one
    seconds : by stage, "encoder" and "head"
    """

    slice_probability: NDArray[np.float32]
    study_probability: NDArray[np.float32]
    encoding: Encoding
    seconds: dict[str, float]

    @property
    def evidence(self) -> NDArray[np.float32]:
        """(slices, h, w, labels) float32, 0 to 1, over the model's input."""
        return self.encoding.evidence


class Detector:
    """One model folder on one provider. `run` may be called from several threads at once.

    Parameters
    ----------
    folder : a folder below models/ with encoder.onnx, head.onnx and card.json
    provider : "auto" (the best that is there), "cuda", "openvino" or "cpu"

    Raises
    ------
    ModelError
        if the files do not match their card, or the provider cannot be had
    """

    def __init__(self, folder: Path, provider: str = "auto") -> None:
        self.card = ModelCard.read(folder)
        for name in (ENCODER_FILE, HEAD_FILE):
            if name not in self.card.sha256:
                raise ModelError(f"{folder / 'card.json'}: expected a SHA-256 of {name}, found none")
        self.card.verify(folder)
        try:
            chosen, self._encoder = providers.open_best(folder / ENCODER_FILE, provider)
            # The head is a thousandth of the work: it stays on the CPU in full precision everywhere.
            self._head = providers.session(folder / HEAD_FILE, providers.choose("cpu"))
        except providers.ProviderError as error:
            raise ModelError(str(error)) from None
        self.provider = chosen.label

    def run(
        self,
        hu: NDArray[np.int16],
        progress: Callable[[int, int], None] | None = None,
        encoding: Encoding | None = None,
    ) -> Prediction:
        """Predict one series.

        Parameters
        ----------
        hu : (slices, size, size) int16 HU from preprocess.model_input, at least one slice
        progress : called with (slices done, slices) after every micro-batch
        encoding : of the same series by an encoder that this model `shares`, which then need not run again

        Raises
        ------
        ModelError
            if ONNX Runtime fails (out of memory, a graphics card that was lost) or gives what is no probability
        """
        start = time.perf_counter()
        encoding = encoding or self.encode(hu, progress)
        encoded = time.perf_counter()
        slice_probability, study_probability = self._run(
            self._head, ["slice_probability", "study_probability"], "features", encoding.features
        )
        if not (np.isfinite(slice_probability).all() and np.isfinite(study_probability).all()):
            raise ModelError(f"{self.card.name} on {self.provider}: expected probabilities, found no numbers")
        seconds = {"encoder": encoded - start, "head": time.perf_counter() - encoded}
        return Prediction(slice_probability, study_probability, encoding, seconds)

    def share(self, other: Detector, encoding: Encoding) -> Encoding | None:
        """Give another model's encoding as this model's own would be; None if their encoders differ.

        Cards say which weights an encoder was made from; `export` holds the files to them.
        """
        same = self.card.encoder_weights == other.card.encoder_weights != "" and self.provider == other.provider
        if not same or not set(self.card.labels) <= set(other.card.labels):
            return None
        columns = [other.card.labels.index(label) for label in self.card.labels]
        return Encoding(encoding.features, encoding.evidence[..., columns])

    def encode(
        self,
        hu: NDArray[np.int16],
        progress: Callable[[int, int], None] | None = None,
        micro_batch: int = MICRO_BATCH,
    ) -> Encoding:
        """Run the encoder alone on (slices, size, size) int16 HU."""
        features, evidence = [], []
        for at in range(0, len(hu), micro_batch):
            some = hu[at : at + micro_batch]
            of_some, seen = self._run(self._encoder, ["features", "evidence"], "hu", some)
            features.append(of_some)
            evidence.append(seen)
            if progress:
                progress(at + len(some), len(hu))
        return Encoding(np.concatenate(features), np.concatenate(evidence))

    def _run(
        self, session: ort.InferenceSession, outputs: list[str], name: str, value: NDArray[Any]
    ) -> list[NDArray[np.float32]]:
        try:
            found: list[NDArray[np.float32]] = session.run(outputs, {name: value})
        except providers.RUNTIME_ERRORS as error:
            raise ModelError(f"{self.card.name} on {self.provider} failed: {error}") from None
        return found
