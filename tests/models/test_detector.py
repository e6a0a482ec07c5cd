from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state as state

from ichscope.imaging.preprocess import INPUT_SIZE
from ichscope.labels import LABELS
from ichscope.models import providers
from ichscope.models.card import CARD_FILE, ModelCard, ModelError, file_sha256
from ichscope.models.detector import ENCODER_FILE, HEAD_FILE, MICRO_BATCH, Detector
from tests.support import tiny_model

LENGTHS = [1, MICRO_BATCH - 1, MICRO_BATCH, MICRO_BATCH + 1, 3 * MICRO_BATCH + 5]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_model.build(tmp_path)


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return Detector(tiny_model.build(tmp_path_factory.mktemp("models")), "cpu")


def slices(count: int, seed: int = 0) -> NDArray[np.int16]:
    """Brain with a square of blood that grows from slice to slice."""
    hu = np.random.default_rng(seed).integers(20, 48, (count, INPUT_SIZE, INPUT_SIZE)).astype(np.int16)
    for i, one in enumerate(hu):
        side = 3 + (7 * i + seed) % 13
        one[64 : 64 + side, 80 : 80 + side] = 60
    return hu


def by_hand(hu: NDArray[np.int16]) -> NDArray[np.float32]:
    """What the tiny model says of each cell of 16 x 16 pixels."""
    bright = ((hu >= 50) & (hu <= 80)).reshape(len(hu), 14, 16, 14, 16)
    return bright.mean(axis=(2, 4)).astype(np.float32)


# ---------------------------------------------------------------- running


@pytest.mark.parametrize("count", LENGTHS)
def test_every_slice_gets_its_own_answer(detector: Detector, count: int) -> None:
    hu = slices(count)
    found = detector.run(hu)
    cells = by_hand(hu)
    assert found.slice_probability.shape == (count, len(LABELS))
    assert found.study_probability.shape == (len(LABELS),)
    assert found.evidence.shape == (count, 14, 14, len(LABELS))
    np.testing.assert_allclose(found.evidence[..., 0], cells, atol=1e-6)
    np.testing.assert_allclose(found.slice_probability[:, 3], cells.max(axis=(1, 2)), atol=1e-6)
    np.testing.assert_allclose(found.study_probability, cells.max(), atol=1e-6)
    assert {array.dtype for array in (found.evidence, found.slice_probability, found.study_probability)} == {
        np.dtype(np.float32)
    }


def test_a_slice_is_seen_alike_alone_and_among_others(detector: Detector) -> None:
    hu = slices(11)
    together = detector.run(hu).slice_probability
    alone = np.concatenate([detector.run(hu[i : i + 1]).slice_probability for i in range(11)])
    np.testing.assert_allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize("count", LENGTHS)
def test_progress_comes_after_every_micro_batch_and_reaches_the_end(detector: Detector, count: int) -> None:
    seen: list[tuple[int, int]] = []
    detector.run(slices(count), lambda done, total: seen.append((done, total)))
    assert seen == [(min(at, count), count) for at in range(MICRO_BATCH, count + MICRO_BATCH, MICRO_BATCH)]


def test_the_encoder_never_gets_more_than_a_micro_batch(detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    session = detector._encoder

    def run(outputs: list[str], inputs: dict[str, NDArray[np.int16]]) -> list[NDArray[np.float32]]:
        sizes.append(len(inputs["hu"]))
        return session.run(outputs, inputs)

    monkeypatch.setattr(detector, "_encoder", SimpleNamespace(run=run))
    detector.run(slices(19))
    assert sizes == [8, 8, 3]


def test_seconds_are_told_by_stage(detector: Detector) -> None:
    seconds = detector.run(slices(2)).seconds
    assert set(seconds) == {"encoder", "head"}
    assert all(0 < value < 60 for value in seconds.values())


@pytest.mark.parametrize("provider", providers.available(), ids=lambda provider: provider.label)
def test_threads_may_share_a_detector(tmp_path: Path, provider: providers.Provider) -> None:
    shared = Detector(tiny_model.build(tmp_path), provider.choice)
    assert shared.provider == provider.label
    studies = [slices(5 + seed % 9, seed) for seed in range(24)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(shared.run, studies))
    for hu, one in zip(studies, found, strict=True):
        np.testing.assert_allclose(one.evidence[..., 0], by_hand(hu), atol=1e-2)
        np.testing.assert_allclose(one.study_probability, by_hand(hu).max(), atol=1e-2)


# ---------------------------------------------------------------- what is refused


def _flip_a_byte(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[-1] ^= 1
        (folder / name).write_bytes(data)

    return damage


def _unlisted(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        raw = json.loads((folder / CARD_FILE).read_text())
        del raw["sha256"][name]
        (folder / CARD_FILE).write_text(json.dumps(raw))

    return damage


def _rehash(folder: Path) -> None:
    hashes = {name: file_sha256(folder / name) for name in (ENCODER_FILE, HEAD_FILE)}
    replace(ModelCard.read(folder), sha256=hashes).write(folder)


def _no_onnx_but_listed(folder: Path) -> None:
    (folder / ENCODER_FILE).write_bytes(b"nothing")
    _rehash(folder)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_flip_a_byte(ENCODER_FILE), r"encoder\.onnx: expected SHA-256 \w{12}, found \w{12}"),
        (_flip_a_byte(HEAD_FILE), r"head\.onnx: expected SHA-256 \w{12}, found \w{12}"),
        (lambda folder: (folder / ENCODER_FILE).unlink(), r"encoder\.onnx: expected a file"),
        (lambda folder: (folder / HEAD_FILE).unlink(), r"head\.onnx: expected a file"),
        (lambda folder: (folder / CARD_FILE).unlink(), r"card\.json: expected a model card"),
        (_unlisted(ENCODER_FILE), r"expected a SHA-256 of encoder\.onnx"),
        (_unlisted(HEAD_FILE), r"expected a SHA-256 of head\.onnx"),
        (_no_onnx_but_listed, r"encoder\.onnx: does not open"),
    ],
    ids=[
        *("encoder changed", "head changed", "encoder missing", "head missing", "card missing"),
        *("encoder unlisted", "head unlisted", "no ONNX"),
    ],
)
def test_a_folder_that_cannot_be_trusted_is_refused(folder: Path, damage: Callable[[Path], object], says: str) -> None:
    damage(folder)
    with pytest.raises(ModelError, match=says):
        Detector(folder, "cpu")


@pytest.mark.parametrize("choice", ["tpu", "CPUExecutionProvider"])
def test_an_unknown_provider_is_refused(folder: Path, choice: str) -> None:
    with pytest.raises(ModelError, match=f"'{choice}' is not available"):
        Detector(folder, choice)


def test_cuda_that_is_not_there_is_refused_not_replaced(folder: Path) -> None:
    if any(provider.choice == "cuda" for provider in providers.available()):
        pytest.skip("CUDA is there")
    with pytest.raises(ModelError, match="'cuda' is not available"):
        Detector(folder, "cuda")


def test_auto_takes_the_best_that_opens(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda, cpu = providers.Cuda(), providers.choose("cpu")

    def fails(*_: object) -> None:
        raise state.Fail("no libcudnn")

    monkeypatch.setattr(providers, "available", lambda: (cuda, cpu))
    monkeypatch.setattr(providers.Cuda, "open", fails)
    assert Detector(folder).provider == "CPU fp32"


# ---------------------------------------------------------------- a model that fails


@pytest.mark.parametrize("shape", [(2, 100, 100), (2, INPUT_SIZE), (2, INPUT_SIZE, INPUT_SIZE, 1)])
def test_what_onnx_runtime_refuses_is_a_model_error(detector: Detector, shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="cranioscan on CPU fp32 failed"):
        detector.run(np.zeros(shape, np.int16))


def test_probabilities_that_are_no_numbers_are_a_model_error(folder: Path) -> None:
    head = onnx.load(folder / HEAD_FILE)
    weight = next(one for one in head.graph.initializer if one.name == "ones")
    weight.CopyFrom(numpy_helper.from_array(np.full((1, len(LABELS)), np.nan, np.float32), "ones"))
    onnx.save(head, folder / HEAD_FILE)
    _rehash(folder)
    with pytest.raises(ModelError, match="found no numbers"):
        Detector(folder, "cpu").run(slices(2))
