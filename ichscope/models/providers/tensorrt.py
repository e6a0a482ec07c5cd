"""TensorRT on an NVIDIA graphics card."""

from __future__ import annotations

import ctypes.util
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import onnxruntime as ort

from ichscope.home import home, make
from ichscope.models.providers import cuda
from ichscope.models.providers.base import Provider, ProviderError

ENGINES_FOLDER = "engines"
# fp16 is what TensorRT is for; whether it changes too much, autotuning finds out before it is used.
_OPTIONS = {
    "trt_fp16_enable": "1",
    "trt_engine_cache_enable": "1",
    "trt_timing_cache_enable": "1",
    "trt_max_workspace_size": str(2 << 30),
}


@dataclass(frozen=True)
class TensorRt(Provider):
    """fp16 on a graphics card; it builds an engine for minutes and keeps it below ICHSCOPE_HOME."""

    choice: str = "tensorrt"
    label: str = "TensorRT fp16"
    runtime_name: str = "TensorrtExecutionProvider"

    @classmethod
    def find(cls) -> Self | str:
        """Give it where there are a card and TensorRT's library, which the GPU wheel does not bring, or why not."""
        if reason := cuda.unusable(cls.runtime_name):
            return reason
        library = importlib.util.find_spec("tensorrt_libs") or ctypes.util.find_library("nvinfer")
        return cls() if library else "TensorRT's library is not installed"

    def open(self, path: Path, options: ort.SessionOptions) -> ort.InferenceSession:
        """Open an ONNX file; what TensorRT cannot do runs on CUDA."""
        cuda.load_libraries()
        try:
            engines = str(make(home() / ENGINES_FOLDER))
        except OSError as error:
            raise ProviderError(f"{home()}: no place to keep TensorRT's engines ({error.strerror})") from None
        wanted = {"device_id": cuda.gpu(), "trt_engine_cache_path": engines, "trt_timing_cache_path": engines}
        both = [(self.runtime_name, {**wanted, **_OPTIONS}), cuda.with_options()]
        return ort.InferenceSession(path, options, providers=both, enable_fallback=0)
