"""Pixel spacing and orientation against the head's own shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ichscope.imaging.dicom import read_series
from ichscope.imaging.findings import Finding
from ichscope.imaging.head_check import head_slices
from ichscope.imaging.proportions import proportion_findings
from ichscope.imaging.quality import assess
from ichscope.phantom import Phantom, datasets, make, to_bytes


@pytest.fixture(scope="module")
def whole() -> Phantom:
    return make("subdural", seed=3, slices=32, size=64)


def findings(head: Phantom, **tags: Any) -> list[Finding]:
    series = read_series([to_bytes(one) for one in datasets(head, **tags)])
    return [finding for finding in assess(series) if finding.code in ("pixel-spacing", "head-shape")]


def spacing(head: Phantom, rows: float = 1, columns: float = 1) -> list[float]:
    return [round(head.spacing_mm[1] * rows, 6), round(head.spacing_mm[2] * columns, 6)]


@pytest.mark.parametrize("seed", range(6))
def test_heads_have_the_shape_of_heads(seed: int) -> None:
    assert findings(make("subdural", seed=seed, slices=32, size=64)) == []


@pytest.mark.parametrize("factors", [(2, 1), (1, 2), (1, 0.5), (1.1, 1)])
def test_pixels_that_are_not_square_limit(whole: Phantom, factors: tuple[float, float]) -> None:
    [found] = findings(whole, PixelSpacing=spacing(whole, *factors))
    assert (found.level, found.code) == ("warning", "pixel-spacing")
    assert "Pixel Spacing (0028,0030): found pixels of" in found.text


def test_pixels_that_are_not_square_are_right_where_the_head_needs_them(whole: Phantom) -> None:
    narrow = Phantom(whole.hu[:, :, ::2], whole.mask[:, :, ::2], whole.bleed, 3, whole.spacing_mm)
    [found] = findings(narrow, PixelSpacing=spacing(whole, 1, 2))
    assert (found.level, found.code) == ("ok", "pixel-spacing")


def test_a_head_on_its_side_limits(whole: Phantom) -> None:
    lying = Phantom(np.ascontiguousarray(whole.hu.transpose(0, 2, 1)), whole.mask, whole.bleed, 3, whole.spacing_mm)
    [found] = findings(lying)
    assert (found.level, found.code) == ("warning", "head-shape")
    assert "Image Orientation (Patient) (0020,0037) or Pixel Spacing (0028,0030)" in found.text


def test_a_head_of_half_the_size_limits(whole: Phantom) -> None:
    [found] = findings(whole, PixelSpacing=spacing(whole, 0.5, 0.5))
    assert "found a head 103 mm long, expected 130 mm or more" in found.text


@pytest.mark.parametrize(("diameter", "limits"), [(250, False), (244, False), (None, False), (0, False), (500, True)])
def test_reconstruction_diameter_is_asked(whole: Phantom, diameter: float | None, limits: bool) -> None:
    found = findings(whole, ReconstructionDiameter=diameter)
    assert [finding.level.value for finding in found] == ["warning"] * limits
    assert all("expected 500 mm as Reconstruction Diameter (0018,1100) says" in finding.text for finding in found)


def test_real_heads_have_the_shape_of_heads(real_data: Path) -> None:
    for patient in sorted((real_data / "ct-ich" / "Patients_CT").iterdir())[:12]:
        bone = [np.asarray(Image.open(file).convert("L")) for file in sorted((patient / "bone").glob("*.jpg"))]
        hu = np.stack([(image / 255 * 3200 - 900).astype(np.int16) for image in bone])
        assert proportion_findings(head_slices(hu), (0.35, 0.35)) == []
