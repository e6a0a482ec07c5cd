"""HL7 v2 messages of nobody, and what a line does to them."""

from __future__ import annotations

import random
import re
import socket
from collections.abc import Iterator

from ichscope.hl7.mllp import Bounds, Connection, MllpError

MSH = "MSH|^~\\&|RIS|HOSP|ICHSCOPE|RAD|20261201120000||{kind}|{number}|{processing}|{version}||||||{charset}"
PID = "PID|1||{patient}^^^HOSP^MR||ZZTOP^TEST^^^^^L||19500101|F|||1 STREET^^TOWN"
BODIES = {
    "ADT^A01^ADT_A01": [PID, "PV1|1|I"],
    "ADT^A04": [PID, "PV1|1|O"],
    "ADT^A08^ADT_A01": [PID, "PV1|1|I"],
    "ADT^A40^ADT_A39": ["EVN|A40|20261201", PID, "MRG|{old}^^^HOSP^MR||||||ZZBEFORE^TEST"],
    "ORM^O01": [PID, "ORC|NW|1", "OBR|1|1|2|CTHEAD^CT head||||||||||||||A1234"],
    "OMI^O23^OMI_O23": [PID, "ORC|NW|1", "OBR|1|1|2|CTHEAD^CT head", "IPC|A1234"],
    "ORU^R01^ORU_R01": [
        PID,
        "OBR|1|1|2|CTHEAD^CT head||||||||||||||A1234|||||||F",
        "OBX|1|TX|18782-3^Report^LN||ZZTOP has no haemorrhage.||||||F",
    ],
}


def message(
    kind: str = "ADT^A01^ADT_A01",
    *more: str,
    patient: str = "P3",
    old: str = "P1",
    number: str = "42",
    processing: str = "P",
    version: str = "2.5.1",
    charset: str = "",
    end: str = "\r",
) -> str:
    """A message of a kind, with segments after its own ones."""
    head = MSH.format(kind=kind, number=number, processing=processing, version=version, charset=charset)
    body = [line.format(patient=patient, old=old) for line in BODIES.get(kind, [PID])]
    return end.join([head.rstrip("|"), *body, *more, ""])


def mutated(count: int, first: int = 0) -> Iterator[bytes]:
    """Messages with something wrong, each made by its number."""
    kinds = sorted(BODIES)
    for number in range(first, first + count):
        rng = random.Random(number)
        data = bytearray(message(rng.choice(kinds), charset=rng.choice(["", "8859/1", "UNICODE UTF-8", "X"])).encode())
        for _ in range(rng.randint(1, 4)):
            rng.choice(_MUTATIONS)(data, rng)
        yield bytes(data)


def _flip(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.randrange(256)


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _drop(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    del data[at : at + rng.randint(1, 40)]


def _insert(data: bytearray, rng: random.Random) -> None:
    word = rng.choice(
        [b"|", b"^", b"~", b"\\", b"&", b"\r", b"\n", b"\0", b"\xff", b"MSH|", b"PID|", b"\\.sp999999999\\"]
    )
    at = rng.randrange(len(data) + 1)
    data[at:at] = word * rng.choice([1, 1, 2, 50, 5_000])


def _double(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = data[: rng.randrange(len(data) + 1)]


def _frame(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.choice([b"\x0b", b"\x1c", b"\x1c\r", b"\x1c\r\x0b"])


_MUTATIONS = (_flip, _flip, _flip, _cut, _drop, _insert, _double, _frame)


def call(port: int, block: bytes, seconds: float = 20.0) -> bytes | None:
    """Send a message and give its answer; None where the connection is ended instead."""
    with socket.create_connection(("127.0.0.1", port), seconds) as sock:
        connection = Connection(sock, Bounds(idle_s=seconds, message_s=seconds))
        connection.send(block)
        return connection.receive()


def outcome(port: int, block: bytes) -> str:
    """AA, AE or AR; "ended" where the connection is ended instead, "nothing" where an answer is none."""
    try:
        answer = call(port, block)
    except MllpError:
        return "ended"
    if answer is None:
        return "ended"
    found = re.search(rb"\rMSA.(A[AER])", answer, re.DOTALL)
    return found[1].decode() if found else "nothing"
