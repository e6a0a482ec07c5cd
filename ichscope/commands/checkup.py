"""What `ichscope doctor` looks at: each check says what it found, and what to do where that is not well."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal

from ichscope import home as places
from ichscope.errors import IchscopeError

State = Literal["ok", "warning", "error"]
ROOT = Path(__file__).parents[2]
TESTED: Final = (3, 11)
# One large study with its pictures; and a night of them.
_LEAST_FREE, _FEW_FREE = 1 << 30, 10 << 30
# Clocks of computers that keep time by a server differ by less.
_CLOCK_SLACK = timedelta(minutes=5)
_SIDE = 64
_LOCAL = ("localhost", "127.0.0.1", "::1")
_COMPRESSED = {
    "JPEG": "1.2.840.10008.1.2.4.50",
    "JPEG lossless": "1.2.840.10008.1.2.4.70",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
    "RLE": "1.2.840.10008.1.2.5",
}
_INSTALL_AGAIN = "Install again: `make install`, or `make run` for what the pages need."


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: State
    found: str
    to_do: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give it as plain values."""
        return asdict(self)


def all_checks() -> list[Check]:
    """Look at everything; a check that fails itself is an error and stops no other."""
    return [check for name, look in _LOOKS.items() for check in _safely(name, look)]


def table(checks: list[Check]) -> str:
    """A line a check, what to do below it, and how many there are of each kind."""
    lines = []
    for check in checks:
        lines.append(f"{check.state.upper() if check.state == 'error' else check.state:<8} {check.name}: {check.found}")
        lines += [f"         -> {check.to_do}"] if check.to_do else []
    counts = {state: sum(check.state == state for check in checks) for state in ("ok", "warning", "error")}
    return "\n".join([*lines, "", ", ".join(f"{number} {state}" for state, number in counts.items())])


def _safely(name: str, look: Callable[[], Iterator[Check]]) -> list[Check]:
    found: list[Check] = []
    try:
        found.extend(look())
    except Exception as error:  # noqa: BLE001 - whatever is wrong with an installation, the other checks are made
        said = str(error) if isinstance(error, (IchscopeError, OSError)) else type(error).__name__
        found.append(Check(name, "error", said))
    return found


# ---- what is installed -------------------------------------------------------------------------------------


def _python() -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    tested = ".".join(map(str, TESTED))
    if sys.version_info[:2] == TESTED:
        yield Check("Python", "ok", version)
    else:
        yield Check("Python", "warning", f"{version}, tested with {tested}", f"Install with Python {tested}.")


def _packages() -> Iterator[Check]:
    installed = {_plain(found.name): found.version for found in importlib.metadata.distributions()}
    missing = sorted(needed for needed in _needed() if needed not in installed)
    locked = _locked()
    other = {name: version for name, version in locked.items() if installed.get(name, version) != version}
    if missing:
        yield Check("Packages", "error", f"not installed: {', '.join(missing)}", _INSTALL_AGAIN)
    elif other:
        names = ", ".join(f"{name} {installed[name]} (tested: {version})" for name, version in sorted(other.items()))
        yield Check("Packages", "warning", f"{len(other)} at other versions than tested: {names}", _INSTALL_AGAIN)
    elif locked:
        yield Check("Packages", "ok", f"{len(locked.keys() & installed.keys())} at the tested versions")
    else:
        yield Check("Packages", "ok", "all there; no lock beside them to compare their versions with")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _needed() -> set[str]:
    """What ICHScope needs without its extras."""
    lines = importlib.metadata.requires("ichscope") or []
    return {_plain(match[0]) for line in lines if ";" not in line and (match := re.match(r"[\w.-]+", line))}


def _locked() -> dict[str, str]:
    try:
        text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    except OSError:
        return {}
    return {_plain(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE)}


def _models() -> Iterator[Check]:
    from ichscope.models.card import ModelCard, ModelError
    from ichscope.models.registry import default_models_folder, encoder_groups

    try:
        groups = encoder_groups()
        for folder in (folder for folders in groups.values() for folder in folders):
            card = ModelCard.read(folder)
            card.verify(folder)
            card.int8_file(folder)
            yield Check("Model", "ok", f"{card.name} {card.version}, its files have the hashes of its card")
    except ModelError as error:
        yield Check("Model", "error", str(error), f"Put the models of a release below {default_models_folder()}.")


def _providers() -> Iterator[Check]:
    from ichscope.models import providers

    labels = [provider.label for provider in providers.available()]
    yield Check(
        "Runs on", "ok" if labels else "error", ", ".join(labels) or "nothing", "" if labels else _INSTALL_AGAIN
    )


def _decoders() -> Iterator[Check]:
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    missing = [name for name, uid in _COMPRESSED.items() if not get_decoder(UID(uid)).is_available]
    if missing:
        text = f"nothing decodes {', '.join(missing)}: such studies are not analysed"
        yield Check("Decoders", "error", text, _INSTALL_AGAIN)
    elif not _decodes():
        text = "the process that decodes does not do it: no compressed study is analysed"
        to_do = "Look whether this account may start processes, and whether ICHSCOPE_DECODE_MB leaves them memory."
        yield Check("Decoders", "error", text, to_do)
    else:
        yield Check("Decoders", "ok", f"{', '.join(_COMPRESSED)}, in a process of their own")


def _decodes() -> bool:
    """Whether a decoder gives a picture back that is made here."""
    from PIL import Image

    from ichscope.imaging.decoding import Decoders, DecodingError

    picture = BytesIO()
    Image.new("L", (_SIDE, _SIDE)).save(picture, "PNG")
    with closing(Decoders()) as decoders:
        try:
            return decoders.picture(picture.getvalue(), _SIDE * _SIDE, 1).width == _SIDE
        except (DecodingError, OSError):
            return False


# ---- where things are kept ---------------------------------------------------------------------------------


def _home() -> Iterator[Check]:
    folder = places.home()
    if not folder.exists():
        above = next(parent for parent in folder.parents if parent.exists())
        if os.access(above, os.W_OK | os.X_OK):
            yield Check("Home", "ok", f"{folder} is not there yet and is made when it is needed")
        else:
            to_do = f"Let this account write to {above}, or set ICHSCOPE_HOME."
            yield Check("Home", "error", f"{folder} is not there and cannot be made", to_do)
        return
    if not folder.is_dir():
        yield Check("Home", "error", f"{folder} is no folder", "Set ICHSCOPE_HOME to a folder.")
    elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        to_do = "Give it to the account that runs ICHScope; look whether its disk is mounted read-only."
        yield Check("Home", "error", f"{folder} cannot be written", to_do)
    elif number := places.open_to_others(folder):
        text = f"{number} files and folders in {folder} are open to other accounts of this computer"
        yield Check("Home", "warning", text, f"chmod -R go= {folder}")
    else:
        yield Check("Home", "ok", f"{folder}, its owner's alone")
    left = sorted(path.name for path in folder.glob("before-restore-*")) if folder.is_dir() else []
    if left:
        to_do = "Remove them when they are needed no more."
        yield Check("Home", "warning", f"stores that a restore moved aside: {', '.join(left)}", to_do)


def _disk() -> Iterator[Check]:
    folder = next(path for path in (places.home(), *places.home().parents) if path.exists())
    usage = shutil.disk_usage(folder)
    text = f"{usage.free / 1e9:,.1f} GB free of {usage.total / 1e9:,.1f} at {folder}"
    to_do = "Free some: `ichscope prune --older-than 30d` removes pictures and keeps results."
    if usage.free < _LEAST_FREE:
        yield Check("Disk", "error", text, to_do)
    elif usage.free < _FEW_FREE:
        yield Check("Disk", "warning", text, to_do)
    else:
        yield Check("Disk", "ok", text)


def _store() -> Iterator[Check]:
    """Key, database and clock: each is judged by the other ones."""
    from ichscope.store.inspection import look

    folder = places.home()
    if folder.exists() and not folder.is_dir():
        return
    try:
        key = places.read_key(folder)
    except (OSError, ValueError) as error:
        yield Check("Key", "error", str(error), "Put the key back from a backup: `ichscope restore FILE --replace`.")
        return
    found = look(folder, places.database_url(), key)
    restore = "Put a backup back: `ichscope restore FILE --replace`."
    if not found.there:
        if key and found.kind == "sqlite":
            yield Check("Database", "error", "missing or empty, and yet there is a key that was made with one", restore)
        else:
            yield Check("Database", "ok", "not there yet; it is made when it is needed")
        yield from (*_clock(None), *_sign_in(None))
        return
    if key is None:
        text = f"missing, and the database was made with one: expected it in {folder / places.KEY_FILE}"
        yield Check("Key", "error", text, restore)
    elif found.fits is False:
        to_do = "Put the file that the database was made with in its place, or restore both from a backup."
        yield Check("Key", "error", "not the one that the database was made with", to_do)
    else:
        yield Check("Key", "ok", "the database's")
    yield from _database(found.damage, found.revision, f"{found.kind}, {found.studies:,} studies", restore)
    yield from (*_clock(found.newest), *_sign_in(found.admins))


def _database(damage: str, revision: str, text: str, restore: str) -> Iterator[Check]:
    from ichscope.store.migrate import HEAD

    if damage:
        yield Check("Database", "error", f"damaged: {damage}", restore)
    elif revision > HEAD:
        to_do = "Install the version that made it, or restore a backup of before."
        yield Check("Database", "error", f"made by a newer ICHScope (revision {revision}, known: {HEAD})", to_do)
    elif revision < HEAD:
        to_do = "It is upgraded when it is opened next. Make a backup before: `ichscope backup FILE`."
        yield Check("Database", "warning", f"{text}, of an older ICHScope (revision {revision})", to_do)
    else:
        yield Check("Database", "ok", f"{text}, whole, revision {revision}")


def _clock(newest: datetime | None) -> Iterator[Check]:
    """A clock that was set back is told by what was written before; one far behind, by this program's own files."""
    now = datetime.now(UTC)
    made = datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC)
    latest = max(made, newest or made)
    if latest - now > _CLOCK_SLACK:
        text = f"it is {now:%Y-%m-%d %H:%M} UTC, and something is from {latest:%Y-%m-%d %H:%M}"
        yield Check(
            "Clock", "warning", text, "Set the clock, and let a time server keep it (systemd-timesyncd, chrony)."
        )
    else:
        yield Check("Clock", "ok", f"{now:%Y-%m-%d %H:%M} UTC, time zone {time.tzname[0]}")


def _sign_in(admins: int | None) -> Iterator[Check]:
    address = _address()
    wanted = os.environ.get("ICHSCOPE_SIGN_IN", "").strip().lower() in ("on", "1", "yes", "true")
    add = "Make the first account: `ichscope users add NAME --role admin`."
    if address in _LOCAL and not wanted:
        yield Check("Sign-in", "ok", f"off: the page listens on {address} only")
    elif not wanted:
        to_do = f"Set ICHSCOPE_SIGN_IN=on. {add}"
        yield Check("Sign-in", "error", f"off, and the page would listen on {address or 'every address'}", to_do)
    elif not admins:
        yield Check("Sign-in", "error", "on, and nobody can administer it", add)
    else:
        yield Check("Sign-in", "ok", f"on, {admins} that may administer; the page listens on {address}")


def _address() -> str:
    """Where the page listens, as Streamlit reads it: a variable, or its settings in the folder it is started in."""
    if (said := os.environ.get("STREAMLIT_SERVER_ADDRESS")) is not None:
        return said
    for folder in (Path.cwd(), ROOT):
        try:
            text = (folder / ".streamlit" / "config.toml").read_text(encoding="utf-8")
        except OSError:
            continue
        return str(tomllib.loads(text).get("server", {}).get("address", ""))
    return ""


_LOOKS: Final[dict[str, Callable[[], Iterator[Check]]]] = {
    "Python": _python,
    "Packages": _packages,
    "Model": _models,
    "Runs on": _providers,
    "Decoders": _decoders,
    "Home": _home,
    "Disk": _disk,
    "Database": _store,
}
