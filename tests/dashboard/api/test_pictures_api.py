"""A picture in, a label out; nothing is kept."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dashboard import seen
from dashboard.api import pictures
from ichscope.imaging.limits import Holding
from ichscope.store import Store, TrailFilter
from tests.dashboard.api.conftest import Program, multipart, picture, study, zipped
from tests.support.people import set_threshold

ADDRESS, PNG, JPEG = "/api/pictures", "image/png", "image/jpeg"


def drawn(form: str = "PNG", size: tuple[int, int] = (80, 80), grey: int = 90) -> bytes:
    made = io.BytesIO()
    Image.new("L", size, grey).save(made, form)
    return made.getvalue()


def test_a_picture_gets_its_label(program: Program) -> None:
    answer = program.post(ADDRESS, picture(), PNG)
    assert answer.status_code == 200
    said = answer.json()
    assert (said["label"], said["status"], said["model"]) == ("haemorrhage", "limited", "cerebroscan")
    assert said["confidence"] == said["probability"]["any"] >= said["threshold"] == 0.5
    assert said["version"] == "0.0.1-test"
    assert said["reasons"][0].startswith("A picture has no Hounsfield units")


def test_confidence_is_the_probability_of_the_label_at_the_threshold_in_force(program: Program, store: Store) -> None:
    before = program.post(ADDRESS, picture(), PNG).json()
    set_threshold(store, "cerebroscan", "0.0.1-test", "any", 0.99, who="Quinn", why="fewer")
    after = program.post(ADDRESS, picture(), PNG).json()
    assert (after["label"], after["threshold"], after["probability"]) == ("normal", 0.99, before["probability"])
    assert after["confidence"] == pytest.approx(1 - before["confidence"])


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (picture(form="JPEG"), JPEG),
        (picture(form="JPEG"), PNG),  # what it is decides, not what it is called
        multipart({"a.png": picture()}),
        multipart({"": picture()}),
    ],
)
def test_every_way_to_send_one(program: Program, body: bytes, kind: str) -> None:
    assert program.post(ADDRESS, body, kind).json()["label"] == "haemorrhage"


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (picture(), "", 415, "Content-Type"),
        (picture(), "application/zip", 415, "Content-Type"),
        (zipped(study()), PNG, 415, "another kind of file"),
        (next(iter(study().values())), PNG, 415, "another kind of file"),
        (drawn("GIF"), PNG, 415, "another kind of file"),
        (b"", PNG, 422, "no file"),
        (picture()[:300], PNG, 422, "picture.png"),
        (drawn(), PNG, 422, "head"),
        (drawn(size=(20, 20)), PNG, 422, "20 x 20 pixels"),
        (*multipart({"a.png": picture(), "b.png": picture()}), 422, "2 files"),
        (b"x", "multipart/form-data", 400, "Content-Type says"),
    ],
)
def test_what_is_no_picture_of_a_head_is_refused(
    program: Program, body: bytes, kind: str, status: int, words: str
) -> None:
    answer = program.post(ADDRESS, body, kind)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert words in answer.json()["detail"]


def test_a_model_is_asked_by_its_name(program: Program) -> None:
    assert set(program.post(f"{ADDRESS}?model=cranioscan", picture(), PNG).json()["probability"]) > {"any", "subdural"}
    answer = program.post(f"{ADDRESS}?model=other", picture(), PNG)
    assert answer.status_code == 404
    assert "found cerebroscan, cranioscan" in answer.json()["detail"]


def test_nothing_is_kept_but_the_line_that_it_was_looked_at(program: Program, store: Store) -> None:
    assert program.post(ADDRESS, picture(), PNG).status_code == 200
    assert seen.LINES.wait(30) == 0
    home = store.volumes.parent
    assert not [path for path in (home / "incoming").rglob("*") if path.is_file() and path.name != "in use"]
    assert not store.volumes.exists()
    assert (store.jobs.recent(), store.worklist.page()) == ([], [])
    (line,) = store.trail.events(TrailFilter(who="PACS", action="study seen"))
    assert (line.outcome, line.details) == ("done", {"page": "api"})


def test_so_many_are_looked_at_at_once(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_MOST_AT_ONCE", 0)
    answer = program.post(ADDRESS, picture(), PNG)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
    monkeypatch.setattr(pictures, "_MOST_AT_ONCE", 1)
    assert [program.post(ADDRESS, picture(), PNG).status_code for _ in range(2)] == [200, 200], "places are given back"


def test_the_memory_of_all_has_its_limit(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Holding, "refusal", "the studies of all users take the memory that there is for them")
    assert program.post(ADDRESS, picture(), PNG).status_code == 429


def test_a_larger_picture_than_a_page_takes_is_refused(program: Program) -> None:
    answer = program.post(ADDRESS, bytes(3 << 20), PNG)
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


def test_without_models_that_is_said(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICHSCOPE_MODELS", str(tmp_path / "none"))
    assert program.post(ADDRESS, picture(), PNG).status_code == 503


def test_what_nobody_foresaw_names_nobody(
    program: Program, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise ValueError("ZZTOP^TEST")

    monkeypatch.setattr(pictures, "analyse", fails)
    answer = program.post(ADDRESS, picture(), PNG)
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "ZZTOP" not in answer.text + caplog.text
    assert "unexpected ValueError" in caplog.text
