"""Roles and their rights, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Role(StrEnum):
    """What a person, or a program, is here; one role an account."""

    VIEWER = "viewer"
    READER = "reader"
    QA = "qa"
    ADMIN = "admin"
    SERVICE = "service"


class Right(StrEnum):
    """What a role may do. The value says it to people, as in "may not set thresholds"."""

    SEE = "see studies and figures"
    ANALYSE = "analyse studies"
    REVIEW = "review studies"
    TRUTH = "import truth"
    IMPORT = "import predictions"
    THRESHOLDS = "set thresholds"
    ALERT_LIMITS = "set limits of alerts"
    REPORT = "make reports"
    EXPORT = "export tables"
    USERS = "manage accounts and tokens"
    FOLDERS = "name folders of the server"
    PRUNE = "remove pictures"
    BACKUP = "make and restore backups"
    TRAIL = "see the audit trail"
    API = "use the interface for programs"


_VIEWER = frozenset({Right.SEE})
_READER = _VIEWER | {Right.ANALYSE, Right.REVIEW}
_QA = _READER | {Right.TRUTH, Right.IMPORT, Right.THRESHOLDS, Right.ALERT_LIMITS, Right.REPORT, Right.EXPORT}
_ADMIN = _QA | {Right.USERS, Right.FOLDERS, Right.PRUNE, Right.BACKUP, Right.TRAIL}
_SERVICE = frozenset({Right.SEE, Right.ANALYSE, Right.IMPORT, Right.EXPORT, Right.API})

RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.VIEWER: _VIEWER,
    Role.READER: _READER,
    Role.QA: _QA,
    Role.ADMIN: _ADMIN,
    Role.SERVICE: _SERVICE,
}


def roles_with(right: Right) -> tuple[Role, ...]:
    """Name the roles that have a right, the least first."""
    return tuple(role for role in Role if right in RIGHTS[role])
