"""Study check: DICOM objects of what was analysed, while the session has the headers, for whoever may export."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from streamlit.testing.v1 import AppTest

from dashboard import acting, dicom_results
from ichscope import phantom
from ichscope.access import Role, by_default
from ichscope.phantom import datasets, to_bytes
from tests.support import tiny_model
from tests.support.dicom_results import group_of, study
from tests.support.people import person

APP = str(Path(__file__).parents[2] / "dashboard/router.py")
LABEL = "DICOM results (ZIP)"
Files = list[tuple[str, bytes, str]]


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_model.build(tmp_path / "models", "cranioscan")
    monkeypatch.setenv("ICHSCOPE_MODELS", str(tmp_path / "models"))


@pytest.fixture(scope="module")
def bleed() -> phantom.Phantom:
    return phantom.make("intraparenchymal", slices=8, size=128)


def dicom(body: phantom.Phantom, **tags: object) -> Files:
    made = datasets(body, **tags)
    return [(f"head/IM{number}.dcm", to_bytes(one), "application/dicom") for number, one in enumerate(made)]


def picture() -> Files:
    buffer = io.BytesIO()
    Image.fromarray(np.full((80, 80), 99, np.uint8)).save(buffer, "PNG")
    return [("slice.png", buffer.getvalue(), "image/png")]


def check(files: Files) -> AppTest:
    app = AppTest.from_file(APP, default_timeout=120).run()
    app.file_uploader[0].set_value(files)
    app.run()
    assert not app.exception
    return app


def labels(app: AppTest) -> list[str]:
    return [one.proto.label for one in app.get("download_button")]


def captions(app: AppTest) -> str:
    return "\n".join(one.value for one in app.get("caption")).replace("\\", "")  # Markdown's escapes


def test_a_study_has_a_download_until_its_results_are_let_go_of(bleed: phantom.Phantom) -> None:
    app = check(dicom(bleed))
    assert labels(app) == ["JSON", "CSV", LABEL]
    assert len(app.session_state["headers"]) == 1
    next(button for button in app.button if button.label == "New study").click()
    app.run()
    assert "headers" not in app.session_state


def test_where_there_can_be_none_the_reason_is_said(bleed: phantom.Phantom) -> None:
    app = check(dicom(bleed, SOPClassUID="1.2.840.10008.5.1.4.1.1.7"))
    assert LABEL not in labels(app)
    assert "No DICOM results: head/IM0.dcm: SOP Class UID (0008,0016): found another class" in captions(app)


def test_pictures_have_none_and_nothing_is_said() -> None:
    app = check(picture())
    assert LABEL not in labels(app)
    assert "DICOM results" not in captions(app)


@pytest.mark.parametrize(("role", "offered"), [(Role.QA, True), (Role.READER, False)])
def test_who_may_not_export_has_none(
    bleed: phantom.Phantom, role: Role, offered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = person("Somebody", role)
    monkeypatch.setattr(acting, "current", lambda: who)
    by_default(who)
    assert (LABEL in labels(check(dicom(bleed)))) == offered


def test_without_highdicom_there_is_none(bleed: phantom.Phantom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_results, "is_available", lambda: False)
    assert LABEL not in labels(check(dicom(bleed)))


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_zip_has_the_objects(bleed: phantom.Phantom) -> None:
    files = members(dicom_results.zip_of(*study(datasets(bleed))))
    assert list(files) == ["report.dcm", "key-images.dcm", "capture.dcm", "evidence-1.dcm"]
    assert {str(dcmread(io.BytesIO(data)).PatientName) for data in files.values()} == {"SYNTHETIC^PHANTOM"}


def test_the_zip_says_what_was_left_out(bleed: phantom.Phantom) -> None:
    files = members(dicom_results.zip_of(*study(datasets(bleed, FrameOfReferenceUID=None))))
    assert "evidence-1.dcm" not in files
    assert files["left-out.txt"].startswith(b"no evidence: head/IM0001: Frame of Reference UID (0020,0052): found none")


def test_every_series_of_a_study_keeps_its_headers(bleed: phantom.Phantom) -> None:
    files = datasets(bleed)
    result, headers = study(files)
    kept: dicom_results.Kept = {}
    dicom_results.keep(kept, result, [group_of(files)])
    [own] = kept.values()
    assert isinstance(own, type(headers))
    assert own.slices == headers.slices
    assert list(kept) == [result.speaks.series]
