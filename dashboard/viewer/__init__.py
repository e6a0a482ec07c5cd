"""The slice viewer: a browser component that gets a study once and needs no server to scroll through it.

The page sends one packet of bytes: a little-endian uint32 with the length of a JSON header, the header, the
voxels as int16 HU, and for each model its evidence as uint8. No value comes back: scrolling, windows, zoom,
overlay and chart all live in the browser, and nothing is stored there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from dashboard.verdict import ordered
from ichscope.imaging.series import Series
from ichscope.labels import DISPLAY_NAMES, LABELS
from ichscope.reporting.figures.theme import LABEL_COLOURS, SHORT_NAMES
from ichscope.results import ModelResult, SeriesResult, top_slices

TOP_SLICES = 5
# The browser holds the volume once and Streamlit refuses messages of 200 MB.
_MAX_BYTES = 150_000_000
_HERE = Path(__file__).parent


def _text(*names: str) -> str:
    return "\n".join((_HERE / name).read_text(encoding="utf-8") for name in names)


# One script: Streamlit takes a component's JavaScript as one text, and only the last file has the export.
_component = st.components.v2.component(
    "ichscope_viewer",
    html=_text("viewer.html"),
    css=_text("viewer.css"),
    js=_text("../focus.js", "volume.js", "chart.js", "viewer.js"),
)


def show(result: SeriesResult, key: str = "viewer") -> None:
    """Place the viewer of a result whose `volume` is at hand."""
    _component(data=packet(result), key=key)


def packet(result: SeriesResult) -> bytes:
    """Everything that the browser needs for one series, as described at the top of this module.

    Raises
    ------
    ValueError
        if the result carries no voxels
    """
    if (series := result.volume) is None:
        raise ValueError(f"{result.name}: expected a series with voxels, found none")
    hu, step = _reduced(series.hu)
    # The first one's evidence is shown, and its highest slices beside: of the model that decides, where one does.
    models = sorted(ordered(result), key=lambda model: not model.decides)
    header = json.dumps({**_series_header(result, series, hu, step), **_model_header(result, models)})
    encoded = header.encode()
    encoded += b" " * (-len(encoded) % 4)
    return b"".join(
        [
            len(encoded).to_bytes(4, "little"),
            encoded,
            np.ascontiguousarray(hu, "<i2").tobytes(),
            *(_evidence_bytes(model.evidence) for model in models),
        ]
    )


def _reduced(hu: NDArray[np.int16]) -> tuple[NDArray[np.int16], int]:
    """Every k-th row and column, with the smallest k that the browser can hold."""
    step = 1
    while hu[:, ::step, ::step].nbytes > _MAX_BYTES:
        step += 1
    return hu[:, ::step, ::step], step


def _series_header(result: SeriesResult, series: Series, hu: NDArray[np.int16], step: int) -> dict[str, Any]:
    slices, rows, columns = hu.shape
    spacing = series.spacing_mm
    return {
        "id": f"{result.study}/{result.series}/{'/'.join(m.version for m in result.models.values())}",
        "kind": series.kind,
        "shape": [slices, rows, columns],
        "step": step,
        "spacing": [step * spacing[1], step * spacing[2]] if spacing else None,
        "oriented": series.orientation is not None,
        "files": [slice.file for slice in series.slices],
        "positions": [slice.position_mm for slice in series.slices],
    }


def _model_header(result: SeriesResult, models: list[ModelResult]) -> dict[str, Any]:
    suspicious = most_suspicious(models[0]) if models else []
    box = result.box
    return {
        "labels": [
            {
                "key": label,
                "name": DISPLAY_NAMES[label],
                "short": SHORT_NAMES[label],
                "colour": LABEL_COLOURS[label],
            }
            for label in LABELS
        ],
        "models": [
            {
                "name": model.name,
                "probability": {k: np.round(v, 4).tolist() for k, v in model.slice_probability.items()},
                "grid": list(model.evidence.shape[1:]),
            }
            for model in models
        ],
        "box": [box.left, box.top, box.width, box.height] if box else None,
        "top": suspicious,
        "flagged": result.flagged,
        "start": suspicious[0] if result.flagged else len(result.slices) // 2,
    }


def _evidence_bytes(evidence: NDArray[np.float32]) -> bytes:
    return np.rint(255 * np.clip(evidence, 0, 1)).astype(np.uint8).tobytes()


def most_suspicious(model: ModelResult, count: int = TOP_SLICES) -> list[int]:
    """Indices of the slices with the highest probability of `any`, the highest first."""
    return top_slices(model.slice_probability["any"], count)
