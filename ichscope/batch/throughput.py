"""How fast a job goes, how long it will take, and both in words for terminal and pages."""

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


def progress_text(job: Job, throughput: Throughput) -> str:
    """Say `120 of 1000 studies, 2 failed, 35/min, 25 min left`."""
    parts = [f"{job.done + job.failed} of {job.total} studies"]
    parts += [f"{job.failed} failed"] if job.failed else []
    parts += [f"{60 * throughput.rate:.0f}/min"] if throughput.rate else []
    parts += [f"{duration(throughput.left_s)} left"] if throughput.left_s else []
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Say a time in the unit that suits it.

    >>> [duration(seconds) for seconds in (5, 600, 9000)]
    ['5 s', '10 min', '2.5 h']
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
