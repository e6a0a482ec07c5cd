"""The page Archive: a search, what it shows, what is chosen, and what becomes of it; the archive is a fake one."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import acting, cached, choosing
from dashboard.background import Background
from dashboard.choosing import Chosen
from ichscope.access import Role, by_default
from ichscope.batch.work_items import Asked, from_text
from ichscope.pacs import opening
from ichscope.pacs.archives import FoundSeries, FoundStudy, Query
from ichscope.pacs.servers import DicomWebServer, PacsError
from ichscope.store import Store, TrailFilter
from tests.dashboard.test_worklist_page import button, click, listed, words
from tests.dashboard.test_worklist_page import field as widget
from tests.support.people import person

APP = str(Path(__file__).parents[2] / "dashboard/router.py")
ANNA = FoundStudy("1.2.3", "MUSTER^ANNA", "P1", "A1", "20261130", "Head <b>plain</b>", 32)
OTTO = FoundStudy("1.2.4", "MUSTER^OTTO", "P2", "A2", "20261201", "Head", None)


@dataclass
class FakeArchive:
    server: DicomWebServer = field(default_factory=lambda: DicomWebServer("hospital", url="http://h"))
    held: list[FoundStudy] = field(default_factory=lambda: [ANNA, OTTO])
    away: bool = False
    asked: list[Query] = field(default_factory=list)

    def studies(self, query: Query, most: int) -> list[FoundStudy]:
        self.asked.append(query)
        self._here()
        return self.held[:most]

    def series(self, study_uid: str) -> list[FoundSeries]:
        self._here()
        return [FoundSeries(study_uid, "1", "CT", "HEAD", "Axial 5 mm", 32), FoundSeries(study_uid, "2", "SR")]

    def _here(self) -> None:
        if self.away:
            raise PacsError("hospital: cannot be reached, or broke off")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "ichscope.toml"
    file.write_text('[archives.hospital]\nurl = "http://h"\nresults = true\n', encoding="utf-8")
    monkeypatch.setenv("ICHSCOPE_CONFIG", str(file))
    return file


@pytest.fixture
def fake(config: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> FakeArchive:
    """The archive that is named, and a background that begins jobs and does not do them."""
    made = FakeArchive()
    monkeypatch.setattr(opening, "opened", lambda name: made)
    monkeypatch.setattr(Background, "start", lambda self: None)
    return made


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the table's part in the browser says."""
    said = SimpleNamespace(rows=(), opened=None)
    monkeypatch.setattr(choosing, "chosen", lambda state, rows: Chosen(said.rows, said.opened))
    return said


def start() -> AppTest:
    return AppTest.from_file(APP, default_timeout=120).switch_page("views/archive.py").run()


def search(app: AppTest, **typed: str) -> AppTest:
    for label, text in typed.items():
        widget(app, "text_input", label.replace("_", " ").replace("Patients", "Patient's")).set_value(text)
    return click(app, "Search")


def rows(app: AppTest) -> list[list[str]]:
    return list(listed(app)["rows"])


def test_where_no_archive_is_named_the_page_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ICHSCOPE_CONFIG", raising=False)
    app = start()
    assert "No archive is named." in words(app)
    assert not app.text_input


def test_a_wrong_file_of_settings_is_said(config: Path, store: Store) -> None:
    config.write_text('[archives.hospital]\nurl = "ftp://h"\n', encoding="utf-8")
    assert "[archives.hospital] has a url that is none" in words(start())


def test_a_search_shows_what_is_there_the_newest_first(fake: FakeArchive, store: Store) -> None:
    app = search(start(), Patients_name="Muster, A", Accession_number=" A1 ")
    (query,) = fake.asked
    assert (query.patient_name, query.accession, query.modality, len(query.date)) == ("Muster^A*", "A1", "CT", 8)
    assert rows(app) == [
        ["2026-12-01", "A2", "MUSTER, OTTO", "P2", "Head", ""],
        ["2026-11-30", "A1", "MUSTER, ANNA", "P1", "Head <b>plain</b>", "32"],
    ]
    assert "2 studies in hospital, the newest first. Results go back to it." in words(app)
    assert button(app, "Analyse").disabled
    assert "Muster" not in str(store.trail.events(TrailFilter()))
    assert [line.details["found"] for line in store.trail.events(TrailFilter(action="archive searched"))] == [2]


def test_a_search_for_nothing_in_particular_is_not_made(fake: FakeArchive) -> None:
    app = start()
    widget(app, "button_group", "Study date").set_value("Any day").run()
    assert "Say more" in words(search(app))
    assert not fake.asked
    search(app, Patient_ID="P1")
    assert [query.date for query in fake.asked] == [""]


def test_nothing_found_says_what_to_do(fake: FakeArchive) -> None:
    fake.held = []
    assert "hospital has no such study." in words(search(start()))


def test_a_fault_of_the_archive_names_it_and_its_cause(fake: FakeArchive) -> None:
    fake.away = True
    app = search(start())
    assert "The search failed. hospital: cannot be reached, or broke off." in words(app).replace("**", "")
    assert not app.get("bidi_component")


def test_the_ct_series_of_a_study_are_shown(fake: FakeArchive, browser: SimpleNamespace) -> None:
    browser.opened = 1
    app = search(start())
    assert "CT series of MUSTER, ANNA, 2026-11-30" in words(app)
    assert "<td>Axial 5 mm</td><td>HEAD</td><td>32</td>" in words(app)
    fake.away = True
    assert "Axial 5 mm" in words(app.run()), "what is known is not asked for again"


def test_what_is_chosen_becomes_one_job(fake: FakeArchive, browser: SimpleNamespace, store: Store) -> None:
    browser.rows = (0, 1)
    app = search(start())
    before = app.get("bidi_component")[0].proto.id
    app = click(app, "Analyse 2 studies")
    assert "2 studies are being fetched and analysed" in words(app)
    (job,) = store.jobs.recent()
    assert (job.kind, job.title, job.options["archive"], job.pending) == ("archive", "Archive hospital", "hospital", 2)
    tasks = {from_text(locator) for locator in store.jobs.open_locators(job.id)}
    assert tasks == {Asked("hospital", "1.2.3"), Asked("hospital", "1.2.4")}
    assert app.get("bidi_component")[0].proto.id != before, "the table begins anew, so that nothing is chosen twice"


def test_patients_stand_in_the_session_and_nowhere_else(
    fake: FakeArchive, store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    app = search(start(), Patients_name="Muster")
    assert "MUSTER" in str(rows(app))
    assert not dict(app.query_params)
    store.database.tidy()
    told = "".join(capfd.readouterr())
    for file in tmp_path.rglob("*"):
        told += file.read_bytes().decode("latin-1") if file.is_file() else ""
    assert "muster" not in told.lower()
    assert "1.2.3" not in told


def test_a_viewer_has_no_such_page(fake: FakeArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    who = person("Vera", Role.VIEWER)
    monkeypatch.setattr(acting, "current", lambda: who)
    by_default(who)
    app = start()
    assert not app.text_input
    assert not fake.asked


def test_an_archive_that_is_away_does_not_keep_the_page(
    config: Path, store: Store, browser: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transfer is the background's: the page is there again while it goes on."""
    waiting = threading.Event()
    fake = FakeArchive()
    monkeypatch.setattr(opening, "opened", lambda name: fake)
    monkeypatch.setattr(Background, "_do_all", lambda self: waiting.wait(60))
    browser.rows = (0,)
    try:
        app = click(search(start()), "Analyse 1 study")
        assert "1 study is being fetched" in words(app)
        assert cached.background().look()[0].job.pending == 1
    finally:
        waiting.set()
        cached.background().close()


@pytest.mark.parametrize(
    ("said", "understood"),
    [
        ({"chosen": [2, 0, 0], "opened": 1}, Chosen((0, 2), 1)),
        ({"chosen": [7, -1, "x", None], "opened": 7}, Chosen((), None)),
        ({"chosen": None, "opened": None}, Chosen((), None)),
        ({"chosen": [1.0], "opened": 2.0}, Chosen((1,), 2)),
    ],
    ids=["rows", "others", "nothing", "floats"],
)
def test_only_rows_that_are_there_are_chosen(said: dict[str, Any], understood: Chosen) -> None:
    assert choosing.chosen(SimpleNamespace(**said), 3) == understood
