"""Whose micro-batch runs next: an encoder uses all cores, so two at once would only get in each other's way."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Lock
from typing import Literal

Priority = Literal["interactive", "background"]


class EncoderScheduler:
    """Turns of all encoders of a process, each in the order of asking; the background steps back for a person.

    A person waits from the beginning of `study` to its end, so that the background does not slip in between the
    micro-batches of a study that somebody looks forward to. Of the background's own studies one is encoded at a time:
    two would only get in each other's way.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._numbers = itertools.count()
        self._queue: list[tuple[bool, int]] = []
        self._busy, self._people = False, 0
        self._background_study = Lock()

    @contextmanager
    def study(self, priority: Priority = "interactive") -> Iterator[None]:
        """Encode a study: a person's keeps the background back, one of the background waits for the one before."""
        with self._waiting() if priority == "interactive" else self._background_study:
            yield

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        with self._changed:
            self._people += 1
        try:
            yield
        finally:
            with self._changed:
                self._people -= 1
                self._changed.notify_all()

    @contextmanager
    def turn(self, priority: Priority = "interactive") -> Iterator[None]:
        """Wait for one's turn, and have it."""
        place = (priority == "background", next(self._numbers))
        with self._changed:
            heapq.heappush(self._queue, place)
            try:
                self._changed.wait_for(lambda: self._is_next(place))
            except BaseException:  # as Ctrl+C: others must not wait for a place that nobody takes
                self._queue.remove(place)
                heapq.heapify(self._queue)
                self._changed.notify_all()
                raise
            heapq.heappop(self._queue)
            self._busy = True
        try:
            yield
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _is_next(self, place: tuple[bool, int]) -> bool:
        background, _ = place
        return not self._busy and self._queue[0] == place and not (background and self._people)
