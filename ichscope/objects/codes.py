"""The codes that objects speak in: public ones where they exist, and a few of ICHScope's own.

References
----------
PS3.16: Context Groups and the DICOM Controlled Terminology; SNOMED CT as DICOM uses it (scheme designator SCT)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from ichscope.labels import LABELS

if TYPE_CHECKING:
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

# A designator that begins with 99 is private (PS3.16 8.2); its scheme is told in every object that may use it. No code
# has more than the 16 characters of Code Value.
SCHEME: Final = "99ICHSCOPE"

# SNOMED CT has no code for intraventricular haemorrhage of all ages that could be checked here: that one is our own.
FINDINGS: Final = {
    "any": Code("1386000", "SCT", "Intracranial hemorrhage"),
    "epidural": Code("82999001", "SCT", "Epidural intracranial hemorrhage"),
    "intraparenchymal": Code("274100004", "SCT", "Cerebral hemorrhage"),
    "intraventricular": Code("intraventricular", SCHEME, "Intraventricular hemorrhage"),
    "subarachnoid": Code("21454007", "SCT", "Subarachnoid intracranial hemorrhage"),
    "subdural": Code("35486000", "SCT", "Subdural intracranial hemorrhage"),
}
assert tuple(FINDINGS) == LABELS

PRESENCE: Final = Code("705057003", "SCT", "Presence")
PRESENT: Final = Code("52101004", "SCT", "Present")  # CID 240
ABSENT: Final = Code("272519000", "SCT", "Absent")  # CID 240
PROBABILITY: Final = Code("122157", "DCM", "Probability")
THRESHOLD: Final = Code("122411", "DCM", "Threshold Value")
SLICE_PROBABILITY: Final = Code("slice-prob", SCHEME, "Probability on one slice")
EVIDENCE: Final = Code("evidence", SCHEME, "Evidence of intracranial hemorrhage")
ASSESSMENT: Final = Code("assessment", SCHEME, "Assessment of the result by a reader")
ACCEPTED: Final = Code("accepted", SCHEME, "Accepted: the reader says the same")
REJECTED: Final = Code("rejected", SCHEME, "Rejected: the reader does not see the finding")
SUPPLEMENTED: Final = Code("supplemented", SCHEME, "Supplemented: the reader sees a finding besides")
REVIEWED: Final = Code("reviewed", SCHEME, "Report that was reviewed")
COMMENT: Final = Code("121106", "DCM", "Comment")
NO_UNITS: Final = Code("1", "UCUM", "no units")
HEAD_CT: Final = Code("303653007", "SCT", "Computed tomography of head")
INTRACRANIAL: Final = Code("1101003", "SCT", "Intracranial")
OF_INTEREST: Final = Code("113000", "DCM", "Of Interest")  # CID 7010
DEVICE: Final = codes.DCM.Device
PERSON: Final = codes.DCM.Person


def scheme() -> CodingSchemeIdentificationItem:
    """Who is behind the private codes (PS3.3 C.12.1.1.2)."""
    from highdicom.coding_schemes import CodingSchemeIdentificationItem  # takes seconds, and FHIR does not need it

    return CodingSchemeIdentificationItem(
        designator=SCHEME, name="ICHScope codes", responsible_organization="ICHScope contributors"
    )
