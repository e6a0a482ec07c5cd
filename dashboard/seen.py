"""Who looks at which study: a line of the audit trail each time one is opened.

Nobody waits for it: what can be read is shown, and its line is written beside, with the time of the opening. Where the
store cannot be written, lines wait in memory until it can.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import streamlit as st

from dashboard import shared_store
from ichscope.access import Actor, Right, acting_as, current_actor
from ichscope.access.events import Action, Kind
from ichscope.store import RefusedError, Store, StoreError

_LOG = logging.getLogger(__name__)
_AGAIN_S = 2.0
# The study that is open in this session.
_OPEN = "study-open"

Key = Callable[[Store], str]


def opened(page: str, study: object, key: Key) -> None:
    """Tell the audit trail who has opened a study, once, however often the page runs while it is open.

    Parameters
    ----------
    study : tells it from others of the page
    key : gives what stands for it in the store
    """
    if st.session_state.get(_OPEN) == (page, study):
        return
    st.session_state[_OPEN] = (page, study)
    LINES.add(_Line(current_actor(), datetime.now(UTC), page, key))


def by_program(key: Key) -> None:
    """Tell the audit trail that the program that asks now has got what is known of a study."""
    LINES.add(_Line(current_actor(), datetime.now(UTC), "api", key))


def closed() -> None:
    """Forget which study is open: whichever comes next is opened anew."""
    st.session_state.pop(_OPEN, None)


@dataclass(frozen=True)
class _Line:
    actor: Actor
    at: datetime
    page: str
    key: Key

    def write(self) -> None:
        store = shared_store.store()
        with acting_as(self.actor):
            store.trail.record(Right.SEE, Action.STUDY_SEEN, Kind.STUDY, self.key(store), self.at, page=self.page)


class Lines:
    """Lines that wait to be written, the oldest first, and the thread that writes them while there are any."""

    def __init__(self) -> None:
        self._waiting: deque[_Line] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, line: _Line) -> None:
        """Have a line written."""
        with self._changed:
            self._waiting.append(line)
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_all, name="ichscope-seen", daemon=True)
                self._thread.start()

    def wait(self, seconds: float) -> int:
        """Wait until all are written; gives how many are not."""
        with self._changed:
            self._changed.wait_for(lambda: self._thread is None, seconds)
            return len(self._waiting)

    def _write_all(self) -> None:
        said = False
        while line := self._first():
            try:
                line.write()
            except RefusedError:
                pass  # which is a line itself
            except StoreError as error:
                if not said:
                    _LOG.warning("lines of the audit trail wait until the store can be written", exc_info=error)
                said = True
                time.sleep(_AGAIN_S)
                continue
            except Exception as error:  # noqa: BLE001 - one line must not keep the others
                _LOG.error("a line of the audit trail is lost: %s", type(error).__name__)
            with self._changed:
                self._waiting.popleft()

    def _first(self) -> _Line | None:
        with self._changed:
            if self._waiting:
                return self._waiting[0]
            self._thread = None
            self._changed.notify_all()
            return None


LINES = Lines()
