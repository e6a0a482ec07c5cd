from __future__ import annotations

import io
import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import cached
from dashboard.cohort_files import html_of, zip_of
from ichscope.imaging.series import Header
from ichscope.store import Cohorts, Filter, Store, StoreError
from tests.support.large_store import fill
from tests.support.people import review
from tests.support.store_cases import MORNING, add, content, many, study

ROOT = Path(__file__).parents[2]
LARGE = 2_000


@pytest.fixture(scope="module")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    Store.open(home=folder).close()
    return folder


@pytest.fixture(autouse=True)
def home(empty_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    shutil.copytree(empty_home, tmp_path / "home")
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ICHSCOPE_DATABASE_URL", raising=False)
    st.cache_resource.clear()
    st.cache_data.clear()
    yield tmp_path / "home"
    st.cache_resource.clear()


@pytest.fixture
def app() -> AppTest:
    return AppTest.from_file(str(ROOT / "dashboard/views/cohort.py"), default_timeout=60)


def words(app: AppTest) -> str:
    assert not app.exception
    kinds = ("title", "header", "markdown", "caption", "error", "warning", "info")
    return "\n".join(one.value for kind in kinds for one in app.get(kind))


def numbers(app: AppTest) -> dict[str, str]:
    return {one.label: one.value for one in app.metric}


def test_an_empty_store_says_what_to_do(app: AppTest) -> None:
    text = words(app.run())
    assert "No studies yet" in text
    assert "not for diagnosis" in text
    assert not app.metric


def test_the_short_answer_comes_first(app: AppTest) -> None:
    for name, p in enumerate((0.9, 0.8, 0.1, 0.2)):
        add(cached.store(), name, p)
    add(cached.store(), "broken")
    words(app.run())
    assert numbers(app) == {
        "Studies": "5",
        "Analysed": "80 %",
        "Flagged by a model": "50 %",
        "From arrival to result": app.metric[3].value,
    }
    assert [one.delta for one in app.metric][:3] == [
        "0 of them limited",
        "4 of 5",
        "2 of 4; 95 % CI 15 % to 85 %",
    ]
    assert len(app.get("plotly_chart")) == 7
    assert all(chart.proto.alt for chart in app.get("plotly_chart"))


def test_the_page_follows_the_store_and_is_not_counted_twice(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    store = cached.store()
    one = add(store, "a", 0.9)
    counted = []
    real = Cohorts.read
    monkeypatch.setattr(Cohorts, "read", lambda self, filter: counted.append(filter) or real(self, filter))
    assert numbers(app.run())["Studies"] == "1"
    app.run()
    assert len(counted) == 1
    add(store, "b", 0.9)
    assert numbers(app.run())["Studies"] == "2"
    review(store, one, "Ann", agree=True, at=MORNING)
    assert "first review 0 s" in app.run().metric[3].delta
    assert len(counted) == 3


def test_filters_limit_everything_and_can_be_cleared(app: AppTest) -> None:
    add(cached.store(), "a", 0.9, header=Header(scanner="One"))
    add(cached.store(), "b", 0.1, header=Header(scanner="Two"))
    app.run()
    next(box for box in app.selectbox if box.label == "Scanner").set_value("One")
    app.run()
    assert numbers(app)["Studies"] == "1"
    assert numbers(app)["Flagged by a model"] == "100 %"
    app.text_input[0].set_value("0000000000000000")
    assert "No studies match" in words(app.run())
    next(button for button in app.button if button.label == "Clear all filters").click()
    assert numbers(app.run())["Studies"] == "2"


def test_synthetic_studies_are_marked(app: AppTest) -> None:
    store = cached.store()
    store.results.record(study("a", 0.9), content("a"), synthetic=True)
    assert "All of these studies are synthetic" in words(app.run())
    add(store, "b", 0.9)
    assert "1 of these 2 studies are synthetic" in words(app.run())


def test_nothing_analysed_has_no_share(app: AppTest) -> None:
    store = cached.store()
    store.results.record(replace(study("a"), findings=()), content("a"))
    words(app.run())
    assert numbers(app)["Flagged by a model"] == "-"
    assert numbers(app)["Analysed"] == "0 %"


def test_everything_can_be_downloaded(app: AppTest) -> None:
    many(cached.store(), 20)
    app.run()
    labels = [button.proto.label for button in app.get("download_button")]
    assert labels.count("CSV") == 7
    assert {"All figures (HTML)", "All numbers (ZIP of CSV)"} <= set(labels)


def test_files_of_numbers_and_figures() -> None:
    many(cached.store(), 20)
    made, drawn = cached.cohort(cached.store(), Filter())
    with zipfile.ZipFile(io.BytesIO(zip_of(made))) as archive:
        assert archive.testzip() is None
        rows = archive.read("ichscope-cohort-prevalence.csv").decode().splitlines()
    assert rows[0] == "name,label,by,positives,studies,share,low,high,interval"
    assert len(rows) == 13
    text = html_of(made, drawn)
    assert text.count("Research use only - not for diagnosis. 20 studies, 0 of them synthetic.") == 1
    assert text.count('class="plotly-graph-div"') == 7
    assert not re.search(r"<script[^>]*\ssrc=", text), "needs no network"


def test_files_with_synthetic_studies_say_so(app: AppTest) -> None:
    cached.store().results.record(study("a", 0.9), content("a"), synthetic=True)
    words(app.run())
    made, _ = cached.cohort(cached.store(), Filter())
    with zipfile.ZipFile(io.BytesIO(zip_of(made))) as archive:
        assert all("with-synthetic" in name for name in archive.namelist())
    assert all("with-synthetic" in chart.proto.config for chart in app.get("plotly_chart"))


def test_a_database_that_is_gone_is_said(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    add(cached.store(), "a", 0.9)

    def gone(*args: object) -> object:
        raise StoreError("The database failed: the connection to it is lost.")

    with monkeypatch.context() as patched:
        patched.setattr(Cohorts, "state", gone)
        text = words(app.run())
        assert "cannot be shown" in text
        assert "connection to it is lost" in text
    assert numbers(app.run())["Studies"] == "1"


def test_thousands_of_studies(app: AppTest, home: Path) -> None:
    fill(home, LARGE, seeds=100)
    assert numbers(app.run())["Studies"] == f"{LARGE:,}"
    assert words(app)
