"""OpenVINO's plugin for ONNX Runtime, on Intel's processors."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import onnxruntime as ort

from ichscope.models.providers.base import RUNTIME_ERRORS, Provider

# Of what oneDNN may be held to by ONEDNN_MAX_CPU_ISA (its guide, "CPU Dispatcher Control").
_ISA_WITH_BF16 = ("BF16", "FP16", "AMX", "AVX10", "DEFAULT", "ALL")


@dataclass(frozen=True)
class OpenVino(Provider):
    """bf16 where the processor multiplies it, else fp32.

    Never with 8-bit weights: opened several times, the plugin (1.8.1) gives a different answer each time for the same
    file and slices, mostly a wrong one, whatever the precision and instruction set.

    precision : "bf16" or "f32"
    """

    choice: str = "openvino"
    label: str = "OpenVINO fp32"
    runtime_name: str = "OpenVINOExecutionProvider"
    on_cpu: bool = True
    precision: str = "f32"

    @classmethod
    def find(cls) -> Self | str:
        """Register the plugin and give it where it takes the processor, or why it is not here."""
        try:
            import onnxruntime_ep_openvino as plugin
        except ImportError:
            return "the package onnxruntime-ep-openvino is not installed"
        name = plugin.get_ep_name()
        if not any(device.ep_name == name for device in ort.get_ep_devices()):
            try:
                ort.register_execution_provider_library(name, plugin.get_library_path())
            except RUNTIME_ERRORS:  # built for another ONNX Runtime, or a library that it needs is missing
                return "its plugin does not fit this ONNX Runtime, or lacks a library"
        if not any(device.ep_name == name and _is_cpu(device) for device in ort.get_ep_devices()):
            # https://github.com/microsoft/onnxruntime/pull/31981 would let others in, too.
            return "its plugin takes Intel's processors alone"
        bf16 = has_bf16()
        label, precision = ("OpenVINO bf16", "bf16") if bf16 else ("OpenVINO fp32", "f32")
        return cls(label=label, runtime_name=name, precision=precision)

    def open(self, path: Path, options: ort.SessionOptions) -> ort.InferenceSession:
        """Open an ONNX file on the CPU device of the plugin."""
        device = next(d for d in ort.get_ep_devices() if d.ep_name == self.runtime_name and _is_cpu(d))
        streams = options.inter_op_num_threads
        threads = options.intra_op_num_threads * streams
        hints = {
            "INFERENCE_PRECISION_HINT": self.precision,
            "INFERENCE_NUM_THREADS": str(threads),
            "NUM_STREAMS": str(streams),
        }
        options.add_provider_for_devices([device], {"load_config": json.dumps({"CPU": hints})})
        return ort.InferenceSession(path, options, enable_fallback=0)


def has_bf16() -> bool:
    """Tell whether the CPU multiplies bf16 in hardware, and may; elsewhere it would be emulated, or fail."""
    allowed = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    if allowed and not any(name in allowed for name in _ISA_WITH_BF16):
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _is_cpu(device: ort.OrtEpDevice) -> bool:
    return bool(device.device.type == ort.OrtHardwareDeviceType.CPU)
