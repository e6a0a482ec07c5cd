from datetime import UTC, datetime

import pytest

from dashboard.worklist import review_draft
from dashboard.worklist.review_draft import ReviewDraft
from ichscope.labels import LABELS, SUBTYPES
from ichscope.store import Review

ABSENT = dict.fromkeys(SUBTYPES, False)
FOUND = dict.fromkeys(LABELS, False) | {"any": True, "subdural": True}


def review(**fields: object) -> Review:
    values = {
        "id": 1,
        "study": 1,
        "series": 1,
        "reader": "Ann",
        "created_at": datetime(2026, 3, 1, tzinfo=UTC),
        "agree": None,
    }
    values |= {"labels": {}, "marks": {}, "poor_quality": False, "comment": "", "based_on": None}
    return Review(**(values | fields))


@pytest.mark.parametrize(
    ("labels", "completed", "word"),
    [
        ({}, {}, ""),
        ({"any": True}, {"any": True}, ""),
        ({"subdural": True}, {"any": True, "subdural": True}, "present"),
        ({"any": True, "subdural": True}, {"any": True, "subdural": True}, ""),
        ({"subdural": False}, {"subdural": False}, ""),
        ({"any": False}, {"any": False} | ABSENT, "absent"),
        ({"any": False} | ABSENT, {"any": False} | ABSENT, ""),
    ],
)
def test_labels_that_follow_from_others_are_added_and_named(
    labels: dict[str, bool], completed: dict[str, bool], word: str
) -> None:
    assert review_draft.complete(labels) == completed
    assert word in review_draft.implied(labels)
    assert bool(review_draft.implied(labels)) == bool(word)


def test_a_subtype_without_a_haemorrhage_is_a_contradiction() -> None:
    text = review_draft.contradiction({"any": False, "subdural": True, "epidural": True, "subarachnoid": False})
    assert text == "Any haemorrhage is set to No, but Epidural (EDH) and Subdural (SDH) to Yes. Change one of them."
    assert not any(map(review_draft.contradiction, ({}, {"any": False}, {"subdural": True}, {"any": True} | ABSENT)))


@pytest.mark.parametrize(
    ("labels", "found", "expected"),
    [
        ({"any": True}, FOUND, True),
        ({"any": False}, FOUND, False),
        ({"any": True, "subdural": False}, FOUND, False),
        ({"any": True, "epidural": True}, FOUND, False),
        ({"subdural": True}, FOUND, None),
        ({"any": True, "epidural": True}, dict.fromkeys(LABELS) | {"any": True}, True),
        ({"any": True}, dict.fromkeys(LABELS), None),
    ],
)
def test_whether_labels_affirm_the_models(
    labels: dict[str, bool], found: dict[str, bool | None], expected: bool | None
) -> None:
    assert review_draft.agrees(labels, found) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", []), ("1", [0]), (" 3 - 5 , 4,32 ", [2, 3, 4, 31]), ("2,,2,", [1])],
)
def test_slices_are_read_as_the_viewer_numbers_them(text: str, expected: list[int]) -> None:
    assert review_draft.slice_numbers(text, 32) == expected


@pytest.mark.parametrize("text", ["0", "33", "5-3", "3-33", "x", "3-", "-3", "1.5", "²"])
def test_what_is_no_slice_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="no slice from 1 to 32"):
        review_draft.slice_numbers(text, 32)


@pytest.mark.parametrize("indices", [[], [0], [0, 1, 2], [4, 6, 7, 31]])
def test_ranges_are_read_as_they_are_written(indices: list[int]) -> None:
    assert review_draft.slice_numbers(review_draft.ranges(indices), 32) == indices


def test_marks_turn_from_labels_to_slices_and_back() -> None:
    marks = review_draft.by_slice({"subdural": [2, 3], "any": [3], "epidural": []})
    assert marks == {2: ("subdural",), 3: ("any", "subdural")}
    assert review_draft.slices_with(marks, "subdural") == [2, 3]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"agree": True, "labels": {"any": True}}, ["Agrees with the models.", "Any haemorrhage: yes."]),
        ({"agree": False, "labels": {"any": False} | ABSENT}, ["Disagrees with the models.", "Any haemorrhage: no."]),
        (
            {"labels": {"any": True, "subdural": True, "epidural": False}, "marks": {2: ("subdural",)}},
            ["Any haemorrhage: yes.", "Epidural (EDH): no.", "Subdural (SDH): yes, slices 3."],
        ),
        ({"poor_quality": True, "comment": "Motion"}, ["Poor quality."]),
        ({"comment": "Motion"}, ["Comment only."]),
        (
            {"agree": True, "slices": 19, "superseded": True},
            ["Agrees with the models.", "Saw 19 slices of the series, which came in full later."],
        ),
    ],
)
def test_a_review_is_told_in_sentences(fields: dict[str, object], expected: list[str]) -> None:
    assert review_draft.told(review(**fields)) == expected


def test_an_entry_without_a_word_is_empty() -> None:
    assert ReviewDraft().empty
    assert ReviewDraft(comment=" \n").empty
    assert not ReviewDraft(poor_quality=True).empty
    assert not ReviewDraft(labels={"any": False}).empty
