"""Who gets results: archives that are named, once each, and a program that asks for the report."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from sqlalchemy import select

from ichscope.imaging.intake import Group
from ichscope.pacs.delivering import Delivery, receivers, result_settings
from ichscope.results import SeriesResult
from ichscope.settings_file import SettingsError
from ichscope.store import Store, content_hash
from ichscope.store.access_tables import Outgoing

HOSPITAL = '[archives.hospital]\nurl = "http://h"\n'
RESEARCH = '[archives.research]\nurl = "http://r"\nresults = true\n'


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "ichscope.toml"
    monkeypatch.setenv("ICHSCOPE_CONFIG", str(file))
    return file


@pytest.mark.parametrize(
    ("to", "came_from", "got_by"),
    [
        ("", "", []),
        ("", "hospital", []),
        ("", "research", ["research"]),
        ("hospital", "", ["hospital"]),
        ("hospital", "research", ["research", "hospital"]),
        ("research", "research", ["research"]),
        ("", "gone", []),
    ],
)
def test_who_gets_results(config: Path, to: str, came_from: str, got_by: list[str]) -> None:
    named = f'[results]\nto = ["{to}"]\n' if to else ""
    config.write_text(HOSPITAL + RESEARCH + named, encoding="utf-8")
    assert [server.name for server in receivers(came_from)] == got_by


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[results]\nto = ["nobody"]\n', r"\[results\] to: expected an archive .* found nobody; there is none"),
        ('[results]\nto = "hospital"\n', "expected a list of texts"),
        ("[results]\nreport_days = 0\n", "expected a whole number, more than 0"),
        ("[results]\nall = true\n", "has all; expected one of to, reports, report_days"),
    ],
    ids=["unknown", "text", "days", "key"],
)
def test_what_is_not_understood_is_said(config: Path, text: str, says: str) -> None:
    config.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=says):
        result_settings()


def test_objects_wait_for_each_archive_and_the_report_for_a_program(
    config: Path, home: Path, judged: tuple[Group, SeriesResult]
) -> None:
    config.write_text(HOSPITAL + RESEARCH, encoding="utf-8")
    store = Store.open(home=home)
    delivery = Delivery(store, [*receivers("research"), *receivers("research")], timedelta(days=1))
    delivery.put(*judged)
    delivery.put(*judged)
    assert [(post.archive, post.waiting) for post in store.outgoing.post()] == [("research", 1)]
    group, result = judged
    number = store.results.record(result, content_hash(group.sources))
    report = pydicom.dcmread(BytesIO(store.outgoing.report(store.series.of(number)[0].id) or b""))
    first = pydicom.dcmread(BytesIO(group.sources[0].read()))
    assert (report.Modality, report.StudyInstanceUID) == ("SR", first.StudyInstanceUID)
    with store.database.reading() as session:
        sealed = session.scalars(select(Outgoing.sealed)).all()
    assert len(sealed) == 2
    assert not any(one is None or first.PatientID.encode() in one for one in sealed)


def test_of_images_without_identifiers_nothing_is_made(
    config: Path, home: Path, judged: tuple[Group, SeriesResult]
) -> None:
    config.write_text(RESEARCH, encoding="utf-8")
    store, said = Store.open(home=home), list[str]()
    group, result = judged
    Delivery(store, receivers("research"), timedelta(days=1), said.append).put(
        Group("picture", group.study, group.key, group.sources), result
    )
    assert store.outgoing.post() == []
    assert len(said) == 1


def test_where_nobody_gets_anything_nothing_is_made(home: Path, judged: tuple[Group, SeriesResult]) -> None:
    delivery = Delivery(Store.open(home=home), ())
    assert not delivery.wanted
    delivery.put(*judged)
