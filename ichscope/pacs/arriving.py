"""What arrives in an archive: head CT that has stopped changing is fetched and queued, each state of it once.

Whether a study is complete nobody says: it is taken when its number of slices has been the same for a while. Slices
that come after that make it another state, which is fetched and analysed anew; the result before stays in its history.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from ichscope.batch.watch import QUIET_S, Queue
from ichscope.batch.work_items import Place
from ichscope.imaging.elements import short_hash
from ichscope.pacs.archives import Archive, FoundSeries, FoundStudy, Query
from ichscope.pacs.fetched import fetch, folder_of, name_of, remove_unless_open

DAYS = 2
_ASK_S = 5.0
_ARRIVED = "arrived"


@dataclass(frozen=True)
class _Seen:
    """A state of a study, its series of head CT and how many slices they have, and since when it is so."""

    instances: int | None
    series: tuple[FoundSeries, ...]
    at: float

    @property
    def stamp(self) -> str:
        parts = sorted(f"{series.uid} {series.instances}" for series in self.series)
        return short_hash(*parts) if parts else ""


class ArchiveInbox:
    """Studies of the last days in an archive; what it fetches lies below the home until it is analysed.

    Parameters
    ----------
    quiet_s : seconds without a new slice
    days : studies with a date of today or so many days before are looked at
    clock, today : for tests
    """

    def __init__(
        self,
        archive: Archive,
        quiet_s: float = QUIET_S,
        days: int = DAYS,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], date] = date.today,
    ) -> None:
        self.archive, self._quiet_s, self._days = archive, quiet_s, days
        self._folder = folder_of(archive) / _ARRIVED
        self._clock, self._today = clock, today
        self._seen: dict[str, _Seen] = {}
        self._taken: dict[str, str] = {}
        self._asked_at = -_ASK_S

    @property
    def mark(self) -> str:
        """The archive, by its name."""
        return f"dicomweb\0{self.archive.server.name}"

    @property
    def title(self) -> str:
        """The job's."""
        return f"Archive {self.archive.server.name}"

    def take(self, queue: Queue) -> None:
        """Fetch and queue what is quiet, and remove what is analysed; where the archive fails, the rest comes again."""
        if self._clock() - self._asked_at < _ASK_S:
            return
        self._asked_at = self._clock()
        self._tidy(queue)
        first = self._today() - timedelta(days=self._days)
        studies = self.archive.studies(Query(date=f"{first:%Y%m%d}-"))
        self._seen = {study.uid: self._look(study) for study in studies}
        for uid, seen in self._seen.items():
            quiet = self._clock() - seen.at >= self._quiet_s
            if quiet and seen.stamp and self._taken.get(uid) != seen.stamp:
                self._take_one(queue, uid, seen)
                self._taken[uid] = seen.stamp

    def _look(self, study: FoundStudy) -> _Seen:
        """The state of a study; its series are asked for only where the number of its instances has changed."""
        before = self._seen.get(study.uid)
        if before and study.instances is not None and before.instances == study.instances:
            return before
        now = _Seen(study.instances, tuple(self._heads(study)), self._clock())
        # What others, or we, add that is no head CT does not make it another one.
        return _Seen(now.instances, now.series, before.at) if before and before.stamp == now.stamp else now

    def _heads(self, study: FoundStudy) -> Iterator[FoundSeries]:
        wanted = self.archive.server.body_parts
        for series in self.archive.series(study.uid):
            if series.modality == "CT" and series.body_part in wanted and series.instances != 0:
                yield series

    def _take_one(self, queue: Queue, uid: str, seen: _Seen) -> None:
        folder = self._folder / f"{name_of(self.archive, uid, queue.store.keys)} {seen.stamp[:8]}"
        place = Place(folder, seen.stamp)
        if not queue.knows(place):
            fetch(self.archive, seen.series, folder, queue.stop)
            queue.add([place])

    def _tidy(self, queue: Queue) -> None:
        """Remove what was fetched and is analysed, and what was left half fetched."""
        if self._folder.is_dir():
            remove_unless_open(list(self._folder.iterdir()), queue)
