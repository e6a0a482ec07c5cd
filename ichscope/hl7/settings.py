"""Who may send HL7, and what is done with it: [hl7] in the file of settings."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path

from ichscope.hl7.messages import CHARSETS
from ichscope.hl7.mllp import Bounds
from ichscope.settings_file import SETTING, SettingsError, check, read_settings

_TABLE = "hl7"
_PLACE = f"[{_TABLE}]"


@dataclass(frozen=True)
class Hl7Settings:
    """Where is listened, to whom, and how what comes is read.

    senders : addresses, or networks as 10.0.0.0/24, that may call
    certificate, key : files for TLS; none without them
    ca : file with certificates that senders must show one of
    connections : at one time
    idle_s : seconds without a message after which a connection is ended
    message_s : seconds that one message may take
    most_kb : KiB that it may have
    charset : of table 0211, for messages that do not say it in MSH-18
    processing : what MSH-11 must be; P is production
    authority : who assigns the identifiers that images have as Patient ID (CX-4); "" where there is one only
    accession_field : of OBR, where the accession number stands
    reports : whether reports (ORU) are kept
    keep_days : for how long
    """

    address: str = "127.0.0.1"
    port: int = 2575
    senders: tuple[str, ...] = ()
    certificate: str = ""
    key: str = ""
    ca: str = ""
    connections: int = 8
    idle_s: float = 300.0
    message_s: float = 30.0
    most_kb: int = 1024
    charset: str = "ASCII"
    processing: str = "P"
    authority: str = ""
    accession_field: int = 18
    reports: bool = False
    keep_days: int = 90

    def __post_init__(self) -> None:
        if not self.senders:
            raise SettingsError(f'{SETTING}: {_PLACE} names nobody; expected senders = ["10.0.0.5"]')
        for sender in self.senders:
            try:
                ip_network(sender)
            except ValueError:
                wanted = "an address or a network, as 10.0.0.0/24"
                raise SettingsError(f"{SETTING}: {_PLACE} has a sender {sender!r}; expected {wanted}") from None
        if self.charset not in CHARSETS:
            wanted = f"one of {', '.join(CHARSETS)}"
            raise SettingsError(f"{SETTING}: {_PLACE} has charset = {self.charset!r}; expected {wanted}")

    @property
    def bounds(self) -> Bounds:
        """What a sender may take."""
        return Bounds(self.most_kb << 10, self.idle_s, self.message_s)

    def admits(self, caller: str) -> bool:
        """Whether somebody at this address may send."""
        address = ip_address(caller.partition("%")[0])
        plain = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return any((plain or address) in ip_network(sender) for sender in self.senders)


def hl7_settings(file: Path | None = None) -> Hl7Settings:
    """Read [hl7] from the file of settings.

    Raises
    ------
    SettingsError
        if it is not there, or says what is not understood
    """
    return Hl7Settings(**check(Hl7Settings, _PLACE, read_settings(_TABLE, file)))
