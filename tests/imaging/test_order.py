"""Which slice lies where, when a tag is wrong, missing or contradicts another: no silent choice."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from pydicom.dataset import Dataset

from ichscope.imaging.dicom import DicomError, read_series
from ichscope.imaging.quality import assess, status
from ichscope.imaging.series import Series
from ichscope.imaging.source import Source
from ichscope.phantom import Phantom, datasets, make, to_bytes

Change = Callable[[list[Dataset]], None]


@pytest.fixture(scope="module")
def whole() -> Phantom:
    """A head with a bleed, from base to vertex."""
    return make("subdural", seed=3, slices=32, size=64)


def read(files: Sequence[Dataset], shuffled: bool = True) -> Series:
    """The files under names in an order that says nothing."""
    sources = [Source(f"IM{i:04d}.dcm", data=to_bytes(dataset)) for i, dataset in enumerate(files, 1)]
    if shuffled:
        random.Random(13).shuffle(sources)
    return read_series(sources)


def raised(series: Series) -> dict[str, str]:
    return {finding.code: finding.text for finding in assess(series) if finding.level != "ok"}


def assert_whole(series: Series, whole: Phantom) -> None:
    np.testing.assert_array_equal(series.hu, np.maximum(whole.hu, -1024))


def position(dataset: Dataset, z: float) -> None:
    x, y, _ = dataset.ImagePositionPatient
    dataset.ImagePositionPatient = [x, y, round(float(z), 3)]


# ---------------------------------------------------------------- positions that say nothing


def all_at_one(files: list[Dataset]) -> None:
    for dataset in files:
        dataset.ImagePositionPatient = [0, 0, 0]


def most_at_one(files: list[Dataset]) -> None:
    for dataset in files[:-4]:
        dataset.ImagePositionPatient = [0, 0, 0]


def rounded_to_pairs(files: list[Dataset]) -> None:
    for number, dataset in enumerate(files):
        position(dataset, number // 2 * 10)


def only_x_moves(files: list[Dataset]) -> None:
    for number, dataset in enumerate(files):
        dataset.ImagePositionPatient = [number, -100, 40]


COLLAPSED = [all_at_one, most_at_one, rounded_to_pairs, only_x_moves]


@pytest.mark.parametrize("left", ["SliceLocation", "InstanceNumber"])
@pytest.mark.parametrize("change", COLLAPSED)
def test_positions_that_fall_together_keep_every_slice(whole: Phantom, change: Change, left: str) -> None:
    other = {"SliceLocation": "InstanceNumber", "InstanceNumber": "SliceLocation"}[left]
    files = datasets(whole, **{other: None})
    change(files)
    series = read(files)
    assert_whole(series, whole)
    assert status(assess(series)) == "limited"
    text = raised(series)["same-position"]
    assert "(0020,0032)" in text
    assert {"SliceLocation": "(0020,1041)", "InstanceNumber": "(0020,0013)"}[left] in text


def test_one_position_and_only_times_to_go_by(whole: Phantom) -> None:
    files = datasets(whole, SliceLocation=None, InstanceNumber=None, ImagePositionPatient=[0, 0, 0])
    for number, dataset in enumerate(files):
        dataset.AcquisitionTime = f"0304{number:02}"
    assert_whole(series := read(files), whole)
    assert "(0008,0032)" in raised(series)["same-position"]


def test_one_position_and_nothing_to_go_by_is_no_result(whole: Phantom) -> None:
    series = read(datasets(whole, SliceLocation=None, InstanceNumber=None, ImagePositionPatient=[0, 0, 0]))
    assert status(assess(series)) == "not analysed"


def test_one_place_many_times_is_one_slice(whole: Phantom) -> None:
    """A cine of one place: the positions are right."""
    noise = np.random.default_rng(0)
    files = datasets(whole, SliceLocation=None, ImagePositionPatient=[0, 0, 0])
    middle = np.frombuffer(files[16].PixelData, "<u2").astype(int)
    for dataset in files:
        values = middle + noise.normal(0, 5, middle.shape).round().astype(int)
        dataset.PixelData = np.clip(values, 0, 4095).astype("<u2").tobytes()
    series = read(files)
    assert len(series.slices) == 1
    assert "(0020,0032)" in raised(series)["duplicate-positions"]


def multi_frame(whole: Phantom, **tags: object) -> Dataset:
    files = datasets(whole, **tags)
    one = files[0]
    one.NumberOfFrames = len(files)
    one.PixelData = b"".join(dataset.PixelData for dataset in files)
    return one


def test_a_file_of_many_frames_with_one_position(whole: Phantom) -> None:
    series = read([multi_frame(whole)])
    assert_whole(series, whole)
    assert status(assess(series)) == "limited"
    assert "(0020,0032)" in raised(series)["same-position"]


@pytest.mark.parametrize("shared", [True, False])
def test_an_enhanced_file_with_one_position(whole: Phantom, shared: bool) -> None:
    one = multi_frame(whole)
    place = Dataset()
    place.ImagePositionPatient = [0, 0, 0]
    groups = [Dataset() for _ in whole.hu]
    for group in groups:
        if not shared:
            group.PlanePositionSequence = [place]
    one.PerFrameFunctionalGroupsSequence = groups
    one.SharedFunctionalGroupsSequence = [Dataset()]
    if shared:
        one.SharedFunctionalGroupsSequence[0].PlanePositionSequence = [place]
    series = read([one])
    assert_whole(series, whole)
    assert "same-position" in raised(series)


def test_frames_by_their_place_in_the_stack(whole: Phantom) -> None:
    files = datasets(whole)
    numbers = list(range(len(files)))
    random.Random(1).shuffle(numbers)
    one = multi_frame(whole, ImagePositionPatient=None)
    one.PixelData = b"".join(files[number].PixelData for number in numbers)
    one.PerFrameFunctionalGroupsSequence = []
    for number in numbers:
        content = Dataset()
        content.InStackPositionNumber = number + 1
        group = Dataset()
        group.FrameContentSequence = [content]
        one.PerFrameFunctionalGroupsSequence.append(group)
    series = read([one])
    assert_whole(series, whole)
    assert "(0020,9057)" in raised(series)["no-position"]


def test_more_frames_than_the_header_says_is_an_error(whole: Phantom) -> None:
    one = multi_frame(whole)
    one.NumberOfFrames = 1
    with pytest.raises(DicomError, match=r"Number of Frames \(0028,0008\): found 1, expected 32"):
        read([one])


# ---------------------------------------------------------------- positions that are wrong


def upside_down_pair(files: list[Dataset]) -> None:
    files[10].ImagePositionPatient, files[11].ImagePositionPatient = (
        files[11].ImagePositionPatient,
        files[10].ImagePositionPatient,
    )


def one_jumps(files: list[Dataset]) -> None:
    position(files[14], 900)


def shuffled_positions(files: list[Dataset]) -> None:
    places = [dataset.ImagePositionPatient for dataset in files]
    random.Random(3).shuffle(places)
    for dataset, place in zip(files, places, strict=True):
        dataset.ImagePositionPatient = place


def halves_exchanged(files: list[Dataset]) -> None:
    places = [dataset.ImagePositionPatient for dataset in files]
    for dataset, place in zip(files, places[16:] + places[:16], strict=True):
        dataset.ImagePositionPatient = place


WRONG = [upside_down_pair, one_jumps, shuffled_positions, halves_exchanged]


@pytest.mark.parametrize("missing", [(), ("SliceLocation",), ("InstanceNumber",)])
@pytest.mark.parametrize("change", WRONG)
def test_where_pixels_contradict_positions_another_tag_is_asked(
    whole: Phantom, change: Change, missing: tuple[str, ...]
) -> None:
    files = datasets(whole, **dict.fromkeys(missing))
    change(files)
    series = read(files)
    assert_whole(series, whole)
    assert "(0020,0032)" in raised(series)["doubtful-position"]


@pytest.mark.parametrize("change", WRONG)
def test_where_no_other_tag_is_there_the_doubt_is_said(whole: Phantom, change: Change) -> None:
    files = datasets(whole, SliceLocation=None, InstanceNumber=None)
    change(files)
    assert "(0020,0032)" in raised(read(files))["doubtful-order"]


@pytest.mark.parametrize("keyword", ["SliceLocation", "InstanceNumber"])
def test_wrong_locations_and_numbers_beside_right_positions(whole: Phantom, keyword: str) -> None:
    files = datasets(whole)
    values = [dataset[keyword].value for dataset in files]
    random.Random(5).shuffle(values)
    for dataset, value in zip(files, values, strict=True):
        dataset[keyword].value = value
    series = read(files)
    assert_whole(series, whole)
    assert "order-contradiction" in {finding.code for finding in series.findings}
    assert ("order-contradiction" in raised(series)) == (keyword == "SliceLocation")


def test_locations_in_other_steps_than_positions(whole: Phantom) -> None:
    files = datasets(whole)
    for number, dataset in enumerate(files):
        position(dataset, 10.0 * number)
    series = read(files)
    assert_whole(series, whole)
    assert "(0020,1041)" in raised(series)["distance-contradiction"]


def test_locations_that_count_down_or_from_elsewhere_are_no_contradiction(whole: Phantom) -> None:
    for factor, start in ((-1, 0), (1, 1000)):
        files = datasets(whole)
        for dataset in files:
            dataset.SliceLocation = start + factor * float(dataset.SliceLocation)
        assert raised(read(files)) == {}


def test_positions_with_the_sign_turned_are_said(whole: Phantom) -> None:
    files = datasets(whole)
    for dataset in files:
        position(dataset, -float(dataset.ImagePositionPatient[2]))
    assert "(0020,0032)" in raised(read(files))["upside-down"]


# ---------------------------------------------------------------- no position


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("missing", ["all", "one"])
def test_without_position_and_number_slice_location_gives_the_order(whole: Phantom, missing: str, down: bool) -> None:
    files = datasets(whole, InstanceNumber=None)
    for dataset in files if missing == "all" else files[5:6]:
        del dataset.ImagePositionPatient
    for dataset in files if down else []:
        dataset.SliceLocation = -float(dataset.SliceLocation)
    series = read(files)
    assert_whole(series, whole)
    text = raised(series)["no-position"]
    assert "(0020,0032)" in text
    assert "(0020,1041)" in text
    assert "number" not in text


@pytest.mark.parametrize("down", [False, True])
def test_without_positions_numbers_give_the_order_and_the_head_says_where_is_up(whole: Phantom, down: bool) -> None:
    files = datasets(whole, ImagePositionPatient=None, SliceLocation=None)
    for dataset in files if down else []:
        dataset.InstanceNumber = 100 - dataset.InstanceNumber
    series = read(files)
    assert_whole(series, whole)
    assert "(0020,0013)" in raised(series)["no-position"]


@pytest.mark.parametrize(
    "tags",
    [{}, {"SliceLocation": 0}, {"InstanceNumber": 1}, {"SliceLocation": 3, "InstanceNumber": 0}],
    ids=["nothing", "one location", "one number", "one of both"],
)
def test_without_any_order_there_is_no_result(whole: Phantom, tags: dict[str, object]) -> None:
    bare = {"ImagePositionPatient": None, "InstanceNumber": None, "SliceLocation": None, **tags}
    series = read(datasets(whole, **bare))
    assert status(assess(series)) == "not analysed"
    assert "no known order" in raised(series)["no-order"]


# ---------------------------------------------------------------- heads that do not go on


@pytest.mark.parametrize("place", [14, 16])
@pytest.mark.parametrize("other", [0, 1, 5])
def test_half_of_another_head_under_the_same_tags_is_said(whole: Phantom, other: int, place: int) -> None:
    files = datasets(whole)
    for mine, theirs in zip(files[place:], datasets(make(seed=other, slices=32, size=64))[place:], strict=True):
        mine.PixelData = theirs.PixelData
    assert f"IM{place:04}.dcm and IM{place + 1:04}.dcm" in raised(read(files))["break"]


@pytest.mark.parametrize("place", [6, 12])
def test_a_slice_that_is_turned_round_is_said(whole: Phantom, place: int) -> None:
    files = datasets(whole)
    files[place].PixelData = np.ascontiguousarray(files[place].pixel_array[::-1]).tobytes()
    assert raised(read(files)).keys() & {"break", "doubtful-order"}


def test_a_patient_who_moved_is_said(whole: Phantom) -> None:
    files = datasets(whole)
    for dataset in files[14:]:
        dataset.PixelData = np.roll(dataset.pixel_array, 5, axis=1).tobytes()
    assert "IM0014.dcm and IM0015.dcm" in raised(read(files))["break"]


def test_a_gap_that_is_named_is_no_break(whole: Phantom) -> None:
    files = datasets(whole)
    del files[14:18]
    assert "break" not in raised(read(files))


@pytest.mark.parametrize("seed", range(6))
def test_a_head_of_any_shape_goes_on(seed: int) -> None:
    assert "break" not in raised(read(datasets(make("epidural", seed=seed, slices=16, size=64))))


def test_a_right_series_has_no_remark(whole: Phantom) -> None:
    assert_whole(series := read(datasets(whole)), whole)
    assert raised(series) == {}
