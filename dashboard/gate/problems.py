"""Refusals for programs: application/problem+json (RFC 9457), in the words that people get."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Say what is wrong, and to whom a token is missing that it is one (RFC 6750, section 3)."""
    told = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    challenge = {"www-authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}
    return JSONResponse(told, status, {**challenge, **(headers or {})}, MEDIA_TYPE)
