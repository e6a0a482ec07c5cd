from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from ichscope.imaging.preprocess import INPUT_SIZE, Box, head_box, model_input, opened, resample

AIR = -1000


def ellipse_head(
    shape: tuple[int, int, int] = (6, 160, 200),
    centre: tuple[float, float] = (80, 100),
    half: tuple[int, int] = (60, 48),
) -> NDArray[np.int16]:
    """An upright ellipse of brain (35 HU) in bone (1000 HU) in air, alike on every slice."""
    y, x = np.mgrid[: shape[1], : shape[2]] + 0.5
    radius = np.hypot((y - centre[0]) / half[0], (x - centre[1]) / half[1])
    one = np.where(radius < 0.85, 35, np.where(radius < 1, 1000, AIR)).astype(np.int16)
    return np.repeat(one[None], shape[0], axis=0)


def reference(hu: NDArray[np.int16], box: Box, size: int) -> NDArray[np.float64]:
    """Triangle filter, pixel by pixel, in double precision."""

    def weights(length: int, start: float, extent: float) -> NDArray[np.float64]:
        step = extent / size
        table = np.zeros((size, length))
        for out in range(size):
            centre = start + (out + 0.5) * step
            if 0 <= centre <= length:
                for i in range(length):
                    table[out, i] = max(0.0, 1 - abs(i + 0.5 - centre) / max(step, 1.0))
                table[out] /= table[out].sum()
        return table

    rows = weights(hu.shape[1], box.top, box.height)
    columns = weights(hu.shape[2], box.left, box.width)
    return AIR + np.einsum("ri,nij,cj->nrc", rows, hu.astype(np.float64) - AIR, columns)


# ---------------------------------------------------------------- resample


@pytest.mark.parametrize(
    "box",
    [
        Box(5, 9, 40, 40),
        Box(0, 0, 60, 70),
        Box(-11.3, -7.7, 90.1, 90.1),
        Box(20.25, 30.5, 10.0, 10.0),
        Box(-5, 3, 30, 60),
        Box(30, -40, 60, 50),
    ],
    ids=["smaller", "whole", "beyond the slice", "enlarged", "anisotropic", "mostly outside"],
)
def test_resample_is_a_triangle_filter(box: Box) -> None:
    hu = np.random.default_rng(0).integers(-1024, 3071, (2, 60, 70)).astype(np.int16)
    found = resample(hu, box, size=33)
    assert found.dtype == np.int16
    assert np.abs(found - reference(hu, box, 33)).max() <= 0.501


def test_resample_of_the_whole_slice_in_its_own_size_changes_nothing() -> None:
    hu = np.random.default_rng(1).integers(-1024, 3071, (3, 48, 48)).astype(np.int16)
    np.testing.assert_array_equal(resample(hu, Box(0, 0, 48, 48), size=48), hu)


def test_outside_the_slice_is_air_and_inside_is_untouched_by_it() -> None:
    hu = np.full((2, 40, 40), 50, np.int16)
    found = resample(hu, Box(-40, -40, 120, 120), size=60)
    np.testing.assert_array_equal(found[:, 20:40, 20:40], 50)
    found[:, 20:40, 20:40] = AIR
    assert (found == AIR).all()


@pytest.mark.parametrize("box", [Box(50, 0, 20, 20), Box(0, -90, 40, 40)])
def test_a_box_beside_the_slice_shows_air(box: Box) -> None:
    assert (resample(np.zeros((1, 40, 40), np.int16), box, size=16) == AIR).all()


def test_resample_averages_so_that_one_bright_pixel_is_not_lost() -> None:
    hu = np.zeros((1, 96, 96), np.int16)
    hu[0, 41, 53] = 900
    assert resample(hu, Box(0, 0, 96, 96), size=32).sum() == pytest.approx(900 / 9, abs=3)


def test_resample_leaves_its_input_alone() -> None:
    hu = ellipse_head()
    hu.setflags(write=False)
    resample(hu, head_box(hu))


# ---------------------------------------------------------------- head_box


def test_head_box_is_a_square_around_the_head_with_a_margin() -> None:
    box = head_box(ellipse_head(centre=(80, 100), half=(60, 48)))
    assert box.height == box.width == pytest.approx(120 * 1.12, abs=8)
    assert (box.top + box.height / 2, box.left + box.width / 2) == pytest.approx((80, 100), abs=4)


def test_head_box_is_square_in_mm_where_pixels_are_not() -> None:
    box = head_box(ellipse_head(), (0.5, 1.0))
    assert box.height * 0.5 == pytest.approx(box.width * 1.0)
    assert box.width == pytest.approx(96 * 1.12, abs=8)


@pytest.mark.parametrize(("one", "other"), [((0.4, 0.8), (1, 2)), ((0.7, 0.7), None)])
def test_only_the_ratio_of_the_spacing_counts(one, other) -> None:
    hu = ellipse_head()
    np.testing.assert_allclose(_edges(head_box(hu, one)), _edges(head_box(hu, other)))


def _edges(box: Box) -> tuple[float, float, float, float]:
    return box.top, box.left, box.height, box.width


def _with_holder(hu: NDArray[np.int16]) -> None:
    hu[:, 150:158, 20:180] = 300


def _with_shoulders_on_one_slice(hu: NDArray[np.int16]) -> None:
    hu[0, 100:140] = 50


def _with_a_small_vertex(hu: NDArray[np.int16]) -> None:
    hu[-1] = ellipse_head((1, 160, 200), half=(12, 12))[0]


def _with_noise_in_the_air(hu: NDArray[np.int16]) -> None:
    hu[:, ::16, ::16] = np.maximum(hu[:, ::16, ::16], 100)


@pytest.mark.parametrize(
    "disturb", [_with_holder, _with_shoulders_on_one_slice, _with_a_small_vertex, _with_noise_in_the_air]
)
def test_head_box_is_not_moved(disturb) -> None:
    hu = ellipse_head((24, 160, 200))
    expected = head_box(hu)
    disturb(hu)
    np.testing.assert_allclose(_edges(head_box(hu)), _edges(expected), atol=4.5)


def test_without_a_head_the_box_is_around_the_whole_slice() -> None:
    box = head_box(np.full((3, 40, 60), AIR, np.int16))
    assert (box.top + box.height / 2, box.left + box.width / 2) == (20, 30)
    assert box.height == box.width == pytest.approx(60 * 1.12)


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 9, 9), (2, 3, 40), (7, 64, 48)])
def test_opening_is_that_of_scipy(shape: tuple[int, int, int]) -> None:
    mask = np.random.default_rng(2).random(shape) < 0.8
    np.testing.assert_array_equal(opened(mask), ndimage.binary_opening(mask, np.ones((1, 3, 3))))


# ---------------------------------------------------------------- model_input


@pytest.mark.parametrize("shape", [(1, 160, 200), (6, 160, 200), (2, 512, 512), (1, 1, 1), (3, 7, 300)])
def test_model_input_has_the_size_of_the_model(shape: tuple[int, int, int]) -> None:
    hu, _ = model_input(ellipse_head(shape))
    assert (hu.shape, hu.dtype) == ((shape[0], INPUT_SIZE, INPUT_SIZE), np.int16)


def test_the_head_fills_the_input() -> None:
    hu, _ = model_input(ellipse_head())
    rows = np.flatnonzero((hu[0] > 15).any(axis=1))
    assert np.ptp(rows) + 1 == pytest.approx(INPUT_SIZE / 1.12, abs=10)
    assert rows.mean() == pytest.approx(INPUT_SIZE / 2, abs=5)


def test_a_picture_and_the_ct_of_one_head_give_the_same_input_within_the_brain() -> None:
    ct = ellipse_head((5, 320, 320), (160, 160), (140, 110))
    ct[:, 150:180, 130:150] = 70
    picture = np.clip(ct, 0, 80)  # what a brain window keeps
    of_ct, ct_box = model_input(ct)
    of_picture, picture_box = model_input(picture)
    assert ct_box == picture_box
    brain = ndimage.binary_erosion((of_ct > 0) & (of_ct < 80), np.ones((1, 5, 5)))
    assert brain.mean() > 0.3
    np.testing.assert_array_equal(of_ct[brain], of_picture[brain])


def test_resolution_of_the_scan_hardly_shows() -> None:
    fine = ellipse_head((3, 480, 480), (240, 240), (200, 160))
    coarse = fine.reshape(3, 240, 2, 240, 2).mean(axis=(2, 4)).astype(np.int16)
    a, b = (np.clip(model_input(hu)[0].astype(int), 0, 80) for hu in (fine, coarse))
    assert np.mean(np.abs(a - b) > 10) < 0.04


def test_rectangular_pixels_give_the_head_its_true_shape() -> None:
    square = ellipse_head((3, 240, 240), (120, 120), (90, 72))
    flat = square[:, ::2]  # rows twice as far apart
    a, b = (np.clip(hu.astype(int), 0, 80) for hu in (model_input(square)[0], model_input(flat, (1.0, 0.5))[0]))
    assert np.mean(np.abs(a - b) > 10) < 0.05
    wrong = np.clip(model_input(flat)[0].astype(int), 0, 80)
    assert np.mean(np.abs(a - wrong) > 10) > 0.1


def test_slices_keep_their_order_and_do_not_mix() -> None:
    hu = ellipse_head((4, 160, 200))
    hu[2, 70:90, 90:110] = 75
    found, _ = model_input(hu)
    assert [int((one == 75).sum() > 100) for one in found] == [0, 0, 1, 0]
    np.testing.assert_array_equal(found[0], found[3])
