from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from ichscope.labels import LABELS
from ichscope.store import Filter, Saved, Store, StoreError
from ichscope.store.priority import Opinion, model_labels, priority, rank, score
from tests.support import results_builder as build
from tests.support.people import review
from tests.support.store_cases import MORNING, add, study


def test_a_review_comes_back_as_it_was_given(store: Store) -> None:
    id = add(store, "a", 0.9)
    saved = review(
        store, id, "Ann", agree=False, labels={"any": True, "subdural": True, "epidural": False},
        marks={1: ["subdural", "any"]}, poor_quality=True, comment=" thin ", at=MORNING,
    )  # fmt: skip
    [kept] = store.reviews.of(id)
    assert kept == saved.review
    assert (kept.reader, kept.comment, kept.poor_quality, kept.created_at) == ("Ann", "thin", True, MORNING)
    assert kept.signed
    assert kept.labels == {"any": True, "epidural": False, "subdural": True}
    assert kept.marks == {1: ("subdural", "any")}
    row = store.worklist.row(id)
    assert (row.reviews, row.reviewed_at, row.reader_labels["subdural"], row.reader_labels["subarachnoid"]) == (
        1,
        MORNING,
        True,
        None,
    )


def test_two_readers_keep_both_words_and_the_second_is_told(store: Store) -> None:
    id = add(store, "a", 0.9)
    ann = review(store, id, "Ann", agree=True)
    assert ann.unseen == ()
    bob = review(store, id, "Bob", agree=False, labels={"any": False})
    assert [review.reader for review in bob.unseen] == ["Ann"]
    assert [review.reader for review in store.reviews.of(id)] == ["Ann", "Bob"]
    assert store.worklist.row(id).agreement == "conflict"
    again = review(store, id, "Ann", labels={"any": False}, based_on=bob.review.id)
    assert again.unseen == ()
    assert store.worklist.row(id).agreement == "disagree"
    assert review(store, id, "Ann", agree=True, based_on=ann.review.id).unseen == (bob.review,)


def test_of_two_who_save_at_once_one_is_told(store: Store) -> None:
    id, saved, gate = add(store, "a", 0.9), [], threading.Barrier(2)

    def save(reader: str) -> None:
        gate.wait()
        saved.append(review(store, id, reader, agree=True))

    threads = [threading.Thread(target=save, args=[reader]) for reader in ("Ann", "Bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(one.unseen) for one in saved) == [0, 1]
    assert len(store.reviews.of(id)) == store.worklist.row(id).reviews == 2


@pytest.mark.parametrize(
    ("words", "agreement", "read"),
    [
        ([], "unreviewed", None),
        ([("Ann", True, None)], "agree", True),
        ([("Ann", False, None)], "disagree", None),
        ([("Ann", None, True)], "agree", True),
        ([("Ann", None, False)], "disagree", False),
        ([("Ann", None, None)], "noted", None),
        ([("Ann", False, True)], "agree", True),
        ([("Ann", False, False), ("Bob", None, None)], "disagree", False),
        ([("Ann", True, None), ("Bob", None, None)], "agree", True),
        ([("Ann", True, None), ("Bob", None, False)], "conflict", False),
        ([("Ann", True, None), ("Bob", True, None)], "agree", True),
        ([("Ann", True, None), ("Ann", None, False)], "disagree", False),
    ],
)
def test_agreement(store: Store, words: list[tuple[str, bool | None, bool | None]], agreement: str, read: bool) -> None:
    id = add(store, "a", 0.9)
    for reader, agree, any_bleed in words:
        review(store, id, reader, agree=agree, labels={} if any_bleed is None else {"any": any_bleed})
    row = store.worklist.row(id)
    assert (row.agreement, row.reader_labels["any"]) == (agreement, read)


def test_to_agree_that_nothing_bleeds_is_to_say_so_of_every_kind(store: Store) -> None:
    """Else the kinds' prevalence among readers would be counted over bleeds alone."""
    positive, negative = add(store, "a", 0.9), add(store, "b", 0.1)
    review(store, positive, "Ann", labels={"any": True, "subdural": True})
    saved = review(store, negative, "Ann", agree=True)
    assert saved.review.labels == dict.fromkeys(LABELS, False)
    [subdural] = [one for one in store.cohorts.read().prevalence if (one.by, one.label) == ("reader", "subdural")]
    assert (subdural.positives, subdural.studies) == (1, 2)


def test_a_comment_takes_nobodys_word_away(store: Store) -> None:
    id = add(store, "a", 0.9)
    review(store, id, "Ann", labels={"any": True, "subdural": True, "epidural": False})
    review(store, id, "Bob", comment="motion", poor_quality=True)
    review(store, id, "Ann", agree=True)
    row = store.worklist.row(id)
    assert (row.agreement, row.reviews) == ("disagree", 3)
    assert (row.reader_labels["any"], row.reader_labels["subdural"], row.reader_labels["epidural"]) == (
        True,
        True,
        False,
    )


def test_another_word_on_any_takes_its_kinds_along(store: Store) -> None:
    id = add(store, "a", 0.9)
    review(store, id, "Ann", labels={"any": True, "subdural": True})
    review(store, id, "Ann", labels={"any": False})
    review(store, id, "Ann", labels={"any": True})
    assert store.worklist.row(id).reader_labels == dict.fromkeys(LABELS) | {"any": True}


def test_a_new_version_is_compared_with_what_readers_have_said(store: Store) -> None:
    id = add(store, "a", 0.9)
    review(store, id, "Ann", agree=True)
    assert store.worklist.counts(Filter(agreement="disagree")).total == 0
    store.results.rescore(id, study("a", replace(build.model(along=(0.0, 0.1)), version="2")))
    assert store.worklist.row(id).agreement == "disagree"
    assert store.worklist.counts(Filter(agreement="disagree")).total == 1
    store.results.rescore(id, study("a", replace(build.model(along=(0.0, 0.9)), version="3")))
    assert store.worklist.row(id).agreement == "agree"


def test_agreeing_with_nothing_says_nothing(store: Store) -> None:
    id = add(store, "a")
    saved: Saved = review(store, id, "Ann", agree=True)
    assert saved.review.labels == {}


def test_wrong_reviews_are_refused(store: Store) -> None:
    id = add(store, "a", 0.9)
    with pytest.raises(ValueError, match="expected labels among any"):
        review(store, id, "Ann", labels={"bleed": True})
    with pytest.raises(ValueError, match="expected labels among any"):
        review(store, id, "Ann", marks={0: ["bleed"]})
    with pytest.raises(StoreError, match="no study number 99"):
        review(store, 99, "Ann")
    assert store.reviews.of(id) == ()


def opinion(p: float, threshold: float = 0.3) -> Opinion:
    return Opinion(p >= threshold, {"any": p}, {"any": threshold})


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([], "not analysed"),
        ([0.9], "likely"),
        ([0.31], "uncertain"),
        ([0.29], "uncertain"),
        ([0.05], "negative"),
        ([0.0, 1.0], "disagree"),
        ([0.9, 0.9], "likely"),
        ([0.9, 0.29], "likely"),
        ([0.05, 0.31], "uncertain"),
        ([0.05, 0.01], "negative"),
    ],
)
def test_priority(probabilities: list[float], expected: str) -> None:
    assert priority([opinion(p) for p in probabilities]) == expected


def decisive(p: float, threshold: float = 0.3) -> Opinion:
    return replace(opinion(p, threshold), decides=True)


@pytest.mark.parametrize(
    ("opinions", "expected"),
    [
        pytest.param([decisive(0.9), opinion(0.9)], "likely", id="both see it"),
        pytest.param([decisive(0.9), opinion(0.29)], "likely", id="the other is unsure"),
        pytest.param([decisive(0.9), opinion(0.01)], "disagree", id="the other is sure of none"),
        pytest.param([decisive(0.01), opinion(0.9)], "disagree", id="the other alone is sure"),
        pytest.param([decisive(0.29), opinion(0.9)], "uncertain", id="unsure, below its threshold"),
        pytest.param([decisive(0.31), opinion(0.9)], "likely", id="unsure, above its threshold"),
        pytest.param([decisive(0.31), opinion(0.01)], "uncertain", id="unsure, the other sees none"),
        pytest.param([decisive(0.01), opinion(0.31)], "negative", id="another's doubts do not count"),
        pytest.param([decisive(0.01), opinion(0.01)], "negative", id="neither sees any"),
    ],
)
def test_the_model_that_decides_has_the_word(opinions: list[Opinion], expected: str) -> None:
    assert priority(opinions) == expected
    assert score(opinions) == opinions[0].probability["any"]
    assert model_labels(opinions)["any"] is opinions[0].flagged


def test_rank_goes_by_priority_then_score() -> None:
    ranks = [rank("likely", 1.0), rank("likely", 0.3), rank("uncertain", 1.0), rank("not analysed", None),
             rank("negative", 0.2), rank("negative", 0.0)]  # fmt: skip
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == 6


def test_model_labels_are_what_any_model_finds() -> None:
    both = [
        Opinion(False, {"any": 0.9, "subdural": 0.6, "epidural": 0.1}, {"any": 0.95, "subdural": 0.5, "epidural": 0.5}),
        Opinion(True, {"any": 0.2}, {"any": 0.1}),
    ]
    expected = {"any": True, "subdural": True, "epidural": False}
    assert {label: value for label, value in model_labels(both).items() if value is not None} == expected
