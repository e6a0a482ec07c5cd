from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset

from ichscope.batch import discovery
from ichscope.batch.work_items import Files, Place, from_text, to_text
from ichscope.imaging import elements
from ichscope.imaging.dicom import read_series
from ichscope.imaging.images import read_pictures
from ichscope.imaging.intake import Group, collect
from ichscope.phantom import Phantom, datasets, make, to_bytes
from ichscope.results import SeriesResult


def uploads(images: list[Dataset], folder: str) -> list[tuple[str, bytes]]:
    return [(f"{folder}/IM{number:04d}", to_bytes(image)) for number, image in enumerate(images)]


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((80, 80), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def two_kernels(head: Phantom) -> list[tuple[str, bytes]]:
    soft, sharp = (datasets(head, ConvolutionKernel=kernel) for kernel in ("H31s", "H60s"))
    for number, image in enumerate(sharp):
        image.SOPInstanceUID = f"1.2.3.{number}"
    return uploads([*soft, *sharp], "a")


def two_shapes(head: Phantom) -> list[tuple[str, bytes]]:
    other = datasets(make(seed=5, slices=5, size=64))
    for image in other:
        image.StudyInstanceUID = datasets(head)[0].StudyInstanceUID
        image.SeriesInstanceUID = datasets(head)[0].SeriesInstanceUID
        for keyword in ("PatientID", "PatientName", "PatientBirthDate"):
            setattr(image, keyword, getattr(datasets(head)[0], keyword, None))
    return uploads([*datasets(head), *other], "a")


def without(keyword: str, head: Phantom) -> list[tuple[str, bytes]]:
    images = datasets(head)
    for image in images:
        delattr(image, keyword)
    return uploads(images, "a")


CASES = {
    "one series": (lambda head: uploads(datasets(head), "a"), 1),
    "two kernels": (two_kernels, 2),
    "two shapes": (two_shapes, 2),
    "no series UID": (lambda head: without("SeriesInstanceUID", head), 1),
    "no study UID": (lambda head: without("StudyInstanceUID", head), 1),
}


@pytest.mark.parametrize(("make_files", "volumes"), CASES.values(), ids=CASES)
def test_a_series_read_is_the_group_that_it_came_from(make_files, volumes: int, head: Phantom) -> None:
    groups = collect(make_files(head)).groups
    assert len({group.identity for group in groups}) == len(groups) == volumes
    assert len({group.study for group in groups}) == 1
    for group in groups:
        series = read_series(group.sources, group.identity)
        assert (series.study, series.key) == (group.study, group.key)
    # Files that come alone get the keys of the first volume in the same way.
    alone = read_series(groups[0].sources)
    assert (alone.study, alone.key) == (groups[0].study, groups[0].key)


def test_pictures_keep_the_keys_of_their_group() -> None:
    (group,) = collect([("a/1.png", png(100)), ("a/2.png", png(90))], pictures_as_series=True).groups
    for series in (read_pictures(group.sources, group.identity), read_pictures(group.sources)):
        assert (series.study, series.key) == (group.study, group.key)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How often each kind of header was parsed: by the last tag that was asked for."""
    counts: Counter[str] = Counter()
    parse = elements.read_partial

    def counted(stream, *rest, **options):  # type: ignore[no-untyped-def]
        counts["head" if len(stream.getvalue()) <= 1 << 15 else "whole file"] += 1
        return parse(stream, *rest, **options)

    monkeypatch.setattr(elements, "read_partial", counted)
    return counts


@pytest.fixture(scope="module")
def large() -> Phantom:
    """A head whose files are longer than the beginning that is read for sorting."""
    return make(seed=0, slices=8, size=256)


def test_a_header_is_parsed_once_to_sort_and_once_to_read(large: Phantom, parsed: Counter[str], tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    for name, data in uploads(datasets(large), "a"):
        (tmp_path / name).write_bytes(data)
    task = next(iter(discovery.look(Place(folder))))
    assert isinstance(task, Files)
    assert parsed == {"head": 8}
    group = discovery.prepare(from_text(to_text(task)).groups[0]).group  # type: ignore[union-attr]
    assert parsed == {"head": 8}
    series = read_series(group.sources, group.identity)
    result = SeriesResult(study=group.study, series=group.key, name="a", status="analysed", volume=series)
    assert discovery.patient_id(group, result) == str(datasets(large)[0].PatientID)
    assert parsed == {"head": 8, "whole file": 8}


def test_the_patient_of_a_series_that_cannot_be_read(head: Phantom) -> None:
    (group,) = collect(uploads(datasets(head, PatientID="P1"), "a")).groups
    unread = SeriesResult(study=group.study, series=group.key, name="a", status="not analysed")
    assert discovery.patient_id(group, unread) == "P1"
    picture = Group("picture", "s", "k", ())
    assert discovery.patient_id(picture, unread) is None


def test_no_patient_in_what_is_printed(head: Phantom) -> None:
    (group,) = collect(uploads(datasets(head, PatientID="SECRET-7"), "a")).groups
    series = read_series(group.sources, group.identity)
    assert series.patient_id == "SECRET-7"
    assert "SECRET-7" not in repr(series)
    assert "SECRET-7" not in repr(group)
