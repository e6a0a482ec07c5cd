"""Every command of the store that writes, with every role: who may, does; who may not, changes nothing and is told."""

from __future__ import annotations

import ast
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from ichscope import store as store_package
from ichscope.access import RIGHTS, Actor, NotAllowedError, Right, Role, Via, acting_as, by_default
from ichscope.access.events import Action, Kind
from ichscope.store import ImportedRows, RefusedError, Store
from ichscope.store.access_tables import AuditRecord
from ichscope.store.outgoing import Waiting
from ichscope.store.tables import Base
from tests.support.store_cases import add, content, study

GOOD = "correct horse battery staple"
HERE = Path(store_package.__file__).parent


def _rows() -> ImportedRows:
    key = np.array([1], np.uint64)
    return ImportedRows.of(key, key, key)


def _remove(kind: Any) -> Callable[[Store, int], object]:
    def act(store: Store, made: int) -> object:
        (sheet,) = (table.id for table in store.imported.tables(kind))
        return store.imported.remove(sheet)

    return act


def _sent(store: Store, made: int) -> None:
    store.outgoing.sent(Waiting(1, 1, b""), Action.RESULTS_SENT, Kind.ARCHIVE, "archive")


# (part, method) of the store -> ways to call it, each with the right that it asks for; `made` is a study's number.
COMMANDS: dict[tuple[str, str], list[tuple[Right, Callable[[Store, int], object]]]] = {
    ("results", "record"): [(Right.ANALYSE, lambda store, made: store.results.record(study("n", 0.9), content("n")))],
    ("results", "rescore"): [
        (Right.ANALYSE, lambda store, made: store.results.rescore(made, store.results.load_series(made, False)))
    ],
    ("results", "move"): [
        (Right.ANALYSE, lambda store, made: store.results.move(2, store.worklist.row(made).arrived_at))
    ],
    ("results", "prune"): [(Right.PRUNE, lambda store, made: store.results.prune(timedelta(days=1)))],
    ("series", "choose"): [(Right.REVIEW, lambda store, made: store.series.choose(made, None))],
    ("reviews", "add"): [(Right.REVIEW, lambda store, made: store.reviews.add(made, agree=True))],
    ("adjustments", "set_threshold"): [
        (Right.THRESHOLDS, lambda store, made: store.adjustments.set_threshold("m", "1", "any", 0.5, why="x"))
    ],
    ("adjustments", "set_limit"): [
        (Right.ALERT_LIMITS, lambda store, made: store.adjustments.set_limit("latency", 60.0, why="x"))
    ],
    ("imported", "add"): [
        (Right.TRUTH, lambda store, made: store.imported.add("truth", "new", "a" * 64, "study", _rows(), [])),
        (Right.IMPORT, lambda store, made: store.imported.add("predictions", "new", "a" * 64, "study", _rows(), [])),
    ],
    ("imported", "remove"): [(Right.TRUTH, _remove("truth")), (Right.IMPORT, _remove("predictions"))],
    ("jobs", "start"): [(Right.ANALYSE, lambda store, made: store.jobs.start("folder", ""))],
    ("jobs", "retry"): [(Right.ANALYSE, lambda store, made: store.jobs.retry(1))],
    ("jobs", "cancel"): [(Right.ANALYSE, lambda store, made: store.jobs.cancel(1))],
    ("accounts", "add"): [(Right.USERS, lambda store, made: store.accounts.add("New", Role.READER, GOOD))],
    ("accounts", "reset"): [(Right.USERS, lambda store, made: store.accounts.reset("Old", GOOD))],
    ("accounts", "disable"): [(Right.USERS, lambda store, made: store.accounts.disable("Old"))],
    ("accounts", "enable"): [(Right.USERS, lambda store, made: store.accounts.enable("Old"))],
    ("accounts", "set_role"): [(Right.USERS, lambda store, made: store.accounts.set_role("Old", Role.VIEWER))],
    ("accounts", "sign_out"): [(Right.USERS, lambda store, made: store.accounts.sign_out("Old"))],
    ("sessions", "end_of_everybody"): [(Right.USERS, lambda store, made: store.sessions.end_of_everybody())],
    ("tokens", "add"): [(Right.USERS, lambda store, made: store.tokens.add("New", [], timedelta(days=1)))],
    ("tokens", "revoke"): [(Right.USERS, lambda store, made: store.tokens.revoke(1))],
    ("folders", "add"): [(Right.FOLDERS, lambda store, made: store.folders.add("new", store.volumes.parent))],
    ("folders", "remove"): [(Right.FOLDERS, lambda store, made: store.folders.remove("old"))],
    ("patients", "merge"): [(Right.ANALYSE, lambda store, made: store.patients.merge([("old", "new")]))],
    ("reports", "of"): [(Right.TRUTH, lambda store, made: store.reports.of("A1"))],
    ("reports", "prune"): [(Right.PRUNE, lambda store, made: store.reports.prune(1))],
    ("outgoing", "sent"): [(Right.ANALYSE, _sent)],
    ("trail", "record"): [(Right.EXPORT, lambda store, made: store.trail.record(Right.EXPORT, Action.EXPORTED))],
    ("trail", "export"): [(Right.TRAIL, lambda store, made: list(store.trail.export(store_package.TrailFilter())))],
    ("trail", "prune"): [(Right.PRUNE, lambda store, made: store.trail.prune())],
}
# What writes for the program itself, or proves who somebody is: no role is asked for.
OWN = {
    *(("jobs", name) for name in ("add_items", "mark_listed", "reopen", "claim", "renew", "done", "fail", "drop")),
    *(("sessions", name) for name in ("begin", "look_up", "end", "end_everywhere")),
    *(("accounts", name) for name in ("check", "identified", "change_password")),
    ("jobs", "release"),
    ("jobs", "abandon"),
    ("tokens", "look_up"),
    ("outgoing", "put"),
    ("outgoing", "failed"),
    ("reports", "put"),
    ("outgoing", "keep_report"),
    ("outgoing", "forget_reports"),
}
CASES = [
    pytest.param(role, right, act, id=f"{part}.{method}-{right.name}-{role}")
    for (part, method), ways in COMMANDS.items()
    for right, act in ways
    for role in Role
]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a row for every command."""
    by_default(lambda: Actor("tester", Role.ADMIN, Via.COMMAND))
    home = tmp_path_factory.mktemp("filled")
    store = Store.open(f"sqlite:///{home}/ichscope.db", home)
    add(store, "a", 0.9)
    store.results.record(study("synthetic", 0.9), content("synthetic"), synthetic=True)
    for kind in ("truth", "predictions"):
        store.imported.add(kind, "old", "b" * 64, "study", _rows(), [])  # type: ignore[arg-type]
    store.jobs.start("folder", "")
    store.accounts.add("Old", Role.READER, GOOD)
    store.accounts.add("Boss", Role.ADMIN, GOOD)
    store.tokens.add("Old", [], timedelta(days=1))
    store.folders.add("old", home)
    store.close()
    return home


@pytest.fixture
def store(filled: Path, tmp_path: Path) -> Any:
    """A copy of it."""
    for name in ("key", "ichscope.db"):
        (tmp_path / name).write_bytes((filled / name).read_bytes())
    opened = Store.open(f"sqlite:///{tmp_path}/ichscope.db", tmp_path)
    yield opened
    opened.close()


def everything(store: Store) -> dict[str, list[Any]]:
    """All rows of all tables but the audit trail's."""
    with store.database.reading() as session:
        tables = [table for name, table in Base.metadata.tables.items() if not name.startswith("audit_")]
        return {table.name: session.execute(sa.select(table)).all() for table in tables}


@pytest.mark.parametrize(("role", "right", "act"), CASES)
def test_who_may_does_and_who_may_not_changes_nothing(
    store: Store, role: Role, right: Right, act: Callable[[Store, int], object]
) -> None:
    before = everything(store)
    with acting_as(Actor("Somebody", role, Via.PAGE)):
        if right in RIGHTS[role]:
            act(store, 1)
        else:
            with pytest.raises(RefusedError, match=f"Somebody \\({role}\\) may not {right}"):
                act(store, 1)
            assert everything(store) == before
    with store.database.reading() as session:
        last = session.scalars(sa.select(AuditRecord).order_by(AuditRecord.number.desc()).limit(1)).one()
    nothing_to_tell = right is Right.PRUNE and last.who == "tester"
    assert nothing_to_tell or (last.who, last.outcome) == ("Somebody", "done" if right in RIGHTS[role] else "refused")
    assert store.trail.verify().whole


@pytest.mark.parametrize("act", [ways[0][1] for ways in COMMANDS.values()], ids=[".".join(names) for names in COMMANDS])
def test_nobody_changes_anything(store: Store, act: Callable[[Store, int], object]) -> None:
    before = everything(store)
    by_default(None)
    with pytest.raises(NotAllowedError, match="Nobody"):
        act(store, 1)
    assert everything(store) == before


def test_every_command_that_writes_is_here(store: Store) -> None:
    """Found in the source: methods that open a transaction to write, themselves or by another method of theirs."""
    written = {name for path in HERE.glob("*.py") for name in _writers(path)}
    parts = {type(part).__name__: name for name, part in vars(store).items() if hasattr(part, "_database")}
    found = {(parts[kind], method) for kind, method in written if kind in parts}
    assert found == set(COMMANDS) | OWN


def _writers(path: Path) -> set[tuple[str, str]]:
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.ClassDef):
            continue
        methods = {item.name: ast.unparse(item) for item in node.body if isinstance(item, ast.FunctionDef)}
        writes = {name for name, text in methods.items() if any(f"_database.{way}(" in text for way in _WAYS)}
        for _ in methods:
            writes |= {name for name, text in methods.items() if any(f"self.{one}" in text for one in writes)}
        found |= {(node.name, name) for name in writes if not name.startswith("_")}
    return found


_WAYS = ("writing", "changing", "note")
