from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import hl7
import pytest
from sqlalchemy import update
from standardwebhooks.webhooks import Webhook
from typer.testing import CliRunner

from ichscope.access import Actor, Right, Role, Via, acting_as
from ichscope.access.events import Action, Kind
from ichscope.commands.cli import app
from ichscope.escalation.channels import ChannelError, Hl7Reports, Messages, SignedWebhook, channels
from ichscope.escalation.rules import Rules, read_rules
from ichscope.escalation.telling import Escalation
from ichscope.hl7.listening import Listener
from ichscope.hl7.messages import Hl7Error, Message, accepted
from ichscope.hl7.settings import Hl7Settings
from ichscope.settings_file import SettingsError
from ichscope.store import Store, TrailFilter
from ichscope.store.access_tables import Outgoing
from ichscope.store.tables import Study
from tests.support.store_cases import add

KEY = base64.b64encode(b"0123456789abcdef01234567").decode()
RULES = Rules(messages_from=("MAIL",), link="https://scope.example/")


@dataclass
class FakeChannel:
    name: str = "MAIL"
    away: bool = False
    took: list[tuple[str, str, str]] = field(default_factory=list)

    def send(self, number: str, text: str, content: str) -> None:
        if self.away:
            raise ChannelError("the message to MAIL was not taken")
        self.took.append((number, text, content))


@pytest.fixture
def channel() -> FakeChannel:
    return FakeChannel()


@pytest.fixture
def escalation(store: Store, channel: FakeChannel) -> Escalation:
    return Escalation(store, RULES, [channel])


def likely(store: Store, name: str = "a", minutes: float = 20, p: float = 0.93) -> int:
    """A study that was analysed so long ago."""
    study = add(store, name, p)
    with store.database.writing() as session:
        at = datetime.now(UTC) - timedelta(minutes=minutes)
        session.execute(update(Study).where(Study.id == study).values(first_result_at=at))
    return study


def key_of(store: Store, study: int) -> str:
    return store.worklist.row(study).study_key


def test_of_a_likely_bleed_that_nobody_has_opened_somebody_is_told_once(
    store: Store, escalation: Escalation, channel: FakeChannel
) -> None:
    study = likely(store)
    assert escalation.look() == 1
    assert escalation.look() == 0
    ((number, text, content),) = channel.took
    assert json.loads(content)["study"] == key_of(store, study)
    assert f"https://scope.example/worklist?study={study}" in text
    assert "0.93" in text
    assert "not for diagnosis" in text
    assert number.startswith("ichscope-")
    (line,) = store.trail.events(TrailFilter(action=Action.ESCALATED))
    assert (line.key, line.kind, line.details["to"]) == (key_of(store, study), Kind.STUDY, "MAIL")


@pytest.mark.parametrize(
    ("minutes", "p", "told"),
    [(14, 0.93, 0), (16, 0.93, 1), (16, 0.01, 0), (60 * 23, 0.93, 1), (60 * 25, 0.93, 0)],
    ids=["too early", "due", "negative", "of today", "too old"],
)
def test_only_what_is_likely_and_due_is_told(
    store: Store, escalation: Escalation, minutes: float, p: float, told: int
) -> None:
    likely(store, minutes=minutes, p=p)
    assert escalation.look() == told


@pytest.mark.parametrize(
    ("role", "told"), [(Role.READER, 0), (Role.QA, 0), (Role.ADMIN, 0), (Role.VIEWER, 1), (Role.SERVICE, 1)]
)
def test_who_has_opened_it_counts_if_they_may_review(
    store: Store, escalation: Escalation, role: Role, told: int
) -> None:
    study = likely(store)
    with acting_as(Actor("Somebody", role, Via.PAGE)):
        store.trail.record(Right.SEE, Action.STUDY_SEEN, Kind.STUDY, key_of(store, study))
    assert escalation.look() == told


def test_what_was_reviewed_is_not_told(store: Store, escalation: Escalation) -> None:
    store.reviews.add(likely(store), agree=True)
    assert escalation.look() == 0


def test_what_was_not_taken_comes_again(store: Store, escalation: Escalation, channel: FakeChannel) -> None:
    likely(store)
    channel.away = True
    assert escalation.look() == 0
    (post,) = store.outgoing.post()
    assert (post.waiting, post.reason) == (1, "the message to MAIL was not taken")
    channel.away = False
    later = datetime.now(UTC) - timedelta(seconds=1)
    with store.database.writing() as session:
        session.execute(update(Outgoing).values(due_at=later))
    assert escalation.look() == 1


def test_each_way_is_tried_by_itself(store: Store, channel: FakeChannel) -> None:
    likely(store)
    away = FakeChannel("WEBHOOK", away=True)
    assert Escalation(store, RULES, [away, channel]).look() == 1
    assert len(channel.took) == 1


def test_a_test_goes_to_everybody_and_says_who_was_not_reached(store: Store, channel: FakeChannel) -> None:
    away = FakeChannel("WEBHOOK", away=True)
    assert Escalation(store, RULES, [away, channel]).test() == ["the message to MAIL was not taken"]
    assert "A test" in channel.took[0][1]


# ---------------------------------------------------------------- ways


class Posts(ThreadingHTTPServer):
    status = 204
    seen: list[tuple[dict[str, str], bytes]]


@pytest.fixture
def posts() -> Iterator[Posts]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert isinstance(self.server, Posts)
            body = self.rfile.read(int(self.headers["content-length"]))
            self.server.seen.append((dict(self.headers.items()), body))
            self.send_response(self.server.status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = Posts(("127.0.0.1", 0), Handler)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def url(posts: Posts) -> str:
    return f"http://127.0.0.1:{posts.server_address[1]}/hook"


def test_a_webhook_is_signed(posts: Posts) -> None:
    SignedWebhook(url(posts), KEY).send("ichscope-7", "text", '{"study": "a"}')
    ((headers, body),) = posts.seen
    assert headers["webhook-id"] == "ichscope-7"
    assert Webhook(KEY).verify(body, headers) == {"study": "a"}


def test_a_webhook_that_refuses_is_said(posts: Posts) -> None:
    posts.status = 503
    with pytest.raises(ChannelError, match="the webhook answered with status 503"):
        SignedWebhook(url(posts), KEY).send("1", "text", "{}")
    posts.status = 302
    with pytest.raises(ChannelError, match="status 302"):
        SignedWebhook(url(posts), KEY).send("1", "text", "{}")


def test_a_webhook_that_is_away_is_said() -> None:
    with pytest.raises(ChannelError, match="cannot be reached"):
        SignedWebhook("http://127.0.0.1:1/hook", KEY).send("1", "text", "{}")


def test_messages_go_through_apprise(posts: Posts) -> None:
    Messages("MAIL", f"json://127.0.0.1:{posts.server_address[1]}/").send("1", "somebody should look", "{}")
    ((_, body),) = posts.seen
    assert json.loads(body)["message"] == "somebody should look"


@pytest.mark.parametrize(
    ("address", "says"),
    [("nonsense", "MAIL holds no address that Apprise knows"), ("json://127.0.0.1:1/", "MAIL was not taken")],
    ids=["no address", "away"],
)
def test_messages_that_are_not_taken_are_said(address: str, says: str) -> None:
    channel = Messages("MAIL", address)
    assert address not in repr(channel)
    with pytest.raises(ChannelError, match=says):
        channel.send("1", "text", "{}")


class Receiver(Listener):
    """A program of the hospital's, which gives the answers that it is told to."""

    def __init__(self) -> None:
        self.took: list[hl7.Message] = []
        self.refuses = ""

        def take(message: Message) -> None:
            if self.refuses:
                raise Hl7Error("AE", 207, self.refuses)
            self.took.append(hl7.parse(message.content.decode()))

        super().__init__(Hl7Settings(senders=("127.0.0.1",), port=0), take)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    made.start()
    yield made
    made.stop()


def test_a_report_goes_out_as_hl7(store: Store, receiver: Receiver) -> None:
    way = Hl7Reports("127.0.0.1", receiver.port, "PAGER|1", "HOSP")
    study = likely(store)
    assert Escalation(store, RULES, [way]).look() == 1
    (report,) = receiver.took
    wanted = {("MSH", 5): "PAGER|1", ("MSH", 6): "HOSP", ("OBR", 3): key_of(store, study), ("OBX", 2): "TX"}
    assert {at: report.extract_field(at[0], 1, at[1]) for at in wanted} == wanted
    assert report.extract_field("OBX", 1, 5).startswith(f"Study {key_of(store, study)[:8]}, analysed at")
    assert report.extract_field("OBX", 2, 5) == "0.9300"
    assert [str(segment(0)) for segment in report] == ["MSH", "OBR", "OBX", "OBX"]
    (line,) = store.trail.events(TrailFilter(action=Action.ESCALATED))
    assert line.details["to"] == "hl7"


def test_a_report_that_is_not_accepted_waits(store: Store, receiver: Receiver) -> None:
    receiver.refuses = "ZZTOP is unknown"
    likely(store)
    escalation = Escalation(store, RULES, [Hl7Reports("127.0.0.1", receiver.port)])
    assert escalation.look() == 0
    (post,) = store.outgoing.post()
    assert (post.waiting, post.reason) == (1, "hl7: the answer is AE, not AA")
    receiver.refuses = ""
    with store.database.writing() as session:
        session.execute(update(Outgoing).values(due_at=datetime.now(UTC) - timedelta(seconds=1)))
    assert escalation.look() == 1


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"MSH|^~\\&\rMSA|AA|7\r", ""),
        (b"MSH|^~\\&\rMSA|AA|8\r", "the answer is to another message"),
        (b"MSH|^~\\&\rMSA|AR|7\r", "the answer is AR, not AA"),
        (b"MSH|^~\\&\rMSA|ZZTOP^TEST|7\r", "the answer is something else, not AA"),
        (b"nonsense", "the answer has no MSA"),
    ],
    ids=["accepted", "another", "rejected", "odd", "none"],
)
def test_answers_are_understood(answer: bytes, says: str) -> None:
    assert accepted(answer, "7") == says


def test_a_receiver_that_is_away_is_said() -> None:
    with pytest.raises(ChannelError, match="hl7 cannot be reached"):
        Hl7Reports("127.0.0.1", 1).send("1", "text", "{}")


# ---------------------------------------------------------------- settings and command

WHOLE = """
[escalation]
after_minutes = 5
messages_from = ["MAIL"]
webhook = "https://pager.example/hook"
webhook_secret_from = "HOOK_KEY"
hl7 = "mllps://pager.example:2575"
"""


def test_rules_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ichscope.toml"
    file.write_text(WHOLE)
    rules = read_rules(file)
    assert (rules.after, rules.within) == (timedelta(minutes=5), timedelta(hours=24))
    with pytest.raises(SettingsError, match="names the variable MAIL, which the environment does not have"):
        channels(rules)
    monkeypatch.setenv("MAIL", "json://127.0.0.1/")
    monkeypatch.setenv("HOOK_KEY", "%%%")
    with pytest.raises(SettingsError, match="the webhook's secret is no key"):
        channels(rules)
    monkeypatch.setenv("HOOK_KEY", KEY)
    assert [way.name for way in channels(rules)] == ["MAIL", "webhook", "hl7"]
    assert KEY not in repr(channels(rules))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "tells nobody"),
        ("[escalation]\nwebhook = 'x'\nwebhook_secret_from = 'A'", "has a webhook that is no address"),
        ("[escalation]\nwebhook = 'https://h'", "has a webhook and no webhook_secret_from"),
        ("[escalation]\nafter_minutes = -1\nmessages_from = ['A']", "has after_minutes = -1"),
        ("[escalation]\nhl7 = 'pager:2575'", "has a hl7 that is no address; expected mllp://host:2575"),
    ],
    ids=["nobody", "no address", "no secret", "minutes", "no MLLP"],
)
def test_rules_that_are_not_understood_are_said(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "ichscope.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as told:
        read_rules(file)
    assert says in str(told.value)


def test_the_command_sends_a_test_and_looks_once(posts: Posts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ichscope.toml"
    file.write_text(f'[escalation]\nwebhook = "{url(posts)}"\nwebhook_secret_from = "HOOK_KEY"\n')
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path / "home"))
    assert CliRunner().invoke(app, ["escalate", "--once"]).exit_code == 2
    monkeypatch.setenv("ICHSCOPE_CONFIG", str(file))
    monkeypatch.setenv("HOOK_KEY", KEY)
    result = CliRunner().invoke(app, ["escalate", "--test"])
    assert (result.exit_code, result.output) == (0, "A test was sent to webhook\n")
    assert json.loads(posts.seen[0][1])["type"] == "test"
    assert CliRunner().invoke(app, ["escalate", "--once"]).output == "0 messages sent\n"
    posts.status = 500
    assert CliRunner().invoke(app, ["escalate", "--test"]).exit_code == 4
