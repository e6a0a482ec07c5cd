from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ichscope.models import registry
from ichscope.models.card import ModelCard, ModelError
from ichscope.models.registry import Registry
from tests.support import tiny_model

HU = np.zeros((2, 224, 224), np.int16)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    tiny_model.build(tmp_path / "models", "cranioscan")
    tiny_model.build(tmp_path / "models", "cerebroscan")
    return tmp_path / "models"


def renew(folder: Path, version: str) -> None:
    replace(ModelCard.read(folder), version=version).write(folder)


def test_models_are_loaded_once_however_often_they_are_asked_for(models: Path) -> None:
    own = Registry()
    with ThreadPoolExecutor(4) as pool:
        given = list(pool.map(lambda _: own.get(models, provider="cpu"), range(8)))
    assert list(given[0].detectors) == ["cerebroscan", "cranioscan"]
    assert all(loaded is given[0] for loaded in given)
    assert own.get(models / ".." / "models", provider="cpu") is given[0], "the same folder by another path"


def test_a_changed_card_is_read_and_loaded_anew(models: Path) -> None:
    own = Registry()
    before = own.get(models, provider="cpu")
    assert own.cards(models) == before.cards
    renew(models / "cranioscan", "2")
    after = own.get(models, provider="cpu")
    assert own.cards(models)["cranioscan"].version == after.cards["cranioscan"].version == "2"
    assert before.cards["cranioscan"].version == "0.0.1-test", "what was loaded keeps the card it was loaded from"


def test_cards_are_not_parsed_again_where_nothing_has_changed(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Registry()
    first = own.cards(models, ["cranioscan"])
    assert list(first) == ["cranioscan"]
    monkeypatch.setattr(ModelCard, "read", lambda folder: pytest.fail("read again"))
    assert own.cards(models, ["cranioscan"]) is first


def test_names_and_providers_are_models_of_their_own(models: Path) -> None:
    own = Registry()
    both, single = own.get(models, provider="cpu"), own.get(models, ["cerebroscan"], "cpu")
    assert list(single.detectors) == ["cerebroscan"]
    assert own.get(models, provider="cpu") is both


def test_models_that_are_gone_are_let_go(models: Path) -> None:
    own = Registry()
    for version in range(2 * registry._KEPT):
        renew(models / "cranioscan", str(version))
        own.get(models, provider="cpu")
    assert own._loaded.cache_info().currsize == registry._KEPT


def test_what_cannot_be_loaded_is_tried_again(models: Path) -> None:
    own = Registry()
    head = models / "cranioscan" / "head.onnx"
    kept = head.read_bytes()
    head.write_bytes(kept + b"\0")
    with pytest.raises(ModelError, match="SHA-256"):
        own.get(models, provider="cpu")
    head.write_bytes(kept)
    assert "cranioscan" in own.get(models, provider="cpu").detectors


def test_all_encoders_of_a_registry_take_turns_and_the_background_steps_back(models: Path) -> None:
    own = Registry()
    loaded = own.get(models, provider="cpu").detectors
    with ThreadPoolExecutor(2) as pool:
        with own.scheduler.study():  # as while a person waits
            background = [pool.submit(model.run, HU, priority="background") for model in loaded.values()]
            assert not wait(background, 0.2).done
            assert len(loaded["cranioscan"].run(HU).slice_probability) == 2, "another person's study goes on"
        assert all(len(future.result(60).slice_probability) == 2 for future in background)


def test_encoders_of_two_models_never_run_at_once(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = Registry().get(models, provider="cpu").detectors.values()
    inside, most, lock = 0, 0, threading.Lock()
    for detector in loaded:
        real = detector._encoder.run

        def run(*given, real=real):
            nonlocal inside, most
            with lock:
                inside += 1
                most = max(most, inside)
            try:
                return real(*given)
            finally:
                with lock:
                    inside -= 1

        monkeypatch.setattr(detector._encoder, "run", run)
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(detector.run, HU) for detector in loaded for _ in range(6)]:
            future.result(60)
    assert most == 1
