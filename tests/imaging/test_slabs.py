"""Thin slices go to the models as slabs of some 5 mm; what these say comes back to every slice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ichscope.imaging import quality
from ichscope.imaging.findings import FindingLevel
from ichscope.imaging.series import Header, Series, Slice
from ichscope.imaging.slabs import Seen, averaged, seen_by_models, slabs


def series(positions: list[float | None], thickness: float | None = None, kind: str = "ct") -> Series:
    hu = np.full((len(positions), 64, 64), -1000, np.int16)
    hu[:, 16:48, 16:48] = 30
    return Series(
        study="s",
        key="k",
        kind=kind,  # type: ignore[arg-type]
        hu=hu,
        slices=tuple(Slice(f"{i}.dcm", "", at) for i, at in enumerate(positions)),
        spacing_mm=(1.0, 0.5, 0.5),
        header=Header(slice_thickness_mm=thickness),
    )


def every(step: float, count: int) -> list[float | None]:
    return [step * number for number in range(count)]


@pytest.mark.parametrize(
    ("step", "thickness", "count", "sizes"),
    [
        pytest.param(0.5, 0.5, 300, {10}, id="half a millimetre"),
        pytest.param(0.625, 0.625, 240, {8}, id="0.625 mm"),
        pytest.param(1.0, 1.0, 150, {5}, id="one millimetre"),
        pytest.param(1.0, None, 150, {5}, id="thickness not known"),
        pytest.param(1.25, 1.25, 120, {4}, id="1.25 mm"),
        pytest.param(0.625, 1.25, 240, {7, 8}, id="overlapping: seven of them cover 5 mm"),
        pytest.param(1.0, 1.0, 32, {5, 6}, id="as even as their number allows"),
        pytest.param(2.0, 2.0, 30, {2, 3}, id="two millimetres: slabs of 4 and 6"),
        pytest.param(2.5, 2.5, 60, {2}, id="2.5 mm"),
        pytest.param(1.0, 1.0, 3, {3}, id="less than a slab is one"),
    ],
)
def test_thin_slices_go_together(step: float, thickness: float | None, count: int, sizes: set[int]) -> None:
    slab_of = slabs(series(every(step, count), thickness))
    assert slab_of is not None
    assert set(np.bincount(slab_of).tolist()) <= sizes
    assert (np.diff(slab_of) >= 0).all()
    assert slab_of[0] == 0


@pytest.mark.parametrize(
    "thin",
    [
        pytest.param(series(every(5.0, 32), 5.0), id="thick"),
        pytest.param(series(every(4.0, 32), 4.0), id="4 mm"),
        pytest.param(series(every(2.5, 60), 5.0), id="thick ones that overlap"),
        pytest.param(series(every(10.0, 15), 1.0), id="thin ones far apart"),
        pytest.param(series(every(2.0, 60), 1.0), id="gaps as wide as the slices"),
        pytest.param(series([None, 1.0, 2.0, 3.0], 1.0), id="a place not known"),
        pytest.param(series([0.0, 0.0, 0.0], 1.0), id="no places"),
        pytest.param(series([0.0], 1.0), id="a single one"),
        pytest.param(series(every(1.0, 50), 1.0, "picture"), id="pictures"),
    ],
)
def test_others_stay_as_they_are(thin: Series) -> None:
    assert slabs(thin) is None
    assert len(seen_by_models(thin).hu) == len(thin.hu)


def test_no_slab_bridges_a_gap() -> None:
    positions = [*every(1.0, 12), *(20.0 + step for step in range(8))]
    slab_of = slabs(series(positions, 1.0))
    assert slab_of is not None
    assert slab_of[11] < slab_of[12]
    assert np.bincount(slab_of).tolist() == [6, 6, 4, 4]


def test_a_slab_is_the_mean_of_its_slices() -> None:
    rng = np.random.default_rng(0)
    hu = rng.integers(-1000, 2000, (7, 4, 4)).astype(np.int16)
    slab_of = np.array([0, 0, 0, 1, 1, 2, 2])
    expected = np.stack([np.rint(hu[slab_of == slab].mean(axis=0)) for slab in range(3)])
    np.testing.assert_array_equal(averaged(hu, slab_of), expected)


def test_what_is_said_of_a_slab_holds_for_its_slices() -> None:
    seen = seen_by_models(series(every(1.0, 10), 1.0))
    assert seen.hu.shape == (2, 224, 224)
    assert seen.by_slice(np.array([0.1, 0.9])).tolist() == [0.1] * 5 + [0.9] * 5
    alone = Seen(seen.hu, seen.box)
    assert alone.by_slice(np.array([0.1, 0.9])).tolist() == [0.1, 0.9]


def test_thin_slices_do_not_limit_and_lone_thin_ones_do() -> None:
    def said(some: Series) -> dict[str, FindingLevel]:
        return {finding.code: finding.level for finding in quality.assess(some)}

    thin = series(every(1.0, 100), 1.0)
    assert said(thin)["slabs"] == FindingLevel.OK
    assert "thickness" not in said(thin)
    far_apart = replace(thin, slices=series(every(10.0, 100)).slices, spacing_mm=(10.0, 0.5, 0.5))
    assert said(far_apart)["thickness"] == FindingLevel.WARNING
