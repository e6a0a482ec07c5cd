"""The audit trail as messages of DICOM PS3.15 A.5."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime
from xml.etree.ElementTree import fromstring

import pytest

from ichscope.access import audit_message
from ichscope.access.events import Action, Event, Kind, Outcome

AT = datetime(2026, 3, 1, 7, 30, 15, 250_000, UTC)
EVENT = Event(
    *(7, AT, "Ann & <Bob>", "reader", "page", "a1b2", "10.0.0.9", "reviewed", "done", "study", "0f" * 8),
    {"review": 3},
)


def test_a_message_has_the_elements_of_the_schema_in_their_order() -> None:
    found = audit_message.message(EVENT)
    assert [element.tag for element in found] == [
        *("EventIdentification", "ActiveParticipant", "AuditSourceIdentification", "ParticipantObjectIdentification")
    ]
    what, who, source, of = found
    assert what.attrib == {
        "EventActionCode": "U",
        "EventDateTime": "2026-03-01T07:30:15.250+00:00",
        "EventOutcomeIndicator": "0",
    }
    assert [(one.tag, one.get("csd-code"), one.get("codeSystemName")) for one in what] == [
        ("EventID", "110103", "DCM"),
        ("EventTypeCode", "reviewed", "99ICHSCOPE"),
    ]
    assert (who.get("UserID"), who.get("NetworkAccessPointID"), who.get("UserIsRequestor")) == (
        *("Ann & <Bob>", "10.0.0.9"),
        "true",
    )
    assert source.get("AuditSourceID") == "ICHScope"
    assert of.get("ParticipantObjectID") == "0f" * 8
    details = {one.get("type"): base64.b64decode(one.get("value") or "").decode() for one in of[2:]}
    assert details == {"line": "7", "review": "3"}


@pytest.mark.parametrize("action", list(Action))
def test_every_action_is_an_event(action: Action) -> None:
    what = audit_message.message(replace(EVENT, action=action.value))[0]
    assert what[0].get("codeSystemName") == "DCM"
    assert what[-1].get("originalText") == action.value


@pytest.mark.parametrize(("outcome", "code"), [(Outcome.DONE, "0"), (Outcome.FAILED, "4"), (Outcome.REFUSED, "8")])
def test_outcomes_have_their_numbers(outcome: Outcome, code: str) -> None:
    what = audit_message.message(replace(EVENT, outcome=outcome.value))[0]
    assert what.get("EventOutcomeIndicator") == code


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_is_an_object(kind: Kind) -> None:
    found = audit_message.message(replace(EVENT, kind=kind.value)).findall("ParticipantObjectIdentification")
    assert len(found) == (kind is not Kind.NONE)


def test_the_document_is_xml_whatever_names_hold() -> None:
    text = "".join(audit_message.lines([EVENT, replace(EVENT, who="\x07bell", address="", session="")]))
    root = fromstring(text.encode())
    assert [one.find("ActiveParticipant").get("UserID") for one in root] == ["Ann & <Bob>", "\ufffdbell"]  # type: ignore[union-attr]
