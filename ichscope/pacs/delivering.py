"""Who gets the results of a series: archives that the file of settings names, and programs that ask for its report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import pydicom

from ichscope.imaging.intake import Group
from ichscope.objects import is_available
from ichscope.pacs.servers import ArchiveServer, read_servers, server
from ichscope.results import SeriesResult
from ichscope.settings_file import SETTING, SettingsError, check, read_settings
from ichscope.store import Store, content_hash

if TYPE_CHECKING:
    from ichscope.pacs.returning import Returns, Say

_TABLE = "results"


@dataclass(frozen=True)
class ResultSettings:
    """[results] in the file of settings.

    to : archives that the results of whatever comes in are sent to, wherever it comes from
    reports : whether the reports of studies that came over /api are kept for the programs that sent them
    report_days : how long
    """

    to: tuple[str, ...] = ()
    reports: bool = True
    report_days: int = 7

    @property
    def report_time(self) -> timedelta:
        """As a time."""
        return timedelta(days=self.report_days)


def result_settings(file: Path | None = None) -> ResultSettings:
    """Read [results]; the defaults where it is not there.

    Raises
    ------
    SettingsError
        if it says what is not understood, or names an archive that is none
    """
    settings = ResultSettings(**check(ResultSettings, f"[{_TABLE}]", read_settings(_TABLE, file)))
    for name in settings.to:
        try:
            server(name, file)
        except SettingsError as error:
            raise SettingsError(f"{SETTING}: [{_TABLE}] to: {error}") from None
    return settings


def receivers(came_from: str = "", file: Path | None = None) -> tuple[ArchiveServer, ...]:
    """Archives that get the results of what comes from an archive, or, with "", from elsewhere.

    Raises
    ------
    SettingsError
        as `result_settings`
    """
    named, servers = result_settings(file).to, read_servers(file)
    back = [came_from] if came_from in servers and servers[came_from].results else []
    return tuple(servers[name] for name in dict.fromkeys((*back, *named)))


class Delivery:
    """Makes the objects of each series once, and keeps them, encrypted, for whoever gets them.

    Parameters
    ----------
    to : archives that they are sent to
    report_time : how long the report is kept for programs; None where it is not
    say : called with what went wrong, in words
    """

    def __init__(
        self,
        store: Store,
        to: Iterable[ArchiveServer],
        report_time: timedelta | None = None,
        say: Say = lambda text: None,
    ) -> None:
        self._store, self._say = store, say
        self._report_time = report_time if is_available() else None
        self.returns = _returns(store, to, say)

    @property
    def wanted(self) -> bool:
        """Whether anybody gets anything."""
        return bool(self.returns) or self._report_time is not None

    def put(self, group: Group, result: SeriesResult) -> None:
        """Keep the objects of a series that a model has judged; of others there are none.

        Raises
        ------
        StoreError
            if they cannot be kept
        """
        if not self.wanted:
            return
        from ichscope.pacs.returning import made_of  # what makes DICOM objects takes seconds to load

        if not (made := made_of(group, result, self._say, "anybody", report_only=not self.returns)):
            return
        for one in self.returns:
            one.keep(made)
        if self._report_time is not None:
            with BytesIO() as file:
                pydicom.dcmwrite(file, made.objects[0], enforce_file_format=True)
                self._store.outgoing.keep_report(content_hash(group.sources), file.getvalue(), self._report_time)

    def go_on_sending(self, stop: Event) -> None:
        """Send what is due until `stop` is set, each archive in a thread of its own."""
        for one in self.returns:
            one.go_on_sending(stop)

    def wait(self) -> None:
        """Wait until what is being sent is sent; `stop` has been set."""
        for one in self.returns:
            one.wait()


def _returns(store: Store, to: Iterable[ArchiveServer], say: Say) -> Sequence[Returns]:
    if not (servers := tuple(to)):
        return ()
    from ichscope.pacs.opening import opened
    from ichscope.pacs.returning import Returns

    return tuple(Returns(store, opened(one.name), say) for one in servers)
