"""Whether this computer's clock can be gone by: asked before anything is removed because of its age.

Lines of the audit trail show that time has passed: in each month somebody signs in, analyses, or makes a backup.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ichscope.store.access_tables import AuditRecord
from ichscope.store.database import StoreError

# A longer time without a line means that the clock was set ahead.
QUIET_DAYS = 31
# Of two servers on one database. What is later than that is from before a clock was set back.
CLOCKS_DIFFER = timedelta(minutes=5)


def first_line(session: Session, since: datetime) -> int:
    """The number of the first line that was written since then; where there is none, of the next one."""
    newer = session.scalar(select(func.min(AuditRecord.number)).where(AuditRecord.at >= since))
    return newer or (session.scalar(select(func.max(AuditRecord.number))) or 0) + 1


def doubt(session: Session, since: datetime) -> str:
    """Why the clock may be wrong where what is older than that is to go; "" where no line contradicts it."""
    now, before = datetime.now(UTC), first_line(session, since) - 1
    chosen = select(AuditRecord.number, AuditRecord.at).where(AuditRecord.number >= before)
    lines = session.execute(chosen.order_by(AuditRecord.number)).all()
    moments = [line.at for line in lines]
    if moments and max(moments) > now + CLOCKS_DIFFER:
        return f"A line of the audit trail is of {max(moments):%Y-%m-%d %H:%M} UTC, which is later"
    if not lines or lines[0].number != before:
        return ""
    quiet, last = max((later - earlier, earlier) for earlier, later in pairwise([*moments, now]))
    if quiet > timedelta(days=QUIET_DAYS):
        return f"In the audit trail there is no line for {quiet.days} days after {last:%Y-%m-%d}"
    return ""


def check(session: Session, since: datetime, stays: str) -> None:
    """Refuse to go by a clock that may be wrong.

    Parameters
    ----------
    stays : what is not removed then, as "no picture"

    Raises
    ------
    StoreError
        if it may be
    """
    if why := doubt(session, since):
        raise StoreError(
            f"The clock of this computer may be wrong, and {stays} is removed. {why}. Look at the clock; where it is "
            "right, say --clock-is-right."
        )
