"""Archives by name, from one file; what is secret stands in the environment, and the file says under which name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ichscope.errors import IchscopeError
from ichscope.settings_file import SETTING, SettingsError, check, read_settings, secret

_TABLE = "archives"
# What a series may say that it shows to be fetched by itself; many say nothing.
_HEAD = ("", "HEAD", "BRAIN", "SKULL", "HEADNECK")


class PacsError(IchscopeError):
    """An archive that cannot be used, or not now; the message names it as the file does, and no patient."""


@dataclass(frozen=True, kw_only=True)
class ArchiveServer:
    """An archive, whatever language it speaks.

    answer_s : seconds without a byte after which an answer is given up
    whole_s : seconds after which the transfer of a series is given up, however much of it has come
    results : whether results go back to it
    body_parts : Body Part Examined of series that are fetched unasked; "" stands for those that do not say it
    """

    name: str = field(kw_only=False)
    answer_s: float = 20.0
    whole_s: float = 600.0
    results: bool = False
    body_parts: tuple[str, ...] = field(default=_HEAD)

    @property
    def address(self) -> str:
        """Where it is, for people."""
        raise NotImplementedError


@dataclass(frozen=True)
class DicomWebServer(ArchiveServer):
    """An archive that speaks DICOMweb (DICOM PS3.18).

    url : of the service, as https://pacs.example/dicom-web
    user_from, password_from, token_from : names of environment variables with what it wants to know of us
    ca : file with the certificates that its own is checked against; the system's where there is none
    certificate, key : files by which we show who we are
    """

    url: str
    user_from: str = ""
    password_from: str = ""
    token_from: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            wanted = "the address of a DICOMweb service, http://... or https://..."
            raise SettingsError(f"{SETTING}: [{_TABLE}.{self.name}] has a url that is none; expected {wanted}")

    @property
    def address(self) -> str:
        """Of its service."""
        return self.url

    def secret(self, variable: str) -> str:
        """The value of one of the variables that the file names.

        Raises
        ------
        SettingsError
            if it is not set
        """
        return secret(variable, f"[{_TABLE}.{self.name}]")


def read_servers(file: Path | None = None) -> Mapping[str, DicomWebServer]:
    """Every archive that a file names as [archives.NAME], by its name; none where there is no file.

    Raises
    ------
    SettingsError
        if the file cannot be read, or says what is not understood
    """
    return {name: _server(name, table) for name, table in read_settings(_TABLE, file).items()}


def server(name: str, file: Path | None = None) -> DicomWebServer:
    """One archive by its name.

    Raises
    ------
    SettingsError
        if there is none of this name
    """
    servers = read_servers(file)
    if name not in servers:
        there = ", ".join(servers) or "none"
        raise SettingsError(
            f"expected an archive that {SETTING} names, found {name}; there is {there}. See docs/pacs.md."
        )
    return servers[name]


def _server(name: str, table: Any) -> DicomWebServer:
    if not isinstance(table, dict):
        raise SettingsError(f"{SETTING}: found {name} in [{_TABLE}]; expected [{_TABLE}.{name}] with its url below it")
    if "url" not in table:
        raise SettingsError(f"{SETTING}: [{_TABLE}.{name}] has no url; expected the address of its DICOMweb service")
    return DicomWebServer(**check(DicomWebServer, f"[{_TABLE}.{name}]", table), name=name)
