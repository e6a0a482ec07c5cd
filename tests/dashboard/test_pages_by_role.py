"""What each role finds on the pages: nothing that it may not do can be clicked. The store refuses it besides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import acting
from ichscope.access import RIGHTS, Right, Role, acting_as, by_default, operator
from ichscope.store import Store
from ichscope.tabular.importing import import_predictions, import_truth
from tests.support import tiny_model
from tests.support.page_homes import copied_home
from tests.support.people import person, review
from tests.support.store_cases import many

APP = str(Path(__file__).parents[2] / "dashboard/router.py")
PEOPLE = [role for role in Role if role is not Role.SERVICE]
# Page -> what can be clicked there, and the right that it takes.
BUTTONS = {
    "worklist": {"Add studies": Right.ANALYSE, "CSV": Right.EXPORT},
    "worklist?study=1": {"Agree": Right.REVIEW, "Correct": Right.REVIEW},
    "cohort": {"CSV": Right.EXPORT, "All numbers (ZIP of CSV)": Right.EXPORT, "Add studies": Right.ANALYSE},
    "performance": {
        "Report as HTML": Right.REPORT,
        "Rows as CSV": Right.EXPORT,
        "Metrics as JSON": Right.EXPORT,
        "Tables as CSV": Right.EXPORT,
        "Remove": Right.TRUTH,
    },
    "monitoring": {"JSON": Right.EXPORT, "CSV": Right.EXPORT, "Back to the default": Right.ALERT_LIMITS},
    "models": {"Set for new results": Right.THRESHOLDS, "Back to the card": Right.THRESHOLDS},
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with studies, reviews and imports, beside a folder with a model."""
    home = tmp_path_factory.mktemp("filled")
    tiny_model.build(home / "models", "cranioscan")
    with acting_as(operator()):
        store = Store.open(home=home / "home")
        many(store, 220)
        review(store, 1, "Ann", labels={"any": True})
        for read, text in ((import_truth, "study,any\nA,1\n"), (import_predictions, "study,any\nA,0.5\n")):
            (home / f"{read.__name__}.csv").write_text(text, encoding="utf-8")
            read(store, home / f"{read.__name__}.csv")  # type: ignore[operator]
        store.close()
    return home


@pytest.fixture
def home(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with copied_home(filled, tmp_path, monkeypatch) as home:
        yield home


def open_page(page: str, role: Role, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    who = person("Somebody", role)
    monkeypatch.setattr(acting, "current", lambda: who)
    by_default(who)
    app = AppTest.from_file(APP, default_timeout=120)
    name, _, query = page.partition("?")
    if query:
        app.query_params["study"] = query.partition("=")[2]
    app.session_state["performance-tabs"] = "Data"
    app.switch_page(f"views/{name}.py").run()
    assert not app.exception, app.exception
    return app


def labels(app: AppTest) -> set[str]:
    """What can be clicked."""
    popovers = [one.proto.popover.label for one in app.get("popover")]
    return {one.proto.label for kind in ("button", "download_button") for one in app.get(kind)} | set(popovers)


@pytest.mark.parametrize("role", PEOPLE)
@pytest.mark.parametrize("page", BUTTONS)
def test_only_what_one_may_do_is_there(home: Path, monkeypatch: pytest.MonkeyPatch, page: str, role: Role) -> None:
    there = labels(open_page(page, role, monkeypatch))
    expected = {label for label, right in BUTTONS[page].items() if right in RIGHTS[role]}
    assert there & set(BUTTONS[page]) == expected


@pytest.mark.parametrize("role", PEOPLE)
def test_a_study_that_was_checked_is_given_away_to_whom_may_export(
    home: Path, monkeypatch: pytest.MonkeyPatch, role: Role
) -> None:
    if Right.ANALYSE not in RIGHTS[role]:
        pytest.skip("has no such page")
    app = open_page("study_check", role, monkeypatch)
    next(one for one in app.button if one.label.startswith("Normal")).click().run()
    assert not app.exception
    assert bool({"CSV", "JSON"} & labels(app)) == (Right.EXPORT in RIGHTS[role])


def test_what_is_there_to_see_stays_to_be_seen(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not set a limit or import sees those that are set, and who has imported what."""
    for page, expected in (
        ("performance", "Truth: **import\\_truth\\.csv**"),
        ("monitoring", "Your role may look at the limits"),
        ("models", "Thresholds in force"),
    ):
        app = open_page(page, Role.VIEWER, monkeypatch)
        assert any(expected in one.value for kind in ("markdown", "caption", "header") for one in app.get(kind)), page


def test_names_are_marked_where_nothing_proves_them(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ichscope.access import Actor, Via

    with acting_as(Actor("Typed", Role.ADMIN, Via.NOBODY)):
        store = Store.open(home=home)
        store.adjustments.set_limit("latency", 60.0, why="x")
        store.adjustments.set_threshold("cranioscan", "0.0.1-test", "any", 0.7, why="y")
        (home / "more.csv").write_text("study,any\nB,1\n", encoding="utf-8")
        import_truth(store, home / "more.csv")
        store.close()
    monitoring = open_page("monitoring", Role.VIEWER, monkeypatch)
    assert any("Typed \\(as typed\\)\\: " in one.value for one in monitoring.caption)
    models = open_page("models", Role.VIEWER, monkeypatch)
    tables = "".join(one.proto.body for one in models.get("html"))
    assert tables.count("Typed (as typed)") == 2, "in force, and in the history"
    performance = open_page("performance", Role.VIEWER, monkeypatch)
    texts = [one.value for one in performance.markdown]
    assert any("more" in text and "by Typed \\(as typed\\)" in text for text in texts)
    assert any("import" in text and f"by {operator().name}" in text and "typed" not in text for text in texts)
