from dataclasses import replace

import numpy as np
import pytest

from training.augment import DEFAULT, NONE, as_picture, augment, is_picture, jpeg
from training.data.study import LOOKALIKE

STILL = NONE


@pytest.fixture
def head() -> np.ndarray:
    """Three slices: skull, brain, and a bright square off centre."""
    rows, columns = np.indices((224, 224)) - 112.0
    radius = np.hypot(rows / 95, columns / 80)
    hu = np.where(radius < 1, 800, -1000)
    hu = np.where(radius < 0.9, 33, hu)
    hu[92:112, 132:152] = 75
    return np.repeat(hu[None].astype(np.int16), 3, axis=0)


@pytest.fixture
def square(head) -> np.ndarray:
    return (head == 75).astype(np.uint8)


def test_a_part_is_cut_around_some_blood(head, square):
    for seed in range(30):
        hu, mask = augment(head, square, np.random.default_rng(seed), STILL, side=96)
        assert hu.shape == mask.shape == (3, 96, 96)
        assert mask.any()
        assert np.array_equal(hu == 75, mask == 1), "cut at the same place"


def test_without_blood_parts_are_cut_everywhere(head):
    rows = np.broadcast_to(np.arange(224, dtype=np.int16)[None, :, None], (1, 224, 224))
    tops = [augment(rows, None, np.random.default_rng(seed), NONE, side=96)[0][0, 0, 0] for seed in range(60)]
    assert min(tops) < 12
    assert max(tops) > 116


def test_a_part_is_what_the_whole_would_show(head, square):
    parts = [
        augment(head, square, np.random.default_rng(3), replace(STILL, rotation_deg=9), side=s)[0] for s in (224, 96)
    ]
    whole, part = parts
    places = [
        (r, c) for r in range(129) for c in range(129) if np.array_equal(whole[0, r : r + 96, c : c + 96], part[0])
    ]
    assert len(places) == 1


def test_codes_of_a_mask_move_with_it(head, square):
    codes = square.copy()
    codes[:, 112:120, 132:152] = 2
    _, mask = augment(head, codes, np.random.default_rng(0), replace(STILL, flip_rate=1.0))
    assert np.array_equal(mask, codes[:, :, ::-1])


def test_nothing_to_change_changes_nothing(head, square):
    hu, mask = augment(head, square, np.random.default_rng(0), STILL)
    assert np.array_equal(hu, head)
    assert np.array_equal(mask, square)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("seed", range(8))
def test_shapes_and_types_stay(head, square, count, seed):
    hu, mask = augment(head[:count], square[:count], np.random.default_rng(seed))
    assert (hu.shape, hu.dtype) == ((count, 224, 224), np.int16)
    assert (mask.shape, mask.dtype) == ((count, 224, 224), np.uint8)
    assert set(np.unique(mask)) <= {0, 1}


def test_no_mask_stays_none(head):
    assert augment(head, None, np.random.default_rng(0))[1] is None


@pytest.mark.parametrize("seed", range(20))
def test_mask_moves_with_the_slices(head, square, seed):
    pose = replace(
        STILL, rotation_deg=25, zoom=(0.8, 1.25), stretch=0.05, shift_px=12, flip_rate=0.5, own_crop_rate=0.5
    )
    hu, mask = augment(head[:1], square[:1], np.random.default_rng(seed), pose)
    bright = (hu > 65) & (hu < 85)
    inner = mask.astype(bool)
    assert inner.sum() > 150
    assert (hu[inner] > 50).all()
    assert (bright & inner).sum() > 0.85 * inner.sum()


def test_whole_stack_moves_alike(head, square):
    pose = replace(STILL, rotation_deg=25, shift_px=12, flip_rate=0.5)
    hu, mask = augment(head, square, np.random.default_rng(3), pose)
    assert np.array_equal(hu[0], hu[2])
    assert np.array_equal(mask[0], mask[2])


def test_noise_differs_from_slice_to_slice(head):
    hu, _ = augment(head, None, np.random.default_rng(0), replace(STILL, noise_rate=1.0))
    assert not np.array_equal(hu[0], hu[1])


def test_flip_mirrors(head):
    hu, _ = augment(head, None, np.random.default_rng(0), replace(STILL, flip_rate=1.0))
    assert np.array_equal(hu, head[:, :, ::-1])


def test_single_slice_can_be_cropped_to_itself(head):
    small = np.full((1, 224, 224), -1000, np.int16)
    small[:, 82:142, 62:122] = 33
    alone, _ = augment(small, None, np.random.default_rng(0), replace(STILL, own_crop_rate=1.0))
    assert (alone > 0).sum() > 5 * (small > 0).sum()
    stack, _ = augment(np.repeat(small, 2, 0), None, np.random.default_rng(0), replace(STILL, own_crop_rate=1.0))
    assert np.array_equal(stack[0], small[0])


def test_picture_form_ends_at_the_window(head):
    hu, _ = augment(head, None, np.random.default_rng(0), replace(STILL, picture_rate=1.0))
    assert is_picture(hu)
    assert not is_picture(head)
    assert (hu[0, 0, 0], hu[0, 20, 112]) == (0, 80)


@pytest.mark.parametrize("seed", range(12))
def test_picture_stays_a_picture_with_black_around(head, seed):
    picture = np.clip(head, 0, 80).astype(np.int16)
    hu, _ = augment(
        picture, None, np.random.default_rng(seed), replace(DEFAULT, rotation_deg=3, jpeg_rate=0, wide_rate=0)
    )
    assert is_picture(hu)
    assert (hu[:, :3, :3] == 0).all()


def test_as_picture_maps_the_window_to_80_hu():
    hu = np.array([[-1000, 0, 40, 80, 1000]], np.float32)
    assert as_picture(hu, 40, 80).tolist() == [[0, 0, 40, 80, 80]]
    assert as_picture(hu, 40, 160)[0, 2] == 40


def test_jpeg_touches_only_its_window():
    hu = np.random.default_rng(0).uniform(-200, 300, (224, 224)).astype(np.float32)
    back = jpeg(hu, -20, 120, 60)
    outside = (hu < -20) | (hu > 100)
    assert np.array_equal(back[outside], hu[outside])
    assert not np.array_equal(back[~outside], hu[~outside])


def test_same_seed_same_change(head, square):
    first, second = (augment(head, square, np.random.default_rng(9))[0] for _ in range(2))
    assert np.array_equal(first, second)


def test_without_blood_many_parts_show_what_looks_like_it(head, square):
    marks = square * np.uint8(LOOKALIKE)
    shown = [augment(head, marks, np.random.default_rng(seed), STILL, side=64)[1].any() for seed in range(60)]
    assert 30 < sum(shown) < 55, "half of them for sure, others by chance"
