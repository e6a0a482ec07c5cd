"""Failed sign-ins, and how long the next one has to wait: guessing must not pay, nor an owner wait for long."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from ichscope.store.access_tables import Attempt
from ichscope.store.database import insert_for

# Failures in a row that cost nothing. An address may be that of a proxy, behind which many people sit.
OF_ACCOUNT, OF_ADDRESS = 5, 20
# Each further failure doubles the wait, up to the longest one.
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(days=1)


def begin(session: Session, keys: dict[str, int], now: datetime) -> timedelta | None:
    """Count an attempt as a failure until it is known to be none.

    Counted before the password is looked at, so that a thousand attempts at once are a thousand.

    Parameters
    ----------
    keys : what stands for the account and for the address, each with how many failures are free

    Returns
    -------
    how long to wait, where there were too many; None where this attempt may be made
    """
    rows = {key: _row(session, key, now) for key in sorted(keys)}
    waits = [row.locked_until - now for row in rows.values() if row.locked_until]
    # A longer one is from before a clock was set back.
    if some := [wait for wait in waits if timedelta() < wait <= LONGEST_WAIT]:
        return max(some)
    for key, row in rows.items():
        row.failures = row.failures + 1 if now - row.last_at < FORGOTTEN_AFTER else 1
        row.last_at, row.locked_until = now, _until(row.failures, keys[key], now)
    return None


def succeeded(session: Session, account: str, address: str, now: datetime) -> None:
    """Forget the failures of an account; an address loses the one that was none: others may guess from there."""
    row = _row(session, account, now)
    row.failures, row.locked_until = 0, None
    if address:
        row = _row(session, address, now)
        row.failures = max(0, row.failures - 1)
        row.locked_until = _until(row.failures, OF_ADDRESS, now)


def locked(session: Session, now: datetime) -> dict[str, datetime]:
    """Until when the next attempt has to wait, by key, where it has to."""
    of_now = (Attempt.locked_until > now, Attempt.locked_until <= now + LONGEST_WAIT)
    chosen = select(Attempt.key, Attempt.locked_until).where(*of_now)
    return {key: until for key, until in session.execute(chosen) if until}


def _row(session: Session, key: str, now: datetime) -> Attempt:
    new = {"key": key, "failures": 0, "last_at": now}
    session.execute(insert_for(session)(Attempt).values(new).on_conflict_do_nothing(index_elements=["key"]))
    return session.get_one(Attempt, key, with_for_update=True)


def _until(failures: int, free: int, now: datetime) -> datetime | None:
    over = failures - free
    return None if over < 0 else now + min(FIRST_WAIT * 2 ** min(over, 16), LONGEST_WAIT)
