"""The gate's training: pictures keep track of their heads, crops their truth, NumPy computes what Keras trained."""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ichscope.imaging.picture_gate import SIDE, Gate, from_json, gate, scores
from ichscope.imaging.picture_regions import Region
from ichscope.phantom import make, write
from training import picture_gate
from training.gate.draw import Drawer, Made, part_of
from training.gate.dress import KINDS, Picture, dressed, film, tiled, turned
from training.gate.heads import head_box, head_files
from training.gate.others import DRAWN, mri_of
from training.picture_gate import as_gate, best, crops, gathered, network, trained, truth


@pytest.fixture(scope="module")
def base() -> Picture:
    grey = np.clip(make(None, 1, slices=8, size=192).hu[4] / np.float32(80), 0, 1).astype(np.float32)
    box = head_box(grey)
    assert box is not None
    return Picture(grey, (box,))


@pytest.mark.parametrize("kind", KINDS)
def test_a_dressed_head_is_where_its_box_says(base: Picture, kind: str) -> None:
    rng = np.random.default_rng(4)
    for _ in range(3):
        made = dressed(turned(base, rng), rng, kind, 300)
        (top, left, bottom, right), (rows, columns) = made.heads[0], made.grey.shape
        assert made.grey.dtype == np.float32
        assert 0 <= made.grey.min() <= made.grey.max() <= 1
        middle = made.grey[
            max(0, int(top * 0.7 + bottom * 0.3)) : int(top * 0.3 + bottom * 0.7),
            max(0, int(left * 0.7 + right * 0.3)) : int(left * 0.3 + right * 0.7),
        ]
        assert middle.mean() > 0.2  # brain, and not the black around it
        assert (bottom - top) * (right - left) < 1.3 * rows * columns


def test_a_head_is_found_among_the_crops(base: Picture) -> None:
    truths = [value for _, value in crops(Made(base, "head CT", "as it is"))]
    assert 1.0 in truths


def test_a_film_is_no_head_but_its_pictures_are(base: Picture) -> None:
    made = Made(film([base] * 4, np.random.default_rng(0)), "film", "film")
    truths = [value for _, value in crops(made)]
    assert len(made.picture.heads) == 4
    assert 0.0 in truths


def in_margins(base: Picture, value: float) -> Picture:
    """The head cropped to its edge, with wide margins of one grey."""
    top, left, bottom, right = map(int, base.heads[0])
    grey = np.pad(base.grey[top:bottom, left:right], 25, constant_values=value)
    return Picture(grey, ((25, 25, 25 + bottom - top, 25 + right - left),))


@pytest.mark.parametrize(("value", "expected"), [(0.0, 1.0), (0.55, 0.0), (1.0, 0.0)])
def test_margins_that_the_reader_takes_for_the_head_are_none(base: Picture, value: float, expected: float) -> None:
    picture = in_margins(base, value)
    (head,) = picture.heads
    assert truth(whole(picture), Made(picture, "head CT", "margins")) == expected
    assert truth(Region(*map(int, head)), Made(picture, "head CT", "margins")) == 1.0


def test_on_a_photograph_black_is_not_known(base: Picture) -> None:
    picture = in_margins(base, 0.3)
    assert truth(whole(picture), Made(picture, "head CT", "monitor")) is None


def test_a_part_of_one_head_beside_a_part_of_the_next_is_none(base: Picture) -> None:
    made = Made(tiled([in_margins(base, 0.0)] * 2, 2, 100, 0, 0.0), "film", "film")
    assert truth(Region(0, 0, 100, 100), made) == 1.0
    assert truth(Region(0, 50, 100, 150), made) == 0.0
    assert truth(whole(made.picture), made) == 0.0


def whole(picture: Picture) -> Region:
    return Region(0, 0, *picture.grey.shape)


@pytest.mark.parametrize("kind", DRAWN)
def test_everything_else_is_drawn_as_grey(kind: str) -> None:
    grey = DRAWN[kind](np.random.default_rng(3))
    assert grey.dtype == np.float32
    assert 0 <= grey.min() < grey.max() <= 1
    assert all(value == 0 for _, value in crops(Made(Picture(grey), kind, "as it is")))


def test_mri_has_a_dark_skull(base: Picture) -> None:
    hu = make(None, 1, slices=8, size=192).hu[4].astype(np.float32)
    assert mri_of(hu, np.random.default_rng(1))[hu > 400].mean() < 0.4


def random_weights(seed: int) -> keras.Model:
    """A network whose biases, too, are not zero."""
    model, rng = network(), np.random.default_rng(seed)
    for layer in model.layers:
        layer.set_weights(
            [rng.normal(0, 1 / np.sqrt(values[..., 0].size), values.shape) for values in layer.get_weights()]
        )
    return model


def shipped() -> keras.Model:
    model = network()
    set_weights(model, gate())
    return model


def set_weights(model: keras.Model, known: Gate) -> None:
    weighted = [layer for layer in model.layers if layer.get_weights()]
    for layer, weights in zip(weighted, known.layers, strict=True):
        layer.set_weights(weights)


@pytest.mark.parametrize(
    "model", [random_weights(0), random_weights(1), shipped()], ids=["random", "random", "shipped"]
)
@pytest.mark.parametrize("kind", ["noise", "pictures"])
def test_numpy_computes_what_keras_does(base: Picture, model: keras.Model, kind: str) -> None:
    rng = np.random.default_rng(7)
    if kind == "noise":
        seen = rng.normal(0.5, 1, (64, 48, 48, 2)).astype(np.float32)
    else:
        heads = [Made(dressed(base, rng, kind, 200), "head CT", kind) for kind in KINDS]
        others = [Made(Picture(DRAWN[kind](rng)), kind, "as it is") for kind in DRAWN]
        seen = gathered([*heads, *others], rng)[0].astype(np.float32)
    known = as_gate(model)
    set_weights(model, known)  # rounded, as the file has them
    assert np.allclose(scores(seen, known), model(seen).numpy()[:, 0], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_a_gate_is_learned_and_the_same_every_time(base: Picture) -> None:
    rng = np.random.default_rng(5)
    heads = [Made(dressed(base, rng, kind, 200), "head CT", kind) for kind in KINDS]
    others = [Made(Picture(DRAWN[kind](rng)), kind, "as it is") for kind in ("document", "texture", "rings", "plot")]
    seen, wanted = gathered([*heads, *others], rng)
    first, again = (as_gate(trained(seen, wanted, 12, 0)) for _ in range(2))
    score = scores(seen.astype(np.float32), first)
    assert score[wanted == 1].mean() > score[wanted == 0].mean()
    assert best(heads[0], first) > -99
    assert scores(seen.astype(np.float32), again) == pytest.approx(score, abs=1e-3)


# ---------------------------------------------------------------- from folders to a file of weights


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every collection in its layout, with heads that are all synthetic."""
    root = tmp_path_factory.mktemp("collections")
    head = make("subdural", 2, slices=8, size=128)
    grey = np.clip(head.hu[4] / 80 * 255, 0, 255).astype(np.uint8)
    for patient in range(1, 13):
        slices = {"brain": np.clip((head.hu[4] + 20) / 120 * 255, 0, 255), "bone": (head.hu[4] + 900.0) / 3200 * 255}
        for window, values in slices.items():
            save(np.clip(values, 0, 255).astype(np.uint8), root / f"ct-ich/Patients_CT/{patient:03}/{window}/4.jpg")
    for name, column in (("rsna-more", "patient"), ("rsna-sdh", "group"), ("phe-sich", "patient")):
        rows = [(f"images/{patient}.jpg", f"ID_{patient}") for patient in range(12)]
        for file, _ in rows:
            save(grey, root / name / file)
        (root / name / "labels.csv").write_text("".join(f"{a},{b}\n" for a, b in [("file", column), *rows]))
    write(make(None, 3, slices=8, size=128), root / "rsna-sample/dicom/one")
    return root


@pytest.fixture(scope="module")
def package_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    noise = np.random.default_rng(0).integers(0, 255, (240, 260)).astype(np.uint8)
    for folder in ("train/wall", "test/floor", "brains"):
        save(noise, root / folder / "1.png")
    return root


def save(grey: NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey).save(path)


def test_patients_are_of_one_part_only(collections: Path) -> None:
    files = head_files(collections)
    assert Counter(file.source for file in files) == {
        "ct-ich": 12, "rsna-more": 12, "rsna-sdh": 12, "phe-sich": 12, "rsna-sample": 8,
    }  # fmt: skip
    parts = {(file.source.split("-")[0], file.patient): set[str]() for file in files}
    for file in files:
        parts[file.source.split("-")[0], file.patient].add(part_of(file))
    assert set(map(len, parts.values())) == {1}
    assert set.union(*parts.values()) == {"train", "tune", "test"}


@pytest.mark.parametrize("part", ["train", "test"])
def test_pictures_of_a_part_follow_from_the_seed(collections: Path, package_pictures: Path, part: str) -> None:
    first, again = (Drawer(collections, package_pictures, part, np.random.default_rng(3)) for _ in range(2))
    kinds = set()
    for one, other in zip(drawn(first), drawn(again), strict=True):
        assert (one.kind, one.dress, one.picture.heads) == (other.kind, other.dress, other.picture.heads)
        np.testing.assert_array_equal(one.picture.grey, other.picture.grey)
        kinds.add(one.kind)
    real = "real wall" if part == "train" else "real floor"
    assert {"head CT", "film", "MRI of a head", real} <= kinds
    assert ("MRI of a brain" in kinds) == (part == "train")


def drawn(drawer: Drawer) -> list[Made]:
    return [*drawer.heads_dressed(12, 4), *drawer.films(3), *drawer.others_dressed(len(DRAWN) + 4)]


def test_from_folders_to_weights_and_figures(
    collections: Path, package_pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(picture_gate, "_same_every_time", lambda: None)  # only before TensorFlow's first use
    monkeypatch.setattr(picture_gate, "_SHARDS", 2)
    monkeypatch.setattr(picture_gate, "_TUNED", 8)
    monkeypatch.setattr(picture_gate, "_MEASURED", (8, 2 * (len(DRAWN) + 2)))
    out, cache = tmp_path / "gate.json", tmp_path / "crops.npz"
    where = ["--data", str(collections), "--others", str(package_pictures), "--out", str(out), "--workers", "1"]
    for _ in range(2):  # the second time with crops that are kept
        picture_gate.main([*where, "--pictures", "40", "--epochs", "2", "--cache", str(cache)])
    said = capsys.readouterr().out
    learned = from_json(out.read_text("utf-8"))
    assert sha256(out.read_bytes()).hexdigest() in said
    assert np.load(cache)["seen"].shape[1:] == (SIDE, SIDE, 2)
    assert np.isfinite(learned.threshold)
    figures = json.loads(said[said.rindex("{") :])
    assert figures["all heads"].endswith(" of 8")
    assert figures["real floor"].endswith(" of 2")
    picture_gate.main([*where, "--measure"])
    assert json.loads(capsys.readouterr().out) == figures
