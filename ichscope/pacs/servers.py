"""Archives by name, from one file; what is secret stands in the environment, and the file says under which name."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
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


def read_settings(table: str, file: Path | None = None) -> dict[str, Any]:
    """One table of the file of settings; an empty one where there is no file, or none of this name.

    Raises
    ------
    PacsError
        if the file cannot be read
    """
    if (file := file or config_file()) is None:
        return {}
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8")).get(table, {})
    except OSError as error:
        raise PacsError(f"{SETTING}: {file} cannot be read: {error.strerror}.") from None
    except ValueError as error:  # TOML's own error, and bytes that are no UTF-8
        raise PacsError(f"{SETTING}: {file} is not TOML: {error}.") from None
    if not isinstance(found, dict):
        raise PacsError(f"{SETTING}: found {table} = {found!r}; expected a table [{table}]")
    return found


def read_servers(file: Path | None = None) -> Mapping[str, DicomWebServer]:
    """Every archive that a file names as [archives.NAME], by its name; none where there is no file.

    Raises
    ------
    PacsError
        if the file cannot be read, or says what is not understood
    """
    return {name: _server(name, table) for name, table in read_settings(_TABLE, file).items()}


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
    if not isinstance(table, dict):
        raise PacsError(f"{SETTING}: found {name} in [{_TABLE}]; expected [{_TABLE}.{name}] with its url below it")
    if "url" not in table:
        raise PacsError(f"{SETTING}: [{_TABLE}.{name}] has no url; expected the address of its DICOMweb service")
    return DicomWebServer(**check(DicomWebServer, f"[{_TABLE}.{name}]", table), name=name)


def check(settings: type, place: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """Values for a dataclass of settings, from a table of the file.

    Raises
    ------
    PacsError
        if a key is unknown, or a value of another kind
    """
    types = get_type_hints(settings)
    known = [name for name in types if name != "name"]
    for key, value in table.items():
        if key not in known:
            raise PacsError(f"{SETTING}: {place} has {key}; expected one of {', '.join(known)}")
        if not _fits(value, types[key]):
            raise PacsError(f"{SETTING}: {place} has {key} = {value!r}; expected {_WANTED[types[key]]}")
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


_WANTED: Mapping[Any, str] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number, more than 0",
    float: "seconds, more than 0",
    tuple[str, ...]: "a list of texts",
    Mapping[str, str]: "a table of texts",
}


def _fits(value: Any, kind: Any) -> bool:
    if kind in (int, float):
        return isinstance(value, (int, kind)) and not isinstance(value, bool) and value > 0
    if kind in (str, bool):
        return isinstance(value, kind)
    several = value.values() if isinstance(value, dict) else value
    shape = dict if kind == Mapping[str, str] else list
    return isinstance(value, shape) and all(isinstance(one, str) for one in several)
