"""The report of a study as DICOM SR, for the program that has sent its images.

The store keeps no identifiers, and a report needs those of the images: it is made while they are at hand, and kept
encrypted for some days.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from dashboard import cached
from dashboard.api.description import BINARY, refusals
from dashboard.api.refusals import RefusalError, demand
from dashboard.api.studies import Key
from ichscope.access import Right
from ichscope.access.events import Action, Kind
from ichscope.store import NotFoundError, Store

router = APIRouter()
_DICOM = "application/dicom"
_NEVER = (
    "There is no report of this series: reports are made where a model has judged DICOM files with valid identifiers "
    "that a program has sent, and the file of settings does not say otherwise."
)
_GONE = "The report of this series is kept no longer; `ichscope analyse --dicom` makes it of the files."
_NO_SERIES = "This study has no such series."


@router.get(
    "/studies/{key}/sr",
    summary="The report as DICOM SR",
    response_class=Response,
    responses=refusals({404: _NEVER, 410: _GONE, 422: "key: String should match pattern '^[0-9a-f]{16}$'."})
    | {200: {"description": "A Comprehensive 3D SR (TID 1500)", "content": {_DICOM: {"schema": BINARY}}}},
)
def sr(
    key: Key,
    series: Annotated[
        str,
        Query(
            pattern="^([0-9a-f]{16})?$",
            description="Key of a series, as results name it; if not given, the one that speaks for the study.",
        ),
    ] = "",
) -> Response:
    """Give the report of a series, which names the patient as its images do; a line of the audit trail."""
    demand(Right.EXPORT, Action.EXPORTED, Kind.EXPORT, "sr")
    store = cached.store()
    report = _report(store, _series(store, key, series))
    store.trail.record(Right.EXPORT, Action.EXPORTED, Kind.EXPORT, "sr", study=key)
    name = f'attachment; filename="{key}.dcm"'
    return Response(report, 200, {"content-disposition": name, "cache-control": "no-store"}, _DICOM)


def _series(store: Store, key: str, series: str) -> int:
    rows = [row for row in store.series.of(store.worklist.keyed(key).id) if row.superseded_by is None]
    found = next((row for row in rows if (row.series_key == series if series else row.speaks)), None)
    if found is None:
        raise RefusalError(404, _NO_SERIES)
    return found.id


def _report(store: Store, series: int) -> bytes:
    try:
        report = store.outgoing.report(series)
    except NotFoundError:
        raise RefusalError(404, _NEVER) from None
    if report is None:
        raise RefusalError(410, _GONE)
    return report
