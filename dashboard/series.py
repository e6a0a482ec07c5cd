"""The series of a study: which one is shown, and why one of them speaks for the study."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.text import count, plain, sentence
from ichscope.results import SeriesResult, StudyResult
from ichscope.store import SeriesRow


def choose(names: Sequence[str], key: str, reason: str) -> int:
    """Let the reader pick one of a study's series, the first of which speaks for it; gives its place.

    Parameters
    ----------
    reason : why the first one speaks
    """
    if len(names) < 2:
        return 0
    index = st.selectbox(
        f"{count(len(names), 'series', 'series')} in this study",
        range(len(names)),
        format_func=lambda place: f"Speaks: {names[place]}" if place == 0 else names[place],
        key=key,
    )
    st.caption(f"Speaks for the study: {plain(sentence(reason))}")
    return index or 0


def names_of_results(study: StudyResult) -> list[str]:
    """The series of an upload in words, told apart by what their headers say and by their folders."""
    return [_name_of_result(result) for result in study.series]


def _name_of_result(result: SeriesResult) -> str:
    header = result.volume.header if result.volume else None
    thickness = header.slice_thickness_mm if header else None
    soft_tissue = result.volume.facts.soft_tissue if result.volume else None
    return _name(len(result.slices), thickness, soft_tissue, result.name.rpartition("/")[2])


def names_of_rows(rows: Sequence[SeriesRow]) -> list[str]:
    """The series of a stored study in words."""
    return [_name(row.slices, row.slice_thickness_mm, row.soft_tissue, _kernel_and_version(row)) for row in rows]


def _kernel_and_version(row: SeriesRow) -> str:
    earlier = "" if row.superseded_by is None else "earlier version, does not count"
    return ", ".join(filter(None, (row.kernel, earlier)))


def _name(slices: int, thickness: float | None, soft_tissue: bool | None, more: str) -> str:
    tissue = {True: "soft tissue", False: "bone kernel", None: ""}[soft_tissue]
    facts = (count(slices, "slice"), f"{thickness:g} mm" if thickness else "", tissue, more)
    # A list takes its entries as they are, without Markdown.
    return "".join(sign if sign.isprintable() else "?" for sign in ", ".join(filter(None, facts)))
