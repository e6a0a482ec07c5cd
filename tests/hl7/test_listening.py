"""Messages come over a connection, and each is answered; what comes is read by another library, too."""

from __future__ import annotations

import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import hl7
import pytest

from ichscope import tls
from ichscope.access.events import Action
from ichscope.hl7.listening import Listener
from ichscope.hl7.mllp import Bounds, MllpError, ask
from ichscope.hl7.settings import Hl7Settings, hl7_settings
from ichscope.settings_file import SettingsError
from ichscope.store import Store, StoreError, TrailFilter
from tests.support.hl7_messages import BODIES, call, message, mutated, outcome
from tests.support.store_cases import content, study

Listen = Callable[..., Listener]


def answer(listener: Listener, block: str | bytes) -> hl7.Message:
    got = call(listener.port, block if isinstance(block, bytes) else block.encode())
    assert got is not None
    return hl7.parse(got.decode("latin-1"))


def codes(ack: hl7.Message) -> tuple[str, str]:
    """MSA-1 and the number of the error."""
    code = str(ack.segment("MSA")(1))
    return (code, "") if code == "AA" else (code, ack.extract_field("ERR", 1, 3, 1, 1))


@pytest.mark.parametrize("kind", BODIES)
def test_what_is_taken_is_accepted(listen: Listen, said: list[str], kind: str) -> None:
    ack = answer(listen(), message(kind))
    assert codes(ack) == ("AA", "")
    assert [str(ack.segment("MSH")(number)) for number in (3, 4, 5, 6)] == ["ICHSCOPE", "RAD", "RIS", "HOSP"]
    event = kind.split("^")[1]
    assert [str(ack.segment("MSH")(number)) for number in (9, 11, 12)] == [f"ACK^{event}^ACK", "P", "2.5.1"]
    assert str(ack.segment("MSA")(2)) == "42"
    assert said == []


MERGE = "ADT^A40^ADT_A39"
TWO = "P1^^^HOSP^MR~P9^^^OTHER^MR"


@pytest.mark.parametrize(
    ("block", "expected", "place"),
    [
        (message("MDM^T02"), ("AR", "200"), "MSH^1^9"),
        (message("ADT^A03"), ("AR", "201"), "MSH^1^9"),
        (message(processing="T"), ("AR", "202"), "MSH^1^11"),
        (message(version="3.0"), ("AR", "203"), "MSH^1^12"),
        (message(charset="UNICODE UTF-16"), ("AE", "103"), "MSH^1^18"),
        (message(patient="Ä", charset="ASCII"), ("AE", "102"), "MSH^1^18"),
        (message(number=""), ("AE", "101"), "MSH^1^10"),
        (message(MERGE, patient=""), ("AE", "101"), "PID^1^3"),
        (message(MERGE, old=""), ("AE", "101"), "MRG^1^1"),
        (message(MERGE, old=TWO), ("AE", "102"), "MRG^1^1"),
        (message(MERGE, "MRG|P2"), ("AE", "100"), "MRG^1^"),
        (message(MERGE, "PID|2||P2"), ("AE", "101"), "MRG^1^1"),
        ("MSH|^~^&|A\r", ("AR", "102"), "MSH^1^2"),
        ("PID|1||P1\r", ("AR", "100"), ""),
        ("", ("AR", "100"), ""),
    ],
    ids=["type", "event", "training", "version", "charset", "bytes", "number", "nobody stays", "nobody goes", "two",
         "MRG alone", "PID alone", "separators", "no header", "nothing"],
)  # fmt: skip
def test_what_is_not_taken_is_said(
    listen: Listen, said: list[str], block: str, expected: tuple[str, str], place: str
) -> None:
    got = call(listen().port, block.encode())
    assert got is not None
    lines = [line.split("|") for line in got.decode("latin-1").split("\r")]
    assert (lines[1][1], lines[2][3].split("^")[0], lines[2][2].rstrip("^")) == (*expected, place.rstrip("^"))
    assert len(said) == 1
    assert not any(word in said[0] for word in ("P1", "P9", "ZZTOP", "Ä"))


def test_older_versions_get_their_form_of_err(listen: Listen) -> None:
    ack = answer(listen(), message("ADT^A03", version="2.3"))
    assert str(ack.segment("ERR")(1)) == "MSH^1^9^201&Unsupported event code&HL70357"


@pytest.mark.parametrize(
    ("charset", "encoding", "default"),
    [("8859/1", "latin-1", "ASCII"), ("UNICODE UTF-8", "utf-8", "ASCII"), ("", "latin-1", "8859/1")],
)
def test_a_merge_is_done_in_its_charset(
    listen: Listen, store: Store, charset: str, encoding: str, default: str
) -> None:
    made = store.results.record(study("a", 0.9), content("a"), patient_id="Ä&1")
    block = message(MERGE, old="Ä\\T\\1", charset=charset, end="\r\n").encode(encoding)
    assert codes(answer(listen(charset=default), block)) == ("AA", "")
    (line,) = store.trail.events(TrailFilter(action=Action.PATIENTS_MERGED))
    assert (line.key, line.details["studies"]) == (store.keys.patient("P3"), 1)
    assert store.worklist.row(made).study_key


def test_the_identifier_of_the_authority_counts(listen: Listen, store: Store) -> None:
    store.results.record(study("a", 0.9), content("a"), patient_id="P1")
    assert codes(answer(listen(authority="HOSP"), message(MERGE, old="P1^^^HOSP^MR~P9^^^OTHER^MR"))) == ("AA", "")
    assert [line.details["studies"] for line in store.trail.events(TrailFilter(action=Action.PATIENTS_MERGED))] == [1]


def test_all_pairs_of_a_message_are_merged_or_none(listen: Listen, store: Store) -> None:
    second = ("PID|2||P4^^^HOSP^MR", "MRG|P2^^^HOSP^MR")
    listener = listen()
    assert codes(answer(listener, message(MERGE, second[0]))) == ("AE", "101")
    assert store.trail.count(TrailFilter(action=Action.PATIENTS_MERGED)) == 0
    assert codes(answer(listener, message(MERGE, *second))) == ("AA", "")
    assert store.trail.count(TrailFilter(action=Action.PATIENTS_MERGED)) == 2


@pytest.mark.parametrize(("kept", "count"), [(True, 1), (False, 0)])
def test_reports_are_kept_where_that_is_wanted(listen: Listen, store: Store, kept: bool, count: int) -> None:
    listener, block = listen(reports=kept), message("ORU^R01^ORU_R01")
    for _ in range(2):
        assert codes(answer(listener, block)) == ("AA", "")
    assert store.reports.of("A1234") == [block.encode()] * count


def test_where_the_store_is_away_the_sender_is_told_to_try_again(
    listen: Listen, store: Store, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(pairs: object) -> int:
        raise StoreError("The database failed: the connection to it is lost.")

    listener = listen()
    with monkeypatch.context() as patched:
        patched.setattr(store.patients, "merge", away)
        assert codes(answer(listener, message(MERGE))) == ("AR", "207")
    assert "the connection to it is lost" in said[0]
    assert codes(answer(listener, message(MERGE))) == ("AA", "")


# ---------------------------------------------------------------- connections


def test_several_messages_come_over_one_connection(listen: Listen) -> None:
    frame = b"\x0b" + message().encode() + b"\x1c\r"
    with socket.create_connection(("127.0.0.1", listen().port), 20) as sock:
        sock.sendall(frame + b"\r\n" + frame + frame[:50])
        time.sleep(0.1)
        sock.sendall(frame[50:])
        sock.shutdown(socket.SHUT_WR)
        came = b""
        while more := sock.recv(65536):
            came += more
    assert came.count(b"MSA|AA|42") == came.count(b"\x1c\r") == 3


def ended(port: int, *parts: bytes, pause: float = 0.0) -> bool:
    """Whether a connection is ended by the other side after these bytes, without an answer."""
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        try:
            for part in parts:
                sock.sendall(part)
                time.sleep(pause)
            return sock.recv(100) == b""
        except OSError:
            return True


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([b"GET / HTTP/1.1\r\n\r\n"], "sent something else than MLLP: expected <VT> first"),
        ([b"\x0bMSH|" + b"x" * 3000], "sent a message of more than 2048 bytes"),
        ([b"\x0bMSH|" + b"x" * 3000 + b"\x1c\r"], "sent a message of more than 2048 bytes"),
        ([b"\x0bMSH|^~\\&\r\x0bMSH|^~\\&\r\x1c\r"], "began a message before the end of another one"),
        ([b"\x0bMSH"] + [b"|"] * 12, "has not ended a message within 0.5 seconds"),
    ],
    ids=["no frame", "no end", "too long", "two starts", "slow"],
)
def test_who_does_not_keep_to_the_frame_is_let_go(
    listen: Listen, said: list[str], parts: list[bytes], says: str
) -> None:
    listener = listen(most_kb=2, message_s=0.5, idle_s=20.0)
    assert ended(listener.port, *parts, pause=0.1 if len(parts) > 1 else 0)
    assert codes(answer(listener, message())) == ("AA", "")
    listener.stop()
    assert [says in line for line in said] == [True]


def test_who_breaks_off_costs_nothing(listen: Listen, said: list[str]) -> None:
    listener = listen()
    with socket.create_connection(("127.0.0.1", listener.port), 20) as sock:
        sock.sendall(b"\x0bMSH|")
    assert codes(answer(listener, message())) == ("AA", "")
    listener.stop()
    assert said == ["127.0.0.1 broke off within a message, and was let go"]


def test_who_says_nothing_is_let_go(listen: Listen) -> None:
    assert ended(listen(idle_s=0.2).port)


def test_no_more_connections_than_there_may_be(listen: Listen, said: list[str]) -> None:
    listener = listen(connections=2)
    held = [socket.create_connection(("127.0.0.1", listener.port), 20) for _ in range(2)]
    assert ended(listener.port)
    assert said == ["127.0.0.1: more than 2 connections at one time, and was refused"]
    for sock in held:
        sock.close()
    until = time.monotonic() + 20
    while (got := _try(listener)) is None and time.monotonic() < until:
        time.sleep(0.05)
    assert got is not None


def _try(listener: Listener) -> bytes | None:
    try:
        return call(listener.port, message().encode())
    except MllpError:
        return None


def test_strangers_are_refused(listen: Listen, said: list[str]) -> None:
    assert ended(listen(senders=("10.0.0.0/24",)).port)
    assert said == ["somebody called from an address that is not named, and was refused"]


def test_a_listener_that_stops_does_not_wait_for_who_is_idle(listen: Listen) -> None:
    listener = listen()
    with socket.create_connection(("127.0.0.1", listener.port), 20):
        assert codes(answer(listener, message())) == ("AA", "")
        began = time.monotonic()
        listener.stop()
    assert time.monotonic() - began < 20


@pytest.fixture
def certificate(tmp_path: Path) -> str:
    file = tmp_path / "both.pem"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "-", "-days", "2"]
    done = subprocess.run(["openssl", "req", "-x509", *names, *made], capture_output=True, check=True)
    file.write_bytes(done.stdout)
    return str(file)


def test_tls_asks_senders_for_their_certificate(listen: Listen, said: list[str], certificate: str) -> None:
    listener = listen(certificate=certificate, ca=certificate)
    bounds, block = Bounds(message_s=20.0), message().encode()
    ours = tls.for_calling(certificate, "", certificate)
    assert b"MSA|AA|42" in ask("127.0.0.1", listener.port, block, bounds, ours)
    nameless = tls.for_calling("", "", certificate)
    with pytest.raises(MllpError):
        ask("127.0.0.1", listener.port, block, bounds, nameless)
    with pytest.raises(MllpError):
        ask("127.0.0.1", listener.port, block, bounds)
    assert b"MSA|AA|42" in ask("127.0.0.1", listener.port, block, bounds, ours)
    listener.stop()
    assert len(said) == 2


def test_no_mutated_message_stops_the_listener(listen: Listen, said: list[str], store: Store) -> None:
    """Ten thousand of them: python -m benchmarks.hl7."""
    listener = listen(reports=True, message_s=5.0)
    answers = Counter(outcome(listener.port, block) for block in mutated(400))
    assert set(answers) == {"AA", "AE", "AR", "ended"}
    assert not any("ZZTOP" in line or "unexpected" in line for line in said)
    assert codes(answer(listener, message())) == ("AA", "")
    assert store.trail.verify().whole


# ---------------------------------------------------------------- settings


def test_settings_are_read(tmp_path: Path) -> None:
    file = tmp_path / "ichscope.toml"
    file.write_text('[hl7]\nsenders = ["10.0.0.5", "10.1.0.0/16"]\nreports = true\n')
    settings = hl7_settings(file)
    assert (settings.address, settings.port, settings.reports) == ("127.0.0.1", 2575, True)
    admitted = ("10.0.0.5", "10.1.2.3", "::ffff:10.0.0.5", "10.0.0.6", "fe80::1%eth0")
    assert [settings.admits(caller) for caller in admitted] == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "[hl7] names nobody"),
        ('[hl7]\nsenders = ["RIS"]', "[hl7] has a sender 'RIS'; expected an address or a network"),
        ('[hl7]\nsenders = ["10.0.0.5"]\ncharset = "X"', "[hl7] has charset = 'X'; expected one of ASCII"),
    ],
    ids=["nobody", "no address", "charset"],
)
def test_settings_that_are_not_understood_are_said(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "ichscope.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as told:
        hl7_settings(file)
    assert says in str(told.value)


def test_a_port_that_is_taken_is_said(listen: Listen, store: Store) -> None:
    settings = Hl7Settings(senders=("127.0.0.1",), port=listen().port)
    with pytest.raises(MllpError, match=f"HL7 cannot be received at port {settings.port}"):
        Listener(settings, lambda got: None).start()
