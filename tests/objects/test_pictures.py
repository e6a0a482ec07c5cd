"""Key images, and the picture with burnt-in words."""

from __future__ import annotations

import numpy as np
import pytest
from highdicom.ko import KeyObjectSelectionDocument
from pydicom import Dataset

from ichscope.imaging.preprocess import Box
from ichscope.objects.capture import capture
from ichscope.objects.content import key_slices
from ichscope.objects.key_images import key_images
from ichscope.objects.page import COLUMNS, TILE, Tile, outline, page
from ichscope.phantom import Phantom, datasets
from tests.support import results_builder
from tests.support.dicom_results import making, study
from tests.support.enhanced_ct import enhanced

ORDER = [3, 0, 7, 1, 6, 2, 5, 4]
ORANGE, YELLOW = (213, 94, 0), (240, 228, 66)
BOX = Box(0, 0, 32, 32)


def selection_of(files: list[Dataset]) -> Dataset:
    result, headers = study(files)
    return key_images(result.speaks, making(headers))


def picture_of(files: list[Dataset], *models: results_builder.ModelResult) -> Dataset:
    result, headers = study(files, *models)
    return capture(result.speaks, making(headers))


def images(document: Dataset) -> list[Dataset]:
    return [item.ReferencedSOPSequence[0] for item in document.ContentSequence if item.ValueType == "IMAGE"]


def test_key_images_are_the_top_slices(head: Phantom) -> None:
    files = datasets(head)
    selection = KeyObjectSelectionDocument.from_dataset(selection_of(files))
    # The one model rises along the head, the other falls: the outermost slices are the likeliest.
    assert [one.ReferencedSOPInstanceUID for one in images(selection)] == [
        files[index].SOPInstanceUID for index in (0, 7, 1, 6, 2, 5)
    ]
    assert selection.resolve_reference(files[0].SOPInstanceUID) == (
        files[0].StudyInstanceUID,
        files[0].SeriesInstanceUID,
        files[0].SOPInstanceUID,
    )
    said = [item.TextValue for item in selection.ContentSequence if item.ValueType == "TEXT"]
    assert any(one.startswith("Research use only, not for diagnosis. The 6 slices") for one in said)


def test_key_images_of_an_enhanced_image_are_its_frames(head: Phantom) -> None:
    image = enhanced(head, ORDER)
    [reference] = images(selection_of([image]))
    assert reference.ReferencedSOPInstanceUID == image.SOPInstanceUID
    assert list(reference.ReferencedFrameNumber) == sorted(ORDER.index(i) + 1 for i in (0, 7, 1, 6, 2, 5))


def test_key_slices_follow_the_model_that_flags() -> None:
    flags = results_builder.model("a", along=(0.1, 0.9, 0.2), threshold=0.5)
    calm = results_builder.model("b", along=(0.4, 0.1, 0.3), threshold=0.5)
    assert key_slices(results_builder.result(flags, calm)) == [1, 2, 0]
    assert key_slices(results_builder.result(calm)) == [0, 2, 1]


def test_the_picture_refers_to_its_slices_and_says_what_it_is(head: Phantom) -> None:
    files = datasets(head)
    picture = picture_of(files)
    assert {one.ReferencedSOPInstanceUID for one in picture.SourceImageSequence} == {
        files[index].SOPInstanceUID for index in (0, 7, 1, 6, 2, 5)
    }
    assert (picture.PhotometricInterpretation, picture.BurnedInAnnotation) == ("RGB", "NO")
    assert picture.SeriesDescription == "ICHScope picture - Research use only, not for diagnosis"
    assert picture.pixel_array.shape == (picture.Rows, picture.Columns, 3)


def test_the_warning_is_burnt_in_at_top_and_bottom(head: Phantom) -> None:
    pixels = picture_of(datasets(head)).pixel_array
    expected = page("", [], "RESEARCH USE ONLY, NOT FOR DIAGNOSIS", [])
    other = page("", [], "FOR DIAGNOSIS", [])
    bar = slice(0, 34)
    assert (expected[bar] != other[bar]).any(), "the bars show the words"
    np.testing.assert_array_equal(pixels[bar], expected[bar])
    np.testing.assert_array_equal(pixels[-34:], expected[bar])
    assert tuple(pixels[2, 2]) == ORANGE
    assert (pixels[bar] == 255).all(axis=-1).sum() > 500, "in white letters"


def tile(evidence: np.ndarray, caption: str = "", sides: bool = True) -> Tile:
    return Tile(caption, np.full((32, 32), 40, np.int16), evidence.astype(np.float32), BOX, sides)


def yellow(pixels: np.ndarray) -> np.ndarray:
    return (pixels == YELLOW).all(axis=-1)


def test_the_outline_runs_around_the_evidence() -> None:
    evidence = np.zeros((8, 8))
    evidence[0:4, 4:8] = 1  # upper right quarter
    drawn = yellow(page("", [], "", [tile(evidence)]))
    rows, columns = np.nonzero(drawn)
    top, left = np.nonzero((page("", [], "", [tile(np.zeros((8, 8)))]) == 128).all(axis=-1))
    middle_row, middle_column = top.min() + TILE / 2, left.min() + TILE / 2
    assert rows.max() <= middle_row + TILE / 16
    assert columns.min() >= middle_column - TILE / 16


@pytest.mark.parametrize(("value", "expected"), [(0.0, False), (0.49, False), (0.5, True), (1.0, True)])
def test_only_strong_evidence_has_an_outline(value: float, expected: bool) -> None:
    assert outline(np.full((3, 4), value, np.float32), 64).any() == expected


def test_letters_of_the_sides_only_where_they_are_known() -> None:
    known, unknown = (page("", [], "", [tile(np.zeros((2, 2)), sides=sides)]) for sides in (True, False))
    differing = np.nonzero((known != unknown).any(axis=-1))[1]
    assert differing.min() < 40  # R on the left
    assert TILE - 40 < differing.max() < TILE + 12  # L on the right


@pytest.mark.parametrize(("tiles", "rows"), [(1, 1), (3, 1), (4, 2), (6, 2)])
def test_the_page_has_room_for_its_slices(tiles: int, rows: int) -> None:
    empty = page("", [], "", []).shape[0]
    drawn = page("", [], "", [tile(np.zeros((2, 2)))] * tiles)
    assert drawn.shape[0] - empty == rows * (TILE + 42)
    assert drawn.shape[1] == COLUMNS * (TILE + 12) + 12


def test_long_lines_are_broken_and_lose_no_word() -> None:
    words = " ".join(["haemorrhage"] * 40)
    one, many = page("", ["haemorrhage"], "", []), page("", [words], "", [])
    assert many.shape[0] > one.shape[0]
    assert many.shape[1] == one.shape[1]
    assert (many[:, -12:] == 0).all(axis=-1)[40:-40].all(), "nothing runs into the margin"


def test_one_endless_word_is_cut() -> None:
    drawn = page("", ["x" * 1000], "", [])
    assert drawn.shape == page("", ["x"], "", []).shape


def test_the_page_shows_the_numbers(head: Phantom) -> None:
    along = (0.9,) * 8
    models = [results_builder.model(probability={"any": value}, along=along) for value in (0.9, 0.8)]
    first, second = (picture_of(datasets(head), model).pixel_array for model in models)
    assert (first != second).any()
