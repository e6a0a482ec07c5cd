"""Who acts, and what they may do."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest

from ichscope.access import RIGHTS, Actor, NotAllowedError, Right, Role, Via, acting_as, by_default, current_actor
from ichscope.access.roles import roles_with

ANN = Actor("Ann", Role.READER, Via.PAGE)
BOB = Actor("Bob", Role.VIEWER, Via.PAGE)


def test_nobody_may_do_anything() -> None:
    by_default(None)
    with pytest.raises(NotAllowedError, match="Nobody is signed in"):
        current_actor()


def test_the_inner_one_acts_and_then_the_outer_one_again() -> None:
    with acting_as(ANN):
        with acting_as(BOB):
            assert current_actor() is BOB
        assert current_actor() is ANN


def test_another_thread_is_somebody_else() -> None:
    by_default(None)
    found: list[str] = []

    def look() -> None:
        with pytest.raises(NotAllowedError):
            current_actor()
        found.append("nobody")

    with acting_as(ANN):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert found == ["nobody"]


def test_a_refusal_names_the_right_and_who_has_it() -> None:
    ANN.require(Right.REVIEW)
    with pytest.raises(NotAllowedError, match=r"Bob \(viewer\) may not review studies; reader, qa and admin may\."):
        BOB.require(Right.REVIEW)
    with pytest.raises(NotAllowedError, match="only admin may"):
        ANN.require(Right.PRUNE)


def test_a_scope_takes_away_and_never_adds() -> None:
    token = Actor("PACS", Role.SERVICE, Via.TOKEN, frozenset({Right.ANALYSE, Right.USERS}))
    assert token.rights == {Right.ANALYSE}
    assert ANN.at_work().rights == {Right.ANALYSE}
    assert not BOB.at_work().rights


def test_each_role_of_people_has_all_that_the_one_before_has() -> None:
    people = [Role.VIEWER, Role.READER, Role.QA, Role.ADMIN]
    for less, more in pairwise(people):
        assert RIGHTS[less] < RIGHTS[more]
    assert RIGHTS[Role.ADMIN] | RIGHTS[Role.SERVICE] == set(Right), "a right that nobody has is none"
    assert Right.API not in RIGHTS[Role.ADMIN]


def test_no_program_manages_people() -> None:
    assert not RIGHTS[Role.SERVICE] & {Right.USERS, Right.FOLDERS, Right.PRUNE, Right.TRAIL, Right.REVIEW}
    assert roles_with(Right.PRUNE) == (Role.ADMIN,)


def test_only_the_page_without_sign_in_has_names_as_typed() -> None:
    assert [via for via in Via if not Actor("x", Role.ADMIN, via).signed] == [Via.NOBODY]
