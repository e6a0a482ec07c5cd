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
from ichscope.batch.throughput import progress_text
from ichscope.commands.terminal import plain
from ichscope.imaging.findings import Status
from ichscope.imaging.sorting import left_out
from ichscope.levels import rows_of
from ichscope.store import Filter, Job, Store

# Without a terminal, as in a log of the night, a line now and then is enough.
_LINE_EVERY_S = 30.0
_REASONS = 20


@contextmanager
def job_progress() -> Iterator[Callable[[Job], None]]:
    """Show a bar on stderr, or lines where that is no terminal; gives the callback that batch.work wants."""
    console, throughput = Console(stderr=True, highlight=False), Throughput()
    columns = (BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Looking for studies", total=None)
        printed_at = time.monotonic()

        def see(job: Job) -> None:
            nonlocal printed_at
            throughput.see(job)
            text = progress_text(job, throughput)
            bar.update(task, completed=job.done + job.failed, total=job.total or None, description=text)
            if not console.is_terminal and time.monotonic() - printed_at >= _LINE_EVERY_S:
                console.print(text, soft_wrap=True)
                printed_at = time.monotonic()

        yield see


def summary(store: Store, job: Job) -> list[str]:
    """Say what became of a job, the commonest failures last; not a word that names a file."""
    counts = store.worklist.counts(Filter(job=job.id))
    by_status = ", ".join(f"{counts.status.get(status, 0)} {status}" for status in Status)
    lines = [f"{rows_of(counts.total, 'study')}: {by_status}; {job.failed} failed (job {job.id})."]
    if likely := counts.priority.get("likely", 0):
        lines.append(f"{likely} flagged as likely bleeds.")
    if left := job.pending + job.running:
        lines.append(f"{rows_of(left, 'study')} not done yet, or under way in another program.")
    if text := left_out(*job.left_out):
        lines.append(text)
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
