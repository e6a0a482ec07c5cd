"""HL7 v2 messages: read as far as they are used here, and answered in original mode.

References
----------
HL7 v2.5.1, chapter 2: 2.9.2 (acknowledgment, original mode), 2.15 (MSH, MSA, ERR), tables 0008, 0211 and 0357
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from ichscope.errors import IchscopeError

Code = Literal["AE", "AR"]
Segment = tuple[str, ...]
# Table 0357.
_SEQUENCE, _MISSING, _DATA_TYPE, _NOT_FOUND = 100, 101, 102, 103
_TYPE, _EVENT, _PROCESSING, _VERSION, INTERNAL = 200, 201, 202, 203, 207
_MEANINGS = {
    _SEQUENCE: "Segment sequence error",
    _MISSING: "Required field missing",
    _DATA_TYPE: "Data type error",
    _NOT_FOUND: "Table value not found",
    _TYPE: "Unsupported message type",
    _EVENT: "Unsupported event code",
    _PROCESSING: "Unsupported processing id",
    _VERSION: "Unsupported version id",
    INTERNAL: "Application internal error",
}
# Table 0211, those of one kind of code throughout, and a name that many systems have for the last one.
CHARSETS = {
    "ASCII": "ascii",
    **{f"8859/{part}": f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
}
# What is taken: message types with their events.
TYPES = {
    "ADT": frozenset({"A01", "A04", "A08", "A40"}),
    "ORM": frozenset({"O01"}),
    "OMI": frozenset({"O23"}),
    "ORU": frozenset({"R01"}),
}
_USED = ("MSH", "PID", "MRG", "OBR")
# More than any message has: each field becomes a text of its own.
_MOST_SEGMENTS, _LONGEST_SEGMENT = 500, 16_384
_MSH_FIELDS, _SEPARATORS = 20, 5
_VERSIONS = re.compile(r"2\.[1-9](\.\d)?")
# Words of the tables of what may be shown: anything else may be misplaced, and a patient's.
_WORD = re.compile(
    r"\d(\.\d){0,3}|[PTD]|ACK|ADT|BAR|DFT|MDM|MFN|OML|OMG|OMI|ORM|ORR|ORU|QRY|SIU|SRM|VXU|[A-Z]\d\d|A[AER]|C[AER]"
    r"|8859/\d{1,2}|ASCII|UNICODE( UTF-\d{1,2})?|UTF-\d{1,2}|ISO IR ?\d{1,3}|GB 18030-2000|KS X 1001|BIG-5"
)
_NULL = '""'


class Hl7Error(IchscopeError):
    """A message that is not taken; what is said of it holds no value that could be a patient's.

    code : AE where its content is at fault, AR where it would not be taken whatever it says, or not now
    number : of table 0357
    place : segment and field, as "PID-3"; "" where it is about the whole
    """

    def __init__(self, code: Code, number: int, text: str, place: str = "") -> None:
        super().__init__(f"{place}: {text}" if place else text)
        self.code, self.number, self.place = code, number, place


@dataclass(frozen=True)
class Envelope:
    """The header of a message, whatever else it says: enough to answer it.

    fields : of MSH by their number, as bytes of ISO 8859-1, so that they go back as they came
    """

    fields: tuple[str, ...] = field(repr=False)

    def __getitem__(self, number: int) -> str:
        """MSH-`number`, "" where it is missing."""
        return self.fields[number] if number < len(self.fields) else ""

    @property
    def kind(self) -> tuple[str, str]:
        """Type and event of the message."""
        kind, _, rest = self[9].partition(self[2][:1] or "^")
        return kind, rest.partition(self[2][:1] or "^")[0]


@dataclass(frozen=True)
class Message:
    """A message that is understood; `used` has the segments that are used here, `content` is all of it."""

    envelope: Envelope
    content: bytes = field(repr=False)
    used: tuple[Segment, ...] = field(repr=False)

    def segments(self, *names: str) -> Iterator[Segment]:
        """Segments of these names, in their order."""
        return (segment for segment in self.used if segment[0] in names)

    def repetitions(self, segment: Segment, number: int) -> list[list[str]]:
        """A field's repetitions, each as the first parts of its components."""
        parts, repeats, _, lesser = tuple(self.envelope[2][:4])
        text = segment[number] if number < len(segment) else ""
        return [
            [self._unescaped(part.split(lesser)[0]).strip() for part in one.split(parts)] for one in text.split(repeats)
        ]

    def _unescaped(self, text: str) -> str:
        """A text with the separators that were escaped in it (2.7.1); what else is escaped has no place in a number."""
        parts, repeats, escape, lesser = tuple(self.envelope[2][:4])
        stand_for = {"F": self.envelope[1], "S": parts, "R": repeats, "E": escape, "T": lesser}
        mark = re.escape(escape)
        return re.sub(f"{mark}([FSRET]){mark}", lambda match: stand_for[match[1]], text)


def read_envelope(block: bytes) -> Envelope:
    """Read the header of a message.

    Raises
    ------
    Hl7Error
        if it has none
    """
    line = block.split(b"\r", 1)[0].split(b"\n", 1)[0].decode("latin-1")
    separator = line[3:4]
    if not line.startswith("MSH") or not separator or separator.isalnum() or not 0x20 < ord(separator) < 0x7F:
        raise Hl7Error("AR", _SEQUENCE, "expected a message that begins with MSH and a separator")
    if len(line) > _LONGEST_SEGMENT:
        raise Hl7Error("AR", _DATA_TYPE, f"more than {_LONGEST_SEGMENT} characters", "MSH")
    return Envelope(("MSH", separator, *line[4:].split(separator)[: _MSH_FIELDS - 1]))


def read(block: bytes, envelope: Envelope, charset: str = "ASCII", processing: str = "P") -> Message:
    """Read what is used here of a message.

    Parameters
    ----------
    charset : of table 0211, where MSH-18 does not say it
    processing : what MSH-11 must be

    Raises
    ------
    Hl7Error
        if it is of a kind that is not taken, or cannot be read
    """
    _check(envelope, processing)
    lines = _decoded(block, envelope, charset).replace("\r\n", "\r").replace("\n", "\r").split("\r")
    used = [line for line in lines if line.startswith(tuple(f"{name}{envelope[1]}" for name in _USED))]
    if len(used) > _MOST_SEGMENTS or max(map(len, used)) > _LONGEST_SEGMENT:
        text = f"more than {_MOST_SEGMENTS} segments of {', '.join(_USED)}, or one of more than {_LONGEST_SEGMENT}"
        raise Hl7Error("AE", _DATA_TYPE, text)
    return Message(envelope, block, tuple(tuple(line.split(envelope[1])) for line in used))


def identifier(message: Message, segment: Segment, number: int, authority: str) -> str:
    """The one patient identifier of a field (data type CX).

    Parameters
    ----------
    authority : who has assigned it (CX-4); "" where the field must not have several

    Raises
    ------
    Hl7Error
        if there is none, or several
    """
    place = f"{segment[0]}-{number}"
    every = [(one[0], one[3] if len(one) > 3 else "") for one in message.repetitions(segment, number)]
    found = {value for value, of in every if value not in ("", _NULL) and (not authority or of == authority)}
    if not found:
        raise Hl7Error("AE", _MISSING, "found no patient identifier of the authority that is expected", place)
    if len(found) > 1:
        wanted = "one patient identifier, or that [hl7] names an authority"
        raise Hl7Error("AE", _DATA_TYPE, f"found {len(found)} patient identifiers, expected {wanted}", place)
    return found.pop()


def merges(message: Message, authority: str) -> list[tuple[str, str]]:
    """Pairs of old and new patient identifiers of an ADT^A40: each PID has its MRG.

    Raises
    ------
    Hl7Error
        if they are not as the standard wants them
    """
    pairs: list[tuple[str, str]] = []
    stays: str | None = None
    for segment in message.segments("PID", "MRG"):
        if (segment[0] == "PID") == (stays is not None):
            raise Hl7Error("AE", _SEQUENCE, "expected a MRG after each PID", segment[0])
        if stays is None:
            stays = identifier(message, segment, 3, authority)
        else:
            pairs.append((identifier(message, segment, 1, authority), stays))
            stays = None
    if stays is not None or not pairs:
        raise Hl7Error("AE", _MISSING, "expected a PID and its MRG", "MRG-1")
    return pairs


def answer(envelope: Envelope | None, error: Hl7Error | None = None) -> bytes:
    """Acknowledge a message, or say why it is not taken; sender and receiver change places."""
    at = envelope or Envelope(("MSH", "|", "^~\\&"))
    bar, part = at[1], at[2][:1] or "^"
    head = ["MSH", at[2], at[5] or "ICHSCOPE", at[6], at[3], at[4], f"{datetime.now(UTC):%Y%m%d%H%M%S+0000}", ""]
    kind = part.join(["ACK", at.kind[1], "ACK"] if at.kind[1] else ["ACK"])
    head += [kind, secrets.token_hex(8), at[11] or "P", at[12] or "2.5.1"]
    head += [*[""] * 5, at[18]] if at[18] else []
    lines = [head, ["MSA", error.code if error else "AA", at[10], *([_plain(str(error))] if error else [])]]
    lines += [_err(error, at, part)] if error else []
    return "".join(bar.join(line) + "\r" for line in lines).encode("latin-1", "replace")


def _err(error: Hl7Error, at: Envelope, part: str) -> list[str]:
    segment, _, number = error.place.partition("-")
    where = [segment, "1", number] if segment else []
    named = [str(error.number), _MEANINGS[error.number], "HL70357"]
    if _VERSIONS.fullmatch(at[12]) and at[12] < "2.5":
        lesser = at[2][3:4] or "&"
        return ["ERR", part.join([*(where or ["", "", ""]), lesser.join(named)])]
    return ["ERR", "", part.join(where).rstrip(part), part.join(named), "E", "", "", "", _plain(str(error))]


def accepted(block: bytes, number: str) -> str:
    """Why an answer does not accept the message of this number; "" where it does."""
    for line in block.decode("latin-1").replace("\n", "\r").split("\r"):
        fields = line.split(line[3:4] or "|")
        if fields[0] == "MSA":
            if fields[2:3] != [number]:
                return "the answer is to another message"
            return "" if fields[1] == "AA" else f"the answer is {_shown(fields[1])}, not AA"
    return "the answer has no MSA"


def escaped(text: str) -> str:
    r"""Give a text as the part of a field.

    >>> escaped("a|b\\c")
    'a\\F\\b\\E\\c'
    """
    return text.translate(_ESCAPES)


_ESCAPES = str.maketrans(
    {
        "\\": "\\E\\",
        "|": "\\F\\",
        "^": "\\S\\",
        "&": "\\T\\",
        "~": "\\R\\",
        "\r": "\\X0D\\",
        "\n": "\\X0A\\",
        "\x0b": " ",
        "\x1c": " ",
    }
)


def _check(envelope: Envelope, processing: str) -> None:
    """Refuse what is not taken whatever it says."""
    if len(set(envelope[1] + envelope[2][:4])) != _SEPARATORS:
        raise Hl7Error("AR", _DATA_TYPE, "expected four characters that differ", "MSH-2")
    if not _VERSIONS.fullmatch(envelope[12]):
        raise Hl7Error("AR", _VERSION, f"found {_shown(envelope[12])}, expected a version 2.x", "MSH-12")
    if (found := envelope[11].partition(envelope[2][:1] or "^")[0]) != processing:
        raise Hl7Error("AR", _PROCESSING, f"found {_shown(found)}, expected {processing}", "MSH-11")
    kind, event = envelope.kind
    if kind not in TYPES:
        raise Hl7Error("AR", _TYPE, f"found {_shown(kind)}, expected one of {', '.join(TYPES)}", "MSH-9")
    if event not in TYPES[kind]:
        raise Hl7Error(
            "AR", _EVENT, f"found {_shown(event)}, expected one of {', '.join(sorted(TYPES[kind]))}", "MSH-9"
        )
    if not envelope[10]:
        raise Hl7Error("AE", _MISSING, "expected a message control ID", "MSH-10")


def _decoded(block: bytes, envelope: Envelope, charset: str) -> str:
    name = envelope[18].partition(envelope[2][1:2] or "~")[0].strip() or charset
    if name not in CHARSETS:
        raise Hl7Error("AE", _NOT_FOUND, f"found {_shown(name)}, expected one of {', '.join(CHARSETS)}", "MSH-18")
    try:
        return block.decode(CHARSETS[name])
    except UnicodeDecodeError:
        raise Hl7Error("AE", _DATA_TYPE, f"the message has bytes that are none of {name}", "MSH-18") from None


def _shown(value: str) -> str:
    """A word of a table as it is; of anything else nothing."""
    return value if _WORD.fullmatch(value) else "something else"


def _plain(text: str) -> str:
    """A text of ours without what could be a separator in any message."""
    return re.sub(r"[^\w ,.():/<>-]", " ", text)
