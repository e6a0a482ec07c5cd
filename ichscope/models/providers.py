"""ONNX Runtime execution providers: what is really there, and sessions on them."""

from __future__ import annotations

import contextlib
import ctypes.util
import functools
import importlib.util
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as state

from ichscope.errors import IchscopeError
from ichscope.home import home, make

ENGINES_FOLDER = "engines"

# What ONNX Runtime raises; these have no base of their own.
RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    *(state.EPFail, state.EngineError, state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf),
    *(state.NotImplemented, state.RuntimeException, RuntimeError),
)

# In order of preference where nothing is measured; `ichscope.models.autotuning` measures.
CHOICES = ("tensorrt", "cuda", "openvino", "cpu")
# These run a file of 8-bit weights, which not every model has.
INT8_CHOICES = ("openvino-int8", "cpu-int8")
_ON_CPUS = ("openvino", "cpu", *INT8_CHOICES)


# So many parts of a micro-batch run side by side on CPUs; weights are read once for each.
MOST_STREAMS = 4


class ProviderError(IchscopeError):
    """A provider that was asked for is not there, or cannot run a file."""


@dataclass(frozen=True)
class Provider:
    """A provider that can run here: its choice name, what results and pages call it, ONNX Runtime's own name."""

    choice: str
    label: str
    runtime_name: str

    @property
    def int8(self) -> bool:
        """Whether it needs a model's file of 8-bit weights."""
        return self.choice in INT8_CHOICES


def available() -> tuple[Provider, ...]:
    """Give every provider that can run on this machine, best first."""
    return tuple(found for choice in CHOICES if isinstance(found := _FIND[choice](), Provider))


def missing() -> dict[str, str]:
    """Give the choices that this machine does not have, and why."""
    return {choice: found for choice in CHOICES if isinstance(found := _FIND[choice](), str)}


def for_int8() -> tuple[Provider, ...]:
    """Give those of `available` that gain from 8-bit weights, under names of their own."""
    there = {provider.choice: provider for provider in available()}
    kinds = {"openvino-int8": ("openvino", "OpenVINO int8"), "cpu-int8": ("cpu", "CPU int8")}
    return tuple(
        Provider(choice, label, there[plain].runtime_name) for choice, (plain, label) in kinds.items() if plain in there
    )


def choose(choice: str = "auto") -> Provider:
    """Pick a provider by its name, or the one that is usually best.

    Raises
    ------
    ProviderError
        if `choice` is neither "auto" nor there
    """
    there = available()
    if choice == "auto":
        return there[0]
    for provider in (*there, *for_int8()):
        if provider.choice == choice:
            return provider
    names = ", ".join(provider.choice for provider in there)
    raise ProviderError(f"provider {choice!r} is not available on this machine, which has: {names}")


def session(path: Path, provider: Provider, threads: int = 0, streams: int = 1) -> ort.InferenceSession:
    """Open an ONNX file on a provider, and make sure that it runs there.

    ONNX Runtime only warns when a provider falls back to the CPU, hence the check.

    Parameters
    ----------
    threads : of all calls together, by default as many as cores; streams : calls that will run side by side on a CPU

    Raises
    ------
    ProviderError
        if the file does not open, or the session runs elsewhere
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = (threads or cores()) // streams
    options.inter_op_num_threads = streams  # the CPU provider needs no telling, OpenVINO takes it from here
    # Threads that wait give their core away at once, to decoding or to another program: no slower alone, faster beside.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        opened = _OPEN[provider.choice](path, provider, options)
    except RUNTIME_ERRORS as error:
        raise ProviderError(f"{path}: does not open on {provider.label} ({error})") from None
    if provider.runtime_name not in opened.get_providers():
        raise ProviderError(f"{path}: expected to run on {provider.label}, found {opened.get_providers()}")
    return opened


class Encoder:
    """A slice encoder on a provider. On CPUs the slices of a call are shared out, each part to threads of its own.

    Two threads on two slices waste less than two threads on one slice after the other: nobody waits at every layer.

    Raises
    ------
    ProviderError
        as `session`
    """

    def __init__(self, path: Path, provider: Provider, threads: int = 0) -> None:
        threads = threads or cores()
        self._streams = _most_streams(threads) if provider.choice in _ON_CPUS else 1
        self._session = session(path, provider, threads, self._streams)

    def run(self, outputs: Sequence[str], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Give outputs for (slices, ...) of its one input, as ONNX Runtime's own `run`."""
        ((name, slices),) = inputs.items()
        size = -(-len(slices) // self._streams)
        if self._streams == 1 or len(slices) <= 1:
            whole: list[NDArray[np.float32]] = self._session.run(outputs, inputs)
            return whole
        parts = (slices[at : at + size] for at in range(0, len(slices), size))
        found = _side_by_side().map(lambda part: self._session.run(outputs, {name: part}), parts)
        return [np.concatenate(one) for one in zip(*found, strict=True)]


def _most_streams(threads: int) -> int:
    """So many that no thread is left over: six threads are three streams of two, not four of one."""
    return max(n for n in range(1, MOST_STREAMS + 1) if threads % n == 0)


@functools.cache
def _side_by_side() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MOST_STREAMS, "encoder-part")


def _on_cpu(path: Path, provider: Provider, options: ort.SessionOptions) -> ort.InferenceSession:
    return ort.InferenceSession(path, options, providers=[provider.runtime_name], enable_fallback=0)


def _on_cuda(path: Path, provider: Provider, options: ort.SessionOptions) -> ort.InferenceSession:
    # Finds CUDA and cuDNN installed as Python packages; what it says on stdout would spoil `--json -`.
    with contextlib.redirect_stdout(io.StringIO()):
        ort.preload_dlls()
    cuda = (provider.runtime_name, {"device_id": gpu(), **_CUDA_OPTIONS})
    return ort.InferenceSession(path, options, providers=[cuda], enable_fallback=0)


def _on_tensorrt(path: Path, provider: Provider, options: ort.SessionOptions) -> ort.InferenceSession:
    """TensorRT builds an engine for minutes and keeps it below ICHSCOPE_HOME; what it cannot do runs on CUDA."""
    with contextlib.redirect_stdout(io.StringIO()):
        ort.preload_dlls()
    try:
        engines = make(home() / ENGINES_FOLDER)
    except OSError as error:
        raise ProviderError(f"{home()}: no place to keep TensorRT's engines ({error.strerror})") from None
    wanted = {"device_id": gpu(), "trt_engine_cache_path": str(engines), "trt_timing_cache_path": str(engines)}
    both = [
        (provider.runtime_name, {**wanted, **_TENSORRT_OPTIONS}),
        ("CUDAExecutionProvider", {"device_id": gpu(), **_CUDA_OPTIONS}),
    ]
    return ort.InferenceSession(path, options, providers=both, enable_fallback=0)


def _on_openvino(path: Path, provider: Provider, options: ort.SessionOptions) -> ort.InferenceSession:
    device = next(d for d in ort.get_ep_devices() if d.ep_name == provider.runtime_name and _is_cpu(d))
    streams = options.inter_op_num_threads
    wanted = _openvino_options(provider, options.intra_op_num_threads * streams, streams)
    options.add_provider_for_devices([device], wanted)
    return ort.InferenceSession(path, options, enable_fallback=0)


# fp32 is meant: without this, tensor cores round to TF32. An exhaustive search for the fastest convolution would run
# again for every new batch size, and the last batch of a series has any.
_CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
# fp16 is what TensorRT is for; whether it changes too much, the self-test finds out before it is used.
_TENSORRT_OPTIONS = {
    "trt_fp16_enable": "1",
    "trt_engine_cache_enable": "1",
    "trt_timing_cache_enable": "1",
    "trt_max_workspace_size": str(2 << 30),
}
# Of what oneDNN may be held to by ONEDNN_MAX_CPU_ISA (its guide, "CPU Dispatcher Control").
_ISA_WITH_BF16 = ("BF16", "FP16", "AMX", "AVX10", "DEFAULT", "ALL")
_OPEN: dict[str, Callable[[Path, Provider, ort.SessionOptions], ort.InferenceSession]] = {
    "tensorrt": _on_tensorrt,
    "cuda": _on_cuda,
    "openvino": _on_openvino,
    "openvino-int8": _on_openvino,
    "cpu": _on_cpu,
    "cpu-int8": _on_cpu,
}


def gpu() -> str:
    """Which graphics card: ICHSCOPE_GPU, by default the first, "0"."""
    return os.environ.get("ICHSCOPE_GPU", "").strip() or "0"


def cores() -> int:
    """Give the CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _openvino_options(provider: Provider, threads: int, streams: int) -> dict[str, str]:
    # In a file of 8-bit weights the hint is for the layers that have none.
    precision = "bf16" if provider.label.endswith("bf16") or (provider.int8 and has_bf16()) else "f32"
    cpu = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": str(threads), "NUM_STREAMS": str(streams)}
    return {"load_config": json.dumps({"CPU": cpu})}


def _cpu() -> Provider:
    return Provider("cpu", "CPU fp32", "CPUExecutionProvider")


@functools.cache
def _cuda() -> Provider | str:
    name = "CUDAExecutionProvider"
    return _unusable(name) or Provider("cuda", "CUDA fp32", name)


@functools.cache
def _tensorrt() -> Provider | str:
    """The GPU wheel lists TensorRT, too, whose library has to be installed beside it."""
    name = "TensorrtExecutionProvider"
    if why := _unusable(name):
        return why
    found = importlib.util.find_spec("tensorrt_libs") or ctypes.util.find_library("nvinfer")
    return Provider("tensorrt", "TensorRT fp16", name) if found else "TensorRT's library is not installed"


def _unusable(name: str) -> str:
    """Listed is not usable: the GPU wheel lists its providers on every machine, so look for a device."""
    devices = [d for d in ort.get_ep_devices() if d.device.type == ort.OrtHardwareDeviceType.GPU]
    nvidia = Path("/proc/driver/nvidia/version").exists() or any("NVIDIA" in d.device.vendor for d in devices)
    if not nvidia:
        return "there is no NVIDIA graphics card"
    return "" if name in ort.get_available_providers() else "ONNX Runtime was installed without it"


@functools.cache
def _openvino() -> Provider | str:
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
    if not any(d.ep_name == name and _is_cpu(d) for d in ort.get_ep_devices()):
        # https://github.com/microsoft/onnxruntime/pull/31981 would let others in, too.
        return "its plugin takes Intel's processors alone"
    return Provider("openvino", f"OpenVINO {'bf16' if has_bf16() else 'fp32'}", name)


def _is_cpu(device: ort.OrtEpDevice) -> bool:
    return bool(device.device.type == ort.OrtHardwareDeviceType.CPU)


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


# A provider, or why it is not there.
_FIND: dict[str, Callable[[], Provider | str]] = {
    "tensorrt": _tensorrt,
    "cuda": _cuda,
    "openvino": _openvino,
    "cpu": _cpu,
}
