"""Keras models, small: random weights, tiny inputs. Exact numbers are Keras' business; shapes and promises are ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ichscope.labels import LABELS

keras = pytest.importorskip("keras")
models = pytest.importorskip("training.models")

pytestmark = [
    # Keras on NumPy 2, when weights are read.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
    # Attention of a single slice to itself is 1, as it should be.
    pytest.mark.filterwarnings("ignore:(?s).*You are using a softmax over axis:UserWarning"),
]

HEADS = ("transformer", "lstm")
TWO = ("any", "subdural")


def slices(count: int, size: int, seed: int = 0) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(-1000, 1500, (count, size, size)).astype(np.int16)


def numbers(outputs: dict) -> dict[str, NDArray[np.float32]]:
    return {name: np.asarray(value) for name, value in outputs.items()}


@pytest.fixture(scope="module")
def encoder():
    keras.utils.set_random_seed(0)
    return models.slice_encoder("mobilenetv2", TWO, size=None)


@pytest.fixture(scope="module", params=HEADS)
def head(request: pytest.FixtureRequest):
    """A head that has learned something, if nothing sensible."""
    keras.utils.set_random_seed(0)
    built = models.sequence_head(request.param, 24, TWO, view="features")
    for name in ("slice_logits", "study_logits"):
        kernel, bias = built.get_layer(name).get_weights()
        built.get_layer(name).set_weights([np.random.default_rng(0).normal(0, 0.3, kernel.shape), bias])
    return built


# ---------------------------------------------------------------- windows


@pytest.mark.parametrize(
    ("hu", "expected"),
    [
        (-1000, (-1, -1, -1)),
        (0, (-1, -0.8, -40 / 190)),
        (40, (0, -0.4, 0)),
        (80, (1, 0, 40 / 190)),
        (180, (1, 1, 140 / 190)),
        (3000, (1, 1, 1)),
    ],
)
@pytest.mark.parametrize("input_range", [1.0, 127.5])
def test_windows_are_brain_subdural_and_soft_tissue(
    hu: int, expected: tuple[float, float, float], input_range: float
) -> None:
    shown = np.asarray(models.windowed(np.full((1, 2, 2), hu, np.int16), input_range))
    assert shown.shape == (1, 2, 2, 3)
    assert shown[0, 1, 1] == pytest.approx(np.array(expected) * input_range, abs=1e-3)


# ---------------------------------------------------------------- encoder


@pytest.mark.slow
@pytest.mark.parametrize(("backbone", "size"), [("resnet50", 64), ("mobilenetv2", 64), ("inceptionv3", 224)])
def test_every_backbone_gives_evidence_at_an_eighth_of_the_input(backbone: str, size: int) -> None:
    keras.utils.set_random_seed(0)
    built = models.slice_encoder(backbone, LABELS, size=size)
    hu = np.full((2, size, size), 30, np.int16)
    low, high = size * 3 // 8, size * 5 // 8
    hu[1, low:high, low:high] = 70
    out = numbers(built(hu, training=False))
    assert set(out) == {"features", "evidence"}
    assert out["evidence"].shape == (2, size // 8, size // 8, len(LABELS))
    # Average and maximum of three lateral maps, the fused map and the evidence; the verdict on the slice.
    assert out["features"].shape == (2, 2 * (4 * models.CHANNELS + len(LABELS)) + len(LABELS))
    assert {value.dtype for value in out.values()} == {np.dtype(np.float32)}
    # InceptionV3 has 25 cells where the others have 28: with the rim on one side its map would be shifted.
    change = np.abs(np.diff(out["evidence"], axis=0)).sum(axis=(0, 3))
    centre = [np.average(np.arange(size // 8) + 0.5, weights=change.sum(axis=axis)) for axis in (1, 0)]
    assert centre == pytest.approx([size / 16] * 2, abs=1.5)


def test_parts_of_a_slice_may_be_encoded(encoder) -> None:
    for size in (32, 96):
        assert encoder(slices(1, size), training=False)["evidence"].shape == (1, size // 8, size // 8, 2)


@pytest.mark.slow
def test_parts_may_be_encoded_by_a_backbone_that_does_not_pad() -> None:
    built = models.slice_encoder("inceptionv3", ("any",), size=None)
    for model in (built, models.fine_part(built, "inceptionv3")):
        assert model(slices(1, 96), training=False)["evidence"].shape == (1, 12, 12, 1)


def test_a_slice_is_encoded_alike_alone_and_among_others(encoder) -> None:
    hu = slices(3, 64)
    together, alone = (numbers(encoder(part, training=False)) for part in (hu, hu[1:2]))
    for name, value in alone.items():
        np.testing.assert_allclose(together[name][1:2], value, rtol=1e-3, atol=1e-4)


def test_blood_is_rare_before_training(encoder) -> None:
    evidence = np.asarray(encoder(slices(2, 64), training=False)["evidence"])
    assert evidence.mean() == pytest.approx(-4, abs=1.5)


def test_features_hold_the_evidence_itself(encoder) -> None:
    out = numbers(encoder(slices(2, 64), training=False))
    np.testing.assert_allclose(out["features"][:, -6:-4], out["evidence"].mean(axis=(1, 2)), rtol=1e-4)
    np.testing.assert_allclose(out["features"][:, -2:], out["evidence"].max(axis=(1, 2)), rtol=1e-4)


def test_features_hold_the_verdict_on_the_slice(encoder) -> None:
    both = keras.Model(encoder.input, [encoder.output["features"], encoder.get_layer("slice").output])
    features, verdict = map(np.asarray, both(slices(2, 64), training=False))
    np.testing.assert_allclose(features[:, -4:-2], verdict, rtol=1e-4)


def test_the_encoder_sees_what_windows_keep(encoder) -> None:
    """Beyond every window all HU look alike: metal and bone, fat and air."""
    low, lower = np.full((1, 64, 64), -200, np.int16), np.full((1, 64, 64), -1000, np.int16)
    for first, second in ((low, lower), (low + 700, low + 3000)):
        a, b = (np.asarray(encoder(hu, training=False)["features"]) for hu in (first, second))
        np.testing.assert_array_equal(a, b)


def test_from_random_weights_the_whole_encoder_starts_as_its_fine_part(encoder) -> None:
    part = models.fine_part(encoder, "mobilenetv2")
    hu = slices(2, 64)
    fine, whole = (numbers(model(hu, training=False)) for model in (part, encoder))
    np.testing.assert_allclose(fine["evidence"], whole["evidence"], atol=1e-4)
    np.testing.assert_allclose(fine["slice"], whole["evidence"].max(axis=(1, 2)), atol=1e-4)


def test_the_fine_part_shares_its_weights_with_the_encoder(encoder) -> None:
    shared = {id(weight) for weight in models.fine_part(encoder, "mobilenetv2").weights}
    assert shared < {id(weight) for weight in encoder.weights}


@pytest.mark.parametrize("name", models.ARCHITECTURES)
def test_architectures_name_what_exists(name: str) -> None:
    architecture = models.ARCHITECTURES[name]
    assert architecture.backbone in models.BACKBONES
    assert architecture.head in HEADS
    assert architecture.labels[0] == "any"
    assert set(architecture.labels) <= set(LABELS)


# ---------------------------------------------------------------- heads


@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_heads_take_any_number_of_slices(head, count: int) -> None:
    features = np.random.default_rng(0).normal(size=(2, count, 24)).astype(np.float32)
    out = numbers(head(features, training=False))
    assert out["slice"].shape == (2, count, 2)
    assert out["study"].shape == (2, 2)
    assert all(np.isfinite(value).all() for value in out.values())


def test_heads_look_at_neighbours(head) -> None:
    features = np.random.default_rng(1).normal(size=(1, 9, 24)).astype(np.float32)
    changed = features.copy()
    changed[0, 3] += 2
    before, after = (np.asarray(head(values, training=False)["slice"]) for values in (features, changed))
    assert np.abs(before[0, 4] - after[0, 4]).max() > 1e-4


def test_studies_of_a_batch_do_not_mix(head) -> None:
    features = np.random.default_rng(2).normal(size=(2, 6, 24)).astype(np.float32)
    together = numbers(head(features, training=False))
    for i in range(2):
        alone = numbers(head(features[i : i + 1], training=False))
        for name, value in alone.items():
            np.testing.assert_allclose(together[name][i : i + 1], value, atol=1e-4)


def test_the_study_is_at_least_as_suspicious_as_its_worst_slice(head) -> None:
    features = np.random.default_rng(3).normal(size=(1, 7, 24)).astype(np.float32)
    added = keras.Model(head.input, head.get_layer("study_logits").output)(features, training=False)
    logits = features[..., -2:] + np.asarray(added)
    study = np.asarray(head(features, training=False)["study"])
    assert (study >= logits.max(axis=1) - 1e-5).all()
    np.testing.assert_allclose(study, np.log(np.exp(logits).sum(axis=1)), atol=1e-4)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("view", models.VIEWS)
@pytest.mark.parametrize(("labels", "columns"), [(("any", "subdural"), [-3, -1]), (("epidural",), [-2])])
def test_a_new_head_says_what_the_evidence_says(
    kind: str, view: str, labels: tuple[str, ...], columns: list[int]
) -> None:
    built = models.sequence_head(kind, 8, labels, ("any", "epidural", "subdural"), view)
    features = np.random.default_rng(4).normal(size=(2, 5, 8)).astype(np.float32)
    out = numbers(built(features, training=False))
    np.testing.assert_allclose(out["slice"], features[..., columns], atol=1e-6)
    np.testing.assert_allclose(out["study"], np.log(np.exp(features[..., columns]).sum(axis=1)), atol=1e-5)


def test_normalise_features_gives_zero_mean_and_unit_variance() -> None:
    built = models.sequence_head("lstm", 5, ("any",), view="features")
    features = np.random.default_rng(4).normal(3, [1, 2, 5, 0.1, 9], (500, 5)).astype(np.float32)
    models.normalise_features(built, features)
    inner = keras.Model(built.input, built.get_layer("normalise").output)
    normalised = np.asarray(inner(features[None], training=False))[0]
    np.testing.assert_allclose(normalised.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(normalised.std(axis=0), 1, atol=1e-2)


@pytest.mark.parametrize(
    ("view", "others", "sees"),
    [("evidence", 6, False), ("verdicts", 4, False), ("verdicts", 6, True), ("features", 6, True)],
)
def test_a_head_sees_what_its_view_lets_it(view: str, others: int, sees: bool) -> None:
    """Of 8 features the last are two verdicts on the slice and the evidence of two labels."""
    built = models.sequence_head("transformer", 8, TWO, view=view)
    kernel, bias = built.get_layer("slice_logits").get_weights()
    built.get_layer("slice_logits").set_weights([np.random.default_rng(0).normal(0, 0.3, kernel.shape), bias])
    features = np.random.default_rng(4).normal(size=(1, 5, 8)).astype(np.float32)
    models.normalise_features(built, np.random.default_rng(5).normal(size=(50, 8)).astype(np.float32))
    other = features.copy()
    other[..., :others] += 3
    plain, changed = (numbers(built(some, training=False))["slice"] for some in (features, other))
    assert np.allclose(plain, changed) != sees


def test_normalisation_stays_as_it_was_set_while_training() -> None:
    built = models.sequence_head("transformer", 4, ("any",), view="features")
    features = np.random.default_rng(5).normal(7, 3, (1, 20, 4)).astype(np.float32)
    models.normalise_features(built, features[0])
    before = [np.array(weight) for weight in built.get_layer("normalise").get_weights()]
    built(features * 100, training=True)
    for was, now in zip(before, built.get_layer("normalise").get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)


def test_weights_trained_on_parts_fit_whole_slices(tmp_path: Path, encoder) -> None:
    encoder.save_weights(tmp_path / "encoder.weights.h5")
    again = models.slice_encoder("mobilenetv2", TWO, size=64)
    again.load_weights(tmp_path / "encoder.weights.h5")
    hu = slices(1, 64)
    expected, actual = (np.asarray(model(hu, training=False)["features"]) for model in (encoder, again))
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)
