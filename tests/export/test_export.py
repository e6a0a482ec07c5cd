"""A run of random weights becomes a model folder; anything wrong on the way publishes nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from ichscope.imaging.preprocess import INPUT_SIZE
from ichscope.models import providers
from ichscope.models.card import ModelCard, ModelError
from ichscope.models.card_parts import Metrics
from ichscope.models.detector import ENCODER_FILE, HEAD_FILE, Detector

keras = pytest.importorskip("keras")
to_onnx = pytest.importorskip("export.to_onnx")
model_card = pytest.importorskip("export.model_card")
models = pytest.importorskip("training.models")
trained = pytest.importorskip("training.trained")
onnx_files = pytest.importorskip("training.onnx_files")

NEEDED = ("final/config.json", "metrics.json", "final/encoder.weights.h5", "final/head.weights.h5")
LABELS = ("any", "subdural")
SLICES = (1, 3, 9)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Keras and tf2onnx on NumPy 2
    pytest.mark.filterwarnings("ignore:(?s).*You are using a softmax over axis:UserWarning"),
]


def metrics() -> dict[str, Any]:
    counts = {"n": 9, "positives": 3, "patients": 5, "positive_patients": 2}
    figures = {"auc": 0.91, "auc_95": [0.8, 0.99], "ap": 0.8, "ap_95": None, "log_loss": 0.3, "log_loss_floor": 0.5}
    at = {"sensitivity 0.90": {"sensitivity": 0.88, "sensitivity_95": [0.7, 0.97], "specificity": 0.81}}
    measured = {
        "cross-validation": {
            "ct-ich study any": {**counts, **figures, "at": at},
            "ct-ich study all": {"n": 9, "patients": 5, "log_loss": 0.277, "log_loss_floor": 0.5},
            "phe-sich study subdural": {
                **counts,
                "auc": None,
                "why": "positives only",
                "at": {"Youden": {"sensitivity": 1.0}},
            },
        },
        "elsewhere": {},
        "elsewhere, final model": {"rsna-sample slice any": {**counts, **figures, "auc": 0.765}},
    }
    points = [("sensitivity 0.90", 0.31, 0.9, 0.7), ("sensitivity 0.95", 0.2, 0.95, 0.6), ("Youden", 0.4, 0.85, 0.8)]
    names = ("name", "threshold", "sensitivity", "specificity")
    ends = {"sensitivity_95": [0.5, 0.99], "specificity_95": [0.61, 0.83]}
    difference = {"with": 0.9, "without": 0.85, "difference": 0.05, "difference_95": [0.01, 0.09]}
    return {
        "folds": [0, 1, 3],
        "calibration": {level: [[1.5, 0.5], [0.7, -1.0]] for level in ("slice", "study")},
        "operating_points": {
            "points": [dict(zip(names, point, strict=True)) | ends for point in points],
            "default": "sensitivity 0.90",
            "reason": "It suits us.",
            "thresholds": {"study": {"any": 0.31, "subdural": 0.25}, "slice": {"any": 0.12, "subdural": 0.06}},
            "prevalence": 0.41,
            "patients": {"with a bleed": {"ct-ich": 28}, "without": {"ct-ich": 38}},
        },
        "measured": measured,
        "unknown_hospitals": {"rsna": {"rsna-more slice any": {**counts, **figures, "auc": 0.893, "at": at}}},
        "sources_told_apart": [
            {"bleed": False, "collections": ["ct-ich", "rsna-more"], "slices": [80, 90], "auc": 0.642}
        ],
        "found_by_kind": {"ct-ich": {"subdural": {"n": 4, "sensitivity": 0.77, "sensitivity_95": [0.3, 0.9]}}},
        "ablations": [{"without": "implants", "folds": [0], "auc": {"ct-ich slice any": difference}}],
    }


def evidence() -> dict[str, Any]:
    share = {"detected": 40, "inside": 0.93, "inside_95": [0.85, 0.97]}
    part = {"slices_with_a_bleed": 50, **share, "by_label": {"any": share, "subdural": {"detected": 0, "inside": None}}}
    missed = {"bleed": "subdural", "seed": 7, "slices": 16, "ml": 3.4, "probability": 0.118}
    flagged = {"subdural": {"studies": 8, "flagged": 7}, "none": {"studies": 8, "flagged": 1}}
    return {
        "tolerance_cells": 1,
        "implants": part,
        "phantoms": part | {"flagged": flagged},
        "failures": [missed, {**missed, "bleed": None, "seed": 3, "ml": 0.0, "probability": 0.611}],
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What training, evaluation and the trial of the evidence leave behind, with random weights."""
    folder = tmp_path_factory.mktemp("runs") / "cranioscan"
    (folder / "final").mkdir(parents=True)
    keras.utils.set_random_seed(1)
    encoder = models.slice_encoder("mobilenetv2", LABELS)
    head = models.sequence_head("transformer", encoder.output["features"].shape[-1], LABELS)
    # Trained a little: what starts from zero would hide a head that went wrong.
    rng = np.random.default_rng(1)
    head.set_weights([weight + rng.normal(0, 0.05, weight.shape) for weight in head.get_weights()])
    encoder.save_weights(folder / "final" / "encoder.weights.h5")
    head.save_weights(folder / "final" / "head.weights.h5")
    data = {"patients": 5, "slices": 9, "citation": "x"}
    config = {
        "model": "cranioscan",
        "backbone": "mobilenetv2",
        "head": "transformer",
        "labels": LABELS,
        "encoder_labels": LABELS,
        "recipe": {"head_view": "evidence"},
        "options": {"encoder": "None"},
        "training_data": [
            {"name": "ct-ich", "use": "training", "licence": "CC BY 4.0", **data},
            {"name": "phe-sich", "use": "training", "licence": "free for non-commercial use", **data},
            {"name": "rsna-sample", "use": "figures only", "licence": "non-commercial use", **data},
        ],
    }
    (folder / "final" / "config.json").write_text(json.dumps(config))
    (folder / "metrics.json").write_text(json.dumps(metrics()))
    (folder / "evidence.json").write_text(json.dumps(evidence()))
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


def test_the_card_carries_the_numbers_of_the_run(run: Path, published: Path) -> None:
    card = ModelCard.read(published)
    assert (card.name, card.version, card.labels, card.input_size) == ("cranioscan", "0.0.7", LABELS, INPUT_SIZE)
    assert card.encoder_weights == hashlib.sha256((run / "final" / "encoder.weights.h5").read_bytes()).hexdigest()
    assert card.description.startswith("MobileNetV2 slice encoder and a Transformer")
    assert (card.default_point, card.default_reason) == ("sensitivity 0.90", "It suits us.")
    assert card.thresholds == {"any": 0.31, "subdural": 0.25}
    assert card.slice_thresholds == {"any": 0.12, "subdural": 0.06}
    assert [point.threshold for point in card.operating_points] == [0.31, 0.2, 0.4]
    assert card.operating_points[0].specificity_95 == [0.61, 0.83]
    assert card.metrics.cross_validation == metrics()["measured"]["cross-validation"]
    assert card.metrics.evidence["phantoms"]["inside"] == 0.93
    assert [vars(failure) for failure in card.failures] == evidence()["failures"]
    assert [source.name for source in card.training_data] == ["ct-ich", "phe-sich", "rsna-sample"]
    assert card.parity.slices == list(SLICES)
    assert card.parity.weights_stored_as == "fp32"
    assert set(card.parity.largest_difference) == {"evidence", "slice_probability", "study_probability"}
    assert max(card.parity.largest_difference.values()) <= card.parity.tolerance == 1e-4
    assert card.software["keras"] == keras.__version__
    for name in (ENCODER_FILE, HEAD_FILE):
        assert card.sha256[name] == hashlib.sha256((published / name).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "text",
    [
        "# cranioscan 0.0.7",
        "| ct-ich | study | any | 9 | 3 | 2 | 5 | 0.910 (0.800 to 0.990) | 0.800 | 0.300; floor 0.500 |",
        "| ct-ich | study | all | 9 |",
        "0.277; floor 0.500",
        "| phe-sich | study | subdural | Youden | 1.00 |  |",
        "| ct-ich | study | any | sensitivity 0.90 | 0.88 (0.70 to 0.97) | 0.81 |",
        "| rsna-sample | slice | any | 9 | 3 | 2 | 5 | 0.765",
        # PPV 0.09 / (0.09 + 0.27) and NPV 0.63 / (0.63 + 0.01) of sensitivity .90, specificity .70 and prevalence .10.
        "| **sensitivity 0.90** | 0.310 | 0.90 (0.50 to 0.99) | 0.70 (0.61 to 0.83) | 0.25 | 0.98 |",
        "### Unknown hospital: trained without rsna",
        "| rsna-more | slice | any | 9 | 3 | 2 | 5 | 0.893",
        "| without | ct-ich | rsna-more | 80 | 90 | 0.642 |",
        "Trained on patients of ct-ich, phe-sich; the figures",
        "It suits us.",
        "28 of ct-ich; without: 38 of ct-ich",
        "prevalence of 41%",
        "subdural 0.250",
        "for non-commercial use only (phe-sich)",
        "| implants | 1 | ct-ich slice any | 0.900 | 0.850 | +0.050 (+0.010 to +0.090) |",
        "| phantoms | all labels | 40 | 0.93 (0.85 to 0.97) |",
        "| implants | subdural | 0 | not estimable |",
        "| ct-ich | subdural | 4 | 0.77 (0.30 to 0.90) |",
        "subdural 7 of 8, none 1 of 8",
        "3 of 5 folds were run",
        "`ichscope phantom FOLDER --bleed subdural --seed 7 --slices 16`",
        "`ichscope phantom FOLDER --seed 3 --slices 16`",
        "0.0438",
    ],
)
def test_the_readme_tells_what_the_card_holds(published: Path, text: str) -> None:
    assert text in (published / "README.md").read_text(encoding="utf-8")


def test_a_model_that_was_not_tried_on_phantoms_has_a_shorter_card(published: Path) -> None:
    card = replace(ModelCard.read(published), failures=(), metrics=Metrics(elsewhere={}))
    text = model_card.readme(card)
    assert not {"## Evidence maps", "## Known failures", "## What helps", "### Elsewhere"} & set(text.split("\n"))
    assert "## Operating points" in text


@pytest.mark.parametrize(
    ("file", "inputs", "outputs"),
    [
        (
            ENCODER_FILE,
            {"hu": (TensorProto.INT16, [None, INPUT_SIZE, INPUT_SIZE])},
            {"features": [None, 8 * 128 + 6], "evidence": [None, 28, 28, 2]},
        ),
        (
            HEAD_FILE,
            {"features": (TensorProto.FLOAT, [None, 8 * 128 + 6])},
            {"slice_probability": [None, 2], "study_probability": [2]},
        ),
    ],
)
def test_names_types_and_shapes_are_the_contract(
    published: Path, file: str, inputs: dict[str, tuple[int, list]], outputs: dict[str, list]
) -> None:
    graph = onnx.load(published / file).graph
    assert {value.name: (value.type.tensor_type.elem_type, _fixed(value)) for value in graph.input} == inputs
    assert {value.type.tensor_type.elem_type for value in graph.output} == {TensorProto.FLOAT}
    session = providers.session(published / file, providers.choose("cpu"))
    assert {value.name for value in session.get_outputs()} == set(outputs)
    for count in (1, 4):
        (name, (kind, sides)), *_ = inputs.items()
        dtype = np.int16 if kind == TensorProto.INT16 else np.float32
        value = np.zeros([count if side is None else side for side in sides], dtype)
        for (name_of_output, shape), output in zip(
            outputs.items(), session.run(list(outputs), {name: value}), strict=True
        ):
            assert output.shape == tuple(count if side is None else side for side in shape), name_of_output


def _fixed(value: onnx.ValueInfoProto) -> list[int | None]:
    """Sides of a tensor; None where free."""
    return [side.dim_value if side.HasField("dim_value") else None for side in value.type.tensor_type.shape.dim]


def test_the_detector_gives_calibrated_keras_probabilities(run: Path, published: Path) -> None:
    detector = Detector(published, "cpu")
    hu = to_onnx._heads(5)
    result = detector.run(hu)
    encoder = models.slice_encoder("mobilenetv2", LABELS)
    encoder.load_weights(run / "final" / "encoder.weights.h5")
    out = {name: np.asarray(value) for name, value in encoder(hu, training=False).items()}
    head = models.sequence_head("transformer", out["features"].shape[1], LABELS)
    head.load_weights(run / "final" / "head.weights.h5")
    logits = head(out["features"][None], training=False)
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    slope, intercept = np.array([1.5, 0.7]), np.array([0.5, -1.0])
    np.testing.assert_allclose(result.evidence, sigmoid(out["evidence"]), atol=1e-4)
    np.testing.assert_allclose(
        result.slice_probability, sigmoid(np.asarray(logits["slice"])[0] * slope + intercept), atol=1e-4
    )
    np.testing.assert_allclose(
        result.study_probability, sigmoid(np.asarray(logits["study"])[0] * slope + intercept), atol=1e-4
    )


def test_a_run_that_is_not_published_yet_gives_the_same(
    run: Path, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(run / "final", tmp_path / "final")
    shutil.copy(published / ENCODER_FILE, folder / "encoder.onnx")
    cpu = providers.choose("cpu")
    monkeypatch.setattr(providers, "available", lambda: (cpu,))
    run, folder_model = trained.Run(folder, metrics()), trained.Published(published)
    hu = to_onnx._heads(9)
    for name in ("slice_probability", "study_probability", "evidence"):
        np.testing.assert_allclose(getattr(run.run(hu), name), getattr(folder_model.run(hu), name), atol=1e-4)
    assert (run.labels, run.threshold) == (list(LABELS), folder_model.threshold)
    assert run.slice_thresholds == folder_model.slice_thresholds


# ---------------------------------------------------------------- what is not


@pytest.fixture(scope="module")
def functions(run: Path) -> tuple[Any, Any]:
    """The run's Keras models, wrapped; built once, since building takes longest."""
    return to_onnx._functions(run, json.loads((run / "final" / "config.json").read_text()), metrics())


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
        for weight in model.graph.initializer:
            if weight.data_type == TensorProto.FLOAT and len(weight.dims) > 1:
                weight.CopyFrom(
                    numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(factor), weight.name)
                )
        onnx.save(model, path)

    return change


def spoil(file: str) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(b"no model") if path.name == file else None


def test_untampered_files_pass_again(run: Path, tmp_path: Path, converted) -> None:
    converted(lambda path: None)
    assert to_onnx.main([str(run), "--models", str(tmp_path), "--version", "1"]) == 0


@pytest.mark.parametrize(
    "change",
    [
        scaled(ENCODER_FILE, 3.0),
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
    assert to_onnx.main([str(run), "--models", str(tmp_path), "--version", "1"]) == 1
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
    assert to_onnx.main([str(run), "--models", str(tmp_path), "--version", "1"]) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", NEEDED)
def test_an_unfinished_run_is_refused_by_name(
    run: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (folder / name).unlink()
    with pytest.raises(SystemExit) as stopped:
        to_onnx.main([str(folder), "--models", str(tmp_path / "models"), "--version", "1"])
    assert stopped.value.code == 2
    assert f"{folder / name}: expected a finished and measured run" in capsys.readouterr().err


def test_a_published_file_that_is_changed_later_is_not_loaded(published: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(published, tmp_path / "cranioscan")
    scaled(HEAD_FILE, 1.001)(folder / HEAD_FILE)
    with pytest.raises(ModelError, match=r"head\.onnx: expected SHA-256"):
        Detector(folder, "cpu")


@pytest.fixture
def sharing(run: Path, published: Path, tmp_path: Path) -> Path:
    """The run of another model on the encoder of the first."""
    folder = tmp_path / "cerebroscan"
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("encoder.weights.h5"))
    config = json.loads((folder / "final" / "config.json").read_text())
    config |= {"model": "cerebroscan", "labels": ["any"], "encoder_labels": LABELS, "head": "lstm"}
    config |= {"options": {"encoder": str(run)}}
    (folder / "final" / "config.json").write_text(json.dumps(config))
    calibration = {level: [[1.0, 0.0]] for level in ("slice", "study")}
    (folder / "metrics.json").write_text(json.dumps(metrics() | {"calibration": calibration}))
    head = models.sequence_head("lstm", features_of(published), ["any"], LABELS)
    head.save_weights(folder / "final" / "head.weights.h5")
    return folder


def features_of(published: Path) -> int:
    """How many features the published encoder gives."""
    outputs = onnx.load(published / ENCODER_FILE).graph.output
    return next(value for value in outputs if value.name == "features").type.tensor_type.shape.dim[1].dim_value


def test_a_model_may_share_the_encoder_of_another(run: Path, published: Path, sharing: Path) -> None:
    """Its evidence is of its own labels alone, in its own order."""
    folder, features = sharing, features_of(published)
    config = json.loads((folder / "final" / "config.json").read_text())
    assert to_onnx.encoder_weights(folder, config) == run / "final" / "encoder.weights.h5"
    calibration = {"calibration": {level: [[1.0, 0.0]] for level in ("slice", "study")}}
    encoder, head = to_onnx._functions(folder, config, calibration)
    hu = to_onnx._heads(2)
    evidence = onnx_files.keras_outputs(encoder, hu)["evidence"]
    assert evidence.shape == (2, 28, 28, 1)
    theirs = providers.session(published / ENCODER_FILE, providers.choose("cpu")).run(["evidence"], {"hu": hu})[0]
    np.testing.assert_allclose(evidence[..., 0], theirs[..., 0], atol=1e-4)
    assert head.input_signature[0].shape[1] == features


@pytest.mark.parametrize("weights", ["same", "other"])
def test_one_encoder_file_is_published_for_both(
    published: Path, sharing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: str
) -> None:
    monkeypatch.setattr(to_onnx, "SLICES", SLICES)
    shelf = tmp_path / "models"
    shutil.copytree(published, shelf / "cranioscan")
    first = ModelCard.read(published)
    if weights == "other":
        replace(first, encoder_weights="other").write(shelf / "cranioscan")
    assert to_onnx.main([str(sharing), "--models", str(shelf), "--version", "1"]) == 0
    folder = shelf / "cerebroscan"
    card = ModelCard.read(folder)
    shared = weights == "same"
    assert (folder / ENCODER_FILE).exists() is not shared
    assert card.encoder_of == ("cranioscan" if shared else "")
    assert (card.sha256[ENCODER_FILE] == first.sha256[ENCODER_FILE]) is shared
    assert ("../cranioscan/encoder.onnx" in (folder / "README.md").read_text(encoding="utf-8")) is shared
    assert Detector(folder, "cpu").run(to_onnx._heads(2)).evidence.shape == (2, 28, 28, 1)


# ---------------------------------------------------------------- convolutions


def small_net(constants: dict[str, np.ndarray], steps: list[tuple[str, list[str]]], bias: bool) -> onnx.ModelProto:
    """A convolution of 3 to 4 channels, and what comes behind it; the last step is the output."""
    rng = np.random.default_rng(0)
    values = {"w": rng.normal(size=(4, 3, 3, 3)), **({"b": rng.normal(size=4)} if bias else {}), **constants}
    nodes = [helper.make_node("Conv", ["x", *[n for n in ("w", "b") if n in values]], ["y0"], pads=[1, 1, 1, 1])]
    nodes += [helper.make_node(kind, inputs, [f"y{i}"]) for i, (kind, inputs) in enumerate(steps, 1)]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 4, 4])
    out = helper.make_tensor_value_info(f"y{len(steps)}", TensorProto.FLOAT, ["n", 4, 4, 4])
    weights = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "net", [x], [out], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


BY_CHANNEL = {name: np.random.default_rng(i).normal(size=(1, 4, 1, 1)) for i, name in enumerate(("m", "a"))}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("constants", "steps", "left"),
    [
        (BY_CHANNEL, [("Mul", ["y0", "m"]), ("Add", ["y1", "a"]), ("Relu", ["y2"])], ["Conv", "Relu"]),
        (BY_CHANNEL, [("Add", ["a", "y0"]), ("Mul", ["m", "y1"])], ["Conv"]),
        ({"m": np.array(3.0), "a": np.ones((4, 1, 1))}, [("Mul", ["y0", "m"]), ("Add", ["y1", "a"])], ["Conv"]),
        # Four columns are no four channels.
        ({"m": np.arange(4.0)}, [("Mul", ["y0", "m"])], ["Conv", "Mul"]),
        # Read twice: what stands between must stay.
        (BY_CHANNEL, [("Mul", ["y0", "m"]), ("Add", ["y1", "y0"])], ["Conv", "Mul", "Add"]),
        ({}, [("Add", ["y0", "y0"])], ["Conv", "Add"]),
    ],
)
def test_what_follows_a_convolution_by_channel_goes_into_it(
    constants: dict[str, np.ndarray], steps: list[tuple[str, list[str]]], left: list[str], bias: bool
) -> None:
    model = small_net(constants, steps, bias)
    x = np.random.default_rng(9).normal(size=(2, 3, 4, 4)).astype(np.float32)
    expected = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    assert onnx_files.fold_into_convolutions(model) == int(len(left) < 1 + len(steps))
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == left
    output = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    np.testing.assert_allclose(output, expected, atol=1e-5)


def test_a_published_encoder_has_no_batch_norm_left(published: Path) -> None:
    graph = onnx.load(published / ENCODER_FILE).graph
    convolved = {node.output[0] for node in graph.node if node.op_type == "Conv"}
    constants = {weight.name for weight in graph.initializer}
    behind = [n for n in graph.node if n.op_type in ("Mul", "Add") and convolved & set(n.input)]
    assert len(convolved) > 50
    assert not [node.name for node in behind if constants & set(node.input)]


def pooled(before: str, pads: list[int], more: dict[str, Any], value: float | None = None) -> onnx.ModelProto:
    """What Keras makes of a pool with a rim: a layer of zeros, then the pool without one."""
    nodes = [
        helper.make_node(before, ["x"], ["y"]),
        helper.make_node("Pad", ["y", "pads", *(["value"] if value is not None else [])], ["z"], **more),
        helper.make_node("MaxPool", ["z"], ["out"], kernel_shape=[3, 3], strides=[2, 2]),
    ]
    values = {"pads": np.array(pads)} | ({"value": np.float32(value)} if value is not None else {})
    constants = [numpy_helper.from_array(np.asarray(weight), name) for name, weight in values.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2, 6, 6])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", "c", "h", "w"])
    graph = helper.make_graph(nodes, "net", [x], [out], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.mark.parametrize(
    ("before", "pads", "more", "value", "left"),
    [
        ("Relu", [0, 0, 1, 1, 0, 0, 1, 1], {}, None, ["Relu", "MaxPool"]),
        ("Relu", [0, 0, 0, 1, 0, 0, 1, 0], {"mode": "constant"}, 0.0, ["Relu", "MaxPool"]),
        # A rim of zeros above what is negative, another value, channels or a mirror: these must stay.
        ("Identity", [0, 0, 1, 1, 0, 0, 1, 1], {}, None, ["Identity", "Pad", "MaxPool"]),
        ("Relu", [0, 0, 1, 1, 0, 0, 1, 1], {}, 0.5, ["Relu", "Pad", "MaxPool"]),
        ("Relu", [0, 1, 1, 1, 0, 0, 1, 1], {}, None, ["Relu", "Pad", "MaxPool"]),
        ("Relu", [0, 0, 1, 1, 0, 0, 1, 1], {"mode": "reflect"}, None, ["Relu", "Pad", "MaxPool"]),
    ],
)
def test_zeros_around_a_map_are_left_to_the_pool(
    before: str, pads: list[int], more: dict[str, Any], value: float | None, left: list[str]
) -> None:
    model = pooled(before, pads, more, value)
    x = np.random.default_rng(3).normal(-0.5, 1, size=(2, 2, 6, 6)).astype(np.float32)
    expected = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    assert onnx_files.pad_while_pooling(model) == int("Pad" not in left)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == left
    np.testing.assert_array_equal(ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0], expected)


# ---------------------------------------------------------------- half precision


def test_half_storage_halves_the_file_and_keeps_the_numbers(published: Path, tmp_path: Path) -> None:
    model = onnx.load(published / ENCODER_FILE)
    onnx_files._store_half(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, tmp_path / "half.onnx")
    whole, half = (published / ENCODER_FILE).stat().st_size, (tmp_path / "half.onnx").stat().st_size
    assert 0.45 < half / whole < 0.6
    small = {
        weight.name: weight.data_type
        for weight in model.graph.initializer
        if np.prod(weight.dims) < onnx_files._HALF_FROM_VALUES
    }
    assert TensorProto.FLOAT16 not in small.values()
    cpu = providers.choose("cpu")
    hu = to_onnx._heads(2)
    in_fp32, in_fp16 = (
        providers.session(path, cpu).run(["evidence"], {"hu": hu})[0]
        for path in (published / ENCODER_FILE, tmp_path / "half.onnx")
    )
    np.testing.assert_allclose(in_fp32, in_fp16, atol=to_onnx.TOLERANCE_HALF)
    assert not np.array_equal(in_fp32, in_fp16)


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
    assert to_onnx.main([str(run), "--models", str(tmp_path), "--version", "1"]) == 0
    card = ModelCard.read(tmp_path / "cranioscan")
    assert (card.parity.weights_stored_as, card.parity.tolerance) == ("fp16", to_onnx.TOLERANCE_HALF)
    assert Detector(tmp_path / "cranioscan", "cpu").run(to_onnx._heads(1)).evidence.shape == (1, 28, 28, 2)


# ---------------------------------------------------------------- what is published already


def test_an_encoder_that_computes_the_same_keeps_its_file(
    run: Path, published: Path, tmp_path: Path, converted
) -> None:
    folder = shutil.copytree(published, tmp_path / "cranioscan")
    model = onnx.load(folder / ENCODER_FILE)
    model.doc_string = "the same graph, in other bytes"
    onnx.save(model, folder / ENCODER_FILE)
    kept = (folder / ENCODER_FILE).read_bytes()
    converted(lambda path: None)
    assert to_onnx.main([str(run), "--models", str(tmp_path), "--version", "0.0.8"]) == 0
    assert (folder / ENCODER_FILE).read_bytes() == kept != (published / ENCODER_FILE).read_bytes()
    assert ModelCard.read(folder).version == "0.0.8"
    assert Detector(folder, "cpu").run(to_onnx._heads(1)).evidence.shape == (1, 28, 28, len(LABELS))


def test_an_encoder_that_computes_something_else_does_not(
    run: Path, published: Path, tmp_path: Path, converted
) -> None:
    folder = shutil.copytree(published, tmp_path / "cranioscan")
    scaled(ENCODER_FILE, 1.001)(folder / ENCODER_FILE)
    converted(lambda path: None)
    assert to_onnx.main([str(run), "--models", str(tmp_path), "--version", "0.0.8"]) == 0
    assert (folder / ENCODER_FILE).read_bytes() == (published / ENCODER_FILE).read_bytes()


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
    head = models.sequence_head(kind, 12, ("any",))
    calibration = {level: [[2.0, 0.3]] for level in ("slice", "study")}
    function = onnx_files.head_function(head, calibration)
    onnx_files.convert(function, tmp_path / "head.onnx")
    session = providers.session(tmp_path / "head.onnx", providers.choose("cpu"))
    for count in (1, 2, 17, 60):
        features = np.random.default_rng(count).normal(size=(count, 12)).astype(np.float32)
        expected = onnx_files.keras_outputs(function, features)
        names = list(expected)
        for name, output in zip(names, session.run(names, {"features": features}), strict=True):
            np.testing.assert_allclose(output, expected[name], atol=1e-5)
