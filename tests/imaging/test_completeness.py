"""Heads of which something did not come: never analysed without a word."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pydicom.dataset import Dataset

from ichscope.imaging.dicom import read_series
from ichscope.imaging.quality import assess, status
from ichscope.imaging.source import Source
from ichscope.phantom import Phantom, datasets, make, to_bytes


@pytest.fixture(scope="module")
def whole() -> Phantom:
    return make("intraparenchymal", seed=17, slices=32, size=64)


def raised(files: Sequence[Dataset]) -> dict[str, str]:
    series = read_series([Source(f"{i}.dcm", data=to_bytes(one)) for i, one in enumerate(files)])
    findings = assess(series)
    codes = {finding.code: finding.text for finding in findings if finding.level != "ok"}
    assert status(findings) == ("limited" if codes else "analysed")
    return codes


@pytest.mark.parametrize(
    ("part", "ends"),
    [(slice(19), ["vertex"]), (slice(14), ["vertex"]), (slice(14, None), ["skull base"]),
     (slice(12, 22), ["skull base", "vertex"]), (slice(30), []), (slice(2, None), [])],
    ids=["top gone", "more gone", "base gone", "both gone", "two slices less", "two less below"],
)  # fmt: skip
def test_a_cut_off_head_is_seen_without_any_header(whole: Phantom, part: slice, ends: list[str]) -> None:
    codes = raised(datasets(whole, InstanceNumber=None)[part])
    assert set(codes) == ({"cut-off"} if ends else set())
    assert all(end in codes["cut-off"] for end in ends)


@pytest.mark.parametrize("kept", [slice(19), slice(30), slice(4, None), slice(None, None, 2)])
def test_fewer_images_than_the_header_says(whole: Phantom, kept: slice) -> None:
    files = datasets(whole, ImagesInAcquisition=32)
    assert "incomplete" not in raised(files)
    text = raised(files[kept])["incomplete"]
    assert "(0020,1002)" in text
    assert f"found {len(files[kept])} images, expected 32" in text


def test_images_of_each_acquisition_are_counted(whole: Phantom) -> None:
    files = datasets(whole)
    for number, dataset in enumerate(files):
        dataset.AcquisitionNumber, dataset.ImagesInAcquisition = 1 + number // 16, 16
    assert raised(files) == {}
    assert "incomplete" in raised(files[:-1])


def test_every_second_slice_lost_by_thickness(whole: Phantom) -> None:
    codes = raised(datasets(whole, InstanceNumber=None)[::2])
    assert "(0018,0050)" in codes["slice-gaps"]


def test_every_second_slice_lost_by_spacing_between_slices(whole: Phantom) -> None:
    codes = raised(datasets(whole, InstanceNumber=None, SliceThickness=None, SpacingBetweenSlices=5)[::2])
    assert "(0018,0088)" in codes["slice-gaps"]


@pytest.mark.parametrize("step", [2, 3])
def test_every_second_slice_lost_by_numbers(whole: Phantom, step: int) -> None:
    codes = raised(datasets(whole, SliceThickness=None)[::step])
    assert "(0020,0013)" in codes["missing-numbers"]


def test_a_gap_in_the_middle_without_positions(whole: Phantom) -> None:
    files = datasets(whole, ImagePositionPatient=None, SliceLocation=None)
    del files[14:17]
    assert "3 may be missing" in raised(files)["missing-numbers"]


def test_numbers_from_anywhere_and_overlapping_slices_are_fine(whole: Phantom) -> None:
    files = datasets(whole, SliceThickness=7.5, SpacingBetweenSlices=4.9375)
    for dataset in files:
        dataset.InstanceNumber += 100
    assert raised(files) == {}
