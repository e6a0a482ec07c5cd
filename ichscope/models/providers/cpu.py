"""ONNX Runtime's own CPU provider, which is everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import onnxruntime as ort

from ichscope.models.providers.base import Provider


@dataclass(frozen=True)
class Cpu(Provider):
    """fp32 on any processor; all others are compared with it."""

    choice: str = "cpu"
    label: str = "CPU fp32"
    runtime_name: str = "CPUExecutionProvider"
    int8_label: str = "CPU int8"
    on_cpu: bool = True

    @classmethod
    def find(cls) -> Self:
        """Give it: it is always here."""
        return cls()

    def open(self, path: Path, options: ort.SessionOptions) -> ort.InferenceSession:
        """Open an ONNX file on it."""
        return ort.InferenceSession(path, options, providers=[self.runtime_name], enable_fallback=0)
