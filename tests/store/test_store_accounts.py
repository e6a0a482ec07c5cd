"""Accounts, sessions and tokens."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from ichscope.access import Actor, NotAllowedError, Right, Role, Via, acting_as, passwords
from ichscope.access.passwords import PasswordError
from ichscope.store import SignInError, Store, StoreError, TrailFilter, accounts, attempts, sessions, tokens
from ichscope.store.access_tables import Attempt, AuditRecord, SignedIn

GOOD, OTHER = "correct horse battery staple", "another horse battery staple"
FAST = passwords.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash in no time: how slow it is in earnest is not the matter here."""
    monkeypatch.setattr(passwords, "_hasher", FAST)
    passwords._nobodys.cache_clear()


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = datetime(2026, 3, 1, 7, tzinfo=UTC)

    def now(self, zone: Any) -> datetime:
        return self.time

    def __call__(self, **passed: float) -> None:
        self.time += timedelta(**passed)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in (accounts, sessions, tokens):
        monkeypatch.setattr(module, "datetime", made)
    return made


def trail(store: Store) -> list[tuple[str, str, str]]:
    """(who, action, outcome) of all lines."""
    columns = (AuditRecord.who, AuditRecord.action, AuditRecord.outcome)
    with store.database.reading() as session:
        return [tuple(row) for row in session.execute(sa.select(*columns).order_by(AuditRecord.number))]


def everything(store: Store) -> str:
    """All that the tables of access hold, as one text."""
    names = ("accounts", "sessions", "tokens", "attempts", "audit_trail")
    with store.database.reading() as session:
        return repr([session.execute(sa.text(f"SELECT * FROM {name}")).all() for name in names])


# ---- accounts


def test_a_person_signs_in_by_name_and_password(store: Store) -> None:
    assert not store.accounts.exist()
    ann = store.accounts.add("  Ann   Example ", Role.QA, GOOD)
    assert (ann.name, ann.role, ann.disabled) == ("Ann Example", Role.QA, False)
    assert store.accounts.exist()
    assert store.accounts.check("ann EXAMPLE", GOOD).id == ann.id
    assert GOOD not in everything(store)


@pytest.mark.parametrize("name", ["", "   ", "x" * 65, "a\u202eb", "a\0b"])
def test_a_name_can_be_seen(store: Store, name: str) -> None:
    with pytest.raises(StoreError, match="letters that can be seen"):
        store.accounts.add(name, Role.READER, GOOD)


def test_no_two_accounts_differ_by_capitals_alone(store: Store) -> None:
    store.accounts.add("Ann", Role.READER, GOOD)
    with pytest.raises(StoreError, match="already"):
        store.accounts.add("ANN", Role.READER, GOOD)
    with pytest.raises(StoreError, match="no account"):
        store.accounts.disable("Bob")
    with pytest.raises(StoreError, match="tokens"):
        store.accounts.add("PACS", Role.SERVICE, GOOD)


def test_a_weak_password_makes_no_account(store: Store) -> None:
    with pytest.raises(PasswordError):
        store.accounts.add("Ann", Role.READER, "short")
    assert store.accounts.all() == []


@pytest.mark.parametrize(("name", "password"), [("Ann", OTHER), ("Nobody", GOOD), ("Gone", GOOD), ("Ann", "")])
def test_all_wrong_sign_ins_are_told_the_same(store: Store, name: str, password: str) -> None:
    for person in ("Ann", "Gone"):
        store.accounts.add(person, Role.READER, GOOD)
    store.accounts.disable("Gone")
    with pytest.raises(SignInError, match=r"^The name or the password is wrong\.$"):
        store.accounts.check(name, password)


def test_what_was_typed_as_a_name_is_not_written(store: Store) -> None:
    with pytest.raises(SignInError):
        store.accounts.check("my password by mistake", GOOD, "10.0.0.9")
    assert "mistake" not in everything(store)
    assert trail(store) == [("unknown name", "sign-in failed", "failed")]


def test_guessing_has_to_wait_twice_as_long_each_time(store: Store, clock: Clock) -> None:
    store.accounts.add("Ann", Role.READER, GOOD)
    for _ in range(attempts.OF_ACCOUNT):
        with pytest.raises(SignInError, match="wrong"):
            store.accounts.check("Ann", OTHER)
    with pytest.raises(SignInError, match="30 seconds"):
        store.accounts.check("Ann", GOOD)
    clock(seconds=30)
    with pytest.raises(SignInError, match="wrong"):
        store.accounts.check("Ann", OTHER)
    clock(seconds=59)
    with pytest.raises(SignInError, match="1 seconds"):
        store.accounts.check("Ann", GOOD)
    clock(seconds=1)
    assert store.accounts.check("Ann", GOOD)
    with pytest.raises(SignInError, match="wrong"):
        store.accounts.check("Ann", OTHER)
    assert store.accounts.check("Ann", GOOD), "what was wrong before is forgotten"


def test_no_wait_is_longer_than_a_quarter_of_an_hour(store: Store, clock: Clock) -> None:
    store.accounts.add("Ann", Role.READER, GOOD)
    for _ in range(attempts.OF_ACCOUNT + 12):
        with pytest.raises(SignInError):
            store.accounts.check("Ann", OTHER)
        clock(minutes=15)
    assert store.accounts.check("Ann", GOOD)


def test_a_clock_that_was_ahead_locks_nobody_out(store: Store, clock: Clock) -> None:
    store.accounts.add("Ann", Role.READER, GOOD)
    clock(days=365)
    for _ in range(attempts.OF_ACCOUNT + 3):
        with pytest.raises(SignInError):
            store.accounts.check("Ann", OTHER)
    clock(days=-365)
    (ann,) = store.accounts.all()
    assert ann.locked_until is None
    assert store.accounts.check("Ann", GOOD)


def test_an_unknown_name_has_to_wait_like_a_known_one(store: Store, clock: Clock) -> None:
    for _ in range(attempts.OF_ACCOUNT):
        with pytest.raises(SignInError, match="wrong"):
            store.accounts.check("Nobody", OTHER)
    with pytest.raises(SignInError, match="Too many attempts"):
        store.accounts.check("nobody", OTHER)


def test_an_address_that_guesses_many_names_has_to_wait(store: Store, clock: Clock) -> None:
    store.accounts.add("Ann", Role.READER, GOOD)
    for number in range(attempts.OF_ADDRESS):
        assert store.accounts.check("Ann", GOOD, "10.0.0.9"), "a proxy's address, behind which people sign in"
        with pytest.raises(SignInError, match="wrong"):
            store.accounts.check(f"name {number}", OTHER, "10.0.0.9")
    with pytest.raises(SignInError, match="Too many"):
        store.accounts.check("Ann", GOOD, "10.0.0.9")
    assert store.accounts.check("Ann", GOOD, "10.0.0.8")
    clock(days=1)
    assert store.accounts.check("Ann", GOOD, "10.0.0.9")
    with store.database.reading() as session:
        assert all(len(key) == 16 and "." not in key for key in session.scalars(sa.select(Attempt.key)))


def test_many_guesses_at_once_are_counted_each(store: Store) -> None:
    store.accounts.add("Ann", Role.READER, GOOD)
    told: list[str] = []

    def guess() -> None:
        try:
            store.accounts.check("Ann", OTHER)
        except SignInError as error:
            told.append(str(error))

    threads = [threading.Thread(target=guess) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("wrong" in text for text in told) == attempts.OF_ACCOUNT
    assert len(told) == 12


def test_a_password_of_older_parameters_is_hashed_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.accounts.add("Ann", Role.READER, GOOD)
    monkeypatch.setattr(passwords, "_hasher", passwords.PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    assert store.accounts.check("Ann", GOOD)
    assert "m=16,t=2" in everything(store)
    assert store.accounts.check("Ann", GOOD)


def test_people_change_their_own_password(store: Store) -> None:
    ann = store.accounts.add("Ann", Role.VIEWER, GOOD)
    secret = store.sessions.begin(ann.id)
    actor = store.sessions.look_up(secret)
    assert actor
    with acting_as(actor):
        with pytest.raises(SignInError):
            store.accounts.change_password(ann.id, OTHER, OTHER)
        with pytest.raises(PasswordError):
            store.accounts.change_password(ann.id, GOOD, "short")
        store.accounts.change_password(ann.id, GOOD, OTHER)
    assert store.sessions.look_up(secret) is None
    assert store.accounts.check("Ann", OTHER)


def test_an_identity_has_one_account_and_the_role_of_now(store: Store) -> None:
    store.accounts.add("Ann", Role.READER, GOOD)
    first = store.accounts.identified("https://id", "1", "Ann", Role.READER)
    assert first.name == "Ann 2", "two people do not sign alike"
    again = store.accounts.identified("https://id", "1", "Ann Renamed", Role.QA)
    assert (again.id, again.name, again.role) == (first.id, "Ann 2", Role.QA)
    with pytest.raises(SignInError):
        store.accounts.check("Ann 2", "")
    with pytest.raises(StoreError, match="https://id"):
        store.accounts.reset("Ann 2", OTHER)
    store.accounts.disable("Ann 2")
    with pytest.raises(SignInError):
        store.accounts.identified("https://id", "1", "Ann", Role.QA)


def test_the_page_does_not_take_the_last_admin(store: Store) -> None:
    boss = store.accounts.add("Boss", Role.ADMIN, GOOD)
    actor = store.sessions.look_up(store.sessions.begin(boss.id))
    assert actor
    with acting_as(actor):
        with pytest.raises(StoreError, match="last admin"):
            store.accounts.disable("Boss")
        with pytest.raises(StoreError, match="last admin"):
            store.accounts.set_role("Boss", Role.READER)
        store.accounts.set_role("Boss", Role.ADMIN)
        store.accounts.add("Other", Role.ADMIN, GOOD)
        store.accounts.disable("Boss")
    assert store.sessions.look_up(store.sessions.begin(store.accounts.check("Other", GOOD).id))


def test_without_sign_in_the_last_admin_stays_too_and_others_need_none(store: Store) -> None:
    store.accounts.add("Ann", Role.READER, GOOD)
    with acting_as(Actor("this computer", Role.ADMIN, Via.NOBODY)):
        store.accounts.disable("Ann")
        store.accounts.add("Boss", Role.ADMIN, GOOD)
        with pytest.raises(StoreError, match="Boss is the last admin"):
            store.accounts.disable("Boss")
    store.accounts.disable("Boss")
    assert not store.accounts.exist(), "a command may, for it makes the next one"


def test_of_two_admins_who_remove_each_other_one_stays(store: Store) -> None:
    names = ("Ada", "Bob")
    for name in names:
        store.accounts.add(name, Role.ADMIN, GOOD)
    told: list[str] = []

    def remove(by: str, whom: str) -> None:
        try:
            with acting_as(Actor(by, Role.ADMIN, Via.PAGE)):
                store.accounts.set_role(whom, Role.VIEWER)
        except StoreError as error:
            told.append(str(error))

    threads = [threading.Thread(target=remove, args=pair) for pair in (names, names[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [account.role for account in store.accounts.all()].count(Role.ADMIN) == 1
    assert ["last admin" in text for text in told] == [True]


def test_nobody_becomes_a_program(store: Store) -> None:
    store.accounts.add("Ann", Role.READER, GOOD)
    with pytest.raises(StoreError, match="tokens"):
        store.accounts.set_role("Ann", Role.SERVICE)


def test_the_list_says_who_is_signed_in_and_who_must_wait(store: Store, clock: Clock) -> None:
    ann, _ = (store.accounts.add(name, Role.READER, GOOD) for name in ("Ann", "Bob"))
    for _ in range(2):
        store.sessions.begin(ann.id)
    for _ in range(attempts.OF_ACCOUNT):
        with pytest.raises(SignInError):
            store.accounts.check("bob", OTHER)
    first, second = store.accounts.all()
    assert (first.sessions, first.locked_until) == (2, None)
    assert (second.sessions, second.locked_until) == (0, clock.time + attempts.FIRST_WAIT)
    clock(hours=1)
    assert [(one.sessions, one.locked_until) for one in store.accounts.all()] == [(0, None), (0, None)]


def test_only_admins_manage_accounts_and_a_refusal_is_told(store: Store) -> None:
    with acting_as(Actor("Ann", Role.QA, Via.PAGE)):
        with pytest.raises(NotAllowedError, match="may not manage accounts"):
            store.accounts.add("Bob", Role.ADMIN, GOOD)
        with pytest.raises(NotAllowedError):
            store.tokens.add("x", [Right.ANALYSE], timedelta(days=1))
    assert trail(store) == [("Ann", "account added", "refused"), ("Ann", "token added", "refused")]


# ---- sessions


def signed_in(store: Store, role: Role = Role.READER) -> tuple[int, str]:
    ann = store.accounts.add("Ann", role, GOOD)
    return ann.id, store.sessions.begin(ann.id, "10.0.0.9", "Firefox" * 100)


def test_a_session_says_who_acts(store: Store) -> None:
    account, secret = signed_in(store)
    actor = store.sessions.look_up(secret)
    assert actor
    assert (actor.name, actor.role, actor.via, actor.account) == ("Ann", Role.READER, Via.PAGE, account)
    assert actor.address == "10.0.0.9"
    assert secret not in everything(store)
    assert actor.session
    assert actor.session not in secret, "what the trail shows opens nothing"


@pytest.mark.parametrize("secret", ["", "x", "\udcff", "' OR 1=1 --", "a" * 10_000])
def test_what_is_no_secret_is_nobody(store: Store, secret: str) -> None:
    signed_in(store)
    assert store.sessions.look_up(secret) is None
    assert store.tokens.look_up(secret) is None


def test_the_kept_hash_is_no_secret(store: Store) -> None:
    signed_in(store)
    with store.database.reading() as session:
        kept = session.scalars(sa.select(SignedIn.secret_sha256)).one()
    assert store.sessions.look_up(kept) is None


def test_a_session_ends_when_nothing_is_done(store: Store, clock: Clock) -> None:
    _, secret = signed_in(store)
    clock(minutes=29)
    assert store.sessions.look_up(secret)
    clock(minutes=29)
    assert store.sessions.look_up(secret), "it was used in between"
    clock(minutes=31)
    assert store.sessions.look_up(secret) is None


def test_a_session_ends_after_a_day_of_work(store: Store, clock: Clock) -> None:
    _, secret = signed_in(store)
    for _ in range(12 * 3 - 1):
        clock(minutes=20)
        assert store.sessions.look_up(secret)
    clock(minutes=20, seconds=1)
    assert store.sessions.look_up(secret) is None


def test_a_session_of_a_clock_that_was_ahead_ends(store: Store, clock: Clock) -> None:
    clock(days=365)
    _, secret = signed_in(store)
    clock(minutes=-4)
    assert store.sessions.look_up(secret), "clocks of two servers may differ a little"
    clock(days=-365)
    assert store.sessions.look_up(secret) is None


def test_times_can_be_set(store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    _, secret = signed_in(store)
    monkeypatch.setenv("ICHSCOPE_SESSION_MINUTES", "5")
    clock(minutes=6)
    assert store.sessions.look_up(secret) is None
    for wrong in ("0", "never", "-1", "5000"):
        monkeypatch.setenv("ICHSCOPE_SESSION_MINUTES", wrong)
        with pytest.raises(StoreError, match="whole number"):
            store.sessions.look_up(secret)


def test_signing_out_ends_this_session_or_all(store: Store) -> None:
    account, first = signed_in(store)
    second, third = store.sessions.begin(account), store.sessions.begin(account)
    store.sessions.end(first)
    store.sessions.end(first)
    assert store.sessions.look_up(first) is None
    actor = store.sessions.look_up(second)
    assert actor
    assert store.sessions.end_everywhere(actor) == 2
    assert store.sessions.look_up(second) is store.sessions.look_up(third) is None


@pytest.mark.parametrize("end", ["disable", "reset"])
def test_an_admin_ends_all_sessions_of_a_person(store: Store, end: str) -> None:
    account, secret = signed_in(store)
    store.accounts.disable("Ann") if end == "disable" else store.accounts.reset("Ann", OTHER)
    assert store.sessions.look_up(secret) is None
    if end == "disable":
        with pytest.raises(StoreError, match="cannot sign in"):
            store.sessions.begin(account)
        store.accounts.enable("Ann")
        assert store.accounts.check("Ann", GOOD)


def test_an_admin_signs_somebody_out_and_it_is_told(store: Store) -> None:
    ann, secret = signed_in(store)
    store.sessions.begin(ann)
    bob = store.sessions.begin(store.accounts.add("Bob", Role.READER, GOOD).id)
    assert store.accounts.sign_out("ANN") == 2
    assert store.sessions.look_up(secret) is None
    assert store.sessions.look_up(bob)
    (line,) = store.trail.events(TrailFilter(action="signed out"))
    assert (line.kind, line.key, line.details) == ("account", str(ann), {"everywhere": True, "sessions": 2})


def test_a_role_counts_from_the_next_click_on(store: Store) -> None:
    _, secret = signed_in(store)
    store.accounts.set_role("Ann", Role.VIEWER)
    actor = store.sessions.look_up(secret)
    assert actor
    assert not actor.may(Right.REVIEW)


def test_signing_in_and_out_stands_in_the_trail(store: Store) -> None:
    _, secret = signed_in(store)
    store.sessions.end(secret)
    me = trail(store)[0][0]
    assert trail(store) == [
        (me, "account added", "done"),
        ("Ann", "signed in", "done"),
        ("Ann", "signed out", "done"),
    ]


# ---- tokens


def test_a_token_is_shown_once_and_does_what_it_is_for(store: Store) -> None:
    token, secret = store.tokens.add("PACS", [Right.ANALYSE], timedelta(days=30))
    assert secret not in everything(store)
    actor = store.tokens.look_up(secret)
    assert actor
    assert (actor.name, actor.via, actor.rights) == ("PACS", Via.TOKEN, {Right.ANALYSE, Right.API})
    assert store.tokens.all()[0].used_at
    store.tokens.revoke(token.id)
    assert store.tokens.look_up(secret) is None
    assert [one.valid for one in store.tokens.all()] == [False]


def test_a_token_ends_on_its_day(store: Store, clock: Clock) -> None:
    _, secret = store.tokens.add("PACS", [], timedelta(days=30))
    clock(days=29)
    assert store.tokens.look_up(secret)
    clock(days=1)
    assert store.tokens.look_up(secret) is None


def test_a_token_has_no_right_that_a_program_has_not(store: Store) -> None:
    with pytest.raises(StoreError, match="may not manage accounts"):
        store.tokens.add("PACS", [Right.USERS], timedelta(days=1))
    for days in (0, 800):
        with pytest.raises(StoreError, match="valid for"):
            store.tokens.add("PACS", [], timedelta(days=days))
    with pytest.raises(StoreError, match="needs a name"):
        store.tokens.add(" ", [], timedelta(days=1))
    with pytest.raises(StoreError, match="no token"):
        store.tokens.revoke(7)
