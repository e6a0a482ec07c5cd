"""Bringing studies in, and how far that is: one panel for every page that shows the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from dashboard import acting, cached, server_folder, times, uploads
from dashboard.background import Background, OpenJob
from dashboard.text import count, plain, sentence
from dashboard.upload_queue import UploadQueue
from ichscope.access import Right
from ichscope.batch.demo import STUDIES
from ichscope.batch.throughput import duration, progress_text
from ichscope.home import home
from ichscope.imaging.sorting import left_out
from ichscope.store import Job, StoreDamagedError, StoreError

MANY_FILES = 900
_SOURCES = ("Files or ZIP", "Folder", "Folder on the server")
_JOB_NAMES = {
    "upload": "Upload",
    "folder": "Folder",
    "watch": "Watched folder",
    "archive": "Archive",
    "rescore": "Rescore",
    "demo": "Demonstration",
}
_POLL_S = 1
_LATEST = 10
_OPEN = 100
_FAILURES = 1_000
_REASONS = 20


def panel() -> bool:
    """Place the way to add studies, and the progress of what was added.

    Returns
    -------
    whether there is any study; where not, the page needs no other empty state

    Raises
    ------
    ichscope.store.StoreError
        if the store cannot be opened or read
    """
    work = cached.background()
    if st.session_state.pop("ingest-close", False):
        st.session_state["ingest-add"] = False
    if error := st.session_state.pop("ingest-error", ""):
        st.error(plain(error))
    some = bool(work.store.worklist.page(limit=1))
    busy = bool(work.look() or work.making or work.problem)
    if not _may():
        if not some:
            st.info("No studies yet. Your role may look at studies, not add any.")
    elif some or busy:
        with st.popover("Add studies", icon=":material/add:", key="ingest-add", on_change="rerun"):
            _intake(work)
    else:
        _first(work)
    # Pages ask again every second only while there is something to see.
    st.fragment(_progress, run_every=_POLL_S if busy else None)(work, busy, some)
    _failures(work)
    return some


def _may() -> bool:
    """Whether whoever looks may add studies, and stop, resume and repeat work."""
    return acting.current().may(Right.ANALYSE)


def take_up() -> None:
    """Go on with what an ended server left, whichever page is opened first."""
    if not any(UploadQueue(home()).upload_ids()):
        return
    try:
        cached.background()
    except StoreError:
        return  # the pages that need the store say so


def _first(work: Background) -> None:
    left, right = st.columns([2, 1], gap="large")
    with left:
        st.header("No studies yet")
        _intake(work)
        st.caption("For many studies, run `ichscope batch FOLDER` or `ichscope watch FOLDER` on the server.")
    with right:
        st.header("Or try it without data")
        st.button("Make a demonstration", width="stretch", on_click=work.demonstrate, key="ingest-demo")
        st.caption(
            f"{STUDIES} computer-generated heads with reader labels, analysed by the real models. No patient data; "
            "marked as synthetic throughout. Takes a few minutes."
        )


# ---- from the user to a job ----------------------------------------------------------------------------


def _intake(work: Background) -> None:
    source = st.segmented_control(
        "Where from", _SOURCES, default=_SOURCES[0], required=True, label_visibility="collapsed", key="ingest-kind"
    )
    as_series = st.checkbox(
        "Read pictures as one series",
        key="ingest-pictures",
        help="JPG and PNG files of one folder or ZIP become the slices of one series, in the order of their names.",
    )
    if source == _SOURCES[2]:
        if path := server_folder.choose("ingest-path"):
            _begin(work, path, as_series)
        st.caption("Subfolders are searched, too. Studies already in the store are not analysed again.")
    else:
        _upload(work, source == _SOURCES[1], as_series)


def _upload(work: Background, folder: bool, as_series: bool) -> None:
    number = st.session_state.get("ingest-number", 0)
    files = st.file_uploader(
        "DICOM files or ZIPs with any number of studies",
        accept_multiple_files="directory" if folder else True,
        key=f"ingest-files-{folder}-{number}",
    )
    st.caption(
        f"Up to {st.get_option('server.maxUploadSize')} MB a file. For more than about {MANY_FILES} files, use a ZIP "
        "or a folder on the server."
    )
    if files:
        _begin(work, list(files), as_series)


def _begin(work: Background, what: Path | list[UploadedFile], as_series: bool) -> None:
    try:
        if isinstance(what, Path):
            work.folder(what, "Folder on the server", as_series, server_folder.roots())
        else:
            with st.spinner("Saving the files"):
                files = ((file.name, uploads.on_disk(file) or file) for file in what)
                work.upload(files, f"Upload of {count(len(what), 'file')}", as_series)
    except OSError as error:
        st.error(f"**Nothing was added.** The files cannot be saved: {error.strerror}.")
        return
    except StoreError as error:
        st.error(f"**Nothing was added.** {plain(str(error))}")
        return
    # The uploader is emptied and the popover closed: the files lie on the server's disk now.
    uploads.free(() if isinstance(what, Path) else [file.file_id for file in what])
    st.session_state["ingest-number"] = st.session_state.get("ingest-number", 0) + 1
    st.session_state["ingest-close"] = True
    st.rerun()


# ---- from jobs to the screen ---------------------------------------------------------------------------


def _progress(work: Background, busy: bool, some: bool) -> None:
    try:
        open_jobs = work.look()
        if not some and work.store.worklist.page(limit=1):
            st.rerun()  # the first study is there: the page has something to show
    except StoreDamagedError as error:
        st.error(plain(str(error)))
        return
    except StoreError as error:
        st.error(f"{plain(str(error))} Finished results are kept; work resumes when the database is back.")
        return
    if busy and not (open_jobs or work.making or work.problem):
        st.rerun()  # the last job has ended: the page shows its studies and stops asking
    if work.problem:
        after = "" if work.damaged else "Finished results are kept; open jobs will be retried."
        st.error(f"**Work is on hold.** {plain(work.problem)} {after}")
        if _may():
            st.button("Try now", on_click=work.start, key="ingest-now")
    if work.making and work.making[0] < work.making[1]:
        made, total = work.making
        st.progress(made / total, f"Demonstration: {made} of {total} heads generated")
    for open_job in open_jobs:
        _bar(work, open_job)
    if open_jobs and st.button("Show new studies", type="tertiary", icon=":material/refresh:", key="ingest-refresh"):
        st.rerun()


def _bar(work: Background, open_job: OpenJob) -> None:
    job = open_job.job
    over = job.done + job.failed
    left, right = st.columns([6, 1], vertical_alignment="center")
    with left:
        st.progress(over / job.total if job.total else 0.0, f"{_name(job)}: {_state(open_job)}")
    with right:
        if not _may():
            return
        if open_job.stalled:
            _button("Resume", job, work.ask)
        elif open_job.here and job.kind != "demo":
            _button("Stop", job, work.store.jobs.cancel)


def _state(open_job: OpenJob) -> str:
    job = open_job.job
    if open_job.stalled:
        return f"{progress_text(job, open_job.throughput)}. The program doing this has ended."
    if not job.first_at:
        return "waiting"
    if job.done + job.failed or job.total > 1:
        return progress_text(job, open_job.throughput)
    return "fetching" if job.kind == "archive" else "looking for studies"


def _name(job: Job) -> str:
    return f"{_JOB_NAMES.get(job.kind, job.kind.capitalize())} of {times.when(job.created_at)}"


def _failures(work: Background) -> None:
    """What the last job took, what failed in the last ones and in open ones and why, and another try."""
    latest = work.store.jobs.recent(_LATEST)
    if over := [job for job in latest if job.finished_at]:
        st.caption(f"Last: {_name(over[0])}, {_ended(over[0])}. {left_out(*over[0].left_out)}")
    # A watched folder is never over, and its job may be old.
    jobs = {job.id: job for job in (*latest, *work.store.jobs.recent(_OPEN, open_only=True))}
    for job in jobs.values():
        if job.failed:
            with st.expander(f"{_name(job)}: {job.failed} of {job.total} studies failed"):
                _reasons(work, job)


def _ended(job: Job) -> str:
    done = f"{job.done} of {job.total} studies done"
    if not job.first_at or not job.last_at:
        return done
    return f"{done} in {duration((job.last_at - job.first_at).total_seconds())}"


def _reasons(work: Background, job: Job) -> None:
    reasons = Counter(failure.reason for failure in work.store.jobs.failures(job.id, limit=_FAILURES))
    lines = (f"- {number} x {plain(sentence(reason))}" for reason, number in reasons.most_common(_REASONS))
    st.markdown("\n".join(lines))
    if _may():
        _button("Try again", job, partial(_again, work))


def _button(label: str, job: Job, act: Callable[[int], object]) -> None:
    st.button(label, key=f"ingest-{label}-{job.id}", on_click=_safely, args=(act, job.id))


def _again(work: Background, job: int) -> None:
    work.store.jobs.retry(job)
    work.ask(job)


def _safely(act: Callable[..., object], *args: object) -> None:
    """Do what a click asks for; where the store fails, the next run of the page says so."""
    try:
        act(*args)
    except StoreError as error:
        st.session_state["ingest-error"] = str(error)
