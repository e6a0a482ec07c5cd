"""Any collection trains by itself, from a folder to a model that the dashboard loads; in small, on synthetic heads."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ichscope import phantom
from ichscope.imaging.preprocess import model_input
from ichscope.labels import LABELS
from ichscope.models.card import ModelCard
from ichscope.models.detector import Detector
from training import rsna_shaped

pytest.importorskip("keras")
train = pytest.importorskip("training.train")
batches = pytest.importorskip("training.batches")
evaluate = pytest.importorskip("training.evaluate")
to_onnx = pytest.importorskip("export.to_onnx")

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Keras and tf2onnx on NumPy 2
    pytest.mark.filterwarnings("ignore:(?s).*You are using a softmax over axis:UserWarning"),
]
PATIENTS, SLICES, SIZE = 6, 10, 64


def grey(hu: np.ndarray) -> np.ndarray:
    return np.clip(hu / 80 * 255, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def heads() -> dict[str, list[phantom.Phantom]]:
    """Heads with a bleed and without."""
    return {
        "bleeding": [phantom.make("intraparenchymal", seed, SLICES, SIZE) for seed in range(PATIENTS)],
        "normal": [phantom.make(None, seed, SLICES, SIZE) for seed in range(PATIENTS, 2 * PATIENTS)],
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, heads: dict[str, list[phantom.Phantom]]) -> Path:
    """A folder of pictures, of a hospital's own studies, and RSNA slices with labels."""
    folder = tmp_path_factory.mktemp("collections")
    rows, slices = [("study", "any", "IPH")], [("file", "sop", "patient", "study", "window_centre", *LABELS)]
    for kind, group in heads.items():
        for number, head in enumerate(group):
            place = int(head.labels[:, 0].argmax()) if kind == "bleeding" else SLICES // 2
            picture = Image.fromarray(grey(head.hu[place]))
            name = f"{kind}{number}"
            for path in (folder / "pictures" / "Training" / kind / f"{name}.png", folder / "rsna-more" / f"{name}.png"):
                path.parent.mkdir(parents=True, exist_ok=True)
                picture.save(path)
            slices.append((f"{name}.png", name, name, "", "40", *map(str, head.labels[place].astype(int).tolist())))
            rows.append((name, str(int(kind == "bleeding")), str(int(kind == "bleeding"))))
            phantom.write(head, folder / "own" / name)
    for path, table in ((folder / "own" / "labels.csv", rows), (folder / "rsna-more" / "labels.csv", slices)):
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(table)
    rsna_shaped.write(folder / "rsna-2019", 12, slices=6, size=SIZE)
    return folder


def arguments(root: Path, run: Path, *more: str) -> list[str]:
    weights = ["--backbone", "mobilenetv2", "--backbone-weights", "none"]
    return [*weights, "--data", str(root), "--cache", str(root / "cache"), "--run", str(run), "--rehearse", *more]


@pytest.mark.parametrize(
    ("sources", "lines"),
    [
        (["pictures"], ["no whole normal heads", "no outlines", "no neighbouring slices", "nothing known of epidural"]),
        (
            ["rsna-more"],
            ["no whole normal heads", "no outlines", "no neighbouring slices", "nothing known of epidural"],
        ),
        (["own"], []),
        (["rsna-2019"], []),
        (["own", "pictures"], []),
    ],
)
@pytest.mark.parametrize("without", ["", "implants", "evidence"])
def test_every_phase_has_batches(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sources: list[str],
    lines: list[str],
    without: str,
) -> None:
    drawn = []

    def draw(run, config, data, options) -> None:
        studies = [*data.training, *data.training_implants]
        for number, phase in enumerate(config["recipe"]["phases"]):
            made = batches.SliceBatches(studies, config["labels"], phase["batch"], 1, number, phase["crop"])
            drawn.append(made[0][0].shape[1:])

    monkeypatch.setattr(train, "train_encoder", draw)
    left_out = ["--without", without] if without else []
    train.main(["cranioscan", *arguments(root, tmp_path, "--sources", *sources, "--stage", "encoder", *left_out)])
    assert drawn
    said = [line.removeprefix("left out: ") for line in capsys.readouterr().out.splitlines() if "left out" in line]
    if not without:
        assert len(said) == len(lines)
        assert all(line.startswith(start) for line, start in zip(said, lines, strict=True))
    if sources == ["pictures"]:
        assert set(drawn) == {(224, 224)}, "no parts of slices without outlines"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--sources", "ct-ich"], "ct-ich: expected the collection ct-ich here"),
        (["--sources", "bhsd"], "bhsd"),
    ],
)
def test_what_is_missing_is_said_without_a_traceback(root: Path, tmp_path: Path, more: list[str], says: str) -> None:
    with pytest.raises(SystemExit, match=says):
        train.main(["cranioscan", *arguments(root, tmp_path, *more)])


def test_a_folder_without_collections_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="found none of the collections ct-ich, phe-sich"):
        train.main(["cranioscan", *arguments(tmp_path, tmp_path / "run")])


@pytest.mark.slow
def test_from_a_folder_of_pictures_to_a_model_that_loads(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heads: dict[str, list[phantom.Phantom]]
) -> None:
    """The documented commands, one after the other."""
    runs, shelf = tmp_path / "runs" / "cerebroscan", tmp_path / "models"
    pictures = ("--sources", "pictures")
    train.main(["cerebroscan", *arguments(root, runs / "fold-0", "--fold", "0", *pictures)])
    train.main(["cerebroscan", *arguments(root, runs / "final", *pictures)])
    assert evaluate.main([str(runs)]) == 0
    monkeypatch.setattr(to_onnx, "SLICES", (1, 3))
    assert to_onnx.main([str(runs), "--models", str(shelf), "--version", "0.0.1"]) == 0
    card = ModelCard.read(shelf / "cerebroscan")
    assert card.labels == ("any",)
    assert any("single slices" in limit for limit in card.limits)
    assert {source.name: source.use for source in card.training_data} == {
        "pictures": "training",
        "rsna-more": "figures only",
    }
    assert "rsna-more slice any" in card.metrics.elsewhere
    hu, _ = model_input(heads["bleeding"][0].hu)
    result = Detector(shelf / "cerebroscan").run(hu[:3])
    assert result.slice_probability.shape == (3, 1)
    assert np.isfinite(result.study_probability).all()
