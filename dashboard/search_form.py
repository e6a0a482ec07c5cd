"""What studies are looked for in an archive: by patient, number and day. What is typed stays in the session."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta

import streamlit as st

from dashboard import times
from ichscope.pacs.archives import Query
from ichscope.pacs.servers import ArchiveServer

TODAY, WEEK, RANGE, ANY = "Today", "Last 7 days", "From ... to ...", "Any day"


def show(key: str, servers: Mapping[str, ArchiveServer]) -> tuple[str, Query] | None:
    """Place the fields, and give the archive and what it is to be asked, once that is clicked or Enter is pressed."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        archive = next(iter(servers))
        if len(servers) > 1:
            archive = st.selectbox("Archive", list(servers), key=f"{key}-name", width=180)
        when = st.segmented_control(
            "Study date", [TODAY, WEEK, RANGE, ANY], default=TODAY, required=True, key=f"{key}-when"
        )
        days = _range(key) if when == RANGE else ()
    with st.form(f"{key}-form", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Patient's name", key=f"{key}-patient", width=220, autocomplete="off", help=_NAME)
        number = st.text_input("Patient ID", key=f"{key}-id", width=160, autocomplete="off")
        accession = st.text_input("Accession number", key=f"{key}-accession", width=180, autocomplete="off")
        if not st.form_submit_button("Search", icon=":material/search:"):
            return None
    if when == RANGE and len(days) != 2:
        st.warning("Choose the first and the last day.")
        return None
    query = Query(wanted_name(name), number.strip(), accession.strip(), dates(str(when), days, _today()))
    if not (query.patient_name or query.patient_id or query.accession or query.date):
        st.warning("Say more: a day, a name or a number. All studies of an archive would be too many.")
        return None
    return archive, query


_NAME = "Family name first: Muster, or Muster, Anna. The beginning is enough; * and ? stand for anything."


def _range(key: str) -> tuple[date, ...]:
    chosen = st.date_input("Days", (_today() - timedelta(days=6), _today()), key=f"{key}-days", width=240)
    return chosen if isinstance(chosen, tuple) else (chosen,)


def _today() -> date:
    return datetime.now(times.zone()).date()


def dates(when: str, days: tuple[date, ...], today: date) -> str:
    """Days as an archive is asked for them (PS3.4 C.2.2.2.5).

    Examples
    --------
    >>> dates(WEEK, (), date(2026, 12, 1)), dates(TODAY, (), date(2026, 12, 1)), dates(ANY, (), date(2026, 12, 1))
    ('20261125-20261201', '20261201', '')
    """
    if when == ANY:
        return ""
    if when == TODAY:
        return f"{today:%Y%m%d}"
    first, last = days if when == RANGE else (today - timedelta(days=6), today)
    return f"{first:%Y%m%d}-{last:%Y%m%d}"


def wanted_name(text: str) -> str:
    """A name as it is typed, in the form of DICOM's names, with what may follow left open.

    Examples
    --------
    >>> wanted_name(" Muster, Anna "), wanted_name("muster"), wanted_name("M?st*"), wanted_name("")
    ('Muster^Anna*', 'muster*', 'M?st*', '')
    """
    family, comma, given = (part.strip() for part in text.partition(","))
    name = f"{family}^{given}" if comma else family
    return name if not name or "*" in name else f"{name}*"


def day(text: str) -> str:
    """A day of DICOM for people; what is none stays as it is.

    Examples
    --------
    >>> day("20261201"), day("soon")
    ('2026-12-01', 'soon')
    """
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdecimal() else text
