"""Files that the pages give away: to whom may have them, each told in the audit trail before it leaves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import streamlit as st

from dashboard import acting, shared_store
from ichscope.access import Actor, Right, acting_as, current_actor
from ichscope.access.events import Action, Kind

Make = Callable[[], str | bytes]


def button(
    label: str, make: Make, file: str, mime: str, *, what: str, right: Right = Right.EXPORT, **looks: Any
) -> None:
    """Place a download; nothing, for whom it is not. The file is made when it is asked for, without a run of the page.

    Without its line in the audit trail no file leaves.

    Parameters
    ----------
    what : says in the audit trail what it is, in words of ours
    looks : as of st.download_button
    """
    if not current_actor().may(right):
        return
    given = partial(_given, acting.later(), make, right, what, PurePosixPath(file).suffix[1:])
    st.download_button(label, given, file, mime, on_click="ignore", **{"icon": ":material/download:", **looks})


def _given(who: Callable[[], Actor], make: Make, right: Right, what: str, form: str) -> str | bytes:
    """Make a file, outside the run of a page, for whoever has its session then.

    Raises
    ------
    NotAllowedError
        if the session has ended, or its role may not have this any more
    StoreError
        if the audit trail cannot be written
    """
    with acting_as(who()):
        made = make()
        shared_store.store().trail.record(right, Action.EXPORTED, Kind.EXPORT, what, format=form)
    return made
