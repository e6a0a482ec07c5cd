"""A study's results as DICOM objects: the headers are kept beside the results of a session, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from dashboard import downloads
from dashboard.archive import zipped
from dashboard.text import plain
from ichscope.access import Right, current_actor
from ichscope.imaging.intake import Group
from ichscope.objects import is_available
from ichscope.objects.headers import Headers, headers_of
from ichscope.objects.refusal import ObjectError
from ichscope.results import StudyResult

# Of each series the headers, or why there are none.
Kept = dict[str, Headers | str]
_KEY = "headers"


def keep(kept: Kept, study: StudyResult, groups: Sequence[Group]) -> None:
    """Read what objects need of each DICOM series, while its files are there; any of them may come to speak."""
    by_key = {group.key: group for group in groups if group.kind == "ct"}
    for result in study.series:
        if result.slices and result.series in by_key:
            try:
                kept[result.series] = headers_of(by_key[result.series], result.slices)
            except ObjectError as error:
                kept[result.series] = str(error)


def hold(kept: Kept) -> None:
    """Keep the headers as long as the session keeps the results."""
    st.session_state[_KEY] = kept


def let_go() -> None:
    """Forget them."""
    st.session_state.pop(_KEY, None)


def offer(study: StudyResult) -> None:
    """Place the download for a study that was analysed, or say why there is none; nothing for pictures."""
    headers = st.session_state.get(_KEY, {}).get(study.speaks.series)
    if headers is None or not study.speaks.models or not is_available() or not current_actor().may(Right.EXPORT):
        return
    if isinstance(headers, str):
        st.caption(f"No DICOM results: {plain(headers)}")
        return
    downloads.button(
        "DICOM results (ZIP)",
        partial(zip_of, study, headers),
        f"ichscope-dicom-{study.study}.zip",
        "application/zip",
        what="DICOM results of a study",
        help="Report, key images, picture and evidence, for the archive of the images. They name the patient.",
    )


def zip_of(study: StudyResult, headers: Headers) -> bytes:
    """Make the objects of a study now, as a ZIP with a text of what was left out, if anything was.

    Raises
    ------
    ObjectError
        if they cannot be made
    """
    from ichscope.objects.study import as_files, objects_of  # here, since it takes seconds to load

    left_out: list[str] = []
    files: dict[str, str | bytes] = dict(as_files(objects_of(study, headers, say=left_out.append)))
    if left_out:
        files["left-out.txt"] = "\n".join(left_out) + "\n"
    return zipped(files)
