"""Days and times as the reader's clock has them; the store keeps UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st


def zone() -> tzinfo:
    """The browser's time zone; UTC where it names none."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def when(at: datetime) -> str:
    """Date and time to the minute on the reader's clock."""
    return f"{at.astimezone(zone()):%Y-%m-%d %H:%M}"


def start(day: date) -> datetime:
    """The first moment of a day."""
    return datetime.combine(day, time(), zone())


def end(day: date) -> datetime:
    """The first moment after a day."""
    return start(day + timedelta(days=1))
