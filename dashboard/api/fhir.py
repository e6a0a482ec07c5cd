"""A study's result as FHIR R4 resources; the store knows no patient, so they name none."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from dashboard import cached
from dashboard.api.description import refusals
from dashboard.api.refusals import RefusalError, demand
from dashboard.api.studies import Key
from ichscope.access import Right
from ichscope.access.events import Action, Kind
from ichscope.objects.refusal import ObjectError
from ichscope.texts import json_text

router = APIRouter()
_JSON = "application/fhir+json"
_NONE = "No model has judged this study."
_CONTENT = {
    "schema": {"type": "object", "description": "A Bundle: DiagnosticReport, Observations, Devices (hl7.org/fhir/R4)."},
    "example": {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": {"resourceType": "DiagnosticReport", "status": "preliminary"}}],
    },
}


@router.get(
    "/studies/{key}/fhir",
    summary="The result as FHIR resources",
    response_class=Response,
    responses=refusals({404: _NONE, 422: "key: String should match pattern '^[0-9a-f]{16}$'."})
    | {200: {"description": "A Bundle of FHIR R4 resources", "content": {_JSON: _CONTENT}}},
)
def fhir(key: Key) -> Response:
    """Give report, observations and devices of the series that speaks for the study; a line of the audit trail."""
    from ichscope.objects.fhir import bundle_of
    from ichscope.results import StudyResult

    demand(Right.EXPORT, Action.EXPORTED, Kind.EXPORT, "fhir")
    store = cached.store()
    row = store.worklist.keyed(key)
    result = store.results.load(row.id, voxels=False)
    try:
        bundle: dict[str, Any] = bundle_of(StudyResult(series=(result,)), made=row.analysed_at)
    except ObjectError:
        raise RefusalError(404, _NONE) from None
    store.trail.record(Right.EXPORT, Action.EXPORTED, Kind.EXPORT, "fhir", study=key)
    return Response(json_text(bundle), media_type=_JSON)
