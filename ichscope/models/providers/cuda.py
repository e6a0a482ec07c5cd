"""CUDA on an NVIDIA graphics card."""

from __future__ import annotations

import contextlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import onnxruntime as ort

from ichscope.models.providers.base import Provider

# fp32 is meant: without this, tensor cores round to TF32. An exhaustive search for the fastest convolution would run
# again for every new batch size, and the last batch of a series has any.
_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}


@dataclass(frozen=True)
class Cuda(Provider):
    """fp32 on a graphics card."""

    choice: str = "cuda"
    label: str = "CUDA fp32"
    runtime_name: str = "CUDAExecutionProvider"

    @classmethod
    def find(cls) -> Self | str:
        """Give it where there is a card, or why it is not here."""
        return unusable(cls.runtime_name) or cls()

    def open(self, path: Path, options: ort.SessionOptions) -> ort.InferenceSession:
        """Open an ONNX file on the card that is chosen."""
        load_libraries()
        return ort.InferenceSession(path, options, providers=[with_options()], enable_fallback=0)


def gpu() -> str:
    """Which graphics card: ICHSCOPE_GPU, by default the first, "0"."""
    return os.environ.get("ICHSCOPE_GPU", "").strip() or "0"


def with_options() -> tuple[str, dict[str, str]]:
    """CUDA's name and options, in the form that ONNX Runtime takes."""
    return Cuda.runtime_name, {"device_id": gpu(), **_OPTIONS}


def load_libraries() -> None:
    """Find CUDA and cuDNN installed as Python packages; what that says on stdout would spoil `--json -`."""
    with contextlib.redirect_stdout(io.StringIO()):
        ort.preload_dlls()


def unusable(name: str) -> str:
    """Why a provider for NVIDIA's cards is not here, or "".

    Listed is not usable: the GPU wheel lists its providers on every machine, so look for a device.
    """
    devices = [d for d in ort.get_ep_devices() if d.device.type == ort.OrtHardwareDeviceType.GPU]
    nvidia = Path("/proc/driver/nvidia/version").exists() or any("NVIDIA" in d.device.vendor for d in devices)
    if not nvidia:
        return "there is no NVIDIA graphics card"
    return "" if name in ort.get_available_providers() else "ONNX Runtime was installed without it"
