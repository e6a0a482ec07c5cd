"""A small learned gate: whether a rectangle of a picture shows a head CT.

Three convolutions and two dense layers on a 48 x 48 copy, in NumPy; the weights are `picture_gate.json` (trained by
`training.picture_gate`, measured in docs/reading.md). They hold no pixel of any patient.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 48
_FILE = Path(__file__).with_name("picture_gate.json")


@dataclass(frozen=True)
class Gate:
    """Weights in the order of the layers, (kernel, bias) each, and the score from which a picture is a head."""

    layers: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
    threshold: float


def gate_input(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """(SIDE, SIDE, 2) of one rectangle of grey 0..1: as it is, and with its contrast stretched; black around it.

    Examples
    --------
    >>> gate_input(np.full((30, 60), 0.5, np.float32))[24, 24, 0], gate_input(np.ones((30, 60), np.float32))[0, 0, 0]
    (np.float32(0.5), np.float32(0.0))
    """
    rows, columns = grey.shape
    longest = max(rows, columns)
    high, wide = (max(1, round(side * SIDE / longest)) for side in (rows, columns))
    small = np.asarray(Image.fromarray(grey).resize((wide, high), Image.Resampling.BILINEAR), np.float32)
    low, top = np.percentile(small, (2, 98))
    stretched = np.clip((small - low) / max(float(top - low), 0.05), 0, 1)
    out = np.zeros((SIDE, SIDE, 2), np.float32)
    above, beside = (SIDE - high) // 2, (SIDE - wide) // 2
    out[above : above + high, beside : beside + wide, 0] = small
    out[above : above + high, beside : beside + wide, 1] = stretched
    return out


def scores(crops: NDArray[np.float32], gate: Gate) -> NDArray[np.float32]:
    """Score of each of (n, SIDE, SIDE, 2) crops: log odds that it is a head CT."""
    *convolutions, hidden, last = gate.layers
    seen = crops
    for kernel, bias in convolutions:
        seen = _pooled(np.maximum(_convolved(seen, kernel) + bias, 0))
    flat = seen.reshape(len(seen), -1)
    flat = np.maximum(flat @ hidden[0] + hidden[1], 0)
    score: NDArray[np.float32] = (flat @ last[0] + last[1])[:, 0]
    return score


@cache
def gate() -> Gate:
    """The gate that ships."""
    return from_json(_FILE.read_text("utf-8"))


def from_json(text: str) -> Gate:
    """The gate of a weights file's text."""
    held = json.loads(text)
    layers = tuple((_array(layer["kernel"]), _array(layer["bias"])) for layer in held["layers"])
    return Gate(layers, float(held["threshold"]))


def to_json(gate: Gate, **facts: object) -> str:
    """The text of a weights file: half precision in base64, and what else is to be known of it."""
    layers = [{"kernel": _text(kernel), "bias": _text(bias)} for kernel, bias in gate.layers]
    return json.dumps({**facts, "threshold": round(gate.threshold, 4), "layers": layers}, indent=1) + "\n"


def _array(held: dict[str, object]) -> NDArray[np.float32]:
    raw = np.frombuffer(base64.b64decode(str(held["float16"])), "<f2")
    return raw.astype(np.float32).reshape(np.array(held["shape"], int))


def _text(array: NDArray[np.float32]) -> dict[str, object]:
    raw = array.astype("<f2").tobytes()
    return {"shape": list(array.shape), "float16": base64.b64encode(raw).decode("ascii")}


def _convolved(images: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """3 x 3, zeros around, as Keras' padding "same"."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows, columns = images.shape[1:3]
    out = np.zeros((*images.shape[:3], kernel.shape[-1]), np.float32)
    for i in range(3):
        for j in range(3):
            out += padded[:, i : i + rows, j : j + columns] @ kernel[i, j]
    return out


def _pooled(images: NDArray[np.float32]) -> NDArray[np.float32]:
    number, rows, columns, channels = images.shape
    pooled: NDArray[np.float32] = images.reshape(number, rows // 2, 2, columns // 2, 2, channels).max(axis=(2, 4))
    return pooled
