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


@dataclass(frozen=True)
class DicomNetworkServer(ArchiveServer):
    """An archive that speaks DICOM's network protocol (PS3.7, PS3.8).

    title : its AE title
    host, port : where it is
    our_title, our_port : by which it knows us, and where it finds us; those of [dicom] where they are not named
    ca : file with the certificates that its own is checked against; for TLS, as are the next two
    certificate, key : files by which we show who we are
    get : whether series are fetched by C-GET where it offers that; C-MOVE otherwise
    commitment : whether it is asked to confirm that it keeps the results (Storage Commitment)
    """

    title: str
    host: str
    port: int = 104
    our_title: str = ""
    our_port: int = 0
    ca: str = ""
    certificate: str = ""
    key: str = ""
    get: bool = True
    commitment: bool = False

    def __post_init__(self) -> None:
        for key, title in (("title", self.title), ("our_title", self.our_title or "-")):
            if not (title.isascii() and title.isprintable() and "\\" not in title and 0 < len(title.strip()) <= 16):
                wanted = "an AE title, 1 to 16 letters and digits"
                raise SettingsError(f"{SETTING}: [{_TABLE}.{self.name}] has {key} = {title!r}; expected {wanted}")

    @property
    def address(self) -> str:
        """Title, host and port."""
        return f"{self.title}@{self.host}:{self.port}"

    @property
    def tls(self) -> bool:
        """Whether it is spoken to in secret."""
        return bool(self.ca or self.certificate)


def read_servers(file: Path | None = None) -> Mapping[str, ArchiveServer]:
    """Every archive that a file names as [archives.NAME], by its name; none where there is no file.

    Raises
    ------
    SettingsError
        if the file cannot be read, or says what is not understood
    """
    return {name: _server(name, table) for name, table in read_settings(_TABLE, file).items()}


def server(name: str, file: Path | None = None) -> ArchiveServer:
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


def _server(name: str, table: Any) -> ArchiveServer:
    place = f"[{_TABLE}.{name}]"
    if not isinstance(table, dict):
        raise SettingsError(f"{SETTING}: found {name} in [{_TABLE}]; expected {place} with its url below it")
    if "title" in table and "url" not in table:
        if "host" not in table:
            raise SettingsError(f"{SETTING}: {place} has a title, but no host; expected the archive's address")
        return DicomNetworkServer(**check(DicomNetworkServer, place, table), name=name)
    if "url" not in table:
        wanted = "the address of its DICOMweb service, or title, host and port"
        raise SettingsError(f"{SETTING}: {place} has no url; expected {wanted}")
    return DicomWebServer(**check(DicomWebServer, place, table), name=name)
