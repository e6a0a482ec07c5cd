"""Events as audit messages of DICOM PS3.15 A.5, which RFC 3881 is the ground of: what hospitals' collectors read."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import Literal
from xml.etree.ElementTree import Element, SubElement, tostring

from ichscope.access.events import Action, Event, Kind, Outcome

_SOURCE = "ICHScope"
# What XML 1.0, section 2.2, has no place for.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Codes of our own, where DICOM has none.
_OWN = "99ICHSCOPE"
_OUTCOMES = {Outcome.DONE: "0", Outcome.FAILED: "4", Outcome.REFUSED: "8"}


@dataclass(frozen=True)
class _Code:
    """A code of DICOM PS3.16, annex D (DCM), and what it means."""

    value: str
    meaning: str
    system: str = "DCM"

    def put(self, parent: Element, name: str) -> None:
        """Add an element that holds this code."""
        told = {"csd-code": self.value, "codeSystemName": self.system, "originalText": self.meaning}
        SubElement(parent, name, told)


_AUTHENTICATION = _Code("110114", "User Authentication")
_SECURITY = _Code("110113", "Security Alert")
_LOG_USED = _Code("110101", "Audit Log Used")
_ACCESSED = _Code("110103", "DICOM Instances Accessed")
_DELETED = _Code("110105", "DICOM Study Deleted")
_EXPORT, _IMPORT = _Code("110106", "Export"), _Code("110107", "Import")
_PATIENT_RECORD = _Code("110110", "Patient Record")
_ACTIVITY = _Code("110100", "Application Activity")
_QUERY = _Code("110112", "Query")
_LOGIN, _LOGOUT = _Code("110122", "Login"), _Code("110123", "Logout")
_CONFIGURATION = _Code("110131", "Software Configuration")
_USERS_CHANGED, _ROLES_CHANGED = (
    _Code("110137", "User Security Attributes Changed"),
    _Code("110136", "Security Roles Changed"),
)

_Does = Literal["C", "R", "U", "D", "E"]
# What an action is there: its event, its type, and whether it creates, reads, updates, deletes or executes.
_EVENTS: dict[Action, tuple[_Code, _Code | None, _Does]] = {
    Action.SIGNED_IN: (_AUTHENTICATION, _LOGIN, "E"),
    Action.SIGN_IN_FAILED: (_AUTHENTICATION, _LOGIN, "E"),
    Action.SIGNED_OUT: (_AUTHENTICATION, _LOGOUT, "E"),
    Action.ACCOUNT_ADDED: (_SECURITY, _USERS_CHANGED, "C"),
    Action.ACCOUNT_DISABLED: (_SECURITY, _USERS_CHANGED, "U"),
    Action.ACCOUNT_ENABLED: (_SECURITY, _USERS_CHANGED, "U"),
    Action.PASSWORD_SET: (_SECURITY, _USERS_CHANGED, "U"),
    Action.ROLE_SET: (_SECURITY, _ROLES_CHANGED, "U"),
    Action.TOKEN_ADDED: (_SECURITY, _USERS_CHANGED, "C"),
    Action.TOKEN_REVOKED: (_SECURITY, _USERS_CHANGED, "U"),
    Action.FOLDER_ADDED: (_SECURITY, _CONFIGURATION, "C"),
    Action.FOLDER_REMOVED: (_SECURITY, _CONFIGURATION, "D"),
    Action.STUDY_SEEN: (_ACCESSED, None, "R"),
    Action.ANALYSED: (_ACCESSED, None, "R"),
    Action.REVIEWED: (_ACCESSED, None, "U"),
    Action.SERIES_CHOSEN: (_ACCESSED, None, "U"),
    Action.STUDY_MOVED: (_ACCESSED, None, "U"),
    Action.JOB_STARTED: (_ACTIVITY, None, "E"),
    Action.JOB_RETRIED: (_ACTIVITY, None, "E"),
    Action.JOB_CANCELLED: (_ACTIVITY, None, "E"),
    Action.THRESHOLD_SET: (_SECURITY, _CONFIGURATION, "U"),
    Action.LIMIT_SET: (_SECURITY, _CONFIGURATION, "U"),
    Action.IMPORTED: (_IMPORT, None, "C"),
    Action.IMPORT_REMOVED: (_IMPORT, None, "D"),
    Action.EXPORTED: (_EXPORT, None, "R"),
    Action.PATIENTS_MERGED: (_PATIENT_RECORD, None, "U"),
    Action.REPORTS_SEEN: (_PATIENT_RECORD, None, "R"),
    Action.REPORTS_REMOVED: (_PATIENT_RECORD, None, "D"),
    Action.RESULTS_SENT: (_EXPORT, None, "R"),
    Action.ARCHIVE_SEARCHED: (_QUERY, None, "E"),
    Action.ESCALATED: (_EXPORT, None, "R"),
    Action.ESCALATION_TESTED: (_ACTIVITY, None, "E"),
    Action.PICTURES_REMOVED: (_DELETED, None, "D"),
    Action.TRAIL_SEEN: (_LOG_USED, None, "R"),
    Action.TRAIL_EXPORTED: (_LOG_USED, None, "R"),
    Action.TRAIL_PRUNED: (_LOG_USED, None, "D"),
    Action.BACKUP_MADE: (_EXPORT, None, "R"),
    Action.STORE_RESTORED: (_IMPORT, None, "U"),
}
# Type (1 person, 2 system object) and role (1 patient, 3 report, 11 security user, 13 security resource, 20 job) of an
# object, as PS3.15 A.5.2 numbers them.
_OBJECTS = {
    Kind.STUDY: ("2", "3"),
    Kind.JOB: ("2", "20"),
    Kind.ACCOUNT: ("1", "11"),
    Kind.TOKEN: ("1", "11"),
    Kind.FOLDER: ("2", "13"),
    Kind.IMPORT: ("2", "3"),
    Kind.ADJUSTMENT: ("2", "13"),
    Kind.TRAIL: ("2", "13"),
    Kind.EXPORT: ("2", "3"),
    Kind.ARCHIVE: ("2", "20"),
    Kind.PATIENT: ("1", "1"),
    Kind.REPORT: ("2", "3"),
    Kind.STORE: ("2", "13"),
}


def message(event: Event) -> Element:
    """One event as an <AuditMessage>; its elements stand in the order of the schema in PS3.15 A.5.1."""
    root = Element("AuditMessage")
    _what(root, event)
    _who(root, event)
    source = SubElement(root, "AuditSourceIdentification", {"AuditSourceID": _SOURCE})
    SubElement(source, "AuditSourceTypeCode", {"csd-code": "4"})  # application server process
    if event.kind:
        _object(root, event)
    return root


def lines(events: Iterable[Event]) -> Iterator[str]:
    """A document of all messages, line by line."""
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<AuditMessages>\n'
    for event in events:
        yield _NO_XML.sub("\ufffd", tostring(message(event), encoding="unicode")) + "\n"
    yield "</AuditMessages>\n"


def _what(root: Element, event: Event) -> None:
    code, of_type, does = _EVENTS[Action(event.action)]
    outcome = Outcome(event.outcome)
    told = {
        "EventActionCode": does,
        "EventDateTime": event.at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "EventOutcomeIndicator": _OUTCOMES[outcome],
    }
    found = SubElement(root, "EventIdentification", told)
    code.put(found, "EventID")
    if of_type:
        of_type.put(found, "EventTypeCode")
    _Code(event.action.replace(" ", "-"), event.action, _OWN).put(found, "EventTypeCode")
    if outcome is not Outcome.DONE:
        SubElement(found, "EventOutcomeDescription").text = outcome.value


def _who(root: Element, event: Event) -> None:
    told = {"UserID": event.who, "UserIsRequestor": "true"}
    if event.session:
        told["AlternativeUserID"] = event.session
    if event.address:
        told |= {"NetworkAccessPointID": event.address, "NetworkAccessPointTypeCode": "2"}  # an IP address
    found = SubElement(root, "ActiveParticipant", told)
    _Code(event.role, f"{event.role}, by {event.via}", _OWN).put(found, "RoleIDCode")


def _object(root: Element, event: Event) -> None:
    of_type, role = _OBJECTS[Kind(event.kind)]
    told = {
        "ParticipantObjectID": event.key,
        "ParticipantObjectTypeCode": of_type,
        "ParticipantObjectTypeCodeRole": role,
    }
    found = SubElement(root, "ParticipantObjectIdentification", told)
    # Not a UID, which would say so: a keyed hash or a number of the store.
    _Code(event.kind.replace(" ", "-"), f"key of the {event.kind}", _OWN).put(found, "ParticipantObjectIDTypeCode")
    SubElement(found, "ParticipantObjectName").text = f"{event.kind} {event.key}"
    details = {"line": event.number, **event.details}
    for name, value in details.items():
        text = base64.b64encode(str(value).encode()).decode()
        SubElement(found, "ParticipantObjectDetail", {"type": name, "value": text})
