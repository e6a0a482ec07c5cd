"""Studies: handed over, listed, and given with all that models say of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import anyio
from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request, Response

from dashboard import cached, seen
from dashboard.api.answers import JobAnswer, SeriesAnswer, StudiesAnswer, UploadAnswer
from dashboard.api.bodies import SentFile, received
from dashboard.api.description import BINARY, FILES, OF_BODIES, answer, body, refusals
from dashboard.api.jobs import EXAMPLE, LARGEST, told
from dashboard.api.refusals import RefusalError, demand
from dashboard.text import count
from ichscope.access import Right, current_actor
from ichscope.access.events import Action, Kind
from ichscope.batch import WorkerConfig
from ichscope.imaging.limits import MIB, upload_mib
from ichscope.store import Store, WorklistRow

router = APIRouter()
KINDS = ("application/zip", "application/dicom", "multipart/form-data", "multipart/related")
LONGEST_WAIT_S = 50
# How often a program that waits is looked after, at first and later.
_FIRST_S, _LATER_S = 0.1, 1.0
_MOST_WAITING = 50
_MOST_LISTED = 500
_waiting = 0

Key = Annotated[str, Path(pattern="^[0-9a-f]{16}$", description="As lists and jobs name the study.")]

_MODEL = {"version": "0.4.0", "flagged": True, "threshold": 0.31, "probability": {"any": 0.93, "subdural": 0.88}}
_SERIES = {
    "study": "3f2a91c07d5be846",
    "series": "90b1d23c4e5f6071",
    "name": "3f2a91c07d5be846",
    "role": "speaks for the study",
    "role_reason": "the only series",
    "status": "analysed",
    "reasons": [],
    "slices": 1,
    "models": {
        "cranioscan": {
            **_MODEL,
            "decides": False,
            "provider": "OpenVINO",
            "seconds": 0.21,
            "operating_point": "Youden",
            "thresholds": {"any": 0.31, "subdural": 0.4},
            "per_slice": [
                {"file": "slice 1", "sop": "", "position_mm": -31.5, "probability": {"any": 0.93, "subdural": 0.88}}
            ],
        }
    },
}
_STUDY = {
    "study": "3f2a91c07d5be846",
    "arrived_at": "2026-12-01T10:00:00Z",
    "analysed_at": "2026-12-01T10:00:04Z",
    "status": "analysed",
    "reasons": [],
    "priority": "likely",
    "series": 1,
    "slices": 32,
    "synthetic": False,
    "models": {"cranioscan": _MODEL},
}
_DONE = {**EXAMPLE, "state": "done", "finished_at": "2026-12-01T10:00:09Z", "results": [_SERIES]}
_NO_STUDY = {404: "There is no study of this key.", 422: "key: String should match pattern '^[0-9a-f]{16}$'."}


# ---- in ------------------------------------------------------------------------------------------------


@router.post(
    "/studies",
    summary="Hand over studies",
    status_code=202,
    response_model=JobAnswer,
    responses=refusals(OF_BODIES, {422: "Found no file in it, or empty ones alone; expected at least one."})
    | {
        202: answer(EXAMPLE, "Taken; the job is at the address in the header Location"),
        200: {**answer(_DONE, "Done already, or in the time that was given"), "model": UploadAnswer},
    },
    openapi_extra=body({kind: FILES if kind == "multipart/form-data" else BINARY for kind in KINDS}),
)
async def hand_over(
    request: Request,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for the results.")] = 0,
    pictures_as_series: Annotated[
        bool, Query(description="JPG and PNG files together are the slices of one series, by name.")
    ] = False,
) -> Response:
    """Take a ZIP, a DICOM file or several files, and analyse all studies in them.

    The same content is the same job, however often it comes, and is analysed once by each version of the models; what
    failed of it is tried again.
    """
    await to_thread.run_sync(demand, Right.ANALYSE, Action.JOB_STARTED)
    async with received(request, KINDS, upload_mib() * MIB) as files:
        job = await to_thread.run_sync(_begin, files, pictures_as_series)
    done = await _wait(job, wait)
    made = await to_thread.run_sync(_job, job, done)
    address = {"location": f"/api/jobs/{job}"}
    return Response(made.model_dump_json(), 200 if done else 202, address, "application/json")


def _begin(files: Sequence[SentFile], pictures_as_series: bool) -> int:
    work = cached.background()
    title = f"Upload of {count(len(files), 'file')}"
    sent = ((file.name, file.path) for file in files)
    return work.upload(sent, title, pictures_as_series, _mark(work.store, files, pictures_as_series))


def _mark(store: Store, files: Sequence[SentFile], pictures_as_series: bool) -> str:
    """What stands for the content of files, and for the models that are to see it.

    Raises
    ------
    ichscope.models.card.ModelError
        if there are no models to see it
    """
    models = sorted(f"{card.name} {card.version}" for card in WorkerConfig().cards().values())
    # The order of pictures in a series comes from their names.
    each = sorted(f"{file.name}\0{file.sha256}" if pictures_as_series else file.sha256 for file in files)
    text = "\0".join([str(pictures_as_series), *models, *each])
    return store.keys.hash("content", hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest())


async def _wait(job: int, seconds: float) -> bool:
    """Wait until a job is done, so long at most; tells whether it is. Who is one too many does not wait."""
    global _waiting
    if not seconds or _waiting >= _MOST_WAITING:
        return await to_thread.run_sync(_is_done, job)
    _waiting += 1
    try:
        end, pause = anyio.current_time() + seconds, _FIRST_S
        while not (done := await to_thread.run_sync(_is_done, job)) and anyio.current_time() < end:
            await anyio.sleep(min(pause, end - anyio.current_time()))
            pause = min(2 * pause, _LATER_S)
        return done
    finally:
        _waiting -= 1


def _is_done(job: int) -> bool:
    return cached.store().jobs.get(job).finished_at is not None


def _job(job: int, done: bool) -> JobAnswer:
    store = cached.store()
    answered = told(store, store.jobs.get(job))
    if not done:
        return answered
    may = current_actor().may(Right.SEE)
    results = [series for key in answered.studies for series in _series(store, key)] if may else None
    return UploadAnswer.model_validate({**answered.model_dump(), "results": results})


# ---- out -----------------------------------------------------------------------------------------------


@router.get(
    "/studies",
    summary="List studies",
    responses=refusals({422: "limit: Input should be less than or equal to 500."})
    | {200: answer({"studies": [_STUDY], "cursor": 1, "more": False})},
)
def list_studies(
    after: Annotated[int, Query(ge=0, le=LARGEST, description="The `cursor` of the answer before.")] = 0,
    since: Annotated[datetime | None, Query(description="Leave out what arrived before; UTC without a zone.")] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST_LISTED)] = 100,
) -> StudiesAnswer:
    """Give studies in the order in which they came into the store: who goes on from the cursor misses none."""
    demand(Right.SEE, Action.STUDY_SEEN)
    rows = cached.store().worklist.after(after, _moment(since), limit + 1)
    page = rows[:limit]
    cursor = page[-1].id if page else after
    listed = [_listed(row) for row in page]
    return StudiesAnswer.model_validate({"studies": listed, "cursor": cursor, "more": len(rows) > limit})


def _moment(since: datetime | None) -> datetime | None:
    try:
        return since if since is None else since.replace(tzinfo=since.tzinfo or UTC).astimezone(UTC)
    except OverflowError:
        raise RefusalError(422, "since: expected a time that has a name in UTC.") from None


def _listed(row: WorklistRow) -> dict[str, Any]:
    return {
        "study": row.study_key,
        "arrived_at": row.arrived_at,
        "analysed_at": row.analysed_at,
        "status": str(row.status),
        "reasons": list(row.reasons),
        "priority": row.priority,
        "series": row.series_count,
        "slices": row.slices,
        "synthetic": row.synthetic,
        "models": {
            model.name: {
                "version": model.version,
                "flagged": model.flagged,
                "threshold": model.threshold,
                "probability": model.probability,
            }
            for model in row.models
        },
    }


@router.get(
    "/studies/{key}",
    summary="All results of a study",
    responses=refusals(_NO_STUDY) | {200: answer([_SERIES])},
)
def study(key: Key) -> list[SeriesAnswer]:
    """Give an entry for every series, the one that speaks for the study first, as `ichscope analyse --json` does."""
    demand(Right.SEE, Action.STUDY_SEEN, Kind.STUDY, key)
    return [SeriesAnswer.model_validate(series) for series in _series(cached.store(), key)]


def _series(store: Store, key: str) -> list[dict[str, Any]]:
    """What is known of the series of a study that count now; that it was given is a line of the audit trail."""
    rows = store.series.of(store.worklist.keyed(key).id)
    seen.by_program(lambda store: key)
    return [store.results.load_series(row.id, voxels=False).to_json() for row in rows if row.superseded_by is None]
