"""Archives by name, from one file; what is secret stands in the environment, and the file says under which name."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from ichscope.errors import IchscopeError

SETTING = "ICHSCOPE_CONFIG"
_TABLE = "archives"
# What a series may say that it shows to be fetched by itself; many say nothing.
_HEAD = ("", "HEAD", "BRAIN", "SKULL", "HEADNECK")


class PacsError(IchscopeError):
    """An archive that cannot be used, or not now; the message names it as the file does, and no patient."""


@dataclass(frozen=True)
class DicomWebServer:
    """An archive that speaks DICOMweb (DICOM PS3.18).

    url : of the service, as https://pacs.example/dicom-web
    user_from, password_from, token_from : names of environment variables with what it wants to know of us
    ca : file with the certificates that its own is checked against; the system's where there is none
    certificate, key : files by which we show who we are
    answer_s : seconds without a byte after which an answer is given up
    whole_s : seconds after which the transfer of a series is given up, however much of it has come
    results : whether results go back to it
    body_parts : Body Part Examined of series that are fetched unasked; "" stands for those that do not say it
    """

    name: str
    url: str
    user_from: str = ""
    password_from: str = ""
    token_from: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""
    answer_s: float = 20.0
    whole_s: float = 600.0
    results: bool = False
    body_parts: tuple[str, ...] = field(default=_HEAD)

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise PacsError(f"{self.name}: url is no address of DICOMweb; expected http://... or https://...")

    def secret(self, variable: str) -> str:
        """The value of one of the variables that the file names.

        Raises
        ------
        PacsError
            if it is not set
        """
        if not (value := os.environ.get(variable, "")):
            raise PacsError(f"{self.name}: the environment variable {variable} is not set, which {SETTING} names")
        return value


def config_file() -> Path | None:
    """The file that the environment names, if it does."""
    return Path(named) if (named := os.environ.get(SETTING)) else None


def read_servers(file: Path | None = None) -> Mapping[str, DicomWebServer]:
    """Every archive that a file names as [archives.NAME], by its name; none where there is no file.

    Raises
    ------
    PacsError
        if the file cannot be read, or says what is not understood
    """
    if (file := file or config_file()) is None:
        return {}
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8")).get(_TABLE, {})
    except OSError as error:
        raise PacsError(f"{SETTING}: {file} cannot be read: {error.strerror}.") from None
    except ValueError as error:  # TOML's own error, and bytes that are no UTF-8
        raise PacsError(f"{SETTING}: {file} is not TOML: {error}.") from None
    return {name: _server(name, table) for name, table in tables.items()}


def server(name: str, file: Path | None = None) -> DicomWebServer:
    """One archive by its name.

    Raises
    ------
    PacsError
        if there is none of this name
    """
    servers = read_servers(file)
    if name not in servers:
        there = ", ".join(servers) or "none"
        raise PacsError(f"expected an archive that {SETTING} names, found {name}; there is {there}. See docs/pacs.md.")
    return servers[name]


def _server(name: str, table: Any) -> DicomWebServer:
    place = f"{SETTING}: [{_TABLE}.{name}]"
    if not isinstance(table, dict):
        raise PacsError(f"{SETTING}: found {name} in [{_TABLE}]; expected [{_TABLE}.{name}] with its url below it")
    types = get_type_hints(DicomWebServer)
    known = [field.name for field in fields(DicomWebServer) if field.name != "name"]
    for key, value in table.items():
        if key not in known:
            raise PacsError(f"{place}: found {key}; expected one of {', '.join(known)}")
        if not _fits(value, types[key]):
            raise PacsError(f"{place}: {key} is {value!r}; expected {_WANTED[types[key]]}")
    if "url" not in table:
        raise PacsError(f"{place}: found no url; expected the address of its DICOMweb service")
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    return DicomWebServer(name, **values)


_WANTED: Mapping[Any, str] = {
    str: "a text",
    bool: "true or false",
    float: "seconds, more than 0",
    tuple[str, ...]: "a list of texts",
}


def _fits(value: Any, kind: Any) -> bool:
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
    if kind in (str, bool):
        return isinstance(value, kind)
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
