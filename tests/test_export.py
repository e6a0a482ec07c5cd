"""A run of random weights becomes a model folder; anything wrong on the way publishes nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from ichscope import providers
from ichscope.card import ModelCard, ModelError
from ichscope.inference import ENCODER_FILE, HEAD_FILE, Detector
from ichscope.preprocess import INPUT_SIZE

keras = pytest.importorskip("keras")
to_onnx = pytest.importorskip("export.to_onnx")
models = pytest.importorskip("training.models")
onnx_files = pytest.importorskip("training.onnx_files")

NEEDED = ("config.json", "metrics.json", "encoder.weights.h5", "head.weights.h5")
LABELS = ("any", "subdural")
SLICES = (1, 3, 9)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Keras and tf2onnx on NumPy 2
    pytest.mark.filterwarnings("ignore:(?s).*You are using a softmax over axis:UserWarning"),
]


def metrics() -> dict[str, Any]:
    figures = {"n": 9, "positives": 3, "patients": 5, "positive_patients": 2}
    measured = {
        "ct-ich study any": {**figures, "auc": 0.91, "auc_95": [0.8, 0.99], "ap": 0.8, "brier": 0.1},
        "rsna study subdural": {**figures, "auc": None, "why": "only one class"},
    }
    points = [("sensitivity 0.90", 0.31, 0.9, 0.7), ("sensitivity 0.95", 0.2, 0.95, 0.6), ("Youden", 0.4, 0.85, 0.8)]
    names = ("name", "threshold", "sensitivity", "specificity")
    return {
        "training_data": [
            {"name": "ct-ich", "use": "training", "patients": 5, "slices": 9, "licence": "CC BY 4.0", "citation": "x"}
        ],
        "calibration": {level: [[1.5, 0.5], [0.7, -1.0]] for level in ("slice", "study")},
        "operating_points": {
            "points": [dict(zip(names, point, strict=True)) for point in points],
            "thresholds": {"any": 0.4, "subdural": 0.25},
        },
        "measured": {"test": measured},
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What training leaves behind, with random weights."""
    folder = tmp_path_factory.mktemp("runs") / "cranioscan"
    folder.mkdir()
    keras.utils.set_random_seed(1)
    encoder = models.slice_encoder("mobilenetv2", LABELS)
    head = models.sequence_head("transformer", encoder.output["features"].shape[-1], LABELS)
    encoder.save_weights(folder / "encoder.weights.h5")
    head.save_weights(folder / "head.weights.h5")
    config = {"model": "cranioscan", "backbone": "mobilenetv2", "head": "transformer", "labels": LABELS}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.json").write_text(json.dumps(metrics()))
    return folder


@pytest.fixture(scope="module")
def published(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run, published over an older folder."""
    shelf = tmp_path_factory.mktemp("models")
    (shelf / "cranioscan").mkdir()
    (shelf / "cranioscan" / "left.over").write_text("of an older version")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(to_onnx, "SLICES", SLICES)
        assert to_onnx.main([str(run), "--models", str(shelf), "--version", "0.0.7"]) == 0
    return shelf / "cranioscan"


# ---------------------------------------------------------------- what is published


def test_a_folder_holds_four_files_and_nothing_of_before(published: Path) -> None:
    assert {path.name for path in published.iterdir()} == {"encoder.onnx", "head.onnx", "card.json", "README.md"}
    assert [path.name for path in published.parent.iterdir()] == ["cranioscan"], "no scratch folder stays"


def test_the_card_carries_the_numbers_of_the_run(published: Path) -> None:
    card = ModelCard.read(published)
    assert (card.name, card.version, card.labels, card.input_size) == ("cranioscan", "0.0.7", LABELS, INPUT_SIZE)
    assert card.default_point == "sensitivity 0.90"
    assert card.thresholds == {"any": 0.31, "subdural": 0.25}
    assert [point.threshold for point in card.operating_points] == [0.31, 0.2, 0.4]
    assert card.metrics == metrics()["measured"]
    assert card.parity["slices"] == list(SLICES)
    assert card.parity["weights_stored_as"] == "fp32"
    assert set(card.parity["largest_difference"]) == {"evidence", "slice_probability", "study_probability"}
    assert max(card.parity["largest_difference"].values()) <= card.parity["tolerance"] == 1e-4
    assert card.software["keras"] == keras.__version__
    for name in (ENCODER_FILE, HEAD_FILE):
        assert card.sha256[name] == hashlib.sha256((published / name).read_bytes()).hexdigest()


@pytest.mark.parametrize("number", ["0.910 (0.80 to 0.99)", "0.310", "0.250", "not estimable: only one class", "0.0.7"])
def test_the_readme_tells_the_numbers_of_the_card(published: Path, number: str) -> None:
    assert number in (published / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "inputs", "outputs"),
    [
        (
            ENCODER_FILE,
            {"hu": (TensorProto.INT16, [None, INPUT_SIZE, INPUT_SIZE])},
            {"features": [None, 8 * 128 + 4], "evidence": [None, 28, 28, 2]},
        ),
        (
            HEAD_FILE,
            {"features": (TensorProto.FLOAT, [None, 8 * 128 + 4])},
            {"slice_probability": [None, 2], "study_probability": [2]},
        ),
    ],
)
def test_names_types_and_shapes_are_the_contract(
    published: Path, file: str, inputs: dict[str, tuple[int, list]], outputs: dict[str, list]
) -> None:
    graph = onnx.load(published / file).graph
    assert {one.name: (one.type.tensor_type.elem_type, _fixed(one)) for one in graph.input} == inputs
    assert {one.type.tensor_type.elem_type for one in graph.output} == {TensorProto.FLOAT}
    session = providers.session(published / file, providers.choose("cpu"))
    assert {one.name for one in session.get_outputs()} == set(outputs)
    for count in (1, 4):
        (name, (kind, sides)), *_ = inputs.items()
        dtype = np.int16 if kind == TensorProto.INT16 else np.float32
        value = np.zeros([count if side is None else side for side in sides], dtype)
        for (told, shape), found in zip(outputs.items(), session.run(list(outputs), {name: value}), strict=True):
            assert found.shape == tuple(count if side is None else side for side in shape), told


def _fixed(value: onnx.ValueInfoProto) -> list[int | None]:
    """Sides of a tensor; None where free."""
    return [one.dim_value if one.HasField("dim_value") else None for one in value.type.tensor_type.shape.dim]


def test_the_detector_gives_calibrated_keras_probabilities(run: Path, published: Path) -> None:
    detector = Detector(published, "cpu")
    hu = to_onnx._heads(5)
    found = detector.run(hu)
    encoder = models.slice_encoder("mobilenetv2", LABELS)
    encoder.load_weights(run / "encoder.weights.h5")
    out = {name: np.asarray(value) for name, value in encoder(hu, training=False).items()}
    head = models.sequence_head("transformer", out["features"].shape[1], LABELS)
    head.load_weights(run / "head.weights.h5")
    logits = head(out["features"][None], training=False)
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    slope, intercept = np.array([1.5, 0.7]), np.array([0.5, -1.0])
    np.testing.assert_allclose(found.evidence, sigmoid(out["evidence"]), atol=1e-4)
    np.testing.assert_allclose(
        found.slice_probability, sigmoid(np.asarray(logits["slice"])[0] * slope + intercept), atol=1e-4
    )
    np.testing.assert_allclose(
        found.study_probability, sigmoid(np.asarray(logits["study"])[0] * slope + intercept), atol=1e-4
    )


# ---------------------------------------------------------------- what is not


@pytest.fixture(scope="module")
def functions(run: Path) -> tuple[Any, Any]:
    """The run's Keras models, wrapped; built once, since building takes longest."""
    return to_onnx._functions(run, json.loads((run / "config.json").read_text()), metrics())


@pytest.fixture
def converted(functions, published: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Path], None]], None]:
    """Let conversion give the published files, tampered with: parity itself is real."""
    monkeypatch.setattr(to_onnx, "SLICES", (1, 2))
    monkeypatch.setattr(to_onnx, "_functions", lambda *_: functions)

    def tamper(change: Callable[[Path], None]) -> None:
        def convert(function: Any, path: Path, half: bool = False) -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(published / path.name, path)
            change(path)

        monkeypatch.setattr(onnx_files, "convert", convert)

    return tamper


def scaled(file: str, factor: float) -> Callable[[Path], None]:
    """Multiply the kernels of one file."""

    def change(path: Path) -> None:
        if path.name != file:
            return
        model = onnx.load(path)
        for one in model.graph.initializer:
            if one.data_type == TensorProto.FLOAT and len(one.dims) > 1:
                one.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(one) * np.float32(factor), one.name))
        onnx.save(model, path)

    return change


def spoil(file: str) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(b"no model") if path.name == file else None


def test_untampered_files_pass_again(run: Path, tmp_path: Path, converted) -> None:
    converted(lambda path: None)
    assert to_onnx.main([str(run), "--models", str(tmp_path)]) == 0


@pytest.mark.parametrize(
    "change",
    [
        scaled(ENCODER_FILE, 1.2),
        scaled(HEAD_FILE, 1.2),
        scaled(HEAD_FILE, float("nan")),
        scaled(ENCODER_FILE, float("nan")),
        spoil(ENCODER_FILE),
        spoil(HEAD_FILE),
    ],
    ids=["encoder weights", "head weights", "head of nan", "encoder of nan", "no encoder", "no head"],
)
def test_without_parity_nothing_is_published_and_the_old_folder_stays(
    run: Path, tmp_path: Path, converted, change: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cranioscan").mkdir()
    (tmp_path / "cranioscan" / "card.json").write_text("the old one")
    converted(change)
    assert to_onnx.main([str(run), "--models", str(tmp_path)]) == 1
    assert "not published" in capsys.readouterr().err
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == [
        "cranioscan",
        "cranioscan/card.json",
    ]
    assert (tmp_path / "cranioscan" / "card.json").read_text() == "the old one"


def test_files_that_stay_too_large_are_not_published(
    run: Path, tmp_path: Path, converted, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted(lambda path: None)
    monkeypatch.setattr(to_onnx, "MOST_BYTES", 1000)
    assert to_onnx.main([str(run), "--models", str(tmp_path)]) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", NEEDED)
def test_an_unfinished_run_is_refused_by_name(
    run: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns(name))
    with pytest.raises(SystemExit) as stopped:
        to_onnx.main([str(folder), "--models", str(tmp_path / "models")])
    assert stopped.value.code == 2
    assert f"{folder / name}: expected a finished training run" in capsys.readouterr().err


def test_a_published_file_that_is_changed_later_is_not_loaded(published: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(published, tmp_path / "cranioscan")
    scaled(HEAD_FILE, 1.001)(folder / HEAD_FILE)
    with pytest.raises(ModelError, match=r"head\.onnx: expected SHA-256"):
        Detector(folder, "cpu")


# ---------------------------------------------------------------- half precision


def test_half_storage_halves_the_file_and_keeps_the_numbers(published: Path, tmp_path: Path) -> None:
    model = onnx.load(published / ENCODER_FILE)
    onnx_files._store_half(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, tmp_path / "half.onnx")
    whole, half = (published / ENCODER_FILE).stat().st_size, (tmp_path / "half.onnx").stat().st_size
    assert 0.45 < half / whole < 0.6
    small = {
        one.name: one.data_type for one in model.graph.initializer if np.prod(one.dims) < onnx_files._HALF_FROM_VALUES
    }
    assert TensorProto.FLOAT16 not in small.values()
    cpu = providers.choose("cpu")
    hu = to_onnx._heads(2)
    one, other = (
        providers.session(path, cpu).run(["evidence"], {"hu": hu})[0]
        for path in (published / ENCODER_FILE, tmp_path / "half.onnx")
    )
    np.testing.assert_allclose(one, other, atol=to_onnx.TOLERANCE_HALF)
    assert not np.array_equal(one, other)


def test_an_encoder_that_is_too_large_is_stored_in_half(
    run: Path, functions, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(function: Any, path: Path, half: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        model = onnx.load(published / path.name)
        if half:
            onnx_files._store_half(model)
        onnx.save(model, path)

    monkeypatch.setattr(onnx_files, "convert", convert)
    monkeypatch.setattr(to_onnx, "_functions", lambda *_: functions)
    monkeypatch.setattr(to_onnx, "SLICES", (1, 2))
    monkeypatch.setattr(to_onnx, "MOST_BYTES", (published / ENCODER_FILE).stat().st_size - 1)
    assert to_onnx.main([str(run), "--models", str(tmp_path)]) == 0
    card = ModelCard.read(tmp_path / "cranioscan")
    assert (card.parity["weights_stored_as"], card.parity["tolerance"]) == ("fp16", to_onnx.TOLERANCE_HALF)
    assert Detector(tmp_path / "cranioscan", "cpu").run(to_onnx._heads(1)).evidence.shape == (1, 28, 28, 2)


# ---------------------------------------------------------------- names


def test_a_graph_with_other_names_is_refused(published: Path) -> None:
    tf = pytest.importorskip("tensorflow")

    @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32, name="features")])
    def function(features: Any) -> dict[str, Any]:
        return {"slice_probability": features}

    with pytest.raises(ValueError, match="expected a graph with inputs and outputs"):
        onnx_files._check_names(onnx.load(published / HEAD_FILE), function)


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_both_heads_convert_and_agree_at_any_length(tmp_path: Path, kind: str) -> None:
    keras.utils.set_random_seed(2)
    head = models.sequence_head(kind, 12, ("any",), width=16)
    calibration = {level: [[2.0, 0.3]] for level in ("slice", "study")}
    function = onnx_files.head_function(head, calibration)
    onnx_files.convert(function, tmp_path / "head.onnx")
    session = providers.session(tmp_path / "head.onnx", providers.choose("cpu"))
    for count in (1, 2, 17, 60):
        features = np.random.default_rng(count).normal(size=(count, 12)).astype(np.float32)
        expected = onnx_files.keras_outputs(function, features)
        names = list(expected)
        for name, found in zip(names, session.run(names, {"features": features}), strict=True):
            np.testing.assert_allclose(found, expected[name], atol=1e-5)
