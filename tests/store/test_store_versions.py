"""A series that came in parts: the fullest version counts, whatever the order, and the others stay in its history."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from ichscope.imaging.identity import other_patients_key
from ichscope.imaging.person import hash_of
from ichscope.imaging.series import Slice
from ichscope.labels import LABELS
from ichscope.results import SeriesResult
from ichscope.store import Store
from tests.support import results_builder as build
from tests.support.people import choose, review
from tests.support.store_cases import MORNING, content, study

PART, WHOLE = range(4), range(9)


def version(slices: range, *models: object, series: str = "s1", **fields: object) -> SeriesResult:
    """A version of one series of study A that has these slices."""
    made = study("A", *models, **{"series": content(series)[:16]} | fields)
    places = tuple(Slice(f"IM{number}", f"1.2.3.{number}", 5.0 * number) for number in slices)
    results = {
        name: replace(model, slice_probability=dict.fromkeys(LABELS, np.linspace(0, 1, len(slices), dtype=np.float32)))
        for name, model in made.models.items()
    }
    return replace(made, slices=places, models=results)


def record(store: Store, made: SeriesResult, **fields: object) -> int:
    name = (made.series, [place.sop for place in made.slices], made.status)
    return store.results.record(made, content(name), arrived_at=MORNING, **fields)  # type: ignore[arg-type]


def test_the_rest_of_a_slow_transfer_replaces_the_part_that_was_taken_in(store: Store) -> None:
    number = record(store, version(PART, 0.1))
    seen = review(store, number, "Ann", agree=True).review
    assert (seen.slices, seen.superseded) == (4, False)
    assert record(store, version(WHOLE, 0.9)) == number
    (row,) = store.worklist.page()
    assert (row.series_count, row.slices, row.priority, row.reviews) == (1, 9, "likely", 1)
    whole, part = store.series.of(number)
    assert (whole.speaks, whole.slices, whole.superseded_by) == (True, 9, None)
    assert (part.speaks, part.slices, part.superseded_by) == (False, 4, whole.id)
    (kept,) = store.reviews.of(number)
    assert (kept.series, kept.slices, kept.superseded) == (part.id, 4, True)
    assert row.agreement == "disagree", "the reader saw no bleed in what had come"
    assert store.results.load_series(part.id).models, "its result stays"


@pytest.mark.parametrize("order", list(permutations([range(3), range(6), range(9)])), ids=str)
def test_the_fullest_counts_in_whatever_order_they_come(store: Store, order: tuple[range, ...]) -> None:
    for slices in order:
        number = record(store, version(slices, len(slices) / 10))
    (row,) = store.worklist.page()
    assert (row.slices, row.series_count, row.score) == (9, 1, pytest.approx(0.9))
    best, *others = store.series.of(number)
    assert {other.superseded_by for other in others} == {best.id}


def test_of_two_with_the_same_slices_the_newer_counts(store: Store) -> None:
    record(store, version(WHOLE, 0.2))
    number = store.results.record(version(WHOLE, 0.7), content("sent again"), arrived_at=MORNING)
    assert store.worklist.row(number).score == pytest.approx(0.7)
    assert store.worklist.row(number).series_count == 1


@pytest.mark.parametrize("first", [True, False])
def test_a_version_that_cannot_be_read_never_replaces_one_that_can(store: Store, first: bool) -> None:
    unread = replace(version(range(0), status="not analysed"), volume=None)
    for made in (unread, version(PART, 0.9)) if first else (version(PART, 0.9), unread):
        number = record(store, made)
    (row,) = store.worklist.page()
    assert (row.slices, row.series_count, row.priority) == (4, 1, "likely")
    assert len(store.series.of(number)) == 2


def test_a_fuller_version_that_may_not_be_analysed_takes_the_result_away(store: Store) -> None:
    """What is not whole must not speak where the whole is known."""
    record(store, version(PART, 0.1))
    record(store, version(WHOLE, status="not analysed"))
    (row,) = store.worklist.page()
    assert (row.status, row.slices, row.models) == ("not analysed", 9, ())


def test_other_series_halves_and_patients_are_no_versions(store: Store) -> None:
    number = record(store, version(PART, 0.1))
    record(store, version(range(4, 9), 0.2))
    record(store, version(PART, 0.3, series="s2"))
    assert store.worklist.row(number).series_count == 3
    assert {series.superseded_by for series in store.series.of(number)} == {None}


def test_a_choice_of_a_version_is_one_of_the_series(store: Store) -> None:
    record(store, version(WHOLE, 0.2, series="s2"))
    number = record(store, version(PART, 0.1))
    part = next(series for series in store.series.of(number) if series.slices == 4)
    choose(store, number, part.id, "Ann")
    record(store, version(range(8), 0.9))
    row = store.worklist.row(number)
    assert (row.series_count, row.slices, row.score) == (2, 8, pytest.approx(0.9))
    assert row.series_reason.startswith("chosen by Ann")


def test_a_version_that_does_not_count_is_not_rescored(store: Store) -> None:
    for slices, path in ((PART, "a.npz"), (WHOLE, "b.npz")):
        record(store, version(slices, 0.5), volume=path)
    number = store.worklist.page()[0].id
    best = store.series.of(number)[0]
    assert store.results.outdated({build.model().name: "2.0"}) == [best.id]


def test_two_patients_with_one_study_uid_keep_their_studies_however_they_come(store: Store) -> None:
    """What the intake gives the second patient is what the store gives one whose files come alone."""
    alone = version(PART, 0.1)
    first = record(store, alone, patient_id="P1")
    second = store.results.record(version(WHOLE, 0.9), content("other"), patient_id="P2", arrived_at=MORNING)
    assert first != second
    key = other_patients_key(alone.study, hash_of("P2"))
    assert store.worklist.row(second).study_key == store.keys.study(key)
    together = replace(version(range(8), 0.3, series="s2"), study=key)
    assert record(store, together, patient_id="P2") == second
    assert [row.series_count for row in store.worklist.page(order="oldest")] in ([1, 2], [2, 1])
