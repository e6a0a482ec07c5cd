"""Lines of the audit trail as files: a table, a list, or audit messages of DICOM PS3.15."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from typing import Any, Literal

from ichscope.access import audit_message
from ichscope.access.events import Event
from ichscope.results import csv_text

Format = Literal["csv", "json", "xml"]
_COLUMNS = [field.name for field in fields(Event)]


def text(events: Iterable[Event], format: Format) -> str:
    """Give lines as one file.

    Parameters
    ----------
    format : a table; a list; or audit messages of DICOM PS3.15 A.5 (RFC 3881)
    """
    return "".join(_parts(events, format))


def _parts(events: Iterable[Event], format: Format) -> Iterator[str]:
    if format == "xml":
        yield from audit_message.lines(events)
    elif format == "json":
        yield json.dumps([_row(event) for event in events], indent=1) + "\n"
    else:
        yield csv_text((_row(event) | {"details": details(event)} for event in events), _COLUMNS)


def details(event: Event) -> str:
    """What else a line says, in one cell."""
    return "; ".join(f"{name}={value}" for name, value in event.details.items())


def _row(event: Event) -> dict[str, Any]:
    return asdict(event) | {"at": event.at.isoformat(timespec="milliseconds"), "details": dict(event.details)}
