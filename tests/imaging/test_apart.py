"""Images that a single tag keeps out of a volume: said, and by which tag; what is a volume of its own is left alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pydicom.dataset import Dataset

from ichscope.imaging.findings import FindingLevel
from ichscope.imaging.intake import Group, collect
from ichscope.phantom import Phantom, datasets, make, to_bytes

OTHER = "1.2.826.0.1.3680043.8.498.999"


@pytest.fixture(scope="module")
def tall() -> Phantom:
    return make(slices=16, size=48)


def groups(files: Sequence[Dataset]) -> tuple[Group, ...]:
    """The groups of these files, the largest first."""
    found = collect([(f"a/IM{number:02}.dcm", to_bytes(one)) for number, one in enumerate(files)]).groups
    return tuple(sorted(found, key=lambda group: -len(group.sources)))


def said(group: Group) -> list[str]:
    return [finding.text for finding in group.findings if finding.code == "set-apart"]


def changed(head: Phantom, places: Sequence[int], **tags: object) -> list[Dataset]:
    files = datasets(head)
    for place in places:
        for keyword, value in tags.items():
            setattr(files[place], keyword, value)
    return files


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        (
            {"ImageOrientationPatient": [-1, 0, 0, 0, -1, 0]},
            "Image Orientation (Patient) (0020,0037): found -1\\0\\0\\0",
        ),
        ({"ImageOrientationPatient": None}, "Image Orientation (Patient) (0020,0037): found none, expected 1\\0"),
        ({"PixelSpacing": [1, 1]}, "Pixel Spacing (0028,0030): found 1\\1, expected "),
        ({"PixelSpacing": None}, "Pixel Spacing (0028,0030): found none, expected "),
        ({"SeriesInstanceUID": OTHER}, "Series Instance UID (0020,000E): found another"),
        ({"SeriesInstanceUID": None}, "Series Instance UID (0020,000E): found none"),
        ({"StudyInstanceUID": OTHER}, "Study Instance UID (0020,000D): found another"),
        ({"StudyInstanceUID": None}, "Study Instance UID (0020,000D): found none"),
        ({"Rows": 24}, "Rows (0028,0010): found 24, expected 48"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "Image Type (0008,0008): found ORIGINAL\\PRIMARY\\LOCAL"),
    ],
    ids=str,
)
@pytest.mark.parametrize("places", [[7], [0], [2, 5, 6, 11], range(8, 16), range(1, 16, 2)], ids=str)
def test_the_tag_that_parts_is_named(tall: Phantom, tags: dict, words: str, places: Sequence[int]) -> None:
    main, other = groups(changed(tall, places, **tags))
    assert len(main.sources) + len(other.sources) == 16
    apart = min((main, other), key=lambda group: f"a/IM{places[0]:02}.dcm" in {s.name for s in group.sources})
    [text] = said(apart)
    assert text.startswith(words)
    assert f"IM{places[0]:02}.dcm" in text
    assert [finding.level for group in (main, other) for finding in group.findings] == [FindingLevel.WARNING] * 2


def test_two_tags_are_both_named(tall: Phantom) -> None:
    main, _ = groups(changed(tall, [3, 4], SeriesInstanceUID=OTHER, PixelSpacing=[1, 1]))
    [text] = said(main)
    assert "Series Instance UID (0020,000E)" in text
    assert "Pixel Spacing (0028,0030)" in text
    assert text.endswith("a/IM03.dcm; a/IM04.dcm.")


def moved(head: Phantom, by_mm: float, **tags: object) -> list[Dataset]:
    files = datasets(head, SeriesInstanceUID=OTHER, **tags)
    for one in files:
        x, y, z = one.ImagePositionPatient
        one.ImagePositionPatient = [x, y, z + by_mm]
    return files


@pytest.mark.parametrize(
    "other",
    [
        {"by_mm": 0, "ConvolutionKernel": "H60s"},
        {"by_mm": 2.5},
        {"by_mm": 300},
        {"by_mm": 80, "SliceThickness": 1},
        {"by_mm": 80, "FrameOfReferenceUID": "1.2.3"},
        {"by_mm": 80, "PatientID": "SOMEBODY ELSE"},
        {"by_mm": -80, "SeriesNumber": 3},
    ],
    ids=["kernel", "once more, between", "far away", "thickness", "frame", "patient", "the neck below"],
)
def test_series_of_their_own_are_left_alone(tall: Phantom, other: dict) -> None:
    assert [said(group) for group in groups([*datasets(tall), *moved(tall, **other)])] == [[], []]


def test_what_goes_on_above_is_said(tall: Phantom) -> None:
    first, second = groups([*datasets(tall), *moved(tall, 80)])
    assert "16 images that lie between or beside the 16 here" in said(first)[0]
    assert "16 images that lie between or beside the 16 here" in said(second)[0]


def test_another_series_between_the_slices_is_said(tall: Phantom) -> None:
    main, _ = groups(changed(tall, [3, 4, 9], SeriesInstanceUID=OTHER, SeriesNumber=3))
    assert "3 images that lie between or beside the 13 here" in said(main)[0]


def test_a_scout_is_left_alone(tall: Phantom) -> None:
    scout = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}
    assert [said(group) for group in groups(changed(tall, [15], **scout))] == [[], []]


def test_a_modality_that_is_missing_takes_no_slice_away(tall: Phantom) -> None:
    [group] = groups(changed(tall, [3, 9], Modality=None))
    assert (len(group.sources), group.findings) == (16, ())
