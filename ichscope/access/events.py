"""What the audit trail records: one event a line, in the words of DICOM PS3.15 A.5 where these fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

Detail = str | int | float | bool | None


class Action(StrEnum):
    """What was done."""

    SIGNED_IN = "signed in"
    SIGN_IN_FAILED = "sign-in failed"
    SIGNED_OUT = "signed out"
    ACCOUNT_ADDED = "account added"
    ACCOUNT_DISABLED = "account disabled"
    ACCOUNT_ENABLED = "account enabled"
    ROLE_SET = "role set"
    PASSWORD_SET = "password set"
    TOKEN_ADDED = "token added"
    TOKEN_REVOKED = "token revoked"
    FOLDER_ADDED = "folder added"
    FOLDER_REMOVED = "folder removed"
    STUDY_SEEN = "study seen"
    JOB_STARTED = "job started"
    JOB_RETRIED = "job retried"
    JOB_CANCELLED = "job cancelled"
    ANALYSED = "analysed"
    STUDY_MOVED = "study moved"
    SERIES_CHOSEN = "series chosen"
    REVIEWED = "reviewed"
    THRESHOLD_SET = "threshold set"
    LIMIT_SET = "limit set"
    IMPORTED = "imported"
    IMPORT_REMOVED = "import removed"
    EXPORTED = "exported"
    PATIENTS_MERGED = "patients merged"
    REPORTS_SEEN = "reports seen"
    REPORTS_REMOVED = "reports removed"
    RESULTS_SENT = "results sent"
    ARCHIVE_SEARCHED = "archive searched"
    ESCALATED = "escalated"
    ESCALATION_TESTED = "escalation tested"
    PICTURES_REMOVED = "pictures removed"
    TRAIL_SEEN = "trail seen"
    TRAIL_EXPORTED = "trail exported"
    TRAIL_PRUNED = "trail pruned"
    BACKUP_MADE = "backup made"
    STORE_RESTORED = "store restored"


class Outcome(StrEnum):
    """How it ended: FAILED is a sign-in without the right password, REFUSED is an action without its right."""

    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"


class Kind(StrEnum):
    """What it was done to."""

    NONE = ""
    STUDY = "study"
    JOB = "job"
    ACCOUNT = "account"
    TOKEN = "token"
    FOLDER = "folder"
    IMPORT = "import"
    ADJUSTMENT = "adjustment"
    TRAIL = "audit trail"
    EXPORT = "export"
    ARCHIVE = "archive"
    PATIENT = "patient"
    REPORT = "report"
    STORE = "store"


@dataclass(frozen=True)
class Event:
    """One record of the audit trail.

    number : counts from 1 without a gap
    who, role, via, session, address : of the actor
    key : of the object: a keyed hash or a number of the store, never an identifier; of an export what it is, of the
        store when its backup was made
    details : a few numbers and words; no free text of a user, which may name a patient
    """

    number: int
    at: datetime
    who: str
    role: str
    via: str
    session: str
    address: str
    action: str
    outcome: str
    kind: str
    key: str
    details: Mapping[str, Detail] = field(default_factory=dict)


def details_text(details: Mapping[str, Detail]) -> str:
    """Details in the one form that is written and hashed.

    Examples
    --------
    >>> details_text({"label": "any", "at": 0.3})
    '{"at":0.3,"label":"any"}'
    """
    return json.dumps(details, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
