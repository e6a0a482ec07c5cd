"""The description of the interface (OpenAPI): what every answer may be, and an example of each."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from dashboard.api.answers import Problem
from dashboard.gate.problems import MEDIA_TYPE
from dashboard.gate.start import sign_in
from dashboard.text import NOT_FOR_DIAGNOSIS
from ichscope import __version__

# What the gate may answer before anything of this is asked.
_ALWAYS = {
    401: "This needs a token (Authorization: Bearer ...).",
    403: "PACS (service) may not analyse studies; reader, qa, admin and service may.",
    421: "This server does not go by that name (server.allowedHosts).",
    503: "The database failed: another program has kept it locked for 30 seconds.",
}
OF_BODIES = {
    400: "The body is not what its Content-Type says; expected files as parts of a multipart body.",
    408: "The rest of this did not come in time.",
    413: "Found more than 2048 MB in one request; expected less.",
    415: "Found another Content-Type; expected application/zip, application/dicom.",
    429: "So much cannot be taken at once; what came before is still being read.",
}
_TAKEN = "Studies and pictures in, results out. The token goes into the header `Authorization: Bearer ichscope_...`."


def refusals(*tables: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """Describe what a route may refuse: by status, an example of its words."""
    told = {status: text for table in (_ALWAYS, *tables) for status, text in table.items()}
    return {status: _refusal(status, text) for status, text in sorted(told.items())}


def _refusal(status: int, text: str) -> dict[str, Any]:
    phrase = HTTPStatus(status).phrase
    example = {"type": "about:blank", "title": phrase, "status": status, "detail": text}
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
    return {"description": phrase, "content": {MEDIA_TYPE: content}}


def answer(example: Any, description: str = "") -> dict[str, Any]:
    """Describe what a route answers where all is well, by an example."""
    return {"description": description or "Done", "content": {"application/json": {"example": example}}}


def body(kinds: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Describe the body of a request: kinds of content with their schemas."""
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema} for kind, schema in kinds.items()}}}


BINARY = {"type": "string", "format": "binary"}
FILES = {"type": "object", "properties": {"file": {"type": "array", "items": BINARY}}, "required": ["file"]}


def describe(app: FastAPI) -> None:
    """Give an application its description."""

    def made() -> dict[str, Any]:
        if not app.openapi_schema:
            schema = get_openapi(
                title="ICHScope",
                version=__version__,
                description=f"{_TAKEN} {NOT_FOR_DIAGNOSIS}.",
                routes=app.routes,
                servers=[{"url": "/api"}],
            )
            parts = schema.setdefault("components", {})
            parts.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
            if sign_in():
                parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
                schema["security"] = [{"token": []}]
            app.openapi_schema = schema
        return app.openapi_schema

    setattr(app, "openapi", made)  # noqa: B010 - FastAPI's own way; a method is no plain attribute for mypy
