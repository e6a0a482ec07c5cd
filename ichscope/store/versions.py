"""Versions of one series, as when a slow transfer ends after its folder was taken in: one of them counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from ichscope.store.tables import Series, Volume


def supersede(session: Session, series: Series) -> None:
    """Let the fullest version of a series count; it is named by all others, whose rows and reviews stay."""
    session.flush()
    same = (Series.study_id == series.study_id, Series.series_key == series.series_key)
    versions = list(session.scalars(select(Series).where(*same).order_by(Series.id)))
    if len(versions) < 2:
        return
    slices = _slices(session, [version.id for version in versions])
    counting: list[Series] = []
    for version in sorted(versions, key=lambda version: (version.slices, version.id), reverse=True):
        fuller = next((other for other in counting if _same_slices(slices[version.id], slices[other.id])), None)
        version.superseded_by = fuller.id if fuller else None
        if fuller is None:
            counting.append(version)


def successor(versions: Sequence[Series], series: int | None) -> int | None:
    """The version of a series that counts."""
    return next((version.superseded_by or version.id for version in versions if version.id == series), None)


def _slices(session: Session, versions: Sequence[int]) -> dict[int, set[str]]:
    """What stands for the slices of each; nothing where a file has no SOP Instance UID."""
    slices: dict[int, set[str]] = defaultdict(set)
    for series, keys in session.execute(
        select(Volume.series_id, Volume.slice_keys).where(Volume.series_id.in_(versions))
    ):
        slices[series] = set(keys) if all(keys) else set()
    return slices


def _same_slices(part: set[str], whole: set[str]) -> bool:
    """Whether two versions share slices, as far as these are known; two halves of a series are no versions of it."""
    return not part or not whole or bool(part & whole)
