"""Jobs and the queue: how far the work is."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from fastapi import APIRouter, Path

from dashboard import cached
from dashboard.api.answers import JobAnswer, QueueAnswer
from dashboard.api.description import answer, refusals
from ichscope.imaging.sorting import left_out
from ichscope.store import Filter, Job, Store
from ichscope.store.tallies import items

router = APIRouter()
# A number that both databases can compare.
LARGEST = 2**63 - 1
MOST_STUDIES = 100
_MOST_REASONS = 1_000

EXAMPLE = {
    "job": 12,
    "kind": "upload",
    "state": "running",
    "created_at": "2026-12-01T10:00:00Z",
    "finished_at": None,
    "counts": {"waiting": 1, "running": 1, "done": 1, "failed": 0},
    "reasons": [],
    "left_out": "1 file that is no image was left out.",
    "studies": ["3f2a91c07d5be846"],
}
_NOT_THERE = {404: "There is no job number 12.", 422: "job: Input should be a valid integer."}


@router.get("/jobs/{job}", summary="How far a job is", responses=refusals(_NOT_THERE) | {200: answer(EXAMPLE)})
def job(job: Annotated[int, Path(ge=1, le=LARGEST)]) -> JobAnswer:
    """Give counts, reasons of failures, and keys of the studies that are done."""
    store = cached.store()
    return told(store, store.jobs.get(job))


@router.get(
    "/queue",
    summary="How much is waiting",
    responses=refusals() | {200: answer({"waiting": 3, "running": 2, "done": 812, "failed": 1, "on_hold": False})},
)
def queue() -> QueueAnswer:
    """Give the totals of all jobs."""
    counted = items(cached.store().database)
    return QueueAnswer(
        waiting=counted.get("pending", 0),
        running=counted.get("running", 0),
        done=counted.get("done", 0),
        failed=counted.get("failed", 0),
        on_hold=bool(cached.background().problem),
    )


def told(store: Store, job: Job) -> JobAnswer:
    """Give a job as programs see it: without its title, which may name a folder."""
    state = "done" if job.finished_at else "running" if job.first_at else "waiting"
    failures = store.jobs.failures(job.id, limit=_MOST_REASONS) if job.failed else []
    reasons = Counter(failure.reason for failure in failures).most_common()
    done = store.worklist.page(Filter(job=job.id), "oldest", limit=MOST_STUDIES) if job.done else []
    return JobAnswer.model_validate(
        {
            "job": job.id,
            "kind": job.kind,
            "state": state,
            "created_at": job.created_at,
            "finished_at": job.finished_at,
            "counts": {"waiting": job.pending, "running": job.running, "done": job.done, "failed": job.failed},
            "reasons": [{"reason": reason, "studies": number} for reason, number in reasons],
            "left_out": left_out(*job.left_out),
            "studies": [row.study_key for row in done],
        }
    )
