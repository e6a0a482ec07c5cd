from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from pydicom import Dataset

from ichscope.imaging.dicom import read_series
from ichscope.imaging.facts import ImageFacts, is_original, series_facts
from ichscope.imaging.intake import collect
from ichscope.imaging.kernels import is_soft_tissue
from ichscope.imaging.speaker import SeriesFacts, speaker
from ichscope.phantom import Phantom, datasets, to_bytes

PLAIN = SeriesFacts("ct", True, True, True, 5.0, 160.0, 32, 2, True)

# (what stands behind the plain series, whatever the order, and the words for it)
WORSE = [
    ({"soft_tissue": False}, "a bone kernel"),
    ({"soft_tissue": None}, "a kernel that is not known"),
    ({"original": False}, "derived images"),
    ({"original": None}, "an image type that is not given"),
    ({"axial": False}, "another plane"),
    ({"axial": None}, "a plane that is not given"),
    ({"contrast": True}, "a contrast agent"),
    ({"is_ct": False}, "another modality than CT"),
    ({"is_ct": None}, "a modality that is not given"),
    ({"slice_thickness_mm": 0.6}, "slices of 0.6 mm"),
    ({"slice_thickness_mm": 8.0}, "slices of 8 mm"),
    ({"slice_thickness_mm": None}, "a slice thickness that is not given"),
    ({"slices": 1}, "1 slice only"),
    ({"slices": 4}, "4 slices only"),
    ({"extent_mm": 60.0, "slices": 12}, "60 mm of the head only"),
    ({"extent_mm": None}, "a length that is not given"),
    ({"extent_mm": 130.0, "slices": 26}, "a part of the same"),
    ({"series_number": 3}, "a later series"),
    ({"series_number": None}, "a later series"),
    ({"kind": "picture"}, "pictures"),
]


@pytest.mark.parametrize(("change", "words"), WORSE, ids=[words for _, words in WORSE])
def test_the_plain_series_speaks(change: dict[str, object], words: str) -> None:
    # What speaks against a series outweighs a lower number, except where the number is all there is.
    worse = replace(PLAIN, **({"series_number": 1} | change))  # type: ignore[arg-type]
    for given, index in (([PLAIN, worse], 0), ([worse, PLAIN], 1)):
        choice = speaker(given)
        assert (choice.index, choice.order) == (index, (index, 1 - index))
        assert choice.reason == f"original axial soft-tissue series, 5 mm, whole head; chosen before 1 other: {words}"


THIN, BONE = replace(PLAIN, slice_thickness_mm=0.6, slices=260), replace(PLAIN, soft_tissue=False)
UNKNOWN = replace(PLAIN, soft_tissue=None)
ENHANCED, TEST_BOLUS = replace(PLAIN, contrast=True), replace(PLAIN, slices=1, extent_mm=5.0)
ORDERS = [
    # The kernel decides before the thickness, the thickness before the length, the length before the number.
    ("kernel before thickness", [THIN, BONE]),
    ("thickness before length", [replace(PLAIN, extent_mm=40.0), THIN]),
    ("length before number", [replace(PLAIN, series_number=9), replace(PLAIN, extent_mm=40.0)]),
    ("unknown between good and bad", [PLAIN, UNKNOWN, BONE]),
    ("unknown thickness", [PLAIN, replace(PLAIN, slice_thickness_mm=None), THIN]),
    ("unknown length", [PLAIN, replace(PLAIN, extent_mm=None), replace(PLAIN, extent_mm=40.0)]),
    ("of two flaws another plane is the worse", [BONE, replace(PLAIN, axial=False)]),
    ("native, however thin, before enhanced", [THIN, ENHANCED]),
    ("native, whatever its number, before enhanced", [replace(PLAIN, series_number=9), ENHANCED]),
    ("native bone before enhanced", [BONE, ENHANCED]),
    ("native derived images before enhanced", [replace(PLAIN, original=False), ENHANCED]),
    ("what says nothing of contrast or of its kernel before enhanced", [UNKNOWN, ENHANCED]),
    ("enhanced slices before other planes", [ENHANCED, replace(PLAIN, axial=False)]),
    ("enhanced, then enhanced bone", [PLAIN, ENHANCED, replace(BONE, contrast=True)]),
    ("a thin angiography before one native slice of its test bolus", [replace(THIN, contrast=True), TEST_BOLUS]),
    ("five slices are no sample", [replace(PLAIN, slices=5, extent_mm=25.0), THIN, TEST_BOLUS]),
    ("derived soft tissue before bone", [replace(PLAIN, original=False), BONE]),
    ("CT before pictures", [replace(BONE, axial=False), SeriesFacts("picture", slices=30)]),
    ("CT before another modality", [replace(BONE, axial=False), replace(PLAIN, is_ct=False, soft_tissue=None)]),
    ("the longest of three parts", [replace(PLAIN, extent_mm=130.0 + n, slices=26 + n) for n in (20, 10, 0)]),
    # An overlapping reconstruction has more slices, but covers no more.
    ("earlier, not more slices", [PLAIN, replace(PLAIN, slices=64, series_number=3)]),
    ("more slices of another thickness", [PLAIN, replace(PLAIN, slice_thickness_mm=3.0, slices=54, series_number=3)]),
]


@pytest.mark.parametrize(("name", "best_first"), ORDERS, ids=[name for name, _ in ORDERS])
def test_the_order_whatever_is_given_first(name: str, best_first: list[SeriesFacts]) -> None:
    for given in permutations(best_first):
        assert [given[index] for index in speaker(given).order] == best_first


def test_the_earlier_of_equals_by_number_then_as_given() -> None:
    early, late, unnumbered = (replace(PLAIN, series_number=number) for number in (2, 10, None))
    assert speaker([unnumbered, late, early, early]).order == (2, 3, 1, 0)


def test_reasons() -> None:
    assert speaker([BONE]).reason == "the only series"
    others = [BONE, THIN, BONE, replace(PLAIN, axial=False), replace(PLAIN, original=False)]
    assert speaker([PLAIN, *others]).reason == (
        "original axial soft-tissue series, 5 mm, whole head; chosen before 5 others: "
        "slices of 0.6 mm, derived images, a bone kernel, and 1 more"
    )
    bare = SeriesFacts()
    assert speaker([bare, bare]).reason == "series; chosen before 1 other: a later series"
    assert speaker([ENHANCED, TEST_BOLUS]).reason == (
        "original axial soft-tissue series with contrast agent, 5 mm, whole head; chosen before 1 other: 1 slice only"
    )
    partial = replace(BONE, original=False, axial=False, extent_mm=40.0)
    assert speaker([partial, SeriesFacts("picture")]).reason.startswith(
        "derived non-axial bone-kernel series, 5 mm, 40 mm of the head; "
    )
    with pytest.raises(ValueError, match="no series"):
        speaker([])


KERNELS = [
    ("H31s", True), ("J40s", True), ("H60s", False), ("Hr38", True), ("Hr40f", True), ("Hr64u", False), ("U70u", False),
    ("B30f", True), ("B55f", None), ("I30f", True), ("Qr59", None),
    ("SOFT", True), ("STANDARD", True), ("Brain", True), ("BONE", False), ("BONEPLUS", False), ("EDGE", False),
    ("LUNG", False), ("DETAIL", False), ("UA", True), ("UB", True), ("UC", True), ("A", True), ("B", True),
    ("D", False), ("E", False), ("L", False), ("YC", False), ("FC08", True), ("FC21", True), ("FC30", False),
    ("FC52", False), ("FC81", False), ("FC68", None), ("SYNTHETIC", None), ("", None), (" h31s ", True),
]  # fmt: skip


@pytest.mark.parametrize(("kernel", "soft"), KERNELS)
def test_kernels(kernel: str, soft: bool | None) -> None:
    assert is_soft_tissue(kernel) is soft


IMAGE_TYPES = [
    ("ORIGINAL\\PRIMARY\\AXIAL", True), ("original\\primary\\axial\\CT_SOM5 SPI", True), ("ORIGINAL\\PRIMARY", True),
    ("DERIVED\\SECONDARY\\MPR", False), ("DERIVED\\PRIMARY\\AXIAL", False), ("ORIGINAL\\SECONDARY\\AXIAL", False),
    ("ORIGINAL\\PRIMARY\\REFORMATTED", False), ("ORIGINAL\\PRIMARY\\CSA MPR", False),
    ("ORIGINAL\\PRIMARY\\LOCALIZER", False), ("ORIGINAL\\PRIMARY\\PROJECTION IMAGE", False), ("DERIVED", False),
    ("ORIGINAL", None), ("", None),
]  # fmt: skip


@pytest.mark.parametrize(("image_type", "original"), IMAGE_TYPES)
def test_image_types(image_type: str, original: bool | None) -> None:
    assert is_original(tuple(filter(None, image_type.split("\\")))) is original


def test_facts_that_differ_are_those_of_most_images() -> None:
    soft = ImageFacts("CT", ("ORIGINAL", "PRIMARY"), None, (0.0, 0.0, 0.0), "H31s", 5.0, 3)
    sharp = replace(soft, kernel="H60s", slice_thickness_mm=2.5, position=(0.0, 0.0, -20.0), series_number=2)
    facts = series_facts([soft, soft, sharp])
    assert (facts.soft_tissue, facts.slice_thickness_mm, facts.extent_mm, facts.series_number) == (True, 5.0, 25.0, 2)
    assert series_facts([replace(soft, position=None), soft]).extent_mm is None
    assert (facts.contrast, series_facts([soft, replace(soft, contrast=True)]).contrast) == (False, True)
    garbage = (0.0,) * 6
    facts = series_facts([replace(soft, orientation=garbage)])
    assert (facts.axial, facts.extent_mm) == (None, None)


def files(images: list[Dataset], folder: str) -> list[tuple[str, bytes]]:
    return [(f"{folder}/IM{number:04d}", to_bytes(image)) for number, image in enumerate(images)]


def test_facts_from_headers_are_the_same_in_groups_and_in_series_read(head: Phantom) -> None:
    images = datasets(head, ConvolutionKernel="H31s")
    spacing = abs(float(images[1].ImagePositionPatient[2]) - float(images[0].ImagePositionPatient[2]))
    (group,) = collect(files(images, "a")).groups
    thickness = float(images[0].SliceThickness)
    extent = 7 * spacing + thickness
    assert group.facts == SeriesFacts("ct", True, True, True, thickness, pytest.approx(extent), 8, 2, True)  # type: ignore[arg-type]
    assert read_series(group.sources).facts == group.facts


def test_facts_of_a_header_that_says_nothing(head: Phantom) -> None:
    images = datasets(head)
    gone = (
        "ImageType ConvolutionKernel SliceThickness SeriesNumber ImageOrientationPatient ImagePositionPatient Modality"
    )
    for image in images:
        for keyword in gone.split():
            delattr(image, keyword)
    (group,) = collect(files(images, "a")).groups
    assert group.facts == SeriesFacts(slices=8)
    assert read_series(group.sources).facts == group.facts


@pytest.mark.parametrize(
    ("tags", "contrast"),
    [({"ContrastBolusAgent": "NON CONTRAST"}, False), ({"ContrastBolusVolume": 80}, True)],
    ids=["said to be native", "a volume alone"],
)
def test_a_contrast_agent_is_a_fact(head: Phantom, tags: dict[str, object], contrast: bool) -> None:
    (group,) = collect(files(datasets(head, **tags), "a")).groups
    assert group.facts.contrast is contrast
    assert read_series(group.sources).facts.contrast is contrast


def test_studies_have_their_series_in_the_order_of_the_rule(head: Phantom) -> None:
    bone = datasets(head, ConvolutionKernel="H60s", SeriesInstanceUID="1.2.3.1", SeriesNumber=1)
    soft = datasets(head, ConvolutionKernel="H31s", SeriesInstanceUID="1.2.3.2", SeriesNumber=2)
    other = datasets(head, StudyInstanceUID="1.2.4", SeriesInstanceUID="1.2.4.1")
    for image in (*bone, *soft):
        image.StudyInstanceUID = "1.2.3"
    intake = collect([*files(bone, "b"), *files(soft, "c"), *files(other, "a")])
    names = [[group.sources[0].name for group in study] for study in intake.studies]
    assert names == [["a/IM0000"], ["c/IM0000", "b/IM0000"]]
    reason = speaker([group.facts for group in intake.studies[1]]).reason
    assert reason.endswith("chosen before 1 other: a bone kernel")
