"""Series that hold several passes over the same places: one of them, and which one is said; never a mixture."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from pydicom.dataset import Dataset

from ichscope.imaging.dicom import read_series
from ichscope.imaging.quality import assess, status
from ichscope.imaging.series import Series
from ichscope.imaging.source import Source
from ichscope.phantom import Phantom, datasets, make, to_bytes

SLICES = 32


@pytest.fixture(scope="module")
def passes() -> list[Phantom]:
    """Two heads as of one patient at two times: the second bleeds."""
    return [make(None, seed=5, slices=SLICES, size=64), make("subdural", seed=3, slices=SLICES, size=64)]


def written(passes: Sequence[Phantom], number: int = 0, **tags: object) -> list[Dataset]:
    """One pass in the series of them all; numbers go on from pass to pass."""
    patient = {"PatientID": "ONE", "PatientBirthDate": "19500101", "PatientSex": "F", "PatientAge": "070Y"}
    uids = {"StudyInstanceUID": "1.2.3.5", "SeriesInstanceUID": "1.2.3.5.1"}
    one_for_all = {**patient, **uids, "PixelSpacing": [3.6, 3.6], **tags}
    made = datasets(passes[number % len(passes)], **one_for_all)
    for index, dataset in enumerate(made):
        dataset.ImagePositionPatient = [-115, -115, dataset.ImagePositionPatient[2]]
        if "InstanceNumber" not in tags:
            dataset.InstanceNumber = index + 1 + len(made) * number
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.9.{number}.{index}"
    return made


def read(files: Sequence[Dataset], seed: int = 1) -> Series:
    sources = [Source(f"{random.Random(seed + i).randrange(10**9)}", data=to_bytes(one)) for i, one in enumerate(files)]
    return read_series(sorted(sources, key=lambda source: source.name))


def raised(series: Series) -> dict[str, str]:
    return {finding.code: finding.text for finding in assess(series) if finding.level != "ok"}


def air(hu: np.ndarray) -> np.ndarray:
    return np.maximum(hu, -1024)


TOLD_APART = [
    ({"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}, "(0020,0012)"),
    ({"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}, "(0020,0100)"),
    ({"AcquisitionTime": "030400"}, {"AcquisitionTime": "030900"}, "(0008,0032)"),
    ({"ContentTime": "030400.5"}, {"ContentTime": "030401"}, "(0008,0033)"),
    ({"AcquisitionNumber": 1, "AcquisitionTime": "235900", "AcquisitionDate": "20240102"},
     {"AcquisitionNumber": 1, "AcquisitionTime": "000100", "AcquisitionDate": "20240103"}, "(0008,0032)"),
    ({}, {}, "(0020,0013)"),
]  # fmt: skip


@pytest.mark.parametrize("without_place", [False, True])
@pytest.mark.parametrize(("first", "second", "tag"), TOLD_APART, ids=[tag for *_, tag in TOLD_APART])
def test_of_two_passes_the_first_is_used_whole(
    passes: list[Phantom], first: dict, second: dict, tag: str, without_place: bool
) -> None:
    missing = {"SliceLocation": None} if without_place else {}
    series = read(written(passes, 0, **first, **missing) + written(passes, 1, **second, **missing))
    np.testing.assert_array_equal(series.hu, air(passes[0].hu))
    text = raised(series)["several-passes"]
    assert tag in text
    assert status(assess(series)) == "limited"


def test_the_choice_does_not_depend_on_names(passes: list[Phantom]) -> None:
    files = written(passes, 0, AcquisitionNumber=1) + written(passes, 1, AcquisitionNumber=2)
    for seed in (1, 2, 3):
        np.testing.assert_array_equal(read(files, seed).hu, air(passes[0].hu))


def test_the_more_complete_pass_is_used(passes: list[Phantom]) -> None:
    files = written(passes, 0, AcquisitionNumber=1)[:19] + written(passes, 1, AcquisitionNumber=2)
    series = read(files)
    np.testing.assert_array_equal(series.hu, air(passes[1].hu))
    assert "1 (19 slices)" in raised(series)["several-passes"]


def test_times_that_differ_from_slice_to_slice(passes: list[Phantom]) -> None:
    """Sequential scans: every slice has a time and an acquisition number of its own."""
    files = written(passes, 0) + written(passes, 1)
    for number, dataset in enumerate(files):
        minutes, seconds = divmod(number, 60)
        dataset.AcquisitionTime, dataset.AcquisitionNumber = f"03{minutes:02}{seconds:02}", number
    series = read(files)
    np.testing.assert_array_equal(series.hu, air(passes[0].hu))
    assert "several-passes" in raised(series)


def test_two_passes_with_one_position_for_all(passes: list[Phantom]) -> None:
    files = written(passes, 0, AcquisitionNumber=1) + written(passes, 1, AcquisitionNumber=2)
    for dataset in files:
        dataset.ImagePositionPatient = [0, 0, 0]
    series = read(files)
    np.testing.assert_array_equal(series.hu, air(passes[0].hu))
    assert {"several-passes", "same-position"} <= set(raised(series))


def test_a_pass_between_the_slices_of_another(passes: list[Phantom]) -> None:
    files = written(passes, 0, AcquisitionNumber=1) + written(passes, 1, AcquisitionNumber=2)
    for dataset in files[SLICES:]:
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient, dataset.SliceLocation = [x, y, float(z) + 2.5], float(z) + 2.5
    series = read(files)
    np.testing.assert_array_equal(series.hu, air(passes[0].hu))
    assert "(0020,0012)" in raised(series)["several-passes"]


def test_a_scan_in_two_parts_is_one_head(passes: list[Phantom]) -> None:
    """Skull base and vertex as two acquisitions that share one place."""
    files = written(passes, 0)
    for number, dataset in enumerate(files):
        dataset.AcquisitionNumber = 1 + (number > 12)
    series = read(files)
    np.testing.assert_array_equal(series.hu, air(passes[0].hu))
    assert raised(series) == {}


def test_odd_and_even_slices_of_one_scan_are_one_head(passes: list[Phantom]) -> None:
    files = written(passes, 0)
    for number, dataset in enumerate(files):
        dataset.AcquisitionNumber = 1 + number % 2
    series = read(files)
    np.testing.assert_array_equal(series.hu, air(passes[0].hu))
    assert raised(series) == {}


def perfusion(head: Phantom, times: int, **tags: object) -> list[list[Dataset]]:
    """Eight places at many times: the middle of a head, brighter with time."""
    series = []
    for time in range(times):
        made = written([head], time, **tags)[12:20]
        for dataset in made:
            stored = np.frombuffer(dataset.PixelData, "<u2") + np.uint16(time)
            dataset.PixelData = stored.tobytes()
        series.append(made)
    return series


@pytest.mark.parametrize("told_by", ["TemporalPositionIdentifier", "AcquisitionTime", "AcquisitionNumber"])
def test_perfusion_is_read_at_its_first_time(passes: list[Phantom], told_by: str) -> None:
    times = perfusion(passes[0], 20)
    for time, made in enumerate(times):
        for index, dataset in enumerate(made):
            dataset.InstanceNumber = index * len(times) + time + 1
            setattr(dataset, told_by, f"0304{2 * time:02}" if "Time" in told_by else time + 1)
    series = read([dataset for made in times for dataset in made])
    np.testing.assert_array_equal(series.hu, air(passes[0].hu[12:20]))
    assert "20 passes" in raised(series)["several-passes"]


def test_perfusion_whose_times_nothing_tells_is_no_result(passes: list[Phantom]) -> None:
    times = perfusion(passes[0], 10, InstanceNumber=None, AcquisitionTime=None, ContentTime=None)
    series = read([dataset for made in times for dataset in made])
    assert status(assess(series)) == "not analysed"
    assert "(0020,0032)" in raised(series)["mixed-passes"]


def test_two_passes_that_nothing_tells_apart_are_no_result(passes: list[Phantom]) -> None:
    same = {"InstanceNumber": 1}
    series = read(written(passes, 0, **same) + written(passes, 1, **same))
    assert status(assess(series)) == "not analysed"


@pytest.mark.parametrize("kernels", [("H30s", "H60s"), ("BONE", "STANDARD"), ("FC26", "FC30")])
def test_of_kernels_that_alternate_the_soft_one_is_used(passes: list[Phantom], kernels: tuple[str, str]) -> None:
    soft = 1 if kernels[0] == "BONE" else 0
    files = written(passes, 0, ConvolutionKernel=kernels[0]) + written(passes, 1, ConvolutionKernel=kernels[1])
    for dataset in files[SLICES:]:
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient, dataset.SliceLocation = [x, y, float(z) + 2.5], float(z) + 2.5
    series = read(files)
    np.testing.assert_array_equal(series.hu, air(passes[soft].hu))
    assert kernels[1 - soft] in raised(series)["several-passes"]


def enhanced(passes: Sequence[Phantom], numbers: Sequence[int], keyword: str) -> Dataset:
    """All passes as frames of one file, in turn at each place."""
    made = [written(passes, number) for number in range(len(passes))]
    one = written(passes, 0, ImagePositionPatient=[0, 0, 0])[0]
    groups, pixels = [], []
    for index in range(SLICES):
        for number in numbers:
            place, content, group = Dataset(), Dataset(), Dataset()
            place.ImagePositionPatient = made[number][index].ImagePositionPatient
            setattr(content, keyword, number + 1)
            group.PlanePositionSequence, group.FrameContentSequence = [place], [content]
            groups.append(group)
            pixels.append(made[number][index].PixelData)
    one.NumberOfFrames, one.PixelData = len(groups), b"".join(pixels)
    one.PerFrameFunctionalGroupsSequence = groups
    return one


@pytest.mark.parametrize("keyword", ["TemporalPositionIndex", "FrameAcquisitionNumber"])
def test_times_of_an_enhanced_file(passes: list[Phantom], keyword: str) -> None:
    series = read([enhanced(passes, [1, 0], keyword)])
    np.testing.assert_array_equal(series.hu, air(passes[0].hu))
    assert "several-passes" in raised(series)
