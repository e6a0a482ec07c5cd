from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from ichscope.labels import LABELS, SUBTYPES
from training.anatomy import study_anatomy
from training.implants import NoRoomError, implant, mimic, mimics, vary_host
from training.implants.artefacts import partial_volume
from training.implants.lesion_painter import Lesion, paint
from training.implants.scalp import swelling


@pytest.fixture(scope="module")
def normal() -> np.ndarray:
    """Twelve slices (224 x 224) of a skull around noisy brain with two ventricles and grooves at the surface."""
    rng = np.random.default_rng(0)
    rows, columns = np.indices((224, 224)) - 112.0
    hu = np.full((12, 224, 224), -1000, np.float32)
    for i, pixels in enumerate(hu):
        size = 1 - 0.035 * abs(i - 4)
        radius = np.hypot(rows / 100, columns / 82) / size
        angle = np.arctan2(rows, columns)
        pixels[radius < 1.0] = 700
        pixels[radius < 0.92] = 33
        pixels[(radius < 0.91) & (radius > 0.8) & (np.abs(np.sin(9 * angle)) < 0.09)] = 8
        for side in (-1, 1):
            pixels[np.hypot(rows / 26, (columns - side * 12) / 7) < (1 if 1 < i < 9 else 0)] = 7
    noise = ndimage.gaussian_filter(rng.standard_normal(hu.shape), (0, 0.7, 0.7)) * 6
    return np.rint(hu + noise * (hu > -500)).astype(np.int16)


@pytest.fixture(scope="module")
def anatomy(normal):
    return study_anatomy(normal)


def drawn(normal, anatomy, kind, seed, companion=0.0):
    return implant(normal, np.random.default_rng(seed), kind, anatomy, companion=companion)


def test_anatomy_finds_brain_and_ventricles(normal, anatomy):
    assert anatomy.inside[4, 112, 112]
    assert not anatomy.inside[:, normal[4] > 400].all()
    assert not (anatomy.inside & (normal > 300)).any()
    assert anatomy.inside.sum() > 0.9 * ((normal > -20) & (normal < 60)).sum()
    assert anatomy.ventricles[4, 112, 100]
    assert anatomy.ventricles[4, 112, 124]
    assert abs(anatomy.brain_hu - 33) < 2


@pytest.mark.parametrize("kind", SUBTYPES)
def test_bleed_is_denser_than_brain_and_stays_inside_the_skull(normal, anatomy, kind):
    for seed in range(3):
        hu, mask, labels = drawn(normal, anatomy, kind, seed)
        assert hu.dtype == np.int16
        assert mask.dtype == bool
        # Around it only the scalp may have changed; bone may be broken, but nowhere denser.
        changed = (hu != normal) & ~anatomy.inside
        assert (hu[changed] < np.maximum(normal[changed], 100)).all()
        assert not (mask & ~anatomy.inside).any()
        assert (labels[:, 0] == 1).any()
        # A subdural collection may be mostly old, with some fresh blood.
        share = 90 if kind == "subdural" else 50
        assert np.median(normal[mask]) + 6 < np.percentile(hu[mask], share) < 92


@pytest.mark.parametrize("kind", SUBTYPES)
def test_labels_follow_the_mask(normal, anatomy, kind):
    for seed in range(2):
        _, mask, labels = drawn(normal, anatomy, kind, seed)
        area = mask.sum(axis=(1, 2))
        column = LABELS.index(kind)
        others = [i for i in range(1, len(LABELS)) if i != column]
        positive = min(max(area.max() / 2, 5), 14)
        assert np.array_equal(labels[:, 0] == 1, area >= positive)
        assert np.array_equal(np.isnan(labels[:, 0]), (area >= 4) & (area < positive))
        assert np.array_equal(labels[:, column], labels[:, 0], equal_nan=True)
        assert not labels[:, others].any()


@pytest.mark.parametrize(
    ("kind", "region"),
    [
        ("epidural", lambda head: head.depth < 3),
        ("intraventricular", lambda head: ndimage.binary_dilation(head.ventricles, iterations=3)),
        ("subarachnoid", lambda head: (head.depth < 32) | (head.sulci > 0)),
        ("intraparenchymal", lambda head: head.depth > 1.5),
    ],
)
def test_bleed_lies_where_its_kind_lies(normal, anatomy, kind, region):
    where = region(anatomy)
    for seed in range(3):
        _, mask, _ = drawn(normal, anatomy, kind, seed)
        if kind == "epidural":
            # It reaches the inner table in every slice that shows a good deal of it.
            assert all((visible & near).any() for visible, near in zip(mask, where, strict=True) if visible.sum() > 40)
        else:
            assert (mask & where).sum() > 0.8 * mask.sum()


def test_neighbouring_slices_hang_together(normal, anatomy):
    for seed in range(4):
        _, mask, _ = drawn(normal, anatomy, "epidural", seed)
        rows = np.flatnonzero(mask.sum(axis=(1, 2)) > 60)
        assert np.array_equal(rows, np.arange(rows[0], rows[-1] + 1) if len(rows) else rows)
        for i in rows[:-1]:
            if i + 1 in rows:
                assert (ndimage.binary_dilation(mask[i], iterations=6) & mask[i + 1]).any()


def test_same_seed_same_bleed(normal, anatomy):
    first, second = (drawn(normal, anatomy, "subdural", 5) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert not np.array_equal(first[0], drawn(normal, anatomy, "subdural", 6)[0])


def test_companion_adds_a_second_label(normal, anatomy):
    labels = [drawn(normal, anatomy, "subdural", seed, companion=1.0)[2] for seed in range(3)]
    assert any((rows[:, 1:] == 1).any(axis=0).sum() == 2 for rows in labels)


def test_one_slice_is_enough(normal):
    hu, mask, labels = implant(normal[4:5], np.random.default_rng(1), "epidural", companion=0)
    assert hu.shape == mask.shape == (1, 224, 224)
    assert labels.shape == (1, 6)
    assert labels[0, 0] == 1
    assert mask.sum() >= 5


def test_study_without_brain_is_refused():
    with pytest.raises(NoRoomError, match="no brain"):
        implant(np.full((3, 224, 224), -1000, np.int16), np.random.default_rng(0), "epidural")


def test_brain_without_ventricles_has_no_room_for_blood_in_them(normal):
    solid = np.where((normal > -20) & (normal < 60), 33, normal).astype(np.int16)
    with pytest.raises(NoRoomError, match="ventricles"):
        implant(solid, np.random.default_rng(0), "intraventricular", companion=0)


def test_mimics_change_the_study(normal, anatomy):
    changed = sum(not np.array_equal(mimic(normal, np.random.default_rng(seed), anatomy), normal) for seed in range(10))
    assert changed >= 8


@pytest.mark.parametrize("draw", [*mimics.MIMICS[:4], mimics.MIMICS[-1]], ids=lambda draw: draw.__name__)
def test_lookalikes_of_brain_and_fluid_bring_no_density_of_blood(normal, anatomy, draw):
    for seed in range(2):
        hu = normal.copy()
        paint(hu, anatomy, draw(anatomy, np.random.default_rng(seed), 5.0))
        assert np.array_equal(hu[~anatomy.inside], normal[~anatomy.inside])
        bloody = ndimage.uniform_filter((hu - 0.0), (0, 5, 5))[ndimage.binary_erosion(anatomy.inside, iterations=4)]
        assert np.mean((bloody > 48) & (bloody < 80)) < 1e-3


def test_scalp_swelling_leaves_the_brain_as_it_is(normal, anatomy):
    hu = swelling(normal.astype(np.float32), anatomy, np.random.default_rng(2), 5.0)
    assert np.array_equal(hu[anatomy.inside], normal[anatomy.inside])
    lifted = (normal < -500) & (hu > 0) & (hu < 100)
    assert lifted.sum() > 200


def test_partial_volume_only_brightens_the_brain(normal, anatomy):
    before = normal.astype(np.float32)
    change = partial_volume(before, anatomy, np.random.default_rng(0), 5.0) - before
    assert change.min() >= 0
    assert change[anatomy.inside].max() > 5
    assert not change[~anatomy.inside].any()


def test_turned_head_keeps_shape_and_brain(normal, anatomy):
    turned = vary_host(normal, np.random.default_rng(4))
    assert turned.shape == normal.shape
    assert turned.dtype == np.int16
    assert not np.array_equal(turned, normal)
    other = study_anatomy(turned)
    assert 0.7 < other.inside.sum() / anatomy.inside.sum() < 1.3
    assert abs(other.brain_hu - anatomy.brain_hu) < 3
    assert other.noise_hu == pytest.approx(anatomy.noise_hu, rel=0.5)


def test_one_slice_turns_in_its_plane_only(normal):
    turned = vary_host(normal[4:5], np.random.default_rng(4))
    assert turned.shape == (1, 224, 224)
    assert abs(float(turned.mean()) - float(normal[4].mean())) < 10


def test_mixed_collection_is_outlined_as_a_whole(normal, anatomy):
    old = np.full(normal.shape, 26, np.float32)
    crescent = Lesion(slice(0, 12), (anatomy.depth < 6) * anatomy.inside * np.float32(1), old, whole=True)
    mask = paint(normal.copy(), anatomy, crescent)
    assert np.array_equal(mask, (crescent.fraction >= 0.4) & anatomy.inside)
    assert not paint(normal.copy(), anatomy, replace(crescent, whole=False)).any()
