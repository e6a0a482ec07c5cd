"""ONNX Runtime execution providers: what is really there, and sessions on them."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnxruntime as ort

# In order of preference where the user does not choose.
CHOICES = ("cuda", "openvino", "cpu")


class ProviderError(Exception):
    """A provider that was asked for is not there."""


@dataclass(frozen=True)
class Provider:
    """A provider that can run here: its choice name, what results and pages call it, ONNX Runtime's own name."""

    choice: str
    label: str
    runtime_name: str


def available() -> tuple[Provider, ...]:
    """Give every provider that can run on this machine, best first."""
    return tuple(found for choice in CHOICES if (found := _FIND[choice]()))


def choose(choice: str = "auto") -> Provider:
    """Pick a provider.

    Raises
    ------
    ProviderError
        if `choice` is neither "auto" nor there
    """
    there = available()
    if choice == "auto":
        return there[0]
    for provider in there:
        if provider.choice == choice:
            return provider
    names = ", ".join(provider.choice for provider in there)
    raise ProviderError(f"provider {choice!r} is not available on this machine, which has: {names}")


def session(path: Path, provider: Provider, threads: int = 0) -> ort.InferenceSession:
    """Open an ONNX file on a provider, and make sure that it runs there.

    ONNX Runtime only warns when a provider falls back to the CPU, hence the check.

    Raises
    ------
    ProviderError
        if the session runs elsewhere
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if provider.choice == "openvino":
        device = next(d for d in ort.get_ep_devices() if d.ep_name == provider.runtime_name)
        options.add_provider_for_devices([device], _openvino_options(provider))
        opened = ort.InferenceSession(path, options)
    else:
        opened = ort.InferenceSession(path, options, providers=[provider.runtime_name])
    if provider.runtime_name not in opened.get_providers():
        raise ProviderError(f"{path}: expected to run on {provider.label}, found {opened.get_providers()}")
    return opened


def cores() -> int:
    """Give the CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _openvino_options(provider: Provider) -> dict[str, str]:
    precision = "bf16" if provider.label.endswith("bf16") else "f32"
    cpu = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": str(cores())}
    return {"load_config": json.dumps({"CPU": cpu})}


def _cpu() -> Provider:
    return Provider("cpu", "CPU fp32", "CPUExecutionProvider")


@functools.cache
def _cuda() -> Provider | None:
    """Listed is not usable: the GPU wheel lists CUDA on every machine, so look for a device."""
    devices = [d for d in ort.get_ep_devices() if d.device.type == ort.OrtHardwareDeviceType.GPU]
    listed = "CUDAExecutionProvider" in ort.get_available_providers()
    nvidia = Path("/proc/driver/nvidia/version").exists() or any("NVIDIA" in d.device.vendor for d in devices)
    return Provider("cuda", "CUDA fp32", "CUDAExecutionProvider") if listed and nvidia else None


@functools.cache
def _openvino() -> Provider | None:
    try:
        import onnxruntime_ep_openvino as plugin
    except ImportError:
        return None
    name = plugin.get_ep_name()
    if not any(device.ep_name == name for device in ort.get_ep_devices()):
        ort.register_execution_provider_library(name, plugin.get_library_path())
    if not any(d.ep_name == name and _is_cpu(d) for d in ort.get_ep_devices()):
        return None
    return Provider("openvino", f"OpenVINO {'bf16' if _has_bf16() else 'fp32'}", name)


def _is_cpu(device: ort.OrtEpDevice) -> bool:
    return bool(device.device.type == ort.OrtHardwareDeviceType.CPU)


def _has_bf16() -> bool:
    """Tell whether the CPU multiplies bf16 in hardware; elsewhere bf16 would be emulated and slow."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


_FIND: dict[str, Callable[[], Provider | None]] = {"cuda": _cuda, "openvino": _openvino, "cpu": _cpu}
