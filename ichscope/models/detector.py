"""A trained model, ready to run: the slice encoder in micro-batches, then the head over the whole sequence."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ichscope.models import autotuning, providers
from ichscope.models.card import ENCODER_FILE as ENCODER_FILE
from ichscope.models.card import HEAD_FILE as HEAD_FILE
from ichscope.models.card import ModelCard, ModelError, shares_encoder_with
from ichscope.models.scheduler import EncoderScheduler, Priority

# Small batches stay in the CPU's cache; `autotuning` measures which is best where the user does not choose.
MICRO_BATCH = autotuning.MICRO_BATCH


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
    folder : a folder below models/ with encoder.onnx, head.onnx and card.json; the card may name the folder beside it
        whose encoder.onnx the model runs
    provider : "auto" (what `autotuning` found best here), or "tensorrt", "cuda", "openvino", "cpu" and, where the model
        has 8-bit weights, "cpu-int8"
    leader : a model whose encoder this one `shares`: its session serves both, on its provider
    followers : folders of models that this one will lead, which have a say in "auto"
    scheduler : whose turn it is among all encoders that share it; one of its own where none is given

    Raises
    ------
    ModelError
        if the files do not match their card, or the provider cannot be had
    """

    provider: str
    _encoder: providers.Encoder
    _seen_labels: tuple[str, ...]

    def __init__(
        self,
        folder: Path,
        provider: str = "auto",
        leader: Detector | None = None,
        followers: Sequence[Path] = (),
        scheduler: EncoderScheduler | None = None,
    ) -> None:
        self.card = ModelCard.read(folder)
        for name in (ENCODER_FILE, HEAD_FILE):
            if name not in self.card.sha256:
                raise ModelError(f"{folder / 'card.json'}: expected a SHA-256 of {name}, found none")
        self.card.verify(folder)
        self._seen_labels = leader._seen_labels if leader else self.card.encoder_card(folder).labels
        self._columns = _columns(self._seen_labels, self.card.labels)
        self.micro_batch = MICRO_BATCH
        self._scheduler = scheduler or EncoderScheduler()
        try:
            # The head is a thousandth of the work: it stays on the CPU in full precision everywhere.
            self._head = providers.session(folder / HEAD_FILE, providers.choose("cpu"), threads=1)
            if leader is not None:
                self.provider, self.micro_batch, self._encoder = leader.provider, leader.micro_batch, leader._encoder
            elif provider == "auto":
                self._open_best((folder, *followers))
            else:
                self._open(folder, providers.choose(provider))
        except providers.ProviderError as error:
            raise ModelError(str(error)) from None

    def _open(self, folder: Path, provider: providers.Provider) -> None:
        self._encoder = providers.Encoder(autotuning.encoder_file(folder, self.card, provider), provider)
        self.provider = provider.label

    def _open_best(self, folders: Sequence[Path]) -> None:
        self_test = autotuning.choose(folders)
        try:
            self._open(folders[0], providers.choose(self_test.choice))
        except providers.ProviderError:  # it ran when it was tried: a driver or a library has changed since
            self_test = autotuning.choose(folders, again=True)
            self._open(folders[0], providers.choose(self_test.choice))
        self.micro_batch = self_test.micro_batch

    def run(
        self,
        hu: NDArray[np.int16],
        progress: Callable[[int, int], None] | None = None,
        encoding: Encoding | None = None,
        priority: Priority = "interactive",
    ) -> Prediction:
        """Predict one series.

        Parameters
        ----------
        hu : (slices, size, size) int16 HU from preprocess.model_input, at least one slice
        progress : called with (slices done, slices) after every micro-batch
        encoding : of the same series by an encoder that this model `shares`, which then need not run again
        priority : "background" steps back while a person waits; heads are quick and wait for nobody

        Raises
        ------
        ModelError
            if ONNX Runtime fails (out of memory, a graphics card that was lost) or gives what is no probability
        """
        start = time.perf_counter()
        encoding = encoding or self.encode(hu, progress, priority=priority)
        encoded = time.perf_counter()
        slice_probability, study_probability = self._run(
            self._head, ["slice_probability", "study_probability"], "features", encoding.features
        )
        if not (np.isfinite(slice_probability).all() and np.isfinite(study_probability).all()):
            raise ModelError(f"{self.card.name} on {self.provider}: expected probabilities, found no numbers")
        seconds = {"encoder": encoded - start, "head": time.perf_counter() - encoded}
        return Prediction(slice_probability, study_probability, encoding, seconds)

    def share(self, other: Detector, encoding: Encoding) -> Encoding | None:
        """Give another model's encoding as this model's own would be; None if their encoders differ."""
        if self.provider != other.provider or not shares_encoder_with(other.card, self.card):
            return None
        columns = _columns(other.card.labels, self.card.labels)
        return encoding if columns is None else Encoding(encoding.features, encoding.evidence[..., columns])

    def encode(
        self,
        hu: NDArray[np.int16],
        progress: Callable[[int, int], None] | None = None,
        micro_batch: int | None = None,
        priority: Priority = "interactive",
    ) -> Encoding:
        """Run the encoder alone on (slices, size, size) int16 HU."""
        features, evidence = [], []
        size = micro_batch or self.micro_batch
        with self._scheduler.study(priority):
            for at in range(0, len(hu), size):
                some = hu[at : at + size]
                with self._scheduler.turn(priority):
                    of_some, seen = self._run(self._encoder, ["features", "evidence"], "hu", some)
                features.append(of_some)
                evidence.append(seen if self._columns is None else seen[..., self._columns])
                if progress:
                    progress(at + len(some), len(hu))
        return Encoding(np.concatenate(features), np.concatenate(evidence))

    def _run(
        self, session: ort.InferenceSession | providers.Encoder, outputs: list[str], name: str, value: NDArray[Any]
    ) -> list[NDArray[np.float32]]:
        try:
            values: list[NDArray[np.float32]] = session.run(outputs, {name: value})
        except providers.RUNTIME_ERRORS as error:
            raise ModelError(f"{self.card.name} on {self.provider} failed: {error}") from None
        return values


def _columns(seen: Sequence[str], labels: Sequence[str]) -> list[int] | None:
    """Where in an encoder's evidence a model's labels are; None where they are all, in their order."""
    return None if tuple(seen) == tuple(labels) else [seen.index(label) for label in labels]
