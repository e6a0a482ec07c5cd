"""DICOM files of one patient into training studies, read as inference reads them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ichscope.imaging.dicom import DicomError, read_series
from ichscope.imaging.frames import read_frames
from ichscope.imaging.intake import Group
from ichscope.imaging.series import Series
from ichscope.imaging.source import Source, SourceError
from training.data.study import Problem, TrainingStudy, training_study

_LEFT_OUT = ("mixed-series", "duplicate-slices", "duplicate-positions")


def read_group(group: Group, problems: list[Problem]) -> Series | None:
    """Read a series in HU from foot to head; every file that is not in it is a problem with its reason."""
    try:
        series = read_series(group.sources, group.identity)
    except DicomError as error:
        problems += [Problem(source.name, _why(source) or str(error)) for source in group.sources]
        return None
    kept = {kept_slice.file for kept_slice in series.slices}
    whole = "; ".join(finding.text for finding in series.findings if finding.code in _LEFT_OUT)
    problems += [Problem(source.name, _why(source) or whole) for source in group.sources if source.name not in kept]
    return series


def _why(source: Source) -> str:
    """Why a file cannot be read on its own, "" if it can."""
    try:
        read_frames(source.read(), source.name)
    except (DicomError, SourceError) as error:
        return str(error).removeprefix(f"{source.name}: ")
    return ""


def series_study(
    source: str,
    patient: str,
    study: str,
    series: Series,
    labels: Sequence[Sequence[float]] | NDArray[np.float32],
    names: Sequence[str] | None = None,
    study_labels: NDArray[np.float32] | None = None,
) -> TrainingStudy:
    """A training study from a series with labels (slices, 6) and, if they are not the series' own, names of files."""
    spacing = series.spacing_mm
    return training_study(
        source,
        patient,
        study,
        series.hu,
        labels,
        names or [entry.file for entry in series.slices],
        spacing_mm=spacing[0] if spacing else None,
        pixel_spacing_mm=spacing[1:] if spacing else None,
        study_labels=study_labels,
    )
