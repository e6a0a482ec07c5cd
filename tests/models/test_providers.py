"""Providers that this machine lacks are tested by what ONNX Runtime would be asked for."""

from __future__ import annotations

import ctypes.util
import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as state

from ichscope.models import providers
from ichscope.models.providers import Cpu, Cuda, OpenVino, Provider, ProviderError, TensorRt, cuda, openvino, sessions
from tests.support import tiny_model

CPU, CUDA, TENSORRT = Cpu(), Cuda(), TensorRt()
OPENVINO = OpenVino(label="OpenVINO bf16", precision="bf16")
HEAD = np.array([[0.25], [0.75]], np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.build(tmp_path_factory.mktemp("models")) / "head.onnx"


def pretend(monkeypatch: pytest.MonkeyPatch, *there: Provider) -> None:
    """Let `available` find these providers, whatever the machine has."""
    by_choice = {provider.choice: provider for provider in there}
    monkeypatch.setattr(providers, "_find", lambda kind: by_choice.get(kind.choice, "it is elsewhere"))


class Recorded:
    """Stands for InferenceSession: keeps what it was asked for, and says where it runs."""

    def __init__(self, runs_on: list[str], error: Exception | None = None) -> None:
        self.runs_on, self.error, self.calls = runs_on, error, []

    def __call__(self, path: Path, options: Any, **keywords: Any) -> SimpleNamespace:
        self.calls.append((path, options, keywords))
        if self.error:
            raise self.error
        return SimpleNamespace(get_providers=lambda: self.runs_on)


# ---------------------------------------------------------------- choosing


def test_the_cpu_is_always_there_and_last() -> None:
    assert providers.available()[-1] == CPU


def test_what_is_available_can_open_a_file(model: Path) -> None:
    for provider in providers.available():
        found = providers.session(model, provider).run(["study_probability"], {"features": HEAD})[0]
        assert found == pytest.approx([0.75] * 6, abs=1e-2), provider.label


@pytest.mark.parametrize(
    ("there", "choice", "expected"),
    [
        ((CPU,), "auto", CPU),
        ((CPU, OPENVINO), "auto", OPENVINO),
        ((CPU, OPENVINO, CUDA), "auto", CUDA),
        ((CPU, OPENVINO, CUDA, TENSORRT), "auto", TENSORRT),
        ((CPU, OPENVINO, CUDA), "cpu", CPU),
        ((CPU, OPENVINO, CUDA), "openvino", OPENVINO),
        ((CPU, CUDA), "cpu-int8", replace(CPU, choice="cpu-int8", label="CPU int8", needs_int8=True)),
    ],
)
def test_choose(monkeypatch: pytest.MonkeyPatch, there: tuple, choice: str, expected: Provider) -> None:
    pretend(monkeypatch, *there)
    assert providers.choose(choice) == expected


@pytest.mark.parametrize("choice", ["cuda", "tensorrt", "openvino", "openvino-int8", "tpu", "CPU", ""])
def test_what_is_not_there_is_refused_with_what_is(monkeypatch: pytest.MonkeyPatch, choice: str) -> None:
    pretend(monkeypatch, CPU)
    with pytest.raises(ProviderError, match=f"'{choice}' is not available .* has: cpu"):
        providers.choose(choice)


@pytest.mark.parametrize(
    ("listed", "vendor", "driver", "expected"),
    [
        (True, "NVIDIA", False, CUDA),
        (True, None, True, CUDA),
        (True, None, False, "there is no NVIDIA graphics card"),
        (True, "Intel", False, "there is no NVIDIA graphics card"),
        (False, "NVIDIA", True, "ONNX Runtime was installed without it"),
    ],
)
def test_cuda_needs_a_card_besides_its_name_in_the_list(
    monkeypatch: pytest.MonkeyPatch, listed: bool, vendor: str | None, driver: bool, expected: Provider | str
) -> None:
    gpu = SimpleNamespace(type=ort.OrtHardwareDeviceType.GPU, vendor=vendor)
    names = ["CPUExecutionProvider", *(["CUDAExecutionProvider"] if listed else [])]
    monkeypatch.setattr(ort, "get_ep_devices", lambda: [SimpleNamespace(device=gpu)] if vendor else [])
    monkeypatch.setattr(ort, "get_available_providers", lambda: names)
    monkeypatch.setattr(Path, "exists", lambda path: driver and path == Path("/proc/driver/nvidia/version"))
    assert Cuda.find() == expected


def test_cuda_is_not_claimed_here_without_a_card() -> None:
    gpus = [device for device in ort.get_ep_devices() if device.device.type == ort.OrtHardwareDeviceType.GPU]
    if gpus or Path("/proc/driver/nvidia/version").exists():
        pytest.skip("this machine has a graphics card")
    assert "cuda" not in {provider.choice for provider in providers.available()}


@pytest.mark.parametrize(
    ("flags", "expected"), [("fma avx512_bf16", True), ("amx_bf16 amx_int8", True), ("avx2 avx512f", False)]
)
def test_bf16_is_asked_for_only_where_the_cpu_has_it(
    monkeypatch: pytest.MonkeyPatch, flags: str, expected: bool
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda path, **_: f"flags : {flags}\n")
    assert providers.has_bf16() is expected


@pytest.mark.parametrize(
    ("allowed", "expected"), [("AVX2", False), ("avx512_core_vnni", False), ("AVX512_CORE_AMX", True)]
)
def test_bf16_is_not_asked_for_where_it_is_forbidden(
    monkeypatch: pytest.MonkeyPatch, allowed: str, expected: bool
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda path, **_: "flags : avx2 avx512_bf16 amx_bf16\n")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", allowed)
    assert providers.has_bf16() is expected


def test_bf16_is_not_assumed_where_nobody_says(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: Path, **_: str) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", missing)
    assert providers.has_bf16() is False


def test_an_openvino_plugin_that_does_not_load_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime_ep_openvino")

    def fails(name: str, library: str) -> None:
        raise state.Fail("built for another ONNX Runtime")

    monkeypatch.setattr(ort, "get_ep_devices", list)
    monkeypatch.setattr(ort, "register_execution_provider_library", fails)
    assert "does not fit" in OpenVino.find()


def test_an_openvino_plugin_that_does_not_take_the_processor_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime_ep_openvino")
    cpu = SimpleNamespace(type=ort.OrtHardwareDeviceType.CPU, vendor="AMD")
    monkeypatch.setattr(ort, "get_ep_devices", lambda: [SimpleNamespace(ep_name=CPU.runtime_name, device=cpu)])
    monkeypatch.setattr(ort, "register_execution_provider_library", lambda name, library: None)
    assert "Intel" in OpenVino.find()


def test_every_provider_has_names_of_its_own_that_can_be_asked_for() -> None:
    names = providers.choices()
    assert len(set(names)) == len(names)
    assert {"auto", *(provider.choice for provider in (*providers.available(), *providers.for_int8()))} <= set(names)
    assert set(providers.missing()) <= set(names)


def test_what_is_missing_has_a_reason_and_what_is_there_is_not_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, CPU, CUDA)
    assert providers.missing() == dict.fromkeys(["tensorrt", "openvino"], "it is elsewhere")


# ---------------------------------------------------------------- sessions


def test_cuda_is_asked_for_in_true_fp32_and_without_silent_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Recorded(["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(ort, "InferenceSession", asked)
    monkeypatch.setattr(ort, "preload_dlls", lambda: None)
    providers.session(Path("encoder.onnx"), CUDA, threads=3)
    ((path, options, keywords),) = asked.calls
    assert path == Path("encoder.onnx")
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert keywords["enable_fallback"] == 0
    ((name, wanted),) = keywords["providers"]
    assert name == "CUDAExecutionProvider"
    assert wanted == {"device_id": "0", "use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}


def test_another_graphics_card_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Recorded(["CUDAExecutionProvider"])
    monkeypatch.setattr(ort, "InferenceSession", asked)
    monkeypatch.setattr(ort, "preload_dlls", lambda: None)
    monkeypatch.setenv("ICHSCOPE_GPU", "2")
    providers.session(Path("encoder.onnx"), CUDA)
    assert asked.calls[0][2]["providers"][0][1]["device_id"] == "2"


def test_tensorrt_keeps_its_engines_and_leaves_the_rest_to_cuda(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = Recorded(["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(ort, "InferenceSession", asked)
    monkeypatch.setattr(ort, "preload_dlls", lambda: None)
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path))
    providers.session(Path("encoder.onnx"), TENSORRT)
    ((_, _, keywords),) = asked.calls
    assert keywords["enable_fallback"] == 0
    (first, wanted), (second, cuda) = keywords["providers"]
    assert (first, second) == ("TensorrtExecutionProvider", "CUDAExecutionProvider")
    engines = str(tmp_path / "engines")
    assert Path(engines).is_dir()
    assert wanted == {
        "device_id": "0",
        "trt_fp16_enable": "1",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": engines,
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": engines,
        "trt_max_workspace_size": str(2 << 30),
    }
    assert cuda == {"device_id": "0", "use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}


def test_tensorrt_needs_its_library_besides_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "unusable", lambda name: "")
    for found, expected in [(None, "TensorRT's library is not installed"), ("libnvinfer.so.10", TENSORRT)]:
        monkeypatch.setattr(ctypes.util, "find_library", lambda name, found=found: found)
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        assert TensorRt.find() == expected
    monkeypatch.setattr(cuda, "unusable", lambda name: "no card")
    assert TensorRt.find() == "no card"


@pytest.mark.parametrize("has", [True, False])
def test_openvino_runs_in_bf16_where_the_cpu_has_it_and_never_in_8_bits(
    monkeypatch: pytest.MonkeyPatch, has: bool
) -> None:
    cpu = SimpleNamespace(type=ort.OrtHardwareDeviceType.CPU, vendor="Intel")
    monkeypatch.setattr(ort, "get_ep_devices", lambda: [SimpleNamespace(ep_name="OpenVINO", device=cpu)])
    plugin = SimpleNamespace(get_ep_name=lambda: "OpenVINO", get_library_path=lambda: "")
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_openvino", plugin)
    monkeypatch.setattr(openvino, "has_bf16", lambda: has)
    precision, label = ("bf16", "OpenVINO bf16") if has else ("f32", "OpenVINO fp32")
    plain = OpenVino(label=label, runtime_name="OpenVINO", precision=precision)
    assert OpenVino.find() == plain
    assert plain.for_int8() is None


def test_opening_on_cuda_leaves_stdout_to_results(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ort, "InferenceSession", Recorded(["CUDAExecutionProvider"]))
    monkeypatch.setattr(ort, "preload_dlls", lambda: sys.stdout.write("Failed to load libcudnn\n"))
    providers.session(Path("encoder.onnx"), CUDA)
    assert capsys.readouterr().out == ""


def test_a_session_that_fell_back_to_the_cpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "InferenceSession", Recorded(["CPUExecutionProvider"]))
    monkeypatch.setattr(ort, "preload_dlls", lambda: None)
    with pytest.raises(ProviderError, match=r"expected to run on CUDA fp32, found \['CPUExecutionProvider'\]"):
        providers.session(Path("encoder.onnx"), CUDA)


@pytest.mark.parametrize("provider", [OPENVINO, OpenVino()])
def test_openvino_is_asked_for_its_cpu_precision_and_threads(
    monkeypatch: pytest.MonkeyPatch, provider: OpenVino
) -> None:
    kinds = (ort.OrtHardwareDeviceType.GPU, ort.OrtHardwareDeviceType.CPU)
    devices = [SimpleNamespace(ep_name=OPENVINO.runtime_name, device=SimpleNamespace(type=kind)) for kind in kinds]
    asked: list[tuple[list[Any], dict[str, str]]] = []
    options = SimpleNamespace(
        add_provider_for_devices=lambda *given: asked.append(given), add_session_config_entry=lambda *_: None
    )
    monkeypatch.setattr(ort, "get_ep_devices", lambda: devices)
    monkeypatch.setattr(ort, "SessionOptions", lambda: options)
    monkeypatch.setattr(ort, "InferenceSession", Recorded([OPENVINO.runtime_name]))
    providers.session(Path("encoder.onnx"), provider, threads=4, streams=2)
    ((chosen, wanted),) = asked
    assert chosen == devices[1:]
    hints = {"INFERENCE_PRECISION_HINT": provider.precision, "INFERENCE_NUM_THREADS": "4", "NUM_STREAMS": "2"}
    assert json.loads(wanted["load_config"]) == {"CPU": hints}


def test_threads_default_to_the_cores_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Recorded(["CPUExecutionProvider"])
    monkeypatch.setattr(ort, "InferenceSession", asked)
    providers.session(Path("encoder.onnx"), CPU)
    assert asked.calls[0][1].intra_op_num_threads == providers.cores() >= 1


@pytest.mark.parametrize("content", [b"", b"this is no model", b"\x08\x07"])
def test_a_file_that_is_no_model_is_a_provider_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "encoder.onnx").write_bytes(content)
    with pytest.raises(ProviderError, match=r"encoder\.onnx: does not open on CPU fp32"):
        providers.session(tmp_path / "encoder.onnx", CPU)


@pytest.mark.parametrize("slices", [1, 2, 7])
@pytest.mark.parametrize("threads", [1, 2, 3, 9])
def test_slices_that_are_shared_out_come_back_as_from_one_session(tmp_path: Path, slices: int, threads: int) -> None:
    path = tiny_model.build(tmp_path) / "encoder.onnx"
    hu = np.random.default_rng(slices).integers(-20, 100, (slices, 224, 224)).astype(np.int16)
    expected = ort.InferenceSession(path).run(["features", "evidence"], {"hu": hu})
    found = providers.Encoder(path, CPU, threads).run(["features", "evidence"], {"hu": hu})
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_what_one_part_raises_is_raised(tmp_path: Path) -> None:
    encoder = providers.Encoder(tiny_model.build(tmp_path) / "encoder.onnx", CPU, threads=2)
    with pytest.raises(providers.RUNTIME_ERRORS):
        encoder.run(["features"], {"hu": np.zeros((4, 3, 3), np.int16)})


@pytest.mark.parametrize(("provider", "streams"), [(CPU, 2), (OPENVINO, 2), (CUDA, 1)])
def test_parts_run_side_by_side_on_cpus(monkeypatch: pytest.MonkeyPatch, provider: Provider, streams: int) -> None:
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(sessions, "session", lambda *given: asked.append(given))
    providers.Encoder(Path("encoder.onnx"), provider, 2)
    assert asked == [(Path("encoder.onnx"), provider, 2, streams)]


@pytest.mark.parametrize(
    ("threads", "streams"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 1), (6, 3), (7, 1), (8, 4), (10, 2), (12, 4)]
)
def test_parts_leave_no_thread_over(monkeypatch: pytest.MonkeyPatch, threads: int, streams: int) -> None:
    asked = Recorded([CPU.runtime_name])
    monkeypatch.setattr(ort, "InferenceSession", asked)
    providers.Encoder(Path("encoder.onnx"), CPU, threads)
    options = asked.calls[0][1]
    assert (options.inter_op_num_threads, options.intra_op_num_threads) == (streams, threads // streams)


@pytest.mark.parametrize(("provider", "threads", "each"), [(CPU, 16, 4), (CPU, 2, 1), (CPU, 1, 1), (CUDA, 16, 16)])
def test_the_threads_of_the_cpu_are_shared_among_parts(
    monkeypatch: pytest.MonkeyPatch, provider: Provider, threads: int, each: int
) -> None:
    asked = Recorded([provider.runtime_name])
    monkeypatch.setattr(ort, "InferenceSession", asked)
    monkeypatch.setattr(ort, "preload_dlls", lambda: None)
    providers.Encoder(Path("encoder.onnx"), provider, threads)
    assert asked.calls[0][1].intra_op_num_threads == each
