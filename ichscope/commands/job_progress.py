"""What commands on many studies show in a terminal: progress with rate and time left, then what became of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

from ichscope.batch import Throughput
from ichscope.commands.terminal import plain
from ichscope.store import Filter, Job, Store

# Without a terminal, as in a log of the night, a line now and then is enough.
_LINE_EVERY_S = 30.0
_STATUSES = ("analysed", "limited", "not analysed")
_REASONS = 20


@contextmanager
def job_progress() -> Iterator[Callable[[Job], None]]:
    """Show a bar on stderr, or lines where that is no terminal; gives the callback that batch.work wants."""
    console, pace = Console(stderr=True, highlight=False), Throughput()
    columns = (BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Looking for series", total=None)
        said_at = time.monotonic()

        def see(job: Job) -> None:
            nonlocal said_at
            pace.see(job)
            bar.update(task, completed=job.done + job.failed, total=job.total or None, description=state(job, pace))
            if not console.is_terminal and time.monotonic() - said_at >= _LINE_EVERY_S:
                console.print(state(job, pace), soft_wrap=True)
                said_at = time.monotonic()

        yield see


def state(job: Job, pace: Throughput) -> str:
    """Say `120 of 1000 series, 2 failed, 35/min, 25 min left`."""
    words = [f"{job.done + job.failed} of {job.total} series"]
    words += [f"{job.failed} failed"] if job.failed else []
    words += [f"{60 * pace.rate:.0f}/min"] if pace.rate else []
    words += [f"{duration(pace.left_s)} left"] if pace.left_s else []
    return ", ".join(words)


def duration(seconds: float) -> str:
    """Say a time in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def summary(store: Store, job: Job) -> list[str]:
    """Say what became of a job, the commonest failures last; not a word that names a file."""
    counts = store.worklist.counts(Filter(job=job.id))
    by_status = ", ".join(f"{counts.status.get(status, 0)} {status}" for status in _STATUSES)
    lines = [f"{counts.total} series: {by_status}; {job.failed} failed (job {job.id})."]
    if likely := counts.priority.get("likely", 0):
        lines.append(f"{likely} flagged as likely bleeds.")
    if left := job.pending + job.running:
        lines.append(f"{left} series are not done yet, or under way in another program.")
    reasons = Counter(failure.reason for failure in store.jobs.failures(job.id, limit=1000))
    lines += [f"{count} x {plain(reason)}" for reason, count in reasons.most_common(_REASONS)]
    if job.failed:
        lines.append(f"`ichscope retry {job.id}` tries the failed ones again.")
    return lines


def show(lines: list[str]) -> None:
    """Print lines to stdout."""
    console = Console(highlight=False)
    for line in lines:
        console.print(escape(line), soft_wrap=True)
