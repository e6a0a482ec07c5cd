"""Study check: a head CT in, an answer out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import streamlit as st

from dashboard import warm_up
from dashboard.text import NOT_FOR_DIAGNOSIS

# At a server's first page the modules below take seconds, with this on the screen.
if "results" not in st.session_state:
    st.title("Study check")
    st.write(f"Checks a head CT for signs of haemorrhage. **{NOT_FOR_DIAGNOSIS}.**")
    warm_up.wait()

from dashboard import cached, dicom_results, panels, seen, series, server_folder, uploads
from dashboard.ingest import MANY_FILES
from dashboard.text import count, plain
from dashboard.verdict import in_reading_order
from ichscope.analyse import analyse, judge
from ichscope.imaging import limits
from ichscope.imaging.limits import Holding
from ichscope.imaging.sources import FolderSource
from ichscope.models.card import ModelError
from ichscope.models.detector import Detector
from ichscope.results import Role, SeriesResult, StudyResult
from ichscope.store import StoreError, Thresholds, judged

SAMPLES = {"Normal": None, "Subdural bleed": "subdural", "Intraparenchymal bleed": "intraparenchymal"}

Inputs = Sequence[Path | tuple[str, bytes | Path] | FolderSource]


def page() -> None:
    detectors = _detectors()
    if detectors is None:
        return
    if "results" in st.session_state:
        if text := st.session_state.get("left-out"):
            st.caption(plain(text))
        _show(st.session_state["results"])
        return
    seen.closed()
    inputs = _intake()
    if inputs:
        _run(inputs, detectors, st.session_state.get("as_series", False))


def _detectors() -> Mapping[str, Detector] | None:
    try:
        return cached.detectors()
    except ModelError as error:
        st.error("**No model can be used, so nothing can be analysed.** " + plain(str(error)))
        return None


# ---- from the user to inputs ---------------------------------------------------------------------------


def _intake() -> Inputs | None:
    left, right = st.columns([2, 1], gap="large")
    with left:
        uploaded = _upload()
    with right:
        sample = _samples()
    panels.warm_up()
    return uploaded or sample


def _upload() -> Inputs | None:
    st.header("Drop a study here")
    with st.container(horizontal=True, vertical_alignment="center"):
        kind = st.segmented_control(
            "What to upload",
            ["Files or ZIP", "Folder"],
            default="Files or ZIP",
            required=True,
            label_visibility="collapsed",
        )
        st.checkbox(
            "Read pictures as one series",
            key="as_series",
            help="JPG and PNG files of one folder or ZIP become the slices of one series, in the order "
            "of their names. Otherwise each picture is analysed on its own. Pictures carry no "
            "Hounsfield units, so their results are always limited.",
        )
        with st.popover("Folder on the server"):
            folder = server_folder.choose("server_path")
    files = st.file_uploader(
        "DICOM files, a ZIP, or JPG and PNG pictures",
        accept_multiple_files="directory" if kind == "Folder" else True,
        key=f"upload-{kind}-{st.session_state.get('upload-number', 0)}",
    )
    st.session_state["uploaded"] = [file.file_id for file in files]
    if problem := uploads.too_much(files):
        uploads.free(st.session_state.pop("uploaded"))
        st.error(problem)
        return None
    st.caption(
        "Up to 200 MB a file. Several studies at once are fine. "
        f"For more than about {MANY_FILES} files, use a ZIP or a folder on the server."
    )
    if files:
        return [(file.name, uploads.on_disk(file) or file.getvalue()) for file in files]
    return [_folder(folder)] if folder else None


def _folder(path: Path) -> Path | FolderSource:
    return FolderSource(path, inside=server_folder.roots()) if path.is_dir() else path


def _samples() -> Inputs | None:
    st.header("Or try a synthetic study")
    chosen = None
    for name, bleed in SAMPLES.items():
        if st.button(f"{name} (synthetic)", width="stretch"):
            chosen = cached.sample(bleed)
            st.session_state["synthetic"] = True
    st.caption("Computer-generated heads, no patient data. They show how the page works, not how good the models are.")
    return chosen


# ---- from inputs to results ----------------------------------------------------------------------------


def _run(inputs: Inputs, detectors: Mapping[str, Detector], as_series: bool) -> None:
    bar = st.progress(0.0, "Reading the files")

    def progress(done: int, total: int, text: str) -> None:
        slices = total // len(detectors)
        model, index = divmod(max(done - 1, 0), slices)
        place = f"slice {index + 1} of {slices}, model {model + 1} of {len(detectors)}"
        bar.progress(min(done / total, 1.0), f"{plain(text)}: {place}")

    thresholds = _thresholds()
    left_out: list[str] = []
    headers: dicom_results.Kept = {}
    analysed = analyse(
        inputs,
        detectors,
        pictures_as_series=as_series,
        progress=progress,
        say=left_out.append,
        holding=Holding(limits.session_mib()),
        beside=partial(dicom_results.keep, headers),
    )
    studies = [StudyResult(series=tuple(_judged(result, thresholds) for result in study.series)) for study in analysed]
    if not studies:
        bar.empty()
        st.warning("No CT series or picture was found. Expected DICOM files, JPG or PNG pictures, or a ZIP of them.")
        return
    st.session_state.pop("chosen", None)
    st.session_state["results"] = in_reading_order(studies)
    st.session_state["left-out"] = " ".join(left_out)
    dicom_results.hold(headers)
    # Kept only where a second reading makes sense: pictures that were read one by one.
    shown = [study.speaks.volume for study in studies]
    pictures = [volume for volume in shown if volume is not None and volume.kind == "picture"]
    again = len(pictures) > 1 and not as_series
    st.session_state["again"] = inputs if again else None
    # The next uploader is a new one: the old one's files are gone, or go when they are not needed any more.
    if not again:
        uploads.free(st.session_state.pop("uploaded", ()))
    st.session_state["upload-number"] = st.session_state.get("upload-number", 0) + 1
    st.rerun()


def _thresholds() -> Thresholds:
    """What users have set on the page Models."""
    try:
        return cached.thresholds()
    except StoreError as error:
        st.toast(f"The models' own thresholds are used: those set by users cannot be read. {plain(str(error))}")
        return {}


def _judged(result: SeriesResult, thresholds: Thresholds) -> SeriesResult:
    return replace(result, models={name: judged(model, thresholds) for name, model in result.models.items()})


# ---- from results to the screen ------------------------------------------------------------------------


def _show(studies: list[StudyResult]) -> None:
    left, right = st.columns([7, 3], gap="medium")
    with right:
        with st.container(horizontal=True):
            st.button("New study", type="primary", on_click=_clear, icon=":material/arrow_back:")
            panels.downloads(studies)
        _again()
        study = panels.choose(studies) if len(studies) > 1 else studies[0]
        _tell(study)
        names = series.names_of_results(study)
        result = study.series[series.choose(names, f"series-{study.study}", study.speaks.role_reason)]
        panels.identity(result, st.session_state.get("synthetic", False))
        dicom_results.offer(study)
        if result is not study.speaks:
            _other_series(studies, study, result)
    # The answer and the pictures are sent first: the browser needs longest for the first chart.
    with left:
        panels.headline(result)
        panels.pictures(result)
    with right:
        panels.models(result)
        panels.quality(result)


def _tell(study: StudyResult) -> None:
    """Tell the audit trail who sees a study, under the key that it has in the store; a lone picture has none."""
    if study.study:
        seen.opened("study check", study.study, lambda store: store.keys.study(study.study))


def _other_series(studies: list[StudyResult], study: StudyResult, result: SeriesResult) -> None:
    """What can be done with a series that does not speak for its study."""
    if result.left_to_another and st.button("Analyse this series", type="primary"):
        detectors = _detectors()
        if detectors is not None:
            with st.spinner("Analysing this series"):
                judged_now = _judged(judge(result, detectors), _thresholds())
            others = [judged_now if other is result else other for other in study.series]
            _replace(studies, study, others)
    if result.models and st.button("Let this series speak for the study"):
        speaks = replace(result, role=Role.SPEAKS, role_reason="chosen on this page")
        others = [replace(other, role=Role.OTHER) for other in study.series if other is not result]
        st.session_state.pop(f"series-{study.study}", None)
        _replace(studies, study, [speaks, *others])


def _replace(studies: list[StudyResult], study: StudyResult, series: list[SeriesResult]) -> None:
    changed = StudyResult(series=tuple(series))
    st.session_state["results"] = [changed if other is study else other for other in studies]
    st.rerun()


def _again() -> None:
    inputs = st.session_state.get("again")
    if inputs is None:
        return
    st.write(f"{count(len(inputs), 'file')}, each read on its own.")
    if not st.button("Read the pictures as one series"):
        return
    detectors = _detectors()
    if detectors is not None:
        _run(inputs, detectors, as_series=True)


def _clear() -> None:
    for key in ("results", "again", "chosen", "synthetic", "left-out"):
        st.session_state.pop(key, None)
    dicom_results.let_go()
    uploads.free(st.session_state.pop("uploaded", ()))
    uploads.give_back()


page()
