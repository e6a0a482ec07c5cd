"""Which passwords are taken, and what is kept of them."""

from __future__ import annotations

import re

import pytest

from ichscope.access import passwords
from ichscope.access.passwords import PasswordError

GOOD = "correct horse battery staple"


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short", "5 characters"),
        ("x" * 300, "300 characters"),
        ("qwertyuiop[]", "many use"),
        ("QWERTY123456", "many use"),
        ("abababababababab", "many use"),
        ("ann.example 12", "a name"),
        ("ichscope-ichscope-1", "a name"),
    ],
)
def test_what_is_easily_guessed_is_refused(password: str, why: str) -> None:
    with pytest.raises(PasswordError, match=why) as caught:
        passwords.check(password, "Ann.Example")
    assert password not in str(caught.value)


@pytest.mark.parametrize("password", [GOOD, "ein langer Satz über Ärzte", "密码密码一二三四五六七八", " spaces, too "])
def test_length_counts_and_composition_does_not(password: str) -> None:
    passwords.check(password, "ann")


def test_only_a_salted_hash_is_kept() -> None:
    one, other = passwords.hashed(GOOD), passwords.hashed(GOOD)
    assert one.startswith("$argon2id$")
    assert one != other
    assert passwords.verify(one, GOOD)
    assert not passwords.verify(one, GOOD + " ")
    assert not passwords.outdated(one)


def test_an_accent_is_one_however_the_keyboard_writes_it() -> None:
    assert passwords.verify(passwords.hashed("caf\u00e9 caf\u00e9 caf\u00e9"), "cafe\u0301 cafe\u0301 cafe\u0301")


@pytest.mark.parametrize("known", [None, "", "$argon2id$damaged", "plain text"])
def test_what_is_no_hash_lets_nobody_in(known: str | None) -> None:
    assert not passwords.verify(known, GOOD)
    assert not passwords.verify(known, "\0")


def test_an_unknown_account_costs_as_much_as_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords.verify(None, GOOD)
    made = []

    class Counting:
        def verify(self, known: str, password: str) -> bool:
            made.append(known.split("$")[:4])
            return False

    known = passwords.hashed(GOOD)
    monkeypatch.setattr(passwords, "_hasher", Counting())
    assert not passwords.verify(known, "other")
    assert not passwords.verify(None, "other")
    assert made[0] == made[1], "the same work, with the same parameters"


def test_passwords_that_are_made_up_are_good_ones() -> None:
    made = {passwords.generated() for _ in range(100)}
    assert len(made) == 100
    for password in made:
        passwords.check(password, "Ann")
        assert re.fullmatch(r"[a-hj-kmnp-z2-9]{4}(-[a-hj-kmnp-z2-9]{4}){4}", password)
