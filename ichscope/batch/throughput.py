"""How fast a job goes, and how long it will take."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ichscope.store import Job

_WINDOW_S = 120.0
_LEAST_S = 1.0


class Throughput:
    """Rate of the last two minutes, from a job that is looked at again and again.

    rate : series a second; None before enough was seen
    left_s : seconds until all that is known of is done; None where there is no rate
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self.rate: float | None = None
        self.left_s: float | None = None

    def see(self, job: Job, at: float | None = None) -> None:
        """Take in what a job is like at a time (seconds of any clock; now, if not given)."""
        now = time.monotonic() if at is None else at
        over = job.done + job.failed
        self._seen.append((now, over))
        while now - self._seen[0][0] > _WINDOW_S and len(self._seen) > 2:
            self._seen.popleft()
        then, before = self._seen[0]
        self.rate = (over - before) / (now - then) if over > before and now - then >= _LEAST_S else None
        self.left_s = (job.total - over) / self.rate if self.rate else None
