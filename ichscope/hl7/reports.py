"""What goes out as HL7 v2: an unsolicited report (ORU^R01) on a study, by the store's own key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from pydicom.sr.coding import Code

from ichscope.hl7.messages import escaped
from ichscope.objects.codes import COMMENT, HEAD_CT, NO_UNITS, PROBABILITY

_VERSION, _CHARSET = "2.5.1", "UNICODE UTF-8"
# Tables 0123 and 0085: results are stored, and nobody has verified them.
_NOT_VERIFIED = "R"


def unopened_report(number: str, text: str, about: Mapping[str, object], application: str, facility: str) -> bytes:
    """Make the report on a study that nobody has opened.

    It has no PID: the store knows no patient. The store's key of the study stands for an order's number (OBR-3).

    Parameters
    ----------
    number : message control ID
    text : for people
    about : what `ichscope.escalation.telling.message` gives; a test has nothing of a study
    application, facility : of the receiver

    References
    ----------
    HL7 v2.5.1, chapter 7: 7.3.1 (ORU^R01, whose PID is optional), 7.4.1 (OBR), 7.4.2 (OBX)
    """
    time = _time(datetime.now(UTC))
    sender = ["ICHSCOPE", "", application, facility, time, "", "ORU^R01^ORU_R01", number, "P", _VERSION]
    lines = [["MSH", "^~\\&", *map(escaped, sender[:4]), *sender[4:], *[""] * 5, _CHARSET]]
    key, since = str(about.get("study", "")), about.get("analysed_at")
    order = ["OBR", "1", "", f"{key}^ICHSCOPE" if key else "", _code(HEAD_CT), *[""] * 17]
    order += [_time(datetime.fromisoformat(since)) if isinstance(since, str) else time, "", "", _NOT_VERIFIED]
    lines.append(order)
    observations = [["TX", _code(COMMENT), "", escaped(text), ""]]
    if (probability := about.get("probability")) is not None:
        observations.append(["NM", _code(PROBABILITY), "", f"{probability:.4f}", _code(NO_UNITS)])
    for place, observation in enumerate(observations, 1):
        lines.append(["OBX", str(place), *observation, "", "", "", "", _NOT_VERIFIED])
    return "".join("|".join(line).rstrip("|") + "\r" for line in lines).encode()


def _code(code: Code) -> str:
    """A code as data type CE."""
    return "^".join(map(escaped, (code.value, code.meaning, code.scheme_designator)))


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%d%H%M%S}+0000"
