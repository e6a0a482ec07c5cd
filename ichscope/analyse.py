"""Studies, start to end: files in, results out. Bad input becomes a result with its reason."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichscope.errors import UnexpectedError, barrier
from ichscope.imaging import quality
from ichscope.imaging.dicom import DicomError, read_series
from ichscope.imaging.findings import FindingLevel, Status
from ichscope.imaging.images import ImageError, read_pictures
from ichscope.imaging.intake import Group, Rejected, collect
from ichscope.imaging.limits import Holding
from ichscope.imaging.series import Finding
from ichscope.imaging.slabs import Seen, seen_by_models
from ichscope.imaging.sources import SeriesSource
from ichscope.imaging.speaker import speaker
from ichscope.labels import LABELS
from ichscope.models.card import ENCODER_FILE, HEAD_FILE, ModelError
from ichscope.models.detector import Detector, Encoding, Prediction
from ichscope.models.scheduler import Priority
from ichscope.results import LEFT_TO_ANOTHER, OTHER_SERIES, ModelResult, Role, SeriesResult, StudyResult, reasons_of

Progress = Callable[[int, int, str], None]
# The findings of a model that could not be run on a series, and of a mistake in the program: both may be tried again.
MODEL_FAILED, UNEXPECTED = "model-failed", "unexpected-error"


def analyse(
    inputs: Iterable[Path | tuple[str, bytes | Path] | SeriesSource],
    detectors: Mapping[str, Detector],
    pictures_as_series: bool = False,
    progress: Progress | None = None,
    all_series: bool = False,
    say: Callable[[str], object] = lambda text: None,
    holding: Holding | None = None,
    beside: Callable[[StudyResult, Sequence[Group]], object] | None = None,
) -> Iterator[StudyResult]:
    """Analyse everything in files, folders and ZIPs: one result a study, and one a file that is unreadable.

    progress : called with (slices done, slices, series name)
    all_series : run the models on every series, not only on the one that speaks for its study
    say : called with what was left out, in words
    holding : counts the volumes of the results; when it is full the rest is not analysed
    beside : called with each study and the series that it was read from, while their files are at hand
    """
    intake = collect(inputs, pictures_as_series=pictures_as_series)
    if intake.left_out_text:
        say(intake.left_out_text)
    yield from (_rejected(file) for file in intake.rejected)
    for groups in intake.studies:
        study = analyse_study(groups, detectors, progress, all_series, holding)
        if beside:
            beside(study, groups)
        yield study


def analyse_study(
    groups: Sequence[Group],
    detectors: Mapping[str, Detector],
    progress: Progress | None = None,
    all_series: bool = False,
    holding: Holding | None = None,
) -> StudyResult:
    """Analyse the series of one study, the first of `groups` that can be; the others are read and checked only."""
    results: list[SeriesResult] = []
    for group in groups:
        if holding and holding.refusal:
            name = series_name(group)
            results.append(unreadable(group.study, group.key, name, f"{name}: {holding.refusal}", group.findings))
            continue
        judged = any(result.models for result in results)
        results.append(analyse_group(group, detectors, progress, read_only=judged and not all_series))
        if holding and (volume := results[-1].volume):
            holding.take(volume.hu)
    choice = speaker([group.facts for group in groups], [bool(result.models) for result in results])
    speaks, *others = (results[index] for index in choice.order)
    return StudyResult(
        series=(
            replace(speaks, role=Role.SPEAKS, role_reason=choice.reason),
            *(replace(result, role=Role.OTHER) for result in others),
        )
    )


def analyse_group(
    group: Group,
    detectors: Mapping[str, Detector],
    progress: Progress | None = None,
    priority: Priority = "interactive",
    read_only: bool = False,
) -> SeriesResult:
    """Read one series, judge whether it may be analysed, and run every model on it.

    Never raises, neither for bad input, nor for a model that fails, nor for what nobody foresaw: all become a status
    and a reason.

    read_only : run no model, because another series speaks for the study
    """
    name = series_name(group)
    try:
        with barrier():
            return _analysed(group, name, detectors, progress, priority, read_only)
    except UnexpectedError as error:
        return unreadable(group.study, group.key, name, f"{name}: {error}", group.findings, UNEXPECTED)
    except (DicomError, ImageError) as error:
        return unreadable(group.study, group.key, name, str(error), group.findings)


def _analysed(
    group: Group,
    name: str,
    detectors: Mapping[str, Detector],
    progress: Progress | None,
    priority: Priority,
    read_only: bool,
) -> SeriesResult:
    read = read_series if group.kind == "ct" else read_pictures
    series = read(group.sources, group.identity)
    series = replace(series, findings=(*group.findings, *series.findings))
    # Both look at all voxels and leave most of their time to NumPy, so they go side by side.
    with ThreadPoolExecutor(1) as beside:
        prepared = beside.submit(seen_by_models, series)
        findings = quality.assess(series)
    status = quality.status(findings)
    checked = SeriesResult(
        study=group.study,
        series=group.key,
        name=name,
        status=status,
        reasons=reasons_of(findings),
        findings=findings,
        slices=series.slices,
        volume=series,
    )
    if status == Status.NOT_ANALYSED:
        return checked
    seen = prepared.result()
    checked = replace(checked, box=seen.box)
    return left_to_another(checked) if read_only else _judged(checked, seen, detectors, progress, priority)


def judge(checked: SeriesResult, detectors: Mapping[str, Detector], progress: Progress | None = None) -> SeriesResult:
    """Run every model on a series that was read and checked only, because another one speaks for its study.

    Raises
    ------
    ValueError
        if the result carries no voxels
    """
    if (series := checked.volume) is None:
        raise ValueError(f"{checked.name}: expected a series with voxels, found none")
    seen = seen_by_models(series)
    return _judged(replace(checked, box=seen.box), seen, detectors, progress, "interactive")


def _judged(
    checked: SeriesResult,
    seen: Seen,
    detectors: Mapping[str, Detector],
    progress: Progress | None,
    priority: Priority,
) -> SeriesResult:
    models, failures = run_models(seen, detectors, progress, checked.name, priority)
    return with_models(checked, models, failures)


def with_models(
    checked: SeriesResult, models: dict[str, ModelResult], failures: Sequence[Finding] = ()
) -> SeriesResult:
    """A result with what models say of it now; whatever they could not do before, or were not asked, is settled."""
    settled = (MODEL_FAILED, OTHER_SERIES)
    findings = (*failures, *(finding for finding in checked.findings if finding.code not in settled))
    return replace(
        checked, status=quality.status(findings), reasons=reasons_of(findings), findings=findings, models=models
    )


def unreadable(
    study: str, series: str, name: str, reason: str, more: Sequence[Finding] = (), code: str = "unreadable"
) -> SeriesResult:
    """The result of what cannot be read: its reason, and what was found before."""
    findings = (Finding(FindingLevel.NOT_ANALYSABLE, code, reason), *more)
    return SeriesResult(
        study=study,
        series=series,
        name=name,
        status=Status.NOT_ANALYSED,
        reasons=reasons_of(findings),
        findings=findings,
    )


def left_to_another(checked: SeriesResult) -> SeriesResult:
    """The result of a series that could be analysed, and was not, because another one speaks for its study."""
    findings = (*checked.findings, Finding(FindingLevel.OK, OTHER_SERIES, LEFT_TO_ANOTHER))
    return replace(checked, status=Status.NOT_ANALYSED, reasons=reasons_of(findings), findings=findings)


def run_models(
    seen: Seen,
    detectors: Mapping[str, Detector],
    progress: Progress | None = None,
    name: str = "",
    priority: Priority = "interactive",
) -> tuple[dict[str, ModelResult], list[Finding]]:
    """Run every model on what it sees of a series.

    Returns
    -------
    results by model, and a finding MODEL_FAILED for each that fails: it limits the result, and when none is left
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
            prediction = detector.run(seen.hu, _counter(progress, number, len(detectors), name), shared, priority)
        except ModelError as error:
            failures.append(str(error))
            continue
        done.append((detector, prediction.encoding))
        models[key] = _model_result(detector, seen, prediction, time.perf_counter() - start)
    models = {key: models[key] for key in detectors if key in models}
    level = FindingLevel.WARNING if models else FindingLevel.NOT_ANALYSABLE
    return models, [Finding(level, MODEL_FAILED, text) for text in failures]


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


def _model_result(detector: Detector, seen: Seen, prediction: Prediction, seconds: float) -> ModelResult:
    card = detector.card
    probability = dict(zip(card.labels, map(float, prediction.study_probability), strict=True))
    return ModelResult(
        name=card.name,
        version=card.version,
        provider=detector.provider,
        seconds=seconds,
        operating_point=card.default_point,
        probability={label: probability[label] for label in LABELS if label in probability},
        thresholds=card.thresholds,
        slice_probability=_by_label(card.labels, seen.by_slice(prediction.slice_probability)),
        evidence=seen.by_slice(prediction.evidence[..., card.labels.index("any")]),
        encoder_sha256=card.sha256[ENCODER_FILE],
        head_sha256=card.sha256[HEAD_FILE],
        decides=card.decides,
    )


def _by_label(labels: Sequence[str], along: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    return {label: along[:, labels.index(label)] for label in LABELS if label in labels}


def _rejected(file: Rejected) -> StudyResult:
    return StudyResult(series=(unreadable("", "", file.name, file.reason),))
