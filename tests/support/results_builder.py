"""Results without models or files, for tests of what is made of them."""

from typing import Any

import numpy as np

from ichscope.imaging.findings import Status
from ichscope.imaging.preprocess import Box
from ichscope.imaging.series import Finding, Series, Slice
from ichscope.labels import LABELS
from ichscope.results import ModelResult, SeriesResult

GRID = (3, 4)


def model(
    name: str = "cranioscan",
    probability: dict[str, float] | None = None,
    threshold: float = 0.5,
    along: tuple[float, ...] = (0.1, 0.9, 0.2),
    labels: tuple[str, ...] = LABELS,
) -> ModelResult:
    """A model's result; `along` is its probability of `any` on every slice."""
    study = dict.fromkeys(labels, 0.0) | {"any": max(along)} | (probability or {})
    return ModelResult(
        name=name,
        version="1.0",
        provider="CPU fp32",
        seconds=0.1,
        operating_point="sensitivity 0.95",
        probability=study,
        thresholds=dict.fromkeys(labels, threshold),
        slice_probability={label: np.array(along, np.float32) for label in labels},
        evidence=np.linspace(0, 1, len(along) * 12, dtype=np.float32).reshape(-1, *GRID),
    )


def series(slices: int = 3, rows: int = 4, columns: int = 6, **fields: Any) -> Series:
    """A series whose voxels count up from -10, so that each has a value of its own."""
    hu = np.arange(slices * rows * columns, dtype=np.int16).reshape(slices, rows, columns) - 10
    made = tuple(Slice(f"IM{i}.dcm", f"1.{i}", 5.0 * i) for i in range(slices))
    known: dict[str, Any] = {"spacing_mm": (5.0, 0.5, 0.4), "orientation": (1.0, 0, 0, 0, 1, 0)}
    return Series("study", "series", "ct", hu, made, **(known | fields))


def result(
    *models: ModelResult,
    status: str = "analysed",
    reasons: tuple[str, ...] = (),
    name: str = "head/",
    data: Series | None = None,
    box: Box | None = None,
) -> SeriesResult:
    findings = (Finding("ok", "head", "Air, bone and soft tissue are as in a head CT."),)
    slices = data.slices if data else tuple(Slice(f"IM{i}.dcm", "", None) for i in range(3))
    by_name = {made.name: made for made in models}
    return SeriesResult(
        study="study",
        series="series",
        name=name,
        status=Status(status),
        reasons=reasons,
        findings=findings,
        slices=slices,
        models=by_name,
        box=box,
        volume=data,
    )
