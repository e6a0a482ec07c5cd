"""Providers are chosen by what they do: the fastest whose probabilities are those of fp32."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as state

from ichscope.models import autotuning, providers
from ichscope.models.card import ENCODER_FILE, INT8_FILE, ModelCard, ModelError, file_sha256
from ichscope.models.card_parts import Int8
from ichscope.models.detector import Detector
from ichscope.models.providers import Cpu, Provider, ProviderError
from ichscope.models.registry import encoder_groups, load_detectors
from tests.support import tiny_model

Open = Callable[..., Any]


@dataclass(frozen=True)
class Pretended(Cpu):
    """The CPU under another name; what a file opens to may be given."""

    opens: Open = Cpu.open

    def open(self, path: Path, options: Any) -> Any:
        return self.opens(self, path, options)


CPU = Pretended()
FAST = Pretended("openvino", "Fast fp32", int8_label="OpenVINO int8")
OTHER = Pretended("cuda", "Other fp32", int8_label="")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(autouse=True)
def quick_head(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A square of blood on some slices is enough for the tiny model, and painting a head takes its time."""
    if request.node.name == "test_what_is_really_here_is_measured":
        return
    hu = np.random.default_rng(0).integers(20, 48, (8, 224, 224)).astype(np.int16)
    hu[2:5, 64:90, 80:120] = 65
    monkeypatch.setattr(autotuning, "_head", lambda: hu)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_model.build(tmp_path / "models")


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let these providers be there; what a file opens to may be given by choice."""

    def pretend(*given: Pretended, **opens: Open) -> None:
        here = tuple(replace(provider, opens=opens.get(provider.choice, Cpu.open)) for provider in given)
        monkeypatch.setattr(providers, "available", lambda: here)

    return pretend


def fails(provider: Provider, path: Path, options: Any) -> Any:
    raise state.RuntimeException(f"{provider.label}: a library is missing")


def changed(by: float) -> Open:
    """A provider whose features, and so its probabilities, are off."""

    def opened(provider: Pretended, path: Path, options: Any) -> Any:
        real = Cpu.open(provider, path, options)

        def run(outputs: list[str], inputs: dict[str, Any]) -> list[Any]:
            features, *more = real.run(outputs, inputs)
            return [features + np.float32(by), *more]

        return SimpleNamespace(run=run, get_providers=real.get_providers)

    return opened


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Slices a second by provider, in place of a clock; what was asked for stands in the order of asking."""
    known = {"cpu": 30.0, "openvino": 200.0, "cuda": 900.0, "cpu-int8": 90.0, "openvino-int8": 210.0}
    asked: dict[str, float] = {}

    def measured(opened: dict[str, Any], hu: np.ndarray) -> dict[str, float]:
        asked.update({choice: known[choice] for choice in opened})
        return {choice: known[choice] for choice in opened}

    monkeypatch.setattr(autotuning, "_rates", measured)
    return asked


# ---------------------------------------------------------------- what is chosen


def test_the_fastest_that_agrees_is_taken(model: Path, there: Callable[..., None], rates: dict[str, float]) -> None:
    there(OTHER, FAST, CPU, openvino=changed(0.5 * autotuning.GATE))
    found = autotuning.choose([model])
    assert (found.choice, found.label) == ("cuda", "Other fp32")
    assert [(trial.choice, trial.rate, trial.problem) for trial in found.trials] == [
        *(("cuda", 900.0, ""), ("openvino", 200.0, ""), ("cpu", 30.0, "")),
    ]
    differences = {trial.choice: trial.difference for trial in found.trials}
    assert differences == {"cuda": 0, "openvino": pytest.approx(0.5 * autotuning.GATE, rel=1e-3), "cpu": 0}


@pytest.mark.parametrize(("by", "says"), [(2 * autotuning.GATE, "differs by 0.100"), (float("nan"), "differs by nan")])
def test_one_that_disagrees_is_not_used_however_fast(
    model: Path, there: Callable[..., None], rates: dict[str, float], by: float, says: str
) -> None:
    there(OTHER, FAST, CPU, cuda=changed(by))
    found = autotuning.choose([model])
    assert found.choice == "openvino"
    assert says in {trial.choice: trial.problem for trial in found.trials}["cuda"]
    assert "cuda" not in rates, "nobody waits for the speed of what is not used"


def test_one_that_does_not_open_is_told_and_the_next_taken(model: Path, there: Callable[..., None]) -> None:
    there(OTHER, CPU, cuda=fails)
    found = autotuning.choose([model])
    assert (found.choice, found.reason) == ("cpu", "the only one that can be used")
    assert "a library is missing" in {trial.choice: trial.problem for trial in found.trials}["cuda"]


def test_when_nothing_opens_every_reason_is_told(model: Path, there: Callable[..., None]) -> None:
    there(OTHER, CPU, cuda=fails, cpu=fails)
    with pytest.raises(ProviderError, match=r"Other fp32.*; .*CPU fp32"):
        autotuning.choose([model])


def test_a_chosen_provider_that_does_not_open_is_not_replaced(model: Path, there: Callable[..., None]) -> None:
    there(OTHER, CPU, cuda=fails)
    with pytest.raises(ModelError, match="a library is missing"):
        Detector(model, "cuda")


def test_what_is_really_here_is_measured(model: Path) -> None:
    found = autotuning.choose([model])
    assert found.trials[0].choice == found.choice
    assert {trial.choice for trial in found.trials} == {one.choice for one in providers.available()}
    rates = [trial.rate for trial in found.trials if trial.rate]
    assert rates == sorted(rates, reverse=True)
    assert found.micro_batch in autotuning.MICRO_BATCHES
    assert Detector(model).provider == found.label


@pytest.mark.parametrize(
    ("seconds", "expected"), [({4: 9.0, 8: 10.0, 16: 12.0}, 4), ({4: 9.8, 8: 10.0, 16: 9.9}, 8), ({16: 5.0}, 16)]
)
def test_another_micro_batch_must_be_worth_it(
    monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float], expected: int
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(autotuning, "_encode", lambda encoder, hu, size: sizes.append(size))

    def timed(work: Callable[..., None], *given: Any) -> float:
        work(*given)
        return seconds.get(sizes[-1], 10.0)

    monkeypatch.setattr(autotuning, "_seconds", timed)
    assert autotuning._micro_batch(None, np.zeros((8, 2, 2), np.int16)) == expected


# ---------------------------------------------------------------- what is kept


def test_the_second_start_measures_nothing(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = autotuning.choose([model])
    monkeypatch.setattr(autotuning, "_try", lambda *_: pytest.fail("measured again"))
    assert autotuning.choose([model]) == first


def test_another_model_version_machine_or_provider_is_measured_anew(
    model: Path, there: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    real = autotuning._try
    monkeypatch.setattr(autotuning, "_try", lambda *given: tried.append(1) or real(*given))
    there(CPU)
    autotuning.choose([model])
    autotuning.choose([model], again=True)
    assert len(tried) == 2
    there(FAST, CPU)
    autotuning.choose([model])
    assert len(tried) == 3
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    autotuning.choose([model])
    assert len(tried) == 4
    with (model / ENCODER_FILE).open("ab") as file:
        file.write(b"\x3a\x00")  # an empty graph, which protobuf joins with the one there is
    card = ModelCard.read(model)
    replace(card, sha256={**card.sha256, ENCODER_FILE: file_sha256(model / ENCODER_FILE)}).write(model)
    autotuning.choose([model])
    assert len(tried) == 5


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"choice": "cpu"}', '{"trials": [1]}'])
def test_a_damaged_file_is_measured_again(model: Path, home: Path, content: str) -> None:
    first = autotuning.choose([model])
    (file,) = (home / autotuning.FOLDER).iterdir()
    file.write_text(content)
    assert autotuning.choose([model]).choice in {trial.choice for trial in first.trials}
    assert json.loads(file.read_text())["trials"]


def test_where_nothing_can_be_kept_it_works_all_the_same(model: Path, home: Path) -> None:
    home.write_text("a file where the folder should be")
    assert autotuning.choose([model]).choice


def test_a_provider_that_stopped_working_is_not_taken_from_memory(model: Path, there: Callable[..., None]) -> None:
    there(OTHER, CPU)
    saved = replace(autotuning.choose([model]), choice="cuda", label=OTHER.label)
    (file,) = (Path(autotuning.home()) / autotuning.FOLDER).iterdir()
    raw = json.loads(file.read_text())
    file.write_text(json.dumps({**raw, "choice": saved.choice, "label": saved.label}))
    there(OTHER, CPU, cuda=fails)
    assert Detector(model).provider == "CPU fp32"
    assert json.loads(file.read_text())["choice"] == "cpu"


# ---------------------------------------------------------------- models that share an encoder


def test_models_with_one_encoder_choose_together_and_open_it_once(
    tmp_path: Path, there: Callable[..., None], rates: dict[str, float]
) -> None:
    for name in ("cranioscan", "cerebroscan"):
        tiny_model.build(tmp_path / "pair", name, "same")
    encoders: list[Path] = []

    def counted(provider: Pretended, path: Path, options: Any) -> Any:
        encoders.append(path)
        return Cpu.open(provider, path, options)

    there(FAST, CPU, openvino=counted)
    assert list(encoder_groups(tmp_path / "pair")) == [("cranioscan", "cerebroscan")]
    loaded = load_detectors(tmp_path / "pair")
    assert list(loaded) == ["cerebroscan", "cranioscan"]
    assert {one.provider for one in loaded.values()} == {"Fast fp32"}
    # Once to try it and once to use it; the encoder of the one that is led stays closed.
    assert encoders == [tmp_path / "pair" / "cranioscan" / ENCODER_FILE] * 2
    hu = np.random.default_rng(0).integers(20, 90, (3, 224, 224)).astype(np.int16)
    alone = Detector(tmp_path / "pair" / "cerebroscan", "cpu").encode(hu)
    led = loaded["cerebroscan"].encode(hu)
    np.testing.assert_array_equal(led.evidence, alone.evidence)
    np.testing.assert_array_equal(led.features, alone.features)


@pytest.mark.parametrize("provider", ["cpu", "auto"])
def test_a_model_without_an_encoder_file_says_the_same_with_the_one_beside_it(tmp_path: Path, provider: str) -> None:
    for name in ("cranioscan", "cerebroscan"):
        tiny_model.build(tmp_path, name, "same")
    folder = tmp_path / "cerebroscan"
    hu = np.random.default_rng(0).integers(20, 90, (3, 224, 224)).astype(np.int16)
    own = Detector(folder, "cpu").run(hu)
    tiny_model.share(folder, "cranioscan")
    for detector in (Detector(folder, provider), load_detectors(tmp_path, provider=provider)["cerebroscan"]):
        shared = detector.run(hu)
        assert shared.evidence.shape == own.evidence.shape
        np.testing.assert_allclose(shared.evidence, own.evidence, atol=1e-2)
        np.testing.assert_allclose(shared.study_probability, own.study_probability, atol=1e-2)
    assert list(load_detectors(tmp_path, ["cerebroscan"], "cpu")) == ["cerebroscan"], "its leader need not be loaded"


def test_models_with_other_encoders_choose_each_for_itself(tmp_path: Path) -> None:
    tiny_model.build(tmp_path, "cranioscan", "one")
    tiny_model.build(tmp_path, "cerebroscan", "another")
    assert set(encoder_groups(tmp_path)) == {("cranioscan",), ("cerebroscan",)}


def test_a_head_that_disagrees_counts_as_much_as_the_first(
    tmp_path: Path, there: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tiny_model.build(tmp_path, name, "same") for name in ("cranioscan", "cerebroscan")]
    there(CPU)
    given = []
    real = autotuning._answer
    monkeypatch.setattr(autotuning, "_answer", lambda *args: given.append(args[1]) or real(*args))
    autotuning.choose(folders)
    assert len(given[0]) == 2


def test_a_changed_file_is_never_tried(model: Path) -> None:
    with (model / ENCODER_FILE).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelError, match="SHA-256"):
        autotuning.choose([model])


# ---------------------------------------------------------------- 8-bit weights


def with_int8(model: Path) -> None:
    data = (model / ENCODER_FILE).read_bytes()
    (model / INT8_FILE).write_bytes(data)
    replace(ModelCard.read(model), int8=Int8(file_sha256(model / INT8_FILE))).write(model)


def test_8_bit_weights_are_tried_where_the_model_has_them(
    model: Path, there: Callable[..., None], rates: dict[str, float]
) -> None:
    there(FAST, CPU)
    assert autotuning.choose([model]).choice == "openvino"
    with_int8(model)
    found = autotuning.choose([model])
    assert (found.choice, found.label) == ("openvino-int8", "OpenVINO int8")
    assert [trial.choice for trial in found.trials] == ["openvino-int8", "openvino", "cpu-int8", "cpu"]
    assert Detector(model, "cpu-int8").provider == "CPU int8"


def test_without_its_file_a_model_has_no_8_bit_weights(model: Path) -> None:
    with_int8(model)
    (model / INT8_FILE).unlink()
    assert "cpu-int8" not in {trial.choice for trial in autotuning.choose([model]).trials}
    with pytest.raises(ModelError, match="8-bit weights"):
        Detector(model, "cpu-int8")


def test_8_bit_weights_that_differ_from_the_card_are_refused(model: Path) -> None:
    with_int8(model)
    (model / INT8_FILE).write_bytes(b"something else")
    with pytest.raises(ModelError, match=r"encoder\.int8\.onnx: expected SHA-256"):
        Detector(model)
