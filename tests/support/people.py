"""What people do in a store, each under their own name."""

from __future__ import annotations

from typing import Any

from ichscope.access import Actor, Role, Via, acting_as
from ichscope.store import Adjustment, Saved, SeriesChoice, Store


def person(name: str, role: Role = Role.QA) -> Actor:
    return Actor(name, role, Via.PAGE)


def review(store: Store, study: int, reader: str, **said: Any) -> Saved:
    with acting_as(person(reader)):
        return store.reviews.add(study, **said)


def choose(store: Store, study: int, series: int | None, who: str) -> SeriesChoice:
    with acting_as(person(who)):
        return store.series.choose(study, series)


def set_threshold(store: Store, *what: Any, who: str, **how: Any) -> Adjustment:
    with acting_as(person(who)):
        return store.adjustments.set_threshold(*what, **how)


def set_limit(store: Store, *what: Any, who: str, **how: Any) -> Adjustment:
    with acting_as(person(who)):
        return store.adjustments.set_limit(*what, **how)
