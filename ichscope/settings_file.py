"""The file of settings (TOML), for what is too long for a variable of the environment; secrets stay there."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from ichscope.errors import IchscopeError

SETTING = "ICHSCOPE_CONFIG"


class SettingsError(IchscopeError):
    """The file of settings, or what it names, is not what it should be; the message says where, found and expected."""


def config_file() -> Path | None:
    """The file that the environment names, if it does."""
    return Path(named) if (named := os.environ.get(SETTING)) else None


def read_settings(table: str, file: Path | None = None) -> dict[str, Any]:
    """One table of the file of settings; an empty one where there is no file, or none of this name.

    Raises
    ------
    SettingsError
        if the file cannot be read
    """
    if (file := file or config_file()) is None:
        return {}
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8")).get(table, {})
    except OSError as error:
        raise SettingsError(f"{SETTING}: {file} cannot be read: {error.strerror}.") from None
    except ValueError as error:  # TOML's own error, and bytes that are no UTF-8
        raise SettingsError(f"{SETTING}: {file} is not TOML: {error}.") from None
    if not isinstance(found, dict):
        raise SettingsError(f"{SETTING}: found {table} = {found!r}; expected a table [{table}]")
    return found


def check(settings: type, place: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """Values for a dataclass of settings, from a table of the file.

    Raises
    ------
    SettingsError
        if a key is unknown, or a value of another kind
    """
    types = get_type_hints(settings)
    known = [name for name in types if name != "name"]
    for key, value in table.items():
        if key not in known:
            raise SettingsError(f"{SETTING}: {place} has {key}; expected one of {', '.join(known)}")
        if not _fits(value, types[key]):
            raise SettingsError(f"{SETTING}: {place} has {key} = {value!r}; expected {_WANTED[types[key]]}")
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


def secret(variable: str, place: str) -> str:
    """The value of a variable of the environment that the file of settings names.

    Raises
    ------
    SettingsError
        if it is not set
    """
    if not (value := os.environ.get(variable, "")):
        raise SettingsError(f"{SETTING}: {place} names the variable {variable}, which the environment does not have")
    return value
