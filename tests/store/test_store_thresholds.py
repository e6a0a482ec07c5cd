"""Numbers that users set, and results that are judged by them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ichscope.store import Store, in_force, judged, named_in, point_name
from tests.support import results_builder as build
from tests.support.people import set_limit, set_threshold
from tests.support.store_cases import add, content, study

MODEL = ("cranioscan", "1.0")


def of(store: Store, study: int, model: str = "cranioscan") -> tuple[float, bool, str]:
    (row,) = (one for one in store.worklist.row(study).models if one.name == model)
    return row.threshold, row.flagged, row.operating_point


def test_new_results_go_by_the_threshold_that_was_set_and_old_ones_stay(store: Store) -> None:
    old = add(store, "old", 0.6)
    made = set_threshold(store, *MODEL, "any", 0.7, who="Ann Lee", why="fewer alarms")
    new = add(store, "new", 0.6)
    assert of(store, old) == (0.5, True, "sensitivity 0.95")
    assert of(store, new) == (0.7, False, f"set by Ann Lee on {datetime.now(UTC):%Y-%m-%d} (no. {made.id})")
    assert (store.worklist.row(new).priority, store.worklist.row(new).model_labels["any"]) == ("negative", False)
    assert made == store.adjustments.history("threshold")[0]
    set_threshold(store, *MODEL, "any", None, who="Bob", why="back")
    assert of(store, add(store, "newest", 0.6)) == (0.5, True, "sensitivity 0.95")
    assert [(one.value, one.who, one.why) for one in store.adjustments.history("threshold")] == [
        (None, "Bob", "back"),
        (0.7, "Ann Lee", "fewer alarms"),
    ]


def test_two_thresholds_of_one_day_have_two_names_and_tell_which_they_are(store: Store) -> None:
    made = [set_threshold(store, *MODEL, label, 0.7, who="Ann", why="x") for label in ("any", "any", "subdural")]
    points = [point_name("card", {"any": one}) for one in made[:2]]
    assert points[0] != points[1]
    history = store.adjustments.history("threshold")
    assert [named_in(point, history) for point in points] == [[made[0]], [made[1]]]
    assert named_in(point_name("card", {"any": made[1], "subdural": made[2]}), history) == made[1:]
    assert named_in("sensitivity 0.95", history) == []


def test_a_threshold_is_of_one_version_of_one_model(store: Store) -> None:
    set_threshold(store, "cranioscan", "0.9", "any", 0.7, who="Ann", why="x")
    set_threshold(store, "cerebroscan", "1.0", "any", 0.8, who="Ann", why="x")
    both = [build.model(name, along=(0.6,), labels=("any",)) for name in ("cranioscan", "cerebroscan")]
    study_id = add(store, "a", *both)
    assert of(store, study_id)[:2] == (0.5, True)
    assert of(store, study_id, "cerebroscan")[:2] == (0.8, False)


def test_what_is_computed_again_goes_by_the_threshold_of_now(store: Store) -> None:
    study_id = add(store, "a", 0.6)
    set_threshold(store, *MODEL, "any", 0.7, who="Ann", why="x")
    store.results.rescore(study_id, study("a", 0.6))
    assert of(store, study_id)[:2] == (0.7, False)


def test_a_subtype_has_a_threshold_of_its_own_and_the_point_says_so(store: Store) -> None:
    set_threshold(store, *MODEL, "subdural", 0.2, who="Ann", why="x")
    sure = build.model(along=(0.9,), probability={"subdural": 0.3})
    study_id = store.results.record(study("a", sure), content("a"))
    row = store.worklist.row(study_id)
    assert row.model_labels["subdural"] is True
    assert of(store, study_id)[:2] == (0.5, True)
    assert row.models[0].operating_point.startswith("sensitivity 0.95; subdural set by Ann on ")


def test_the_probability_at_the_threshold_is_flagged(store: Store) -> None:
    made = set_threshold(store, *MODEL, "any", 0.7, who="Ann", why="x")
    at = judged(build.model(along=(0.7,)), in_force([made]))
    below = judged(build.model(along=(0.6999,)), in_force([made]))
    assert (at.flagged, below.flagged) == (True, False)


def test_without_a_threshold_of_its_own_a_result_is_left_as_it_is() -> None:
    result = build.model()
    assert judged(result, {}) is result


def test_a_label_that_the_model_does_not_know_changes_nothing(store: Store) -> None:
    made = set_threshold(store, *MODEL, "epidural", 0.7, who="Ann", why="x")
    result = build.model(labels=("any",))
    assert judged(result, in_force([made])) is result
    assert judged(replace(result, version="2.0"), in_force([made])).threshold == 0.5


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"why": ""}, "a reason"),
        ({"value": 0.0}, "between 0 and 1"),
        ({"value": 1.0}, "between 0 and 1"),
        ({"value": float("nan")}, "between 0 and 1"),
        ({"label": "stroke"}, "expected a label"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(store: Store, given: dict[str, object], words: str) -> None:
    good = {"model": "m", "version": "1", "label": "any", "value": 0.5, "who": "Ann", "why": "x"}
    with pytest.raises(ValueError, match=words):
        set_threshold(store, **(good | given))
    assert store.adjustments.history("threshold") == []


def test_limits_of_alerts_are_kept_apart(store: Store) -> None:
    set_limit(store, "latency", 60.0, who="Ann", why="x")
    assert [(one.name, one.value) for one in store.adjustments.history("alert")] == [("latency", 60.0)]
    assert store.adjustments.history("threshold") == []
