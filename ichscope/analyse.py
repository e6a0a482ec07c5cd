"""One study, start to end: files in, results out. Bad input becomes a result with its reason."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichscope.imaging import quality
from ichscope.imaging.dicom import DicomError, read_series
from ichscope.imaging.images import ImageError, read_pictures
from ichscope.imaging.intake import Group, Rejected, collect
from ichscope.imaging.preprocess import Box, model_input
from ichscope.imaging.series import Finding, Level, Series, Slice
from ichscope.labels import LABELS
from ichscope.models.card import CARD_FILE, ModelCard, ModelError, file_sha256
from ichscope.models.detector import Detector, Encoding, Prediction, leads

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class ModelResult:
    """What one model says of one series.

    probability, thresholds : of the whole study, by label name
    slice_probability : by label name, (slices,) float32
    evidence : (slices, h, w) float32, 0 to 1, of any haemorrhage, over StudyResult.box
    seconds : of this model alone
    """

    name: str
    version: str
    provider: str
    seconds: float
    flagged: bool
    threshold: float
    operating_point: str
    probability: dict[str, float]
    thresholds: dict[str, float]
    slice_probability: dict[str, NDArray[np.float32]]
    evidence: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class StudyResult:
    """The result of one series: status "analysed", "limited" or "not analysed", why, and what each model says.

    name : the file or folder as the user knows it
    box : the square of each slice that the models saw, and that the evidence covers
    series_data : the series itself, for viewing; None where it could not be read
    """

    study: str
    series: str
    name: str
    status: str
    reasons: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    slices: tuple[Slice, ...] = ()
    models: dict[str, ModelResult] = field(default_factory=dict)
    box: Box | None = None
    series_data: Series | None = None

    def to_json(self) -> dict[str, Any]:
        """Give the result as plain values, in the form that `ichscope analyse --json` promises."""
        return {
            "study": self.study,
            "series": self.series,
            "name": self.name,
            "status": self.status,
            "reasons": list(self.reasons),
            "slices": len(self.slices),
            "models": {name: self._model_json(model) for name, model in self.models.items()},
        }

    def _model_json(self, model: ModelResult) -> dict[str, Any]:
        return {
            "version": model.version,
            "provider": model.provider,
            "seconds": round(model.seconds, 4),
            "flagged": model.flagged,
            "threshold": model.threshold,
            "operating_point": model.operating_point,
            "thresholds": model.thresholds,
            "probability": {label: round(p, 6) for label, p in model.probability.items()},
            "per_slice": [
                {
                    "file": one.file,
                    "sop": one.sop,
                    "position_mm": one.position_mm,
                    "probability": {label: round(float(p[i]), 6) for label, p in model.slice_probability.items()},
                }
                for i, one in enumerate(self.slices)
            ],
        }


def default_models_folder() -> Path:
    """Where the models are: ICHSCOPE_MODELS, or models/ of the checkout."""
    return Path(os.environ.get("ICHSCOPE_MODELS") or Path(__file__).parent.parent / "models")


def load_detectors(
    models_folder: Path | None = None, names: Sequence[str] | None = None, provider: str = "auto"
) -> dict[str, Detector]:
    """Load the models of a folder, all or the named ones, checked against their cards.

    Raises
    ------
    ModelError
        if there is none, a named one is missing, or one cannot be trusted
    """
    folder = models_folder or default_models_folder()
    loaded: dict[str, Detector] = {}
    for group, folders in encoder_groups(folder, names).items():
        leader = Detector(folders[0], provider, followers=folders[1:])
        loaded[group[0]] = leader
        loaded |= {name: Detector(other, provider, leader) for name, other in zip(group[1:], folders[1:], strict=True)}
    return dict(sorted(loaded.items()))


def encoder_groups(
    models_folder: Path | None = None, names: Sequence[str] | None = None
) -> dict[tuple[str, ...], tuple[Path, ...]]:
    """Put models together that one encoder serves, by name and with their folders; the one that leads comes first.

    Raises
    ------
    ModelError
        if there is none, a named one is missing, or a card cannot be read
    """
    folder = models_folder or default_models_folder()
    found = sorted(path.parent.name for path in folder.glob(f"*/{CARD_FILE}"))
    missing = sorted(set(names or ()) - set(found))
    if missing or not found:
        expected = f"the model {missing[0]!r}" if missing else "at least one model"
        raise ModelError(f"{folder}: expected {expected}, found {', '.join(found) or 'none'}")
    cards = {name: ModelCard.read(folder / name) for name in found if not names or name in names}
    groups: dict[str, list[str]] = {}
    for name in sorted(cards, key=lambda name: -len(cards[name].labels)):
        leader = next((one for one in groups if leads(cards[one], cards[name])), name)
        groups.setdefault(leader, []).append(name)
    return {tuple(group): tuple(folder / name for name in group) for group in groups.values()}


def shared_detectors(
    models_folder: Path | None = None, names: Sequence[str] = (), provider: str = "auto"
) -> dict[str, Detector]:
    """Load models once for all of a process, and anew where a card has changed; as load_detectors.

    Raises
    ------
    ModelError
        as load_detectors
    """
    folder = models_folder or default_models_folder()
    cards = tuple(file_sha256(path) for path in sorted(folder.glob(f"*/{CARD_FILE}")))
    with _loading:
        return _shared_detectors(folder, tuple(names), provider, cards)


_loading = threading.Lock()


@lru_cache(maxsize=1)
def _shared_detectors(
    folder: Path, names: tuple[str, ...], provider: str, cards: tuple[str, ...]
) -> dict[str, Detector]:
    return load_detectors(folder, names, provider)


def analyse(
    inputs: Iterable[Path | tuple[str, bytes]],
    detectors: Mapping[str, Detector],
    pictures_as_series: bool = False,
    progress: Progress | None = None,
) -> Iterator[StudyResult]:
    """Analyse everything in files, folders and ZIPs: one result a series, and one a file that is unreadable.

    progress : called with (slices done, slices, series name)
    """
    found = collect(inputs, pictures_as_series=pictures_as_series)
    yield from (_rejected(file) for file in found.rejected)
    for group in found.groups:
        yield analyse_group(group, detectors, progress)


def analyse_group(group: Group, detectors: Mapping[str, Detector], progress: Progress | None = None) -> StudyResult:
    """Read one series, judge whether it may be analysed, and run every model on it.

    Never raises for bad input, nor for a model that fails: both become a status and a reason.
    """
    name = series_name(group)
    try:
        series = read_series(group.sources) if group.kind == "ct" else read_pictures(group.sources)
    except (DicomError, ImageError) as error:
        finding = Finding("not analysable", "unreadable", str(error))
        return StudyResult(group.study, group.key, name, "not analysed", (str(error),), (finding,))
    # Both look at all voxels and leave most of their time to NumPy, so they go side by side.
    with ThreadPoolExecutor(1) as beside:
        prepared = beside.submit(model_input, series.hu, series.spacing_mm[1:] if series.spacing_mm else None)
        findings = quality.assess(series)
    status = quality.status(findings)
    if status == "not analysed":
        reasons = _reasons(findings)
        return StudyResult(group.study, group.key, name, status, reasons, findings, series.slices, series_data=series)
    hu, box = prepared.result()
    models, failures = run_models(hu, detectors, progress, name)
    findings = (*failures, *findings)
    status, reasons = quality.status(findings), _reasons(findings)
    return StudyResult(group.study, group.key, name, status, reasons, findings, series.slices, models, box, series)


def _reasons(findings: Iterable[Finding]) -> tuple[str, ...]:
    return tuple(finding.text for finding in findings if finding.level != "ok")


def run_models(
    hu: NDArray[np.int16], detectors: Mapping[str, Detector], progress: Progress | None = None, name: str = ""
) -> tuple[dict[str, ModelResult], list[Finding]]:
    """Run every model on (slices, size, size) int16 HU of preprocess.model_input.

    Returns
    -------
    results by model, and a finding "model-failed" for each that fails: it limits the result, and when none is left
    there is no result
    """
    models: dict[str, ModelResult] = {}
    failures: list[str] = []
    done: list[tuple[Detector, Encoding]] = []
    # Most labels first: a model with fewer may use the work of that one's encoder.
    for number, (key, detector) in enumerate(sorted(detectors.items(), key=lambda item: -len(item[1].card.labels))):
        start = time.perf_counter()
        shared = next((same for other, theirs in done if (same := detector.share(other, theirs))), None)
        try:
            prediction = detector.run(hu, _counter(progress, number, len(detectors), name), shared)
        except ModelError as error:
            failures.append(str(error))
            continue
        done.append((detector, prediction.encoding))
        models[key] = _model_result(detector, prediction, time.perf_counter() - start)
    models = {key: models[key] for key in detectors if key in models}
    level: Level = "warning" if models else "not analysable"
    return models, [Finding(level, "model-failed", text) for text in failures]


def series_name(group: Group) -> str:
    """Name a series for people: its only file, or the folder that its files share."""
    names = [source.name for source in group.sources]
    if len(names) == 1:
        return names[0]
    shared = os.path.commonpath(names) if all("/" in name for name in names) else ""
    return shared or f"{names[0]} and {len(names) - 1} more"


def _counter(progress: Progress | None, models_done: int, models: int, name: str) -> Callable[[int, int], None] | None:
    """Turn a model's own progress into one count over all models."""
    if progress is None:
        return None
    return lambda done, slices: progress(models_done * slices + done, models * slices, name)


def _model_result(detector: Detector, prediction: Prediction, seconds: float) -> ModelResult:
    card = detector.card
    probability = dict(zip(card.labels, map(float, prediction.study_probability), strict=True))
    return ModelResult(
        name=card.name,
        version=card.version,
        provider=detector.provider,
        seconds=seconds,
        flagged=probability["any"] >= card.thresholds["any"],
        threshold=card.thresholds["any"],
        operating_point=card.default_point,
        probability={label: probability[label] for label in LABELS if label in probability},
        thresholds=card.thresholds,
        slice_probability=_by_label(card.labels, prediction),
        evidence=prediction.evidence[..., card.labels.index("any")],
    )


def _by_label(labels: Sequence[str], prediction: Prediction) -> dict[str, NDArray[np.float32]]:
    return {label: prediction.slice_probability[:, labels.index(label)] for label in LABELS if label in labels}


def _rejected(file: Rejected) -> StudyResult:
    finding = Finding("not analysable", "unreadable", file.reason)
    return StudyResult("", "", file.name, "not analysed", (file.reason,), (finding,))
