"""The gate's training: pictures keep track of their heads, crops their truth, NumPy computes what Keras trained."""

from __future__ import annotations

import numpy as np
import pytest

from ichscope.imaging.picture_gate import scores
from ichscope.phantom import make
from training.gate.draw import Made
from training.gate.dress import KINDS, Picture, dressed, film, turned
from training.gate.heads import head_box
from training.gate.others import DRAWN, mri_of
from training.picture_gate import best, crops, gathered, trained


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
    truths = [truth for _, truth in crops(Made(base, "head CT", "as it is"))]
    assert 1.0 in truths


def test_a_film_is_no_head_but_its_pictures_are(base: Picture) -> None:
    made = Made(film([base] * 4, np.random.default_rng(0)), "film", "film")
    truths = [truth for _, truth in crops(made)]
    assert len(made.picture.heads) == 4
    assert 0.0 in truths


@pytest.mark.parametrize("kind", DRAWN)
def test_everything_else_is_drawn_as_grey(kind: str) -> None:
    grey = DRAWN[kind](np.random.default_rng(3))
    assert grey.dtype == np.float32
    assert 0 <= grey.min() < grey.max() <= 1
    assert all(truth == 0 for _, truth in crops(Made(Picture(grey), kind, "as it is")))


def test_mri_has_a_dark_skull(base: Picture) -> None:
    hu = make(None, 1, slices=8, size=192).hu[4].astype(np.float32)
    assert mri_of(hu, np.random.default_rng(1))[hu > 400].mean() < 0.4


@pytest.mark.slow
def test_numpy_computes_what_keras_trained(base: Picture) -> None:
    rng = np.random.default_rng(5)
    heads = [Made(dressed(base, rng, kind, 200), "head CT", kind) for kind in KINDS]
    others = [Made(Picture(DRAWN[kind](rng)), kind, "as it is") for kind in ("document", "texture", "rings", "plot")]
    seen, truth = gathered([*heads, *others])
    gate = trained(seen, truth, 12, 0)
    score = scores(seen.astype(np.float32), gate)
    assert score[truth == 1].mean() > score[truth == 0].mean()
    assert best(heads[0], gate) > -99
