"""Who is told, of what and when: [escalation] in the file of settings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from ichscope.settings_file import SETTING, SettingsError, check, read_settings, secret

TABLE = "escalation"
PLACE = f"[{TABLE}]"
_MLLP = re.compile(r"mllps?://[^/:@\s]+:\d{1,5}")


@dataclass(frozen=True)
class Rules:
    """When somebody is told, and who.

    after_minutes : since the first result, without a reader who has opened the study
    within_hours : older studies are left alone, as those from before somebody thought of telling
    messages_from : names of variables with addresses of Apprise, as mailtos://user:password@example.org
    webhook : address that JSON is posted to, signed as https://www.standardwebhooks.com says
    webhook_secret_from : name of the variable with the key of the signature
    hl7 : address of a program that takes reports of HL7 v2 (ORU^R01), as mllp://host:2575, with TLS as mllps://host:2575
    hl7_application, hl7_facility : its names, for MSH-5 and MSH-6
    hl7_ca : file with the certificates that its own is checked against; the system's where there is none
    hl7_certificate, hl7_key : files by which we show it who we are
    link : address of this installation, to put before the place of the study in the worklist
    """

    after_minutes: float = 15.0
    within_hours: float = 24.0
    messages_from: tuple[str, ...] = ()
    webhook: str = ""
    webhook_secret_from: str = ""
    hl7: str = ""
    hl7_application: str = ""
    hl7_facility: str = ""
    hl7_ca: str = ""
    hl7_certificate: str = ""
    hl7_key: str = ""
    link: str = ""

    def __post_init__(self) -> None:
        if not (self.messages_from or self.webhook or self.hl7):
            raise SettingsError(f"{SETTING}: {PLACE} tells nobody; expected messages_from, webhook or hl7")
        if self.webhook and not self.webhook.startswith(("http://", "https://")):
            raise SettingsError(f"{SETTING}: {PLACE} has a webhook that is no address; expected https://...")
        if self.webhook and not self.webhook_secret_from:
            raise SettingsError(f"{SETTING}: {PLACE} has a webhook and no webhook_secret_from, to sign what it gets")

        if self.hl7 and not _MLLP.fullmatch(self.hl7):
            raise SettingsError(f"{SETTING}: {PLACE} has a hl7 that is no address; expected mllp://host:2575")

    @property
    def after(self) -> timedelta:
        """As a time."""
        return timedelta(minutes=self.after_minutes)

    @property
    def within(self) -> timedelta:
        """As a time."""
        return timedelta(hours=self.within_hours)

    def secret(self, variable: str) -> str:
        """The value of a variable that the rules name.

        Raises
        ------
        SettingsError
            if it is not set
        """
        return secret(variable, PLACE)


def read_rules(file: Path | None = None) -> Rules:
    """The rules of the file of settings.

    Raises
    ------
    SettingsError
        if there are none, or they say what is not understood
    """
    return Rules(**check(Rules, PLACE, read_settings(TABLE, file)))
