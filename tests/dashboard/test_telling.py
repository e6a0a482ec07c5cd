"""What admins see of who is told of likely bleeds: the rules without secrets, what was told, what waits, and a test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.users import telling
from ichscope.access.events import Action, Kind
from ichscope.escalation import channels as escalation_channels
from ichscope.escalation.channels import ChannelError
from ichscope.escalation.rules import Rules
from ichscope.store import Store, TrailFilter
from tests.dashboard.test_worklist_page import click, words

APP = str(Path(__file__).parents[2] / "dashboard/router.py")
SECRET = "mailtos://scope:hush-hush@mail.example"


class FakeChannel:
    name = "ESCALATE_MAIL"
    problem = ""

    def send(self, number: str, text: str, content: str) -> None:
        assert json.loads(content)["type"] == "test"
        if self.problem:
            raise ChannelError(self.problem)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "ichscope.toml"
    file.write_text('[escalation]\nafter_minutes = 20\nmessages_from = ["ESCALATE_MAIL"]\n', encoding="utf-8")
    monkeypatch.setenv("ICHSCOPE_CONFIG", str(file))
    monkeypatch.setenv("ESCALATE_MAIL", SECRET)
    return file


@pytest.fixture
def channel(config: Path, monkeypatch: pytest.MonkeyPatch) -> FakeChannel:
    made = FakeChannel()
    monkeypatch.setattr(escalation_channels, "channels", lambda rules: [made])
    return made


def start() -> AppTest:
    return AppTest.from_file(APP, default_timeout=120).switch_page("views/users.py").run()


def test_without_rules_the_page_says_that_nobody_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ICHSCOPE_CONFIG", raising=False)
    assert "Nobody is told of likely haemorrhages" in words(start())


def test_rules_that_are_not_understood_are_said(store: Store, config: Path) -> None:
    config.write_text("[escalation]\nafter_minutes = 0\n", encoding="utf-8")
    assert "Nobody can be told." in words(start())


def test_the_rules_in_force_stand_there_without_secrets(store: Store, channel: FakeChannel) -> None:
    text = words(start())
    assert "20 minutes" in text
    assert "the address in the variable ESCALATE_MAIL" in text
    assert "hush-hush" not in text
    assert "Nothing was told in the last 7 days." in text


def test_what_was_told_and_what_waits_stands_there(store: Store, channel: FakeChannel) -> None:
    for key in ("3f2a91c07d5be846", "90b1d23c4e5f6071"):
        store.outgoing.put("escalation ESCALATE_MAIL", [key], b"{}")
    first = store.outgoing.due("escalation ESCALATE_MAIL")
    assert first is not None
    store.outgoing.sent(first, Action.ESCALATED, Kind.STUDY, "3f2a91c07d5be846", to="ESCALATE_MAIL")
    second = store.outgoing.due("escalation ESCALATE_MAIL")
    assert second is not None
    store.outgoing.failed(second, "the message to ESCALATE_MAIL was not taken")
    store.outgoing.put("hospital", ["1.2.3"], b"")
    text = words(start())
    assert "<td>escalated</td><td>3f2a91c0</td><td>ESCALATE_MAIL</td><td>yes</td>" in text
    assert "ESCALATE_MAIL: 1 message not taken since" in text
    assert "the message to ESCALATE_MAIL was not taken" in text
    assert "hospital" not in text


@pytest.mark.parametrize("problem", ["", "the message to ESCALATE_MAIL was not taken"], ids=["taken", "refused"])
def test_a_test_is_sent_and_told(store: Store, channel: FakeChannel, problem: str) -> None:
    channel.problem = problem
    text = words(click(start(), "Send a test message"))
    assert (f"The test failed. {problem}" if problem else "The test was taken by all of them.") in text.replace(
        "**", ""
    )
    (line,) = store.trail.events(TrailFilter(action="escalation tested"))
    assert line.details == {"to": "ESCALATE_MAIL", "taken": not problem}
    assert f"<td>ESCALATE_MAIL</td><td>{'no' if problem else 'yes'}</td>" in text


def test_of_an_address_the_host_alone_is_shown() -> None:
    rules = Rules(webhook="https://user:pass@pager.example/hook/t0ken", webhook_secret_from="X", hl7="mllps://ris:2575")
    assert telling.ways(rules) == [("webhook", "https://pager.example, signed"), ("HL7 v2", "mllps://ris")]
