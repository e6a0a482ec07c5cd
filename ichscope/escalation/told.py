"""What became of messages: told lately, waiting, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ichscope.access.events import Action, Event
from ichscope.store import Store, TrailFilter
from ichscope.store.outgoing import Post

_BEFORE = "escalation "
_MOST = 50


def target(way: str) -> str:
    """What stands for a way to people where archives have their names."""
    return f"{_BEFORE}{way}"


def posts(store: Store) -> list[Post]:
    """What was sent and what waits, by the names of the ways.

    Raises
    ------
    StoreError
        if the store cannot be read
    """
    found = [post for post in store.outgoing.post() if post.archive.startswith(_BEFORE)]
    return [replace(post, archive=post.archive.removeprefix(_BEFORE)) for post in found]


def lately(store: Store, time: timedelta) -> Sequence[Event]:
    """The latest messages that were taken in this time, and tests, the newest first.

    Raises
    ------
    StoreError
        if the store cannot be read, or whoever asks may not see the audit trail
    """
    since = datetime.now(UTC) - time
    actions = (Action.ESCALATED, Action.ESCALATION_TESTED)
    lines = [line for action in actions for line in store.trail.events(TrailFilter(action=action, since=since), _MOST)]
    return sorted(lines, key=lambda line: line.number, reverse=True)[:_MOST]
