"""Numbers that users set, above all thresholds: who, when and why; and what they make of a model's result."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from ichscope.access import events
from ichscope.access.roles import Right
from ichscope.labels import LABELS
from ichscope.results import ModelResult
from ichscope.store import tables
from ichscope.store.chain import Change
from ichscope.store.database import Database

Kind = Literal["threshold", "alert"]
_COLUMNS = tables.Adjustment.__table__.c
_RIGHTS = {
    "threshold": (Right.THRESHOLDS, events.Action.THRESHOLD_SET),
    "alert": (Right.ALERT_LIMITS, events.Action.LIMIT_SET),
}


@dataclass(frozen=True)
class Adjustment:
    """A number that a user has set; None where the program's own counts again.

    name : label of a threshold, or rule of an alert; `model` and `version` are empty for the latter
    signed : whether the name is proven, as by a sign-in; if not, it is as typed
    """

    id: int
    kind: Kind
    model: str
    version: str
    name: str
    value: float | None
    who: str
    why: str
    created_at: datetime
    signed: bool = False


# (model, version, name) -> what was set last and not taken back.
Thresholds = Mapping[tuple[str, str, str], Adjustment]


class Adjustments:
    """Numbers that users set, each by whoever acts. Nothing of it is ever changed or removed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set_threshold(self, model: str, version: str, label: str, value: float | None, *, why: str) -> Adjustment:
        """Set the threshold of a label for the results that a version of a model gives from now on.

        Parameters
        ----------
        value : on the probability of the whole study, between 0 and 1; None for the one of the model's card

        Raises
        ------
        ValueError
            if one of these is missing or impossible
        StoreError
            if the database cannot be written
        """
        if label not in LABELS:
            raise ValueError(f"expected a label among {', '.join(LABELS)}, found {label!r}")
        if value is not None and not 0 < value < 1:
            raise ValueError(f"expected a threshold between 0 and 1, found {value:g}")
        return self._adjust("threshold", label, value, why, model, version)

    def set_limit(self, rule: str, value: float | None, *, why: str) -> Adjustment:
        """Set the limit of a rule of alerts; None for its default. Errors as of set_threshold."""
        return self._adjust("alert", rule, value, why)

    def _adjust(
        self, kind: Kind, name: str, value: float | None, why: str, model: str = "", version: str = ""
    ) -> Adjustment:
        if not why.strip():
            raise ValueError("expected a reason, found none")
        right, action = _RIGHTS[kind]
        with self._database.changing(right, action) as change:
            return self._write(change, kind, name, value, why, model, version)

    def _write(
        self, change: Change, kind: Kind, name: str, value: float | None, why: str, model: str, version: str
    ) -> Adjustment:
        session = change.session
        new = tables.Adjustment(
            kind=kind,
            model=model,
            version=version,
            name=name,
            value=value,
            who=change.actor.name,
            signed=change.actor.signed,
            why=why.strip(),
            created_at=datetime.now(UTC),
        )
        session.add(new)
        session.flush()
        change.about(events.Kind.ADJUSTMENT, new.id, model=model, version=version, name=name, value=value)
        chosen = select(*_COLUMNS).where(_COLUMNS.id == new.id)
        return Adjustment(**session.execute(chosen).one()._asdict())

    def history(self, kind: Kind) -> list[Adjustment]:
        """All that was ever set, the newest first."""
        with self._database.reading() as session:
            return _history(session, kind)


def _history(session: Session, kind: Kind) -> list[Adjustment]:
    chosen = select(*_COLUMNS).where(_COLUMNS.kind == kind).order_by(_COLUMNS.id.desc())
    return [Adjustment(**row._asdict()) for row in session.execute(chosen)]


def thresholds_in_force(session: Session) -> Thresholds:
    """Read the thresholds that count now."""
    return in_force(_history(session, "threshold"))


def in_force(history: Iterable[Adjustment]) -> Thresholds:
    """Give what counts of a history, the newest first."""
    newest: dict[tuple[str, str, str], Adjustment] = {}
    for adjustment in history:
        newest.setdefault((adjustment.model, adjustment.version, adjustment.name), adjustment)
    return {key: adjustment for key, adjustment in newest.items() if adjustment.value is not None}


def judged(result: ModelResult, thresholds: Thresholds) -> ModelResult:
    """Judge a result by the thresholds that users have set for this version; the others stay the card's own."""
    own = {
        label: adjustment
        for label in result.thresholds
        if (adjustment := thresholds.get((result.name, result.version, label)))
    }
    if not own:
        return result
    values = {label: adjustment.value for label, adjustment in own.items() if adjustment.value is not None}
    return replace(
        result,
        thresholds=result.thresholds | values,
        operating_point=point_name(result.operating_point, own),
    )


def point_name(own_point: str, thresholds: Mapping[str, Adjustment]) -> str:
    """Name the operating point that thresholds by label make of a card's own.

    The point is about `any`; other labels are named after it. The number tells changes of one day apart.
    """
    of_any = _by_whom(thresholds["any"]) if "any" in thresholds else own_point
    others = [f"{label} {_by_whom(adjustment)}" for label, adjustment in thresholds.items() if label != "any"]
    return "; ".join([of_any, *others])


def _by_whom(adjustment: Adjustment) -> str:
    return f"set by {adjustment.who} on {adjustment.created_at:%Y-%m-%d} (no. {adjustment.id})"


def named_in(point: str, history: Iterable[Adjustment]) -> list[Adjustment]:
    """Which of a history the name of an operating point tells of, the oldest first."""
    numbers = {int(digits) for digits in re.findall(r"\(no\. (\d+)\)", point)}
    named = (adjustment for adjustment in history if adjustment.id in numbers)
    return sorted(named, key=lambda adjustment: adjustment.id)
