"""How large collections are read: piece by piece, by helpers where there are any, skipping what is done."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from training.data.study import Problem, TrainingStudy

Item = TypeVar("Item")
Result = TypeVar("Result")
_REPORT_EVERY_S = 15.0
_MOST_WAITING = 2 * (os.cpu_count() or 1)


@dataclass(frozen=True)
class CollectionPart:
    """One step of reading a collection: the studies and problems of a piece that is done or not done as a whole.

    key : name of the piece, the same in every run
    """

    key: str
    studies: list[TrainingStudy]
    problems: list[Problem]


@dataclass(frozen=True)
class Work:
    """What an adapter may use.

    folder : for notes that outlive a kill; done : keys of pieces that need not be read again
    executor : helpers, threads or processes; None works alone
    report : told now and then how far the work is
    """

    folder: Path
    done: Container[str]
    executor: Executor | None
    report: Callable[[str], None]

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        what: str,
        total: int,
        size: Callable[[Item], int] = lambda _: 1,
    ) -> Iterator[Result]:
        """Results in the order of the items; only a few wait in memory. `size` of all items makes `total`."""
        progress = _Progress(what, total, self.report)
        for item, result in self._results(function, items):
            progress.step(size(item))
            yield result

    def _results(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
        if self.executor is None:
            yield from ((item, function(item)) for item in items)
            return
        waiting: deque[tuple[Item, Future[Result]]] = deque()
        try:
            for item in items:
                waiting.append((item, self.executor.submit(function, item)))
                if len(waiting) >= _MOST_WAITING:
                    item, future = waiting.popleft()
                    yield item, future.result()
            while waiting:
                item, future = waiting.popleft()
                yield item, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


class _Progress:
    def __init__(self, what: str, total: int, report: Callable[[str], None]) -> None:
        self._what, self._total, self._report = what, total, report
        self._done = 0
        self._start = self._told = time.monotonic()

    def step(self, size: int) -> None:
        self._done += size
        now = time.monotonic()
        if now - self._told < _REPORT_EVERY_S:
            return
        self._told = now
        left = (now - self._start) / max(1, self._done) * (self._total - self._done) / 60
        self._report(f"{self._what}: {self._done:,} of {self._total:,}, {left:.0f} minutes left")
