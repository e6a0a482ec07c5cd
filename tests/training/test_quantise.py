"""8-bit weights of a small, real encoder: what they are, and how little they change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from export import model_card
from ichscope.models.card import ENCODER_FILE, INT8_FILE, ModelCard, file_sha256
from ichscope.models.card_parts import AucChange, Int8Measured
from ichscope.models.detector import Detector
from tests.support import tiny_model
from training import quantise as quantising
from training.data import TrainingStudy
from training.quantise import GateError, in_full, quantise

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ONNX Runtime's quantiser on NumPy 2
CHANNELS, LABELS = 32, 6


def encoder(half: bool = False) -> onnx.ModelProto:
    """HU to features by three convolutions; `half` stores the weights of the second as fp16 and a Cast."""
    rng = np.random.default_rng(0)
    # Channels of very different size: one scale for all of them would lose the small ones' bits.
    second = rng.normal(size=(CHANNELS, CHANNELS, 3, 3)) * np.logspace(-3, 0, CHANNELS)[:, None, None, None]
    weights = {
        "first": rng.normal(size=(CHANNELS, 1, 3, 3)),
        "second": second,
        "third": rng.normal(size=(LABELS, CHANNELS, 1, 1)),
    }
    constants = {"one": np.array([1]), "scale": np.float32(0.01)} | {
        name: value.astype(np.float32) for name, value in weights.items()
    }
    nodes = []
    if half:
        constants["second_half"] = constants.pop("second").astype(np.float16)
        nodes.append(helper.make_node("Cast", ["second_half"], ["second"], to=TensorProto.FLOAT))
    nodes += [
        helper.make_node("Cast", ["hu"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["number", "one"], ["image"]),
        helper.make_node("Mul", ["image", "scale"], ["x"]),
        helper.make_node("Conv", ["x", "first"], ["a"], name="conv_a", strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("Conv", ["b", "second"], ["c"], name="conv_b"),
        helper.make_node("Conv", ["c", "third"], ["evidence"], name="conv_c"),
        helper.make_node("GlobalMaxPool", ["evidence"], ["most"], name="pool"),
        helper.make_node("Flatten", ["most"], ["features"], name="flat"),
    ]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("hu", TensorProto.INT16, ["n", 32, 32])],
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", LABELS]),
            helper.make_tensor_value_info("evidence", TensorProto.FLOAT, ["n", LABELS, 13, 13]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def slices(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-100, 100, (count, 32, 32)).astype(np.int16)


@pytest.fixture(scope="module", params=[False, True], ids=["fp32", "stored as fp16"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("model")
    source, target = folder / "encoder.onnx", folder / "encoder.int8.onnx"
    onnx.save(encoder(request.param), source)
    quantise(source, target, [slices(8, seed) for seed in range(3)])
    assert sorted(one.name for one in folder.iterdir()) == ["encoder.int8.onnx", "encoder.onnx"]
    return source, target


def test_features_stay_near_those_of_fp32(made: tuple[Path, Path]) -> None:
    hu = slices(6, 99)
    before, after = (ort.InferenceSession(path).run(["features"], {"hu": hu})[0] for path in made)
    # A step of 8 bits is 0.4 % of the range, and there are three layers of them.
    assert 0 < np.abs(after - before).max() < 0.03 * np.abs(before).max()


def test_weights_have_7_bits_and_a_scale_a_channel(made: tuple[Path, Path]) -> None:
    values = {one.name: numpy_helper.to_array(one) for one in onnx.load(made[1]).graph.initializer}
    weights = [value for value in values.values() if value.dtype == np.int8 and value.ndim == 4]
    assert len(weights) == 1, "the first, which reads the windows, and the last, which gives logits, stay as they are"
    assert np.abs(weights[0].astype(int)).max() <= 64
    # Each channel uses its whole range.
    assert (np.abs(weights[0].astype(int)).max(axis=(1, 2, 3)) >= 60).all()


def test_the_same_slices_give_the_same_file(made: tuple[Path, Path], tmp_path: Path) -> None:
    quantise(made[0], tmp_path / "again.onnx", [slices(8, seed) for seed in range(3)])
    assert (tmp_path / "again.onnx").read_bytes() == made[1].read_bytes()


def test_weights_stored_as_fp16_come_back_as_the_same_numbers() -> None:
    found = in_full(encoder(half=True))
    onnx.checker.check_model(found, full_check=True)
    assert [node.op_type for node in found.graph.node].count("Cast") == 1, "that of the input stays"
    weight = next(numpy_helper.to_array(one) for one in found.graph.initializer if one.name == "second")
    expected = next(numpy_helper.to_array(one) for one in encoder().graph.initializer if one.name == "second")
    np.testing.assert_array_equal(weight, expected.astype(np.float16).astype(np.float32))


# ---------------------------------------------------------------- a model folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny model whose encoder has convolutions: evidence is how much of a cell lies between 50 and 80 HU."""
    made = tiny_model.build(tmp_path)
    rng = np.random.default_rng(1)
    constants = {
        "one": np.array([1]),
        "low": np.float32(50),
        "range": np.float32(30),
        "floor": np.float32(0),
        "ceiling": np.float32(1),
        "cells": (rng.uniform(0.5, 1.5, (CHANNELS, 1, 16, 16)) / 256).astype(np.float32),
        "mixing": (np.eye(CHANNELS) + rng.uniform(0, 0.01, (CHANNELS, CHANNELS)))[..., None, None].astype(np.float32),
        "mean": np.full((1, CHANNELS, 1, 1), 1 / CHANNELS, np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["hu"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["number", "one"], ["image"]),
        helper.make_node("Sub", ["image", "low"], ["above"]),
        helper.make_node("Div", ["above", "range"], ["share"]),
        helper.make_node("Clip", ["share", "floor", "ceiling"], ["x"]),
        helper.make_node("Conv", ["x", "cells"], ["many"], name="cells", strides=[16, 16]),
        helper.make_node("Conv", ["many", "mixing"], ["mixed"], name="mixing"),
        helper.make_node("Conv", ["mixed", "mean"], ["seen"], name="mean"),
        helper.make_node("GlobalMaxPool", ["seen"], ["most"]),
        helper.make_node("Flatten", ["most"], ["features"]),
        helper.make_node("Concat", ["seen"] * LABELS, ["stack"], axis=1),
        helper.make_node("Transpose", ["stack"], ["evidence"], perm=[0, 2, 3, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("hu", TensorProto.INT16, ["n", 224, 224])],
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 1]),
            helper.make_tensor_value_info("evidence", TensorProto.FLOAT, ["n", 14, 14, LABELS]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), made / ENCODER_FILE)
    card = ModelCard.read(made)
    replace(card, sha256={**card.sha256, ENCODER_FILE: file_sha256(made / ENCODER_FILE)}).write(made)
    return made


def studies(source: str, count: int, length: int = 6, seed: int = 0) -> list[TrainingStudy]:
    """Heads of which every other has a square of blood on half of its slices."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        hu = rng.integers(20, 58, (length, 224, 224)).astype(np.int16)
        labels = np.zeros((length, LABELS), np.float32)
        if i % 2:
            side = int(rng.integers(8, 40))
            hu[: length // 2, 64 : 64 + side, 64 : 64 + side] = 75
            labels[: length // 2] = 1
        found.append(TrainingStudy(source, f"{source}{i}", f"{source}{i}", hu, labels, None, ("",) * length))
    return found


def test_a_file_that_changes_little_is_kept_with_what_it_changes(folder: Path, tmp_path: Path) -> None:
    measuring = [*studies("ct-ich", 10, seed=1), *studies("rsna-sample", 4, 1, seed=2)]
    card = quantising.add(folder, studies("ct-ich", 4), measuring)
    assert card == ModelCard.read(folder)
    assert card.int8.sha256 == file_sha256(folder / INT8_FILE)
    assert Detector(folder, "cpu-int8").provider == "CPU int8"
    measured = card.int8.measured
    assert (card.int8.calibrated_on_patients, measured.patients) == (4, 14)
    slices = measured.auc["ct-ich slice any"]
    assert slices.pairs == 15 * 45
    assert slices.decides
    assert not measured.auc["ct-ich study any"].decides, "25 pairs: one of them is .04"
    assert 0 < measured.largest_change["slice"] < 0.05
    by_hand = [
        Detector(folder, choice).run(study.hu).slice_probability
        for study in measuring
        for choice in ("cpu", "cpu-int8")
    ]
    changes = [np.abs(a - b).max() for a, b in zip(by_hand[::2], by_hand[1::2], strict=True)]
    assert measured.largest_change["slice"] == pytest.approx(max(changes))
    assert model_card.main([str(folder)]) == 0
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "8-bit weights" in text
    assert "ct-ich slice any" in text


def test_the_card_alone_is_enough_to_make_the_file_again(folder: Path) -> None:
    quantising.add(folder, studies("ct-ich", 4), studies("ct-ich", 10, seed=1))
    before = (folder / INT8_FILE).read_bytes()
    (folder / INT8_FILE).unlink()
    assert quantising.main([str(folder)]) == 0
    assert (folder / INT8_FILE).read_bytes() == before
    assert sorted(one.name for one in folder.iterdir()) == sorted(
        ["card.json", "encoder.onnx", "encoder.int8.onnx", "head.onnx"]
    )


def test_a_model_that_runs_anothers_encoder_is_not_quantised(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replace(ModelCard.read(folder), encoder_of="cranioscan").write(folder)
    assert quantising.main([str(folder)]) == 1
    assert "found that of cranioscan: quantise that" in capsys.readouterr().err


def test_a_card_without_ranges_cannot_make_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert quantising.main([str(folder)]) == 1
    assert "expected ranges for 8-bit weights, found none" in capsys.readouterr().err


def test_another_file_than_the_card_says_is_not_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = quantising.add(folder, studies("ct-ich", 4), studies("ct-ich", 10, seed=1))
    (folder / INT8_FILE).unlink()
    replace(card, int8=replace(card.int8, sha256="0" * 64)).write(folder)
    assert quantising.main([str(folder)]) == 1
    assert "expected SHA-256 000000000000" in capsys.readouterr().err
    assert not (folder / INT8_FILE).exists()


def test_what_changes_too_much_leaves_the_folder_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {one.name: one.read_bytes() for one in folder.iterdir()}
    real = quantising.quantise

    def wrong(source: Path, target: Path, batches: object) -> dict:
        """The weights of another encoder, which sees blood where there is none."""
        model = onnx.load(source)
        mean = next(one for one in model.graph.initializer if one.name == "mean")
        mean.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(mean), "mean"))
        onnx.save(model, source.with_name("other.onnx"))
        return real(source.with_name("other.onnx"), target, batches)

    monkeypatch.setattr(quantising, "quantise", wrong)
    with pytest.raises(GateError, match=r"expected an AUC that changes by at most 0\.002, found -0"):
        quantising.add(folder, studies("ct-ich", 4), studies("ct-ich", 10, seed=1))
    assert {one.name: one.read_bytes() for one in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("auc", "says"),
    [
        ({"a": AucChange(0.9, 0.9, 0.0019, 9, True), "b": AucChange(0.9, 0.9, -0.04, 9, False)}, None),
        ({"a": AucChange(0.9, 0.9, 0.0, 9, True), "b": AucChange(0.9, 0.9, -0.0021, 9, True)}, "b: .*-0.00210"),
        ({"a": AucChange(0.9, 0.9, 0.0, 9, False)}, "found none"),
        ({}, "found none"),
    ],
)
def test_figures_with_enough_pairs_decide(auc: dict, says: str | None) -> None:
    if says is None:
        quantising.check(Int8Measured(9, {}, auc))
        return
    with pytest.raises(GateError, match=says):
        quantising.check(Int8Measured(9, {}, auc))
