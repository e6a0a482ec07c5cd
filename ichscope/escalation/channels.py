"""Ways to somebody. Each ends within its time, and says in words why a message was not taken."""

from __future__ import annotations

import json
import logging
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import urlsplit

import apprise
import requests
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from ichscope import tls
from ichscope.errors import IchscopeError
from ichscope.escalation.rules import PLACE, Rules
from ichscope.hl7.messages import accepted
from ichscope.hl7.mllp import Bounds, MllpError, ask
from ichscope.hl7.reports import unopened_report
from ichscope.settings_file import SETTING, SettingsError

_SECONDS = 20.0
_TITLE = "ICHScope: likely haemorrhage not opened"
# Its lines hold addresses with passwords.
logging.getLogger("apprise").setLevel(logging.CRITICAL)


class ChannelError(IchscopeError):
    """A message that was not taken; what is said of it holds no address and no secret."""


class Channel(Protocol):
    """One way to somebody."""

    @property
    def name(self) -> str:
        """What it is called where people read it."""
        ...

    def send(self, number: str, text: str, content: str) -> None:
        """Send a message.

        number : the same for the same message, however often it is tried
        text : for people
        content : the same as JSON, for programs

        Raises
        ------
        ChannelError
            if it was not taken
        """
        ...


@dataclass(frozen=True)
class Messages:
    """Mail, chat, pager: an address of Apprise, from the environment."""

    variable: str
    address: str = field(repr=False)

    @property
    def name(self) -> str:
        """The variable's."""
        return self.variable

    def send(self, number: str, text: str, content: str) -> None:
        """Send the text."""
        sender = apprise.Apprise()
        if not sender.add(self.address):
            raise ChannelError(f"{self.variable} holds no address that Apprise knows")
        if not sender.notify(body=text, title=_TITLE, body_format=apprise.NotifyFormat.TEXT):
            raise ChannelError(f"the message to {self.variable} was not taken")


@dataclass(frozen=True)
class SignedWebhook:
    """A program that JSON is posted to, with the headers of Standard Webhooks: number, time and HMAC-SHA256."""

    url: str
    key: str = field(repr=False)

    @property
    def name(self) -> str:
        """What it is."""
        return "webhook"

    def __post_init__(self) -> None:
        try:
            Webhook(self.key)
        except (ValueError, EmptyWebhookSecretError):
            wanted = "base64, as `openssl rand -base64 32` gives it"
            raise SettingsError(f"{SETTING}: {PLACE}: the webhook's secret is no key; expected {wanted}") from None

    def send(self, number: str, text: str, content: str) -> None:
        """Post the JSON."""
        now = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "webhook-id": number,
            "webhook-timestamp": f"{int(now.timestamp())}",
            "webhook-signature": Webhook(self.key).sign(number, now, content),
        }
        try:
            answer = requests.post(
                self.url, data=content.encode(), headers=headers, timeout=_SECONDS, allow_redirects=False
            )
        except requests.RequestException as error:
            raise ChannelError(f"the webhook cannot be reached ({type(error).__name__})") from None
        if not 200 <= answer.status_code < 300:
            raise ChannelError(f"the webhook answered with status {answer.status_code}")


@dataclass(frozen=True)
class Hl7Reports:
    """A program that takes reports of HL7 v2 (ORU^R01) over MLLP, and has one when it has accepted it (AA)."""

    host: str
    port: int
    application: str = ""
    facility: str = ""
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """What it is."""
        return "hl7"

    def send(self, number: str, text: str, content: str) -> None:
        """Send the report."""
        report = unopened_report(number, text, json.loads(content), self.application, self.facility)
        try:
            problem = accepted(ask(self.host, self.port, report, Bounds(message_s=_SECONDS / 4), self.tls), number)
        except MllpError as error:
            raise ChannelError(f"hl7 {error}") from None
        if problem:
            raise ChannelError(f"hl7: {problem}")


def _hl7(rules: Rules) -> Hl7Reports:
    place = urlsplit(rules.hl7)
    try:
        secure = place.scheme == "mllps"
        context = tls.for_calling(rules.hl7_certificate, rules.hl7_key, rules.hl7_ca) if secure else None
        return Hl7Reports(str(place.hostname), int(place.port or 0), rules.hl7_application, rules.hl7_facility, context)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{SETTING}: {PLACE}: {rules.hl7} cannot be called: {error}") from None


def channels(rules: Rules) -> list[Channel]:
    """Every way that the rules name.

    Raises
    ------
    SettingsError
        if a secret or a file is missing, or is none
    """
    found: list[Channel] = [Messages(name, rules.secret(name)) for name in rules.messages_from]
    if rules.webhook:
        found.append(SignedWebhook(rules.webhook, rules.secret(rules.webhook_secret_from)))
    if rules.hl7:
        found.append(_hl7(rules))
    return found
