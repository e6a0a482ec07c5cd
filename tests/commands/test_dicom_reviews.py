"""`ichscope review-dicom`: reviews of the store as documents, with patient and images from the report."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from typer.testing import CliRunner, Result

from ichscope.access import acting_as
from ichscope.commands.cli import app
from ichscope.imaging.elements import short_hash
from ichscope.objects.study import as_files, objects_of
from ichscope.phantom import Phantom, datasets
from ichscope.store import Store, TrailFilter
from tests.support.dicom_results import study
from tests.support.people import person
from tests.support.store_cases import add

UID = "1.2.826.77"


@pytest.fixture(scope="module")
def report(head: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.dcm"
    made = objects_of(*study(datasets(head, StudyInstanceUID=UID)))
    path.write_bytes(as_files(made)["report.dcm"])
    return path


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ICHSCOPE_DATABASE_URL", raising=False)
    return Store.open()


def run(report: Path, output: Path) -> Result:
    return CliRunner().invoke(app, ["review-dicom", str(report), "--output", str(output)])


def known(store: Store) -> int:
    return add(store, "n", 0.9, study=short_hash(UID))


def test_the_newest_review_of_each_reader_is_written(store: Store, report: Path, tmp_path: Path) -> None:
    number = known(store)
    for reader, agree, labels in (("Ann", True, {}), ("Bob", False, {"any": False}), ("Ann", False, {"any": False})):
        with acting_as(person(reader)):
            store.reviews.add(number, agree=agree, labels=labels)
    store.close()
    result = run(report, tmp_path / "out")
    assert result.exit_code == 0, result.output
    files = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in files] == ["review-1.dcm", "review-2.dcm"]
    readers = {
        str(item.PersonName) for file in files for item in dcmread(file).ContentSequence if item.ValueType == "PNAME"
    }
    assert readers == {"Ann^", "Bob^"}
    assert {dcmread(file).StudyInstanceUID for file in files} == {UID}
    again = Store.open()
    [event] = again.trail.events(TrailFilter(action="exported"))
    again.close()
    assert event.details["format"] == "dcm"


def test_reviews_that_are_not_there_any_more_go(store: Store, report: Path, tmp_path: Path) -> None:
    with acting_as(person("Ann")):
        store.reviews.add(known(store), agree=True)
    store.close()
    (tmp_path / "out").mkdir()
    for name in ("review-9.dcm", "notes.txt"):
        (tmp_path / "out" / name).write_text("old", encoding="utf-8")
    assert run(report, tmp_path / "out").exit_code == 0
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["notes.txt", "review-1.dcm"]


@pytest.mark.parametrize("is_known", [True, False])
def test_a_study_without_a_review_is_told(store: Store, report: Path, tmp_path: Path, is_known: bool) -> None:
    if is_known:
        known(store)
    store.close()
    result = run(report, tmp_path / "out")
    assert result.exit_code == 1
    assert "the store has no review of this study" in result.output


@pytest.mark.parametrize(
    ("name", "words"), [("key-images.dcm", "found another document"), ("text.dcm", "found no DICOM file")]
)
def test_what_is_no_report_is_told(store: Store, head: Phantom, tmp_path: Path, name: str, words: str) -> None:
    with acting_as(person("Ann")):
        store.reviews.add(known(store), agree=True)
    store.close()
    files = as_files(objects_of(*study(datasets(head, StudyInstanceUID=UID)))) | {"text.dcm": b"Dear colleague"}
    (tmp_path / name).write_bytes(files[name])
    result = run(tmp_path / name, tmp_path / "out")
    assert result.exit_code == 2
    assert words in result.output
