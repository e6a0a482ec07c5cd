import numpy as np
import pytest
from scipy import ndimage

from ichscope.labels import LABELS, SUBTYPES
from training.anatomy import study_anatomy
from training.implants import NoRoomError, decoy, implant


@pytest.fixture(scope="module")
def normal() -> np.ndarray:
    """Twelve slices (224 x 224) of a skull around noisy brain with two ventricles and grooves at the surface."""
    rng = np.random.default_rng(0)
    rows, columns = np.indices((224, 224)) - 112.0
    hu = np.full((12, 224, 224), -1000, np.float32)
    for i, one in enumerate(hu):
        size = 1 - 0.035 * abs(i - 4)
        radius = np.hypot(rows / 100, columns / 82) / size
        angle = np.arctan2(rows, columns)
        one[radius < 1.0] = 700
        one[radius < 0.92] = 33
        one[(radius < 0.91) & (radius > 0.8) & (np.abs(np.sin(9 * angle)) < 0.09)] = 8
        for side in (-1, 1):
            one[np.hypot(rows / 26, (columns - side * 12) / 7) < (1 if 1 < i < 9 else 0)] = 7
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
    for seed in range(5):
        hu, mask, labels = drawn(normal, anatomy, kind, seed)
        assert hu.dtype == np.int16
        assert mask.dtype == bool
        assert np.array_equal(hu[~anatomy.inside], normal[~anatomy.inside])
        assert not (mask & ~anatomy.inside).any()
        assert (labels[:, 0] == 1).any()
        assert np.median(normal[mask]) + 6 < np.median(hu[mask]) < 85


@pytest.mark.parametrize("kind", SUBTYPES)
def test_labels_follow_the_mask(normal, anatomy, kind):
    for seed in range(3):
        _, mask, labels = drawn(normal, anatomy, kind, seed)
        area = mask.sum(axis=(1, 2))
        column = LABELS.index(kind)
        others = [i for i in range(1, len(LABELS)) if i != column]
        assert np.array_equal(labels[:, 0] == 1, area >= 14)
        assert np.array_equal(np.isnan(labels[:, 0]), (area >= 4) & (area < 14))
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
    for seed in range(4):
        _, mask, _ = drawn(normal, anatomy, kind, seed)
        if kind == "epidural":
            # It reaches the inner table in every slice that shows a good deal of it.
            assert all((one & near).any() for one, near in zip(mask, where, strict=True) if one.sum() > 40)
        else:
            assert (mask & where).sum() > 0.8 * mask.sum()


def test_neighbouring_slices_hang_together(normal, anatomy):
    for seed in range(6):
        _, mask, _ = drawn(normal, anatomy, "epidural", seed)
        rows = np.flatnonzero(mask.sum(axis=(1, 2)) > 60)
        assert np.array_equal(rows, np.arange(rows[0], rows[-1] + 1) if len(rows) else rows)
        for i in rows[:-1]:
            if i + 1 in rows:
                assert (ndimage.binary_dilation(mask[i], iterations=6) & mask[i + 1]).any()


def test_same_seed_same_bleed(normal, anatomy):
    one, other = (drawn(normal, anatomy, "subdural", 5) for _ in range(2))
    assert np.array_equal(one[0], other[0])
    assert not np.array_equal(one[0], drawn(normal, anatomy, "subdural", 6)[0])


def test_companion_adds_a_second_label(normal, anatomy):
    labels = [drawn(normal, anatomy, "subdural", seed, companion=1.0)[2] for seed in range(6)]
    assert any((one[:, 1:] == 1).any(axis=0).sum() == 2 for one in labels)


def test_one_slice_is_enough(normal):
    hu, mask, labels = implant(normal[4:5], np.random.default_rng(1), "epidural", companion=0)
    assert hu.shape == mask.shape == (1, 224, 224)
    assert labels.shape == (1, 6)
    assert (labels[0, 0] == 1) == (mask.sum() >= 14)


def test_study_without_brain_is_refused():
    with pytest.raises(NoRoomError, match="no brain"):
        implant(np.full((3, 224, 224), -1000, np.int16), np.random.default_rng(0), "epidural")


def test_brain_without_ventricles_has_no_room_for_blood_in_them(normal):
    solid = np.where((normal > -20) & (normal < 60), 33, normal).astype(np.int16)
    with pytest.raises(NoRoomError, match="ventricles"):
        implant(solid, np.random.default_rng(0), "intraventricular", companion=0)


def test_decoys_bring_no_density_of_blood(normal, anatomy):
    changed = 0
    for seed in range(10):
        hu = decoy(normal, np.random.default_rng(seed), anatomy)
        assert np.array_equal(hu[~anatomy.inside], normal[~anatomy.inside])
        changed += not np.array_equal(hu, normal)
        bloody = ndimage.uniform_filter((hu - 0.0), (0, 5, 5))[ndimage.binary_erosion(anatomy.inside, iterations=4)]
        assert np.mean((bloody > 48) & (bloody < 80)) < 1e-3
    assert changed >= 7
