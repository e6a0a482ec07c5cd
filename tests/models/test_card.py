from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ichscope.labels import LABELS
from ichscope.models.card import CARD_FILE, INT8_FILE, ModelCard, ModelError, file_sha256
from ichscope.models.card_parts import (
    AucChange,
    CardOperatingPoint,
    Failure,
    Int8,
    Int8Measured,
    Metrics,
    Parity,
    TrainingSource,
)
from tests.support import tiny_model

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_model.build(tmp_path)


def test_a_card_comes_back_as_it_was_written(folder: Path) -> None:
    card = replace(
        ModelCard.read(folder),
        operating_points=(
            CardOperatingPoint("Youden", 0.4, 0.8, 0.7),
            CardOperatingPoint("hoch ≥ .95", 0.1, 0.95, 0.5),
        ),
        metrics=Metrics(elsewhere={"test slice any": {"auc": 0.9, "auc_95": [0.8, 0.95]}}, folds=[0]),
        training_data=(TrainingSource("ct-ich", "training", 2, 9, "CC BY 4.0", "x"),),
        parity=Parity(1e-4, [1, 3], {"evidence": 0.0}, "fp32"),
        int8=Int8(
            "ab", {"a": 1}, 8, Int8Measured(5, {"slice": 0.1}, {"ct-ich slice any": AucChange(1, 1, 0, 9, True)})
        ),
        failures=(Failure(None, 4, 16, 0.0, 0.3),),
        limits=["für Erwachsene"],
    )
    card.write(folder)
    assert ModelCard.read(folder) == card
    assert "hoch ≥ .95" in (folder / CARD_FILE).read_text(encoding="utf-8")


def test_a_card_from_before_intervals_and_failures_is_read(folder: Path) -> None:
    raw = json.loads((folder / CARD_FILE).read_text())
    for name in ("default_reason", "slice_thresholds", "failures"):
        del raw[name]
    raw["operating_points"] = [{"name": "Youden", "threshold": 0.5, "sensitivity": 0.9, "specificity": 0.9}]
    (folder / CARD_FILE).write_text(json.dumps(raw))
    card = ModelCard.read(folder)
    assert (card.default_reason, card.slice_thresholds, card.failures) == ("", {}, ())
    assert card.operating_points[0].sensitivity_95 is None


def test_labels_and_points_are_tuples_after_reading(folder: Path) -> None:
    card = ModelCard.read(folder)
    assert card.labels == LABELS
    assert card.operating_points == (CardOperatingPoint("Youden", 0.5, 0.9, 0.9),)


def _edit(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        raw = json.loads(path.read_text())
        change(raw)
        path.write_text(json.dumps(raw))

    return damage


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (Path.unlink, "No such file"),
        (lambda path: (path.unlink(), path.mkdir()), "directory"),
        (lambda path: path.write_text(""), "expected a model card"),
        (lambda path: path.write_text("[]"), "expected a model card"),
        (lambda path: path.write_text("null"), "expected a model card"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "expected a model card"),
        (_edit(lambda raw: raw.pop("labels")), "labels"),
        (_edit(lambda raw: raw.pop("version")), "version"),
        (_edit(lambda raw: raw.update(colour="red")), "colour"),
        (_edit(lambda raw: raw["operating_points"][0].pop("threshold")), "threshold"),
        (_edit(lambda raw: raw.update(metrics={"mood": 1})), "Metrics has no 'mood'"),
        (_edit(lambda raw: raw.update(failures=[{"seed": 1}])), "bleed"),
        (_edit(lambda raw: raw.update(int8={"ranges": {}})), "sha256"),
        (_edit(lambda raw: raw.update(int8=["ab"])), "expected a model card"),
        (_edit(lambda raw: raw.update(labels=["any", "subgaleal"])), "found 'subgaleal'"),
        (_edit(lambda raw: raw.update(labels=["subdural"])), "expected the label 'any'"),
        (_edit(lambda raw: raw["thresholds"].pop("subdural")), "none of 'subdural'"),
        (_edit(lambda raw: raw["thresholds"].update(any=math.nan)), "thresholds from 0 to 1, found nan of 'any'"),
        (_edit(lambda raw: raw["thresholds"].update(any=math.inf)), "thresholds from 0 to 1, found inf of 'any'"),
        (_edit(lambda raw: raw["thresholds"].update(subdural=-0.1)), "thresholds from 0 to 1, found -0.1"),
        (_edit(lambda raw: raw["thresholds"].update(any="0.5")), "thresholds from 0 to 1, found '0.5'"),
        (_edit(lambda raw: raw["slice_thresholds"].update(any=True)), "thresholds from 0 to 1, found True"),
        (_edit(lambda raw: raw["operating_points"][0].update(threshold=1.5)), "thresholds from 0 to 1, found 1.5"),
        (_edit(lambda raw: raw.update(default_point="best")), "found 'best'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_card_is_refused_with_its_path(folder: Path, damage: Callable[[Path], Any], says: str) -> None:
    damage(folder / CARD_FILE)
    with pytest.raises(ModelError) as refused:
        ModelCard.read(folder)
    assert str(folder / CARD_FILE) in str(refused.value)
    assert says in str(refused.value)


def test_an_untouched_folder_is_verified(folder: Path) -> None:
    ModelCard.read(folder).verify(folder)


@pytest.mark.parametrize("name", ["encoder.onnx", "head.onnx"])
def test_one_changed_byte_is_found(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ModelError, match=rf"{name}: expected SHA-256 \w+, found \w+; not loaded"):
        ModelCard.read(folder).verify(folder)


def test_a_missing_file_is_found(folder: Path) -> None:
    (folder / "head.onnx").unlink()
    with pytest.raises(ModelError, match=r"head\.onnx: expected a file .* found none"):
        ModelCard.read(folder).verify(folder)


# ---------------------------------------------------------------- an encoder of the folder beside


@pytest.fixture
def follower(tmp_path: Path) -> Path:
    """A model that runs the encoder of the one beside it."""
    tiny_model.build(tmp_path, "cranioscan", "same")
    return tiny_model.share(tiny_model.build(tmp_path, "cerebroscan", "same"), "cranioscan")


def test_an_encoder_beside_is_verified_with_the_folder(follower: Path) -> None:
    card = ModelCard.read(follower)
    assert not (follower / "encoder.onnx").exists()
    card.verify(follower)
    assert card.encoder_card(follower).name == "cranioscan"
    with (card.encoder_folder(follower) / "encoder.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelError, match=r"cranioscan/encoder\.onnx: expected SHA-256"):
        card.verify(follower)


def test_a_model_has_the_8_bit_weights_of_its_encoder(follower: Path) -> None:
    leader = follower.parent / "cranioscan"
    assert ModelCard.read(follower).int8_file(follower) is None
    (leader / INT8_FILE).write_bytes(b"8 bits")
    replace(ModelCard.read(leader), int8=Int8(file_sha256(leader / INT8_FILE))).write(leader)
    assert ModelCard.read(follower).int8_file(follower) == leader.absolute() / INT8_FILE


@pytest.mark.parametrize("change", [{"encoder_weights": "other"}, {"labels": ("any",)}, {"encoder_of": "cerebroscan"}])
def test_an_encoder_that_does_not_serve_the_model_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    leader = tiny_model.build(tmp_path, "cerebroscan", "same")
    follower = tiny_model.share(tiny_model.build(tmp_path, "cranioscan", "same"), "cerebroscan")
    replace(ModelCard.read(leader), **change).write(leader)
    with pytest.raises(ModelError, match="expected that cerebroscan has an encoder of the same weights"):
        ModelCard.read(follower).encoder_card(follower)


@pytest.mark.parametrize("name", ["../elsewhere", "..", "/etc", "a/b", "."])
def test_a_card_does_not_point_out_of_the_folder_of_models(follower: Path, name: str) -> None:
    replace(ModelCard.read(follower), encoder_of=name).write(follower)
    with pytest.raises(ModelError, match="name of a model beside this one"):
        ModelCard.read(follower)


# ---------------------------------------------------------------- what is published


@pytest.mark.parametrize("name", ["cranioscan", "cerebroscan"])
def test_a_published_card_is_written_as_it_is_read(tmp_path: Path, name: str) -> None:
    ModelCard.read(MODELS / name).write(tmp_path)
    assert (tmp_path / CARD_FILE).read_bytes() == (MODELS / name / CARD_FILE).read_bytes()


def test_each_model_is_published_with_an_encoder_of_its_own_and_one_decides() -> None:
    assert sorted(path.relative_to(MODELS).as_posix() for path in MODELS.rglob("encoder*")) == [
        "cerebroscan/encoder.onnx",
        "cranioscan/encoder.int8.onnx",
        "cranioscan/encoder.onnx",
    ]
    cards = {name: ModelCard.read(MODELS / name) for name in ("cranioscan", "cerebroscan")}
    for name, card in cards.items():
        card.verify(MODELS / name)
    assert cards["cranioscan"].int8_file(MODELS / "cranioscan") is not None
    assert [name for name, card in cards.items() if card.decides] == ["cerebroscan"]


def test_sha256_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # the example of FIPS 180-2
    assert file_sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
