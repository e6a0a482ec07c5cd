"""The training script around the models: folders, recipes, phases. What it learns is shown by the model cards."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ichscope.labels import LABELS

keras = pytest.importorskip("keras")
train = pytest.importorskip("training.train")
models = pytest.importorskip("training.models")
splits = pytest.importorskip("training.splits")
embedded = pytest.importorskip("training.embedded")

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

NOBODY = splits.Split([], [], [], [], [])


@pytest.mark.parametrize(
    ("fold", "without", "expected"),
    [
        (None, "", "runs/cranioscan/final"),
        (3, "", "runs/cranioscan/fold-3"),
        (0, "implants", "runs/cranioscan/without-implants/fold-0"),
    ],
)
def test_runs_have_their_own_folders(fold: int | None, without: str, expected: str) -> None:
    assert train.default_run("cranioscan", fold, without) == Path(expected)


def config(*arguments: str, run: Path = Path("none")):
    options = train._parse(["cranioscan", *arguments])
    return train._config(options, NOBODY, run)


def test_effort_lengthens_the_recipe() -> None:
    once, twice = (config("--backbone-weights", "none", "--effort", effort)["recipe"] for effort in ("1", "2"))
    assert [2 * phase["epochs"] for phase in once["phases"]] == [phase["epochs"] for phase in twice["phases"]]
    assert [phase["fine_only"] for phase in once["phases"]] == [True, True, False]


def test_a_pretrained_backbone_rests_at_first() -> None:
    phases = config("--backbone-weights", "imagenet", "--backbone", "mobilenetv2")["recipe"]["phases"]
    assert [phase["backbone"] for phase in phases] == [False, True, True]
    assert all(phase["settled"] for phase in phases), "its batch norm may be folded"


def test_a_run_goes_on_only_as_it_was_begun(tmp_path: Path) -> None:
    train._start(tmp_path / "run", config("--backbone-weights", "none"))
    train._start(tmp_path / "run", config("--backbone-weights", "none", "--workers", "2"))
    with pytest.raises(SystemExit, match="begun with another recipe"):
        train._start(tmp_path / "run", config("--backbone-weights", "none", "--effort", "2"))


def test_another_models_encoder_brings_its_labels_and_data(tmp_path: Path) -> None:
    theirs = {**config("--backbone-weights", "none", "--effort", "3"), "training_data": [{"name": "theirs"}]}
    train._start(tmp_path / "fold-2", theirs)
    options = train._parse(["cerebroscan", "--fold", "2", "--encoder", str(tmp_path)])
    begun = train._config(options, NOBODY, Path("none"))
    assert begun["labels"] == ("any",)
    assert len(begun["encoder_labels"]) == 6
    assert begun["training_data"] == [{"name": "theirs"}]
    assert begun["recipe"] == json.loads(json.dumps(theirs["recipe"]))


def test_an_encoder_learns_every_label_for_a_head_that_gives_one() -> None:
    options = train._parse(["cerebroscan", "--backbone-weights", "none"])
    begun = train._config(options, NOBODY, Path("none"))
    assert (begun["backbone"], begun["labels"], begun["encoder_labels"]) == ("mobilenetv2", ("any",), LABELS)


@pytest.fixture(scope="module")
def encoder():
    return models.slice_encoder("mobilenetv2", ("any",), size=None)


def moving_means(encoder) -> list[np.ndarray]:
    norms = train._norms(encoder.get_layer("mobilenetv2").layers)
    return [keras.ops.convert_to_numpy(norm.moving_mean).copy() for norm in norms]


@pytest.mark.parametrize(
    ("phase", "backbone_trains", "normalised"),
    [
        (train.Phase(1, 1e-3), True, {True}),
        (train.Phase(1, 1e-3, settled=True), True, {False}),
        (train.Phase(1, 1e-3, backbone=False, settled=True), False, {False}),
        (train.Phase(1, 1e-3, coarse_only=True), True, {False, True}),
        (train.Phase(2, 1e-3), True, {True}),
    ],
)
def test_what_a_phase_trains(encoder, phase, backbone_trains: bool, normalised: set[bool]) -> None:
    train._freeze(encoder, "mobilenetv2", phase)
    assert bool(encoder.get_layer("mobilenetv2").trainable_variables) is backbone_trains
    assert encoder.get_layer("lateral_1").trainable_variables
    before = moving_means(encoder)
    encoder(np.random.default_rng(0).integers(-100, 100, (2, 64, 64)).astype(np.int16), training=True)
    changed = [not np.array_equal(a, b) for a, b in zip(before, moving_means(encoder), strict=True)]
    assert set(changed) == normalised


def test_a_coarse_phase_leaves_the_fine_map_alone(encoder) -> None:
    train._freeze(encoder, "mobilenetv2", train.Phase(1, 1e-3, coarse_only=True))
    free = {id(variable) for variable in encoder.trainable_variables}
    assert free
    assert not free & {id(variable) for variable in models.fine_part(encoder, "mobilenetv2").variables}


def test_a_stem_stays_as_it_is_and_what_follows_it_learns(encoder) -> None:
    train._freeze(encoder, "mobilenetv2", train.Phase(1, 1e-3, stem=False, settled=True))
    stages = encoder.get_layer("mobilenetv2")
    learning = [layer.name for layer in stages.layers if layer.trainable_variables]
    assert learning[0] == "block_2_expand"
    train._freeze(encoder, "mobilenetv2", train.Phase(1, 1e-3))
    assert stages.get_layer("Conv1").trainable_variables, "a later phase moves it again"


@pytest.mark.parametrize("backbone", models.BACKBONES)
def test_every_backbone_has_its_stem_before_its_finest_stage(backbone: str) -> None:
    encoder = models.slice_encoder(backbone, ("any",), None, size=None)
    stages = encoder.get_layer(backbone)
    names = [layer.name for layer in models.stem(stages, backbone)]
    assert 1 < len(names) < stages.layers.index(stages.get_layer(models.BACKBONES[backbone].stages[0]))


def test_features_are_kept_as_they_were(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    studies = [
        embedded.EmbeddedStudy(
            "ours", f"p{n}", f"s{n}", rng.random((n, 3), np.float32), rng.random((n, 6)).astype(np.float32)
        )
        for n in (4, 1, 7)
    ]
    embedded.save(studies, tmp_path / "features.npz")
    for kept, restored in zip(studies, embedded.restore(tmp_path / "features.npz"), strict=True):
        assert (kept.source, kept.patient, kept.study) == (restored.source, restored.patient, restored.study)
        np.testing.assert_array_equal(kept.features, restored.features)
        np.testing.assert_array_equal(kept.labels, restored.labels)


def test_a_model_shows_only_its_labels() -> None:
    hu = keras.Input((16, 16), dtype="int16")
    x = keras.ops.expand_dims(keras.ops.cast(hu, "float32"), -1)
    evidence = keras.layers.Concatenate()([x, 2 * x, 3 * x])
    encoder = keras.Model(hu, {"features": keras.layers.GlobalAveragePooling2D()(evidence), "evidence": evidence})
    shown = models.showing(encoder, ("a", "b", "c"), ("c",))
    out = shown(np.full((2, 16, 16), 5, np.int16))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(out["evidence"]), np.full((2, 16, 16, 1), 15))
    assert out["features"].shape == (2, 3)
    assert models.showing(encoder, ("a", "b"), ("a", "b")) is encoder


@pytest.fixture
def folds(tmp_path: Path) -> Path:
    """Runs of three folds, of which two have features of the patients held back from them."""
    for number in range(3):
        (tmp_path / f"fold-{number}").mkdir()
        if number:
            kept = embedded.EmbeddedStudy(
                "ours", f"p{number}", f"s{number}", np.full((4, 300), number, np.float32), np.zeros((4, 6), np.float32)
            )
            embedded.save([kept], tmp_path / f"fold-{number}" / train._LEARNING_FILE)
    return tmp_path


@pytest.mark.parametrize(
    ("run", "others"),
    [
        ("fold-0", ["fold-1", "fold-2"]),
        ("fold-1", ["fold-2"]),
        ("final", ["fold-1", "fold-2"]),
        ("without-implants/fold-2", ["fold-1"]),
    ],
)
def test_a_head_learns_from_folds_that_hold_others_back(folds: Path, run: str, others: list[str]) -> None:
    assert [path.relative_to(folds).as_posix() for path in train._other_folds(folds / run)] == others


def test_a_head_learns_on_what_encoders_saw_unseen(folds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learned: list[str] = []
    monkeypatch.setattr(
        train, "fit_head", lambda head, columns, studies, *_, **__: learned.extend(s.study for s in studies)
    )
    monkeypatch.setattr(train, "embed", lambda *_: pytest.fail("nobody is left to predict"))
    train.train_head(folds / "fold-1", config("--backbone-weights", "none"), NOBODY, folds / "fold-1")
    assert learned == ["s2"]
    assert (folds / "fold-1" / train.HEAD_FILE).is_file()
    assert not (folds / "fold-1" / "predictions.csv").exists()


def test_without_other_folds_a_head_learns_on_its_own_patients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = embedded.EmbeddedStudy("ours", "p", "own", np.zeros((4, 300), np.float32), np.zeros((4, 6), np.float32))
    learned: list[str] = []
    monkeypatch.setattr(train, "_kept", lambda run, config, name, make: [own] if name == "training" else [])
    monkeypatch.setattr(
        train, "fit_head", lambda head, columns, studies, *_, **__: learned.extend(s.study for s in studies)
    )
    (tmp_path / "final").mkdir()
    train.train_head(tmp_path / "final", config("--backbone-weights", "none"), NOBODY, tmp_path / "final")
    assert learned == ["own"]
    assert "own training patients" in capsys.readouterr().out
