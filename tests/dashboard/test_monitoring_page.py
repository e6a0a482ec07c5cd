"""The pages Monitoring and Models: with nothing, with little, with much, and with what users set."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from numpy.typing import NDArray
from streamlit.testing.v1 import AppTest

from ichscope.models.card import ModelCard
from ichscope.reporting.figures.cohort_tables import in_percent, share
from ichscope.store import Store
from tests.support import monitor_builder as builder
from tests.support import tiny_model
from tests.support.people import set_threshold
from tests.support.store_cases import add

ROOT = Path(__file__).parents[2]
NOT_FOR_DIAGNOSIS = "Research use only - not for diagnosis"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in ("cranioscan", "cerebroscan"):
        tiny_model.build(folder, name)
    (folder / "cranioscan" / "README.md").write_text("# A card\n![dot](http://example.org/x.png) <b>bold</b> $1\n")
    return folder


def home_of(folder: Path, studies: int, change: builder.Change | None = None) -> Path:
    """A home whose newest study has just arrived."""
    with pytest.MonkeyPatch.context() as patch:
        start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=84)
        patch.setattr(builder, "START", start)
        store = Store.open(home=folder)
        if studies:
            builder.fill(store, studies, change=change)
        store.close()
    return folder


def drifted(facts: dict[str, NDArray[Any]], late: NDArray[np.bool_]) -> None:
    """Another scanner, and scores that rise."""
    facts["scanner"][late] = np.where(facts["sex"][late] == "F", "<b>New</b>", facts["scanner"][late])
    facts["cranioscan"][late] **= 0.4


def one_class(facts: dict[str, NDArray[Any]], late: NDArray[np.bool_]) -> None:
    """No study bleeds, and no model flags one."""
    facts["true"][:] = False
    for model in builder.MODELS:
        facts[model][:] = 0.01


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    kinds = {
        "empty": (0, None),
        "five studies": (5, None),
        "one class": (600, one_class),
        "quiet": (600, None),
        "large": (5_000, drifted),
    }
    return {name: home_of(tmp_path_factory.mktemp(name), *given) for name, given in kinds.items()}


@pytest.fixture
def home(
    request: pytest.FixtureRequest,
    homes: dict[str, Path],
    models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    """A copy of one of the homes, by the parameter of a test; an empty one without."""
    folder = shutil.copytree(homes[getattr(request, "param", "empty")], tmp_path / "home")
    monkeypatch.setenv("ICHSCOPE_HOME", str(folder))
    monkeypatch.setenv("ICHSCOPE_MODELS", str(models))
    monkeypatch.delenv("ICHSCOPE_DATABASE_URL", raising=False)
    st.cache_resource.clear()
    st.cache_data.clear()
    yield folder
    st.cache_resource.clear()


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    opened = Store.open(home=home)
    yield opened
    opened.close()


def start(page: str) -> AppTest:
    return AppTest.from_file(str(ROOT / f"dashboard/views/{page}.py"), default_timeout=90).run()


def words(app: AppTest) -> str:
    """Everything that the page says, one string."""
    assert not app.exception
    kinds = ("title", "header", "markdown", "caption", "error", "warning", "info", "toast")
    texts = [one.value for kind in kinds for one in app.get(kind)]
    html = (one.proto.body.replace("&#x27;", "'") for one in app.get("html"))
    return "\n".join([*texts, *html]).replace("\\", "")


def field(app: AppTest, kind: str, label: str) -> Any:
    return next(one for one in app.get(kind) if one.label == label)


def button(app: AppTest, label: str) -> Any:
    return next(one for one in app.button if one.label == label)


@pytest.mark.parametrize("home", ["empty", "five studies", "one class", "large"], indirect=True)
@pytest.mark.parametrize("view", ["monitoring", "models"])
def test_the_pages_stand_with_nothing_with_little_and_with_much(home: Path, view: str) -> None:
    text = words(start(view))
    assert not re.search(r"\b(nan|inf|None)\b", text)
    # Where nothing is shown there is nothing that could be taken for a diagnosis.
    assert NOT_FOR_DIAGNOSIS in text or "The store holds no study yet" in text


# ---- Monitoring ----------------------------------------------------------------------------------------


def test_an_empty_store_says_what_to_do(home: Path) -> None:
    text = words(start("monitoring"))
    assert "The store holds no study yet" in text
    assert "ichscope watch" in text


def test_studies_of_one_day_cannot_be_compared(store: Store) -> None:
    add(store, "a", 0.9)
    assert "All studies arrived on one day, 2026-03-01" in words(start("monitoring"))


def test_few_studies_give_reasons_and_no_figure(store: Store) -> None:
    for day in range(5):
        add(store, day, 0.9, hours=24 * day)
    app = start("monitoring")
    text = words(app)
    assert "not estimable: 3 of 30 studies needed in the reference period" in text
    assert "fewer than two models have results" in text
    assert "No review says yet" in text
    assert NOT_FOR_DIAGNOSIS in text
    assert "nan" not in text.lower()


@pytest.mark.parametrize("home", ["quiet"], indirect=True)
def test_where_nothing_changes_the_page_is_quiet_until_a_limit_is_lowered(store: Store) -> None:
    app = start("monitoring")
    assert "Quiet: no alert" in words(app)
    app = field(app, "selectbox", "Rule").select("latency").run()
    assert button(app, "Set").disabled
    field(app, "number_input", "Limit (s)").set_value(5.0)
    field(app, "text_input", "Your name").set_value("Ann")
    app = field(app, "text_input", "Reason").set_value("a stroke unit").run()
    app = button(app, "Set").click().run()
    text = words(app)
    assert "1 alert" in text
    assert "5 % of the results took longer than" in text
    assert "Ann (as typed): longest time from arrival to result, 95th percentile 5 (a stroke unit)" in text
    assert [(one.name, one.value) for one in store.adjustments.history("alert")] == [("latency", 5.0)]
    app = field(app, "text_input", "Reason").set_value("enough").run()
    app = button(app, "Back to the default").click().run()
    assert "Quiet: no alert" in words(app)


@pytest.mark.parametrize("home", ["quiet"], indirect=True)
def test_an_impossible_limit_is_not_saved(store: Store) -> None:
    app = start("monitoring")
    field(app, "number_input", "Limit").set_value(7.0)
    field(app, "text_input", "Your name").set_value("Ann")
    app = field(app, "text_input", "Reason").set_value("x").run()
    app = button(app, "Set").click().run()
    assert "Not saved: expected 0.0001 to 0.5, found 7" in words(app)
    assert store.adjustments.history("alert") == []


@pytest.mark.parametrize("home", ["one class"], indirect=True)
def test_where_nothing_bleeds_there_is_no_alert_and_no_invented_figure(home: Path) -> None:
    text = words(start("monitoring"))
    assert "Quiet: no alert" in text
    assert "not estimable: no study was reviewed" in text


@pytest.mark.parametrize("home", ["large"], indirect=True)
def test_a_drift_in_five_thousand_studies_is_told_first(home: Path) -> None:
    app = start("monitoring")
    text = words(app)
    assert "Scanner has shifted (PSI" in text
    assert "Score of cranioscan has shifted, median" in text
    assert "Flagged: " in text
    assert "probabilities are calibrated here" in text
    assert "<b>New</b>" not in text
    assert len(app.get("plotly_chart")) == 3
    app = field(app, "selectbox", "Show").select("scanner").run()
    chart = app.get("plotly_chart")[0].proto
    assert "<b>New" not in chart.spec
    app = field(app, "checkbox", "Choose the periods").check().run()
    words(app)
    day = datetime.now(UTC).date()
    app = field(app, "date_input", "Current period").set_value((day - timedelta(days=6), day)).run()
    assert f"{day - timedelta(days=6)} to {day}" in words(app)


def test_a_store_that_cannot_be_read_is_told(home: Path) -> None:
    (home / "ichscope.db").write_bytes(b"no database at all " * 100)
    assert "Nothing can be shown." in words(start("monitoring"))
    assert "Thresholds cannot be read or set." in words(start("models"))


# ---- Models --------------------------------------------------------------------------------------------


def test_without_a_model_the_page_says_where_they_belong(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ICHSCOPE_MODELS", str(tmp_path))
    assert "No model is installed." in words(start("models"))


def test_each_model_has_its_facts_and_a_card_that_loads_nothing(home: Path) -> None:
    app = start("models")
    text = words(app)
    for said in ("cranioscan 0.0.1-test", "Youden (default)", "SHA-256 of encoder.onnx", "Runs on", NOT_FOR_DIAGNOSIS):
        assert said in text
    (card,) = (one for one in app.markdown if "A card" in one.value)
    assert "![" not in card.value
    assert not card.proto.allow_html


def test_a_model_that_is_not_what_its_card_says_is_told(home: Path, models: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(models, tmp_path / "models")
    (copy / "cranioscan" / "head.onnx").write_bytes(b"another")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ICHSCOPE_MODELS", str(copy))
        text = words(start("models"))
    assert "No model can be used" in text
    assert "not loaded" in text


def test_a_threshold_is_set_with_name_and_reason_and_taken_back(store: Store) -> None:
    app = start("models")
    assert button(app, "Set for new results").disabled
    field(app, "number_input", "Threshold").set_value(0.7)
    field(app, "text_input", "Your name").set_value("Ann")
    app = field(app, "text_input", "Reason").set_value("fewer alarms").run()
    app = button(app, "Set for new results").click().run()
    assert "Saved. It applies to new results." in words(app)
    (made,) = store.adjustments.history("threshold")
    assert (made.model, made.version, made.name, made.value) == ("cranioscan", "0.0.1-test", "any", 0.7)
    assert f"Ann (as typed) on {made.created_at:%Y-%m-%d}: fewer alarms" in words(app)
    app = field(app, "text_input", "Reason").set_value("enough").run()
    app = button(app, "Back to the card").click().run()
    assert [one.value for one in store.adjustments.history("threshold")] == [None, 0.7]
    assert "back to the card" in words(app)


@pytest.mark.parametrize("home", ["quiet"], indirect=True)
def test_what_a_threshold_would_do_is_said_before_it_is_set(
    store: Store, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(models, tmp_path / "models")
    replace(ModelCard.read(copy / "cranioscan"), version="1.0").write(copy / "cranioscan")
    monkeypatch.setenv("ICHSCOPE_MODELS", str(copy))
    app = start("models")
    app = field(app, "number_input", "Threshold").set_value(0.9).run()
    said = store.columns.results("cranioscan", "1.0").probability["any"]
    reached = in_percent(share(int((said >= 0.9).sum()), len(said)))
    assert f"Of {len(said):,} stored results of this version, {reached} reach 0.9000 and" in words(app)


def test_study_check_judges_by_the_threshold_that_was_set(store: Store) -> None:
    def checked() -> str:
        app = AppTest.from_file(str(ROOT / "dashboard/views/study_check.py"), default_timeout=90).run()
        return words(next(one for one in app.button if one.label.startswith("Subdural bleed")).click().run())

    assert "Operating point: Youden." in checked()
    set_threshold(store, "cranioscan", "0.0.1-test", "any", 0.9999, who="Ann", why="test")
    after = checked()
    assert "Operating point: " in after
    assert "Ann on " in after
    assert "threshold &gt;0.999" in after
