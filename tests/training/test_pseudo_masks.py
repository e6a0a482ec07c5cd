from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from training.pseudo_masks import HAEMATOMA, NO_BLOOD, UNKNOWN, pseudo_mask

SLICES, SIZE = 9, 160
BLEED = (70, 95)


def disc(row, column, radius, size=SIZE):
    rows, columns = np.indices((size, size))
    return np.hypot(rows - row, columns - column) <= radius


def scan(bleeds=((3, 60), (4, 60), (5, 60)), radius=9, opening=False, extra=()):
    """Noisy brain with fluid in a ring of skull and scalp, a bleed (slice, HU) and extra discs (slice, mask, HU)."""
    hu = np.zeros((SLICES, SIZE, SIZE), np.float32)
    hu[:, disc(80, 80, 70)] = 50
    hu[:, disc(80, 80, 64)] = 200
    hu[:, disc(80, 80, 58)] = 34
    hu[:, 70:90, 72:77] = 8
    for i, value in bleeds:
        hu[i][disc(*BLEED, radius)] = value
    for i, mask, value in extra:
        hu[i][mask] = value
    if opening:
        hu[:, 130:, 70:90] = np.where(hu[:, 130:, 70:90] > 100, 34, hu[:, 130:, 70:90])
    noise = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(hu.shape), (0, 0.7, 0.7)) * 8
    return np.clip(np.rint(hu + noise * (hu > 0)), 0, 80).astype(np.int16)


def labelled(*slices):
    marked = np.zeros(SLICES, bool)
    marked[list(slices)] = True
    return marked


def dice(mask, truth):
    return 2 * (mask & truth).sum() / (mask.sum() + truth.sum())


@pytest.fixture(scope="module")
def plain():
    hu = scan()
    return SimpleNamespace(hu=hu, mask=pseudo_mask(hu, labelled(3, 4, 5)))


def test_haematoma_is_outlined_in_its_slices(plain):
    truth = np.zeros(plain.hu.shape, bool)
    truth[3:6] = disc(*BLEED, 9)
    assert dice(plain.mask == HAEMATOMA, truth) > 0.9
    assert plain.mask.dtype == np.uint8
    assert plain.mask.shape == plain.hu.shape


def test_rim_and_thinning_ends_are_unknown(plain):
    haematoma = plain.mask[4] == HAEMATOMA
    rim = ndimage.binary_dilation(haematoma, np.ones((3, 3)), iterations=2) & ~haematoma
    assert (plain.mask[4][rim] == UNKNOWN).all()
    assert (plain.mask[[1, 2, 6, 7]][:, disc(*BLEED, 8)] == UNKNOWN).all()
    assert (plain.mask[[0, 8]][:, disc(*BLEED, 8)] == NO_BLOOD).mean() > 0.98


def test_brain_fluid_bone_scalp_and_air_are_no_blood(plain):
    far = disc(80, 80, 54) & ~disc(*BLEED, 14)
    for mask in (far, disc(80, 80, 63) & ~disc(80, 80, 60), ~disc(80, 80, 67)):
        assert (plain.mask[:, mask] == NO_BLOOD).mean() > 0.98


@pytest.mark.parametrize("label", [(3, 4, 5), (3,), ()])
def test_blood_is_never_called_no_blood(label):
    mask = pseudo_mask(scan(), labelled(*label))
    blood = disc(*BLEED, 9)
    assert (mask[3:6][:, blood] != NO_BLOOD).all()
    assert (mask == HAEMATOMA).any() == bool(label)


def test_haematoma_stays_next_to_labelled_slices():
    mask = pseudo_mask(scan([(i, 60) for i in range(1, 8)]), labelled(3))
    assert np.flatnonzero((mask == HAEMATOMA).any(axis=(1, 2))).tolist() == [2, 3, 4]
    assert (mask[[1, 5, 6, 7]][:, disc(*BLEED, 9)] == UNKNOWN).all()


def test_smaller_spots_and_falx_are_unknown():
    spot, falx = disc(100, 50, 3), np.zeros((SIZE, SIZE), bool)
    falx[100:135, 79:82] = True
    mask = pseudo_mask(scan(extra=[(4, spot, 60), (4, falx, 60)]), labelled(3, 4, 5))
    assert (mask[4][spot] == UNKNOWN).all()
    assert (mask[4][falx] == UNKNOWN).all()


def test_larger_of_two_bleeds_wins_and_a_similar_one_counts():
    mask = pseudo_mask(scan(extra=[(i, disc(100, 50, 8), 60) for i in (3, 4, 5)]), labelled(3, 4, 5))
    assert (mask[4][disc(100, 50, 6)] == HAEMATOMA).all()
    assert (mask[4][disc(*BLEED, 6)] == HAEMATOMA).all()


def test_chalk_is_no_haematoma():
    chalk = [(i, disc(98, 62, 10), 300) for i in (3, 4, 5)]
    mask = pseudo_mask(scan(extra=chalk), labelled(3, 4, 5))
    assert (mask[4][disc(98, 62, 8)] == UNKNOWN).all()
    assert (mask[4][disc(*BLEED, 6)] == HAEMATOMA).all()


def test_open_skull_still_holds_the_haematoma():
    mask = pseudo_mask(scan(opening=True), labelled(3, 4, 5))
    assert (mask[4][disc(*BLEED, 7)] == HAEMATOMA).all()
    assert (mask[4][disc(80, 80, 50) & ~disc(*BLEED, 14)] == NO_BLOOD).mean() > 0.98


def test_labelled_slice_with_faint_blood_is_left_open():
    faint = scan([(4, 40)])
    blood = disc(*BLEED, 8)
    mask = pseudo_mask(faint, labelled(4))
    assert not (mask == HAEMATOMA).any()
    assert (mask[4][blood] == UNKNOWN).mean() > 0.8


def test_study_without_a_head_has_no_haematoma():
    mask = pseudo_mask(np.zeros((3, 32, 32), np.int16), np.array([False, True, False]))
    assert not (mask == HAEMATOMA).any()
