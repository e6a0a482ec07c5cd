"""Whose micro-batch runs next: an encoder uses all cores, so two at once would only get in each other's way."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class EncoderScheduler:
    """EncoderScheduler of a process, each in the order of asking; who works in the background steps back for who waits.

    Someone waits from the beginning of `waiting` to its end, so that the background does not slip in between the
    micro-batches of a study that a person looks forward to.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._numbers = itertools.count()
        self._queue: list[tuple[bool, int]] = []
        self._busy, self._people = False, 0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Keep the background back until a person has an answer."""
        with self._changed:
            self._people += 1
        try:
            yield
        finally:
            with self._changed:
                self._people -= 1
                self._changed.notify_all()

    @contextmanager
    def turn(self, background: bool = False) -> Iterator[None]:
        """Wait for one's turn, and have it."""
        place = (background, next(self._numbers))
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
