from __future__ import annotations

import itertools
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

keras = pytest.importorskip("keras")
models = pytest.importorskip("training.models")
sequences = pytest.importorskip("training.sequences")
batches = pytest.importorskip("training.batches")
embedded_studies = pytest.importorskip("training.embedded")
onnx_files = pytest.importorskip("training.onnx_files")
data = pytest.importorskip("training.data")

NAN = float("nan")

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:(?s).*You are using a softmax over axis:UserWarning"),
]


def embedded(source: str, count: int, positive: int = 0, seed: int = 0):
    """Features count slices up, so that a piece tells where it came from; `positive` slices bleed."""
    features = np.repeat(np.arange(count, dtype=np.float32)[:, None], 3, axis=1)
    labels = np.zeros((count, 6), np.float32)
    labels[:positive, [0, 5]] = 1
    return sequences.EmbeddedStudy(source, f"{source}/{seed}", f"{source}{seed}", features, labels)


# ---------------------------------------------------------------- study_labels


@pytest.mark.parametrize(
    ("slices", "expected"),
    [
        ([0, 0, 0], 0),
        ([0, 1, 0], 1),
        ([1, NAN, 0], 1),
        ([0, NAN, 0], NAN),
        ([NAN], NAN),
        ([1], 1),
    ],
)
def test_study_labels(slices: list[float], expected: float) -> None:
    known = embedded_studies.labels_of_study(np.array(slices, np.float32)[None, :, None])
    np.testing.assert_array_equal(known, np.float32([[expected]]))
    assert known.dtype == np.float32


# ---------------------------------------------------------------- pieces


@pytest.mark.parametrize(("count", "length"), [(1, 1), (1, 12), (5, 12), (30, 1), (30, 24), (24, 24)])
def test_a_piece_is_a_run_of_neighbours_either_way(count: int, length: int) -> None:
    rng = np.random.default_rng(0)
    group = [embedded("ours", count)]
    directions = set()
    for _ in range(40):
        features, labels, _ = sequences._piece([group], length, rng)
        assert features.shape == (length, 3)
        assert labels.shape == (length, 6)
        steps = np.diff(features[:, 0])
        assert set(np.abs(steps)) <= {0, 1}
        assert np.count_nonzero(steps) == min(length, count) - 1, "every slice that fits, each once"
        directions |= set(np.sign(steps[steps != 0]))
    assert directions == ({-1, 1} if min(count, length) > 1 else set())


def test_labels_stay_with_their_slices() -> None:
    rng = np.random.default_rng(1)
    study = embedded("ours", 20, positive=7)
    for _ in range(20):
        features, labels, _ = sequences._piece([[study]], 12, rng)
        np.testing.assert_array_equal(labels[:, 0], features[:, 0] < 7)


def test_pieces_of_a_batch_are_equally_long_and_labelled() -> None:
    studies = [embedded("ours", 9), embedded("ours", 30, positive=4, seed=1), embedded(batches.IMPLANTED, 20, 20)]
    lengths = set()
    for features, targets in itertools.islice(sequences._pieces(studies, [0, 5], sequences.LENGTHS, batch=6), 30):
        count = features.shape[1]
        lengths.add(count)
        assert features.shape == (6, count, 3)
        assert targets["slice"].shape == (6, count, 2)
        np.testing.assert_array_equal(targets["study"], targets["slice"].max(axis=1))
    assert lengths == set(sequences.LENGTHS)
    assert 1 in lengths, "a picture is a sequence of one"


def test_slices_that_come_alone_are_sequences_of_one() -> None:
    studies = [embedded("rsna-more", 1, i % 2, seed=i) for i in range(6)] + [embedded("ct-ich", 30, 4)]
    for features, _ in itertools.islice(_endless(studies), 40):
        if features.shape[1] > 1:
            assert (np.ptp(features[:, :, 0], axis=1) > 0).all(), "no slice is its own neighbour"
    alone = studies[:6]
    assert {features.shape[1] for features, _ in itertools.islice(_endless(alone), 20)} == {1}


def test_sources_of_a_hospital_share_its_bleeds() -> None:
    more, sdh = embedded("rsna-more", 1, 1), [embedded("rsna-sdh", 1, 1, seed=i) for i in range(30)]
    studies = [more, *sdh, embedded("rsna-more", 1, 0, seed=1)]
    studies = [replace(study, patient=f"rsna/{i}") for i, study in enumerate(studies)]
    with_a_bleed, without = sequences._roles(studies, range(6))[::2]
    assert [len(source) for source in with_a_bleed] == [1, 30]
    assert [len(source) for source in without] == [1]


def test_what_readers_said_of_a_study_is_the_label_of_pieces_from_end_to_end() -> None:
    study = embedded("own", 40)
    study.labels[:] = NAN
    study = replace(study, study_labels=np.float32([1, 0, NAN, 0, 0, 1]))
    rng = np.random.default_rng(0)
    features, _, whole = sequences._piece([[study]], max(sequences.LENGTHS), rng)
    assert {features[0, 0], features[-1, 0]} == {0, 39}
    np.testing.assert_array_equal(whole, [1, 0, NAN, 0, 0, 1])
    assert np.isnan(sequences._piece([[study]], 4, rng)[2]).all()


def test_a_head_without_anything_known_is_refused() -> None:
    study = embedded("own", 3)
    study.labels[:] = NAN
    with pytest.raises(ValueError, match="known label"):
        next(_endless([study]))


def test_a_source_is_drawn_as_often_however_few_its_studies_are() -> None:
    many, few = [embedded("ours", 24, seed=i) for i in range(30)], [embedded("theirs", 24)]
    few[0].labels[:, 1] = 1
    marks = [targets["slice"][:, 0, 1] for _, targets in itertools.islice(_endless([*many, *few]), 60)]
    assert np.mean(marks) == pytest.approx(0.5, abs=0.06)


def test_implants_are_drawn_at_least_as_often_as_any_source() -> None:
    studies = [embedded("phe-sich", 24, 24), embedded("ct-ich", 24), embedded(batches.IMPLANTED, 24, 24)]
    studies[2].labels[:, 1] = 1
    marks = [targets["slice"][:, 0, 1] for _, targets in itertools.islice(_endless(studies), 60)]
    assert np.mean(marks) > 1 / 3


def _endless(studies: list):
    return sequences._pieces(studies, range(6), sequences.LENGTHS, batch=16)


# ---------------------------------------------------------------- fit_head and embed


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_a_head_learns_what_the_features_say(tmp_path: Path, kind: str) -> None:
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    studies = []
    for i in range(12):
        labels = np.zeros((14, 6), np.float32)
        labels[3:7, [0, 5]] = i % 2
        features = rng.normal(size=(14, 4)).astype(np.float32) * 5 + 100
        features[:, 0] += 25 * labels[:, 0]
        features[:, -1] = -4  # the evidence, to which the head adds, says nothing
        studies.append(sequences.EmbeddedStudy("ours", str(i), str(i), features, labels))
    head = models.sequence_head(kind, 4, ("any",), view="features")
    sequences.fit_head(head, [0], studies, steps=80, rate=1e-3, run=tmp_path, lengths=(12,), batch=8)
    assert (tmp_path / "head.csv").is_file()
    out = [head(study.features[None], training=False) for study in studies]
    slices = np.concatenate([np.asarray(logits["slice"])[0, :, 0] for logits in out])
    truth = np.concatenate([study.labels[:, 0] for study in studies]) == 1
    assert slices[truth].mean() > slices[~truth].mean() + 1
    study_logits = [float(np.asarray(logits["study"])[0, 0]) for logits in out]
    assert min(study_logits[1::2]) > max(study_logits[::2])


@pytest.mark.parametrize(("count", "positive"), [(40, 0), (40, 3), (16, 16), (5, 1), (1, 0)])
def test_an_excerpt_is_a_run_with_some_of_the_bleed(count: int, positive: int) -> None:
    whole = study(count, 0)
    whole.labels[count - positive :, [0, 5]] = 1
    for seed in range(20):
        part = sequences.excerpt(whole, np.random.default_rng(seed))
        assert len(part.hu) == len(part.labels) == len(part.names) == min(count, sequences.EXCERPT)
        assert set(np.diff(part.hu[:, 0, 0])) <= {1}
        np.testing.assert_array_equal(part.labels, whole.labels[part.hu[0, 0, 0] :][: len(part.hu)])
        assert bool(part.labels.any()) is bool(positive)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files that would have been converted; the session gives each slice's mean as its feature."""
    converted: list[Path] = []

    class Session:
        def run(self, names: list[str], inputs: dict[str, NDArray[np.int16]]) -> list[NDArray[np.float32]]:
            assert names == ["features"]
            assert len(inputs["hu"]) <= 8
            return [inputs["hu"].mean(axis=(1, 2), dtype=np.float32)[:, None]]

    def convert(function: object, path: Path) -> None:
        converted.append(path)
        path.write_bytes(b"onnx")

    monkeypatch.setattr(onnx_files, "convert", convert)
    monkeypatch.setattr(onnx_files, "encoder_function", lambda encoder: encoder)
    monkeypatch.setattr(sequences.providers, "session", lambda *_: Session())
    return converted


def study(count: int, value: int):
    hu = np.full((count, 224, 224), value, np.int16) + np.arange(count, dtype=np.int16)[:, None, None]
    labels = np.zeros((count, 6), np.float32)
    return data.TrainingStudy("ours", "p", str(value), hu, labels, None, ("x",) * count)


def test_embed_keeps_slices_in_order_and_converts_once(tmp_path: Path, asked: list[Path]) -> None:
    studies = [study(3, 0), study(21, 100)]
    for _ in range(2):
        embedded = sequences.embed(None, tmp_path, studies)
    assert asked == [tmp_path / "encoder.onnx"]
    assert [embedded_study.study for embedded_study in embedded] == ["0", "100"]
    np.testing.assert_array_equal(embedded[1].features[:, 0], 100 + np.arange(21))


def test_embed_makes_copies_that_differ(tmp_path: Path, asked: list[Path]) -> None:
    embedded = sequences.embed(None, tmp_path, [study(4, 40)], np.random.default_rng(0), copies=3)
    assert len(embedded) == 3
    assert len({embedded_study.features.tobytes() for embedded_study in embedded}) == 3


@pytest.mark.parametrize(("age_seconds", "converted"), [(60, True), (-60, False)])
def test_an_encoder_of_earlier_weights_is_converted_again(
    tmp_path: Path, asked: list[Path], age_seconds: int, converted: bool
) -> None:
    (tmp_path / "encoder.onnx").write_bytes(b"old")
    (tmp_path / "encoder.weights.h5").write_bytes(b"weights")
    made = (tmp_path / "encoder.onnx").stat().st_mtime + age_seconds
    os.utime(tmp_path / "encoder.weights.h5", (made, made))
    sequences.embed(None, tmp_path, [study(1, 0)])
    assert bool(asked) is converted
