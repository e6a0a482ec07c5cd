"""Many studies, unattended: folders and archives in, rows of the store out, over any concurrent.futures executor.

A job's items stand in the database, and so does all progress: a process may die at any moment, and the next one that
takes up the job does exactly what is missing. Workers only compute; the process that calls `work` alone writes.
"""

from ichscope.batch.driver import BatchError
from ichscope.batch.ingest import AHEAD, ARCHIVE, begin, begin_asked, run, work
from ichscope.batch.rescore import begin_analysis, begin_rescore
from ichscope.batch.throughput import Throughput
from ichscope.batch.workers import WorkerConfig, executor

__all__ = [
    "AHEAD",
    "ARCHIVE",
    "BatchError",
    "Throughput",
    "WorkerConfig",
    "begin",
    "begin_analysis",
    "begin_asked",
    "begin_rescore",
    "executor",
    "run",
    "work",
]
