from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from sqlalchemy import insert, select
from streamlit.testing.v1 import AppTest

from dashboard.worklist import review_session, table
from dashboard.worklist.export import worklist_csv
from ichscope.imaging.series import Header, SeriesFacts
from ichscope.store import Filter, Reviews, Store, StoreError, Worklist, tables, volumes
from tests.support import results_builder as build
from tests.support import store_cases as cases
from tests.support.people import review

APP = str(Path(__file__).parents[2] / "dashboard/router.py")
PAGE = "views/worklist.py"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose store is empty; a copy of its file is made faster than its tables."""
    home = tmp_path_factory.mktemp("empty")
    Store.open(home=home).close()
    return home


@pytest.fixture(autouse=True)
def home(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for file in ("ichscope.db", "key"):
        (tmp_path / file).write_bytes((empty / file).read_bytes())
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path))
    monkeypatch.delenv("ICHSCOPE_DATABASE_URL", raising=False)
    monkeypatch.setattr(review_session, "LOOK_S", 0.0)
    st.cache_resource.clear()
    st.cache_data.clear()
    yield tmp_path
    st.cache_resource.clear()


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    opened = Store.open(home=home)
    yield opened
    opened.close()


def start(study: int | None = None, **state: object) -> AppTest:
    """A session on the worklist, or on one of its studies."""
    app = AppTest.from_file(APP, default_timeout=60)
    for name, value in state.items():
        app.session_state[name.replace("_", "-")] = value
    if study is not None:
        app.query_params["study"] = str(study)
    return app.switch_page(PAGE).run()


def words(app: AppTest) -> str:
    """Everything that the page says, one string."""
    assert not app.exception
    kinds = ("title", "header", "subheader", "markdown", "caption", "error", "warning", "success", "info")
    texts = [one.value for kind in kinds for one in app.get(kind)]
    return "\n".join([*texts, *(one.proto.body for one in app.get("html"))]).replace("\\", "")


def listed(app: AppTest) -> dict[str, Any]:
    """What the table of the list was given."""
    (one,) = app.get("bidi_component")
    return json.loads(one.proto.json)


def ids(app: AppTest) -> list[int]:
    return [row["id"] for row in listed(app)["rows"]]


def button(app: AppTest, label: str) -> Any:
    return next(one for one in app.button if one.label == label)


def click(app: AppTest, label: str) -> AppTest:
    assert not button(app, label).disabled
    return button(app, label).click().run()


def field(app: AppTest, kind: str, label: str) -> Any:
    return next(one for one in app.get(kind) if one.label == label)


def viewers(app: AppTest) -> int:
    return sum("viewer" in component.key for component in app.get("bidi_component"))


def choose(app: AppTest, label: str, value: object) -> AppTest:
    return field(app, "button_group", label).set_value(value).run()


def asked(app: AppTest) -> int | None:
    """The study that the address names."""
    # A list where the page has not set it itself.
    found = app.query_params.get("study")
    return int(found[0] if isinstance(found, list) else found) if found else None


def three(store: Store) -> list[int]:
    """A likely bleed, an uncertain study and a negative one, in this order."""
    return [cases.add(store, name, p) for name, p in (("bleed", 0.9), ("maybe", 0.5), ("none", 0.1))]


# ---- the list ------------------------------------------------------------------------------------------


def test_an_empty_store_offers_to_fill_it() -> None:
    app = start()
    assert "No studies yet" in words(app)
    assert "Research use only - not for diagnosis" in words(app)
    assert not app.get("bidi_component")


def test_a_store_that_cannot_be_opened_is_told(home: Path) -> None:
    (home / "ichscope.db").write_bytes(b"no database at all " * 100)
    assert "The worklist cannot be shown." in words(start())


def test_likely_bleeds_come_first_with_their_numbers(store: Store) -> None:
    made = three(store)
    nothing = cases.add(store, "nothing")
    app = start()
    assert ids(app) == [made[0], made[1], nothing, made[2]]
    cells = [[cell["text"] for cell in row["cells"]] for row in listed(app)["rows"]]
    assert [row[0] for row in cells] == ["Likely bleed", "Uncertain", "Not analysed", "Negative"]
    assert [row[3] for row in cells] == ["0.900", "0.500", "", "0.100"]
    assert listed(app)["rows"][0]["cells"][3]["kind"] == "number flagged"


def test_counts_are_filters(store: Store) -> None:
    made = three(store)
    review(store, made[0], "Ann", agree=True)
    app = start()
    options = [one.content for one in field(app, "button_group", "Priority").proto.options]
    assert options == [
        "Likely bleed **1**",
        "Uncertain **1**",
        "Models disagree **0**",
        "Not analysed **0**",
        "Negative **1**",
    ]
    assert ids(choose(app, "Priority", ["negative", "likely"])) == [made[0], made[2]]
    # The other counts follow; those of the same kind stay, so that one can go from one to the next.
    assert "Unreviewed **1**" in [one.content for one in field(app, "button_group", "Review").proto.options]
    assert "Uncertain **1**" in [one.content for one in field(app, "button_group", "Priority").proto.options]
    assert ids(choose(app, "Review", "unreviewed")) == [made[2]]


def test_where_nothing_fits_one_click_shows_all(store: Store) -> None:
    made = three(store)
    app = choose(start(), "Priority", ["disagree"])
    assert "No studies match these filters." in words(app)
    assert ids(click(app, "Show all studies")) == made


def test_a_study_is_found_by_the_start_of_its_key_and_by_its_uid(store: Store) -> None:
    made = three(store)
    result = cases.study("1.2.840.99", 0.2, study="1.2.840.99")
    whole = store.results.record(result, cases.content("uid"))
    app = start()
    app.text_input[0].set_value(store.worklist.row(made[1]).study_key[:6]).run()
    assert ids(app) == [made[1]]
    app.text_input[0].set_value("1.2.840.99").run()
    assert ids(app) == [whole]
    assert asked(app) is None
    assert len(ids(click(app, "Clear filters"))) == 4


def test_filters_behind_the_button_hold_together(store: Store) -> None:
    at = Header(manufacturer="Maker", scanner="One")
    one = cases.add(store, "one", 0.9, header=at)
    cases.add(store, "two", 0.1, header=at)
    cases.add(store, "three", 0.9)
    app = start()
    field(app, "selectbox", "Scanner").set_value("Maker One").run()
    field(app, "selectbox", "Finding").set_value("any").run()
    assert ids(app) == [one]
    assert field(app, "selectbox", "Model and version").options == ["cranioscan 1.0"]


def test_what_is_not_known_and_poor_quality_can_be_filtered(store: Store) -> None:
    unknown = cases.add(store, "unknown", 0.9)
    poor = cases.add(store, "poor", 0.1, header=Header(manufacturer="Maker", scanner="One", institution="County"))
    review(store, poor, "Ann", agree=True, poor_quality=True)
    for place in ("Scanner", "Institution"):
        app = start()
        field(app, "selectbox", place).set_value(" ").run()
        assert ids(app) == [unknown], place
    app = choose(start(), "Image quality by readers", True)
    assert ids(app) == [poor]
    assert ids(choose(app, "Image quality by readers", False)) == [unknown]
    assert len(ids(click(app, "Clear filters"))) == 2


def test_days_of_arrival_are_whole_days(store: Store) -> None:
    first, second, _ = (cases.add(store, hours, 0.9, hours=hours) for hours in (0, 16.9, 17.1))
    app = start()
    for label in ("Arrived from", "Arrived until"):
        field(app, "date_input", label).set_value(cases.MORNING.date()).run()
    assert ids(app) == [first, second]


def test_an_order_is_kept_while_a_study_is_open(store: Store) -> None:
    old, new = cases.add(store, "old", 0.9), cases.add(store, "new", 0.1, hours=1)
    app = start()
    field(app, "selectbox", "Order").set_value("newest").run()
    assert ids(app) == [new, old]
    app.query_params["study"] = str(new)
    assert "1 of 2 in the list" in words(app.run())
    assert ids(click(app, "List")) == [new, old]


def clone(store: Store, study: int, number: int) -> None:
    """Copy a study so many times, faster than recording each."""
    series = store.worklist.row(study).series_id
    owners = {tables.Study: study, tables.Series: series, tables.Result: series, tables.Volume: series}
    with store.database.writing() as session:
        for kind, owner in owners.items():
            own = "id" if kind in (tables.Study, tables.Series) else "series_id"
            rows = session.execute(select(kind.__table__).where(getattr(kind, own) == owner)).mappings().all()
            copies = [_copy(kind, dict(row), own, shift) for shift in range(1, number + 1) for row in rows]
            session.execute(insert(kind.__table__), copies)


def _copy(kind: type, row: dict[str, Any], own: str, shift: int) -> dict[str, Any]:
    changed = {own: row[own] + shift}
    if kind is tables.Study:
        changed |= {"study_key": f"{row['id'] + shift:016x}", "series_id": row["series_id"] + shift}
    elif kind is tables.Series:
        changed |= {"content": f"{row['id'] + shift:064}", "study_id": row["study_id"] + shift}
    return {name: value for name, value in (row | changed).items() if kind is not tables.Result or name != "id"}


def test_thousands_of_studies_are_paged(store: Store) -> None:
    three(store)
    clone(store, cases.add(store, "more", 0.3), 5_000)
    app = start()
    assert "1 to 50 of 5,004" in words(app)
    (pages,) = app.get("pagination")
    pages.set_value(101)
    app.run()
    assert "5,001 to 5,004 of 5,004" in words(app)
    assert len(ids(app)) == 4
    # Another list starts at its first page.
    assert "1 to 50 of 5,002" in words(choose(app, "Priority", ["negative"]))


def test_each_question_is_asked_once_a_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    three(store)
    asked: list[Filter] = []
    counts = Worklist.counts
    monkeypatch.setattr(Worklist, "counts", lambda self, filter: asked.append(filter) or counts(self, filter))
    app = start()
    assert asked == [Filter()]
    asked.clear()
    choose(app, "Priority", ["likely"])
    assert set(asked) == {Filter(), Filter(priority=("likely",))}
    assert len(asked) == 2


def test_texts_from_files_stay_texts(store: Store) -> None:
    study = cases.add(store, "odd", status="not analysed", findings=build.result().findings)
    row = store.worklist.row(study)
    changed = table.content([row.__class__(**{**row.__dict__, "reasons": ("<img src=x>", "second")})])
    assert changed["rows"][0]["cells"][-1]["text"] == "Not analysed: <img src=x>; second"
    script = (Path(APP).parent / "table/table.js").read_text()
    assert "innerHTML" not in script


# ---- the CSV file --------------------------------------------------------------------------------------


def test_the_csv_file_has_all_studies_that_fit_in_order(store: Store) -> None:
    cases.many(store, 30)
    wanted = Filter(priority=("likely", "negative"))
    text = worklist_csv(store, wanted, "score")
    rows = list(csv.DictReader(io.StringIO(text)))
    there = list(store.worklist.export(wanted, "score"))
    assert [row["study_key"] for row in rows] == [row.study_key for row in there]
    assert len(rows) == store.worklist.counts(wanted).total > 3
    for row, one in zip(rows, there, strict=True):
        assert row["models_any"] == {True: "yes", False: "no", None: ""}[one.model_labels["any"]]
        assert row["reader_subdural"] == {True: "yes", False: "no", None: ""}[one.reader_labels["subdural"]]
        assert row["cranioscan_any"] == f"{one.models[1].probability['any']:.4g}"
        assert row["cerebroscan_subdural"] == ""
        assert row["agreement"] == one.agreement


def test_the_csv_file_says_who_read_and_what_they_noted(store: Store) -> None:
    id = cases.add(store, "a", 0.9)
    cases.add(store, "b", 0.1)
    review(store, id, "Ann", agree=True)
    review(store, id, "Bob", comment="motion", poor_quality=True)
    review(store, id, "Ann", comment="=1+1")
    first, second = csv.DictReader(io.StringIO(worklist_csv(store, Filter(), "priority")))
    assert (first["readers"], first["poor_quality"], first["comments"]) == ("Ann; Bob", "yes", "motion;' =1+1")
    assert (second["readers"], second["poor_quality"], second["comments"]) == ("", "", "")


def test_no_cell_of_the_csv_file_is_a_formula(store: Store) -> None:
    cases.add(store, "odd", 0.1, header=Header(scanner="=1+1", kernel="@SUM(A1)"))
    (row,) = csv.DictReader(io.StringIO(worklist_csv(store, Filter(), "priority")))
    assert (row["scanner"], row["kernel"]) == ("'=1+1", "'@SUM(A1)")


def test_the_csv_file_is_made_when_it_is_asked_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    three(store)
    monkeypatch.setattr(Worklist, "export", lambda *_: pytest.fail("made without a click"))
    assert [one.proto.label for one in start().get("download_button")] == ["CSV"]


# ---- a study -------------------------------------------------------------------------------------------


def test_a_study_opens_by_its_address_with_answer_and_place(store: Store) -> None:
    made = three(store)
    text = words(start(made[1]))
    assert "FLAGGED - possible haemorrhage" in text
    assert "2 of 3 in the list" in text
    assert "Research use only - not for diagnosis" in text
    assert "images of this study are not stored" in text


def test_neighbours_are_one_click_away(store: Store) -> None:
    first, second, third = three(store)
    app = start(first)
    assert button(app, "Previous").disabled
    click(click(app, "Next"), "Next")
    assert asked(app) == third
    assert button(app, "Next").disabled
    click(app, "Previous")
    assert asked(app) == second
    assert asked(click(app, "List")) is None
    assert listed(app)["last"] == second


def test_kept_pictures_are_shown_and_damaged_ones_do_not_hide_the_result(store: Store) -> None:
    result = cases.study("kept", 0.9)
    path = volumes.save(store.volumes, cases.content("kept"), result)
    study = store.results.record(result, cases.content("kept"), volume=path)
    assert viewers(start(study)) == 1
    (store.volumes / str(path)).write_bytes(b"broken")
    app = start(study)
    assert "cannot be shown" in words(app)
    assert "FLAGGED" in words(app)
    assert viewers(app) == 0


@pytest.mark.parametrize("study", [999, 10**17])
def test_a_study_that_is_not_there_leads_back_to_the_list(store: Store, study: int) -> None:
    made = three(store)
    app = start(study)
    assert "There is no study number" in words(app)
    assert ids(click(app, "Back to the list")) == made


# ---- the review ----------------------------------------------------------------------------------------


def as_reader(study: int, name: str = "Ann", **state: object) -> AppTest:
    return start(study, reader=name, **state)


def test_without_a_name_nothing_can_be_saved(store: Store) -> None:
    app = click(start(three(store)[0]), "Correct")
    assert all(button(app, label).disabled for label in ("Agree and next", "Agree", "Save and next", "Save"))
    app.text_input[0].set_value("Ann").run()
    assert not any(button(app, label).disabled for label in ("Agree and next", "Agree", "Save and next", "Save"))


def test_agree_and_next_works_through_the_unreviewed_and_ends_in_the_list(store: Store) -> None:
    made = three(store)
    app = as_reader(made[0], worklist_agreement="unreviewed")
    for number, study in enumerate(made, 1):
        assert asked(app) == study
        click(app, "Agree and next")
        assert "Saved for Ann" in words(app)
        assert store.worklist.counts(Filter(agreement="agree")).total == number
    assert "No studies match these filters." in words(app)
    assert [store.worklist.row(study).reader_labels["any"] for study in made] == [True, True, False]


def test_agree_stays_and_says_so(store: Store) -> None:
    study = three(store)[0]
    app = click(as_reader(study), "Agree")
    assert "Saved for Ann" in words(app)
    assert "Agrees with the models." in words(app)
    assert asked(app) == study
    (saved,) = store.reviews.of(study)
    assert (saved.reader, saved.agree, saved.labels) == ("Ann", True, {"any": True})


def test_agree_means_what_the_page_showed(store: Store) -> None:
    study = three(store)[0]
    app = as_reader(study)
    # Meanwhile a new version of the model finds nothing.
    cases.add(store, "bleed", replace(build.model(along=(0.0, 0.1)), version="2.0"))
    click(app, "Agree")
    (saved,) = store.reviews.of(study)
    assert saved.labels == {"any": True}


def test_a_study_that_is_opened_again_says_nothing_of_the_last_visit(store: Store) -> None:
    study = three(store)[0]
    app = click(click(as_reader(study), "Agree"), "List")
    app.query_params["study"] = str(study)
    text = words(app.run())
    assert "Saved for Ann" not in text
    assert "Agrees with the models." in text


def test_a_second_press_does_not_agree_on_a_study_that_has_just_come_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = three(store)
    app = as_reader(made[0])
    monkeypatch.setattr(review_session, "LOOK_S", 60.0)
    assert "has only just appeared" in words(click(app, "Agree and next"))
    assert store.worklist.counts(Filter(agreement="reviewed")).total == 0


NAMES = {"any": "Any haemorrhage", "subdural": "Subdural (SDH)", "epidural": "Epidural (EDH)"}


def opened_form(study: int, name: str = "Ann", **labels: bool) -> AppTest:
    app = click(as_reader(study, name), "Correct")
    for label, value in labels.items():
        choose(app, NAMES[label], value)
    return app


def test_a_subtype_implies_a_haemorrhage_and_says_so(store: Store) -> None:
    study = three(store)[2]
    app = opened_form(study, subdural=True)
    assert "a haemorrhage will be saved as present" in words(app)
    field(app, "text_input", NAMES["subdural"]).set_value("2").run()
    app.text_area[0].set_value("Thin, left").run()
    app.checkbox[0].check().run()
    click(app, "Save")
    (saved,) = store.reviews.of(study)
    assert saved.labels == {"any": True, "subdural": True}
    assert saved.marks == {1: ("subdural",)}
    assert (saved.agree, saved.comment, saved.poor_quality) == (False, "Thin, left", True)
    assert "Thin, left." in words(app)
    assert store.worklist.row(study).agreement == "disagree"


def test_contradictions_are_named_and_not_saved(store: Store) -> None:
    study = three(store)[0]
    app = opened_form(study, any=False, subdural=True)
    assert "Any haemorrhage is set to No, but Subdural (SDH) to Yes" in words(app)
    click(app, "Save")
    click(choose(app, NAMES["any"], None), "Agree")
    assert "Your labels differ from the models' for: Subdural (SDH)" in words(app)
    field(app, "text_input", NAMES["subdural"]).set_value("7").run()
    assert "no slice from 1 to 2" in words(click(app, "Save"))
    assert store.reviews.of(study) == ()


def test_an_empty_form_is_not_saved(store: Store) -> None:
    study = three(store)[0]
    assert "Nothing is set yet." in words(click(opened_form(study), "Save"))
    assert store.reviews.of(study) == ()


def test_a_study_without_a_result_asks_for_labels(store: Store) -> None:
    app = as_reader(cases.add(store, "nothing"))
    assert "No model result to agree with" in words(app)
    assert button(app, "Agree").disabled
    click(choose(app, NAMES["any"], True), "Save")
    (saved,) = store.reviews.of(1)
    assert (saved.agree, saved.labels) == (None, {"any": True})


def test_a_second_review_begins_with_what_the_reader_said_before(store: Store) -> None:
    study = three(store)[0]
    app = click(opened_form(study, subdural=True), "Save")
    click(app, "Correct")
    app.text_area[0].set_value("Also old blood").run()
    click(app, "Save")
    first, second = store.reviews.of(study)
    assert second.labels == first.labels == {"any": True, "subdural": True}
    assert second.comment == "Also old blood"
    assert store.worklist.row(study).reader_labels["subdural"] is True


def test_what_was_typed_stays_while_the_reader_looks_elsewhere(store: Store) -> None:
    first, *_ = three(store)
    app = opened_form(first, subdural=True)
    app.text_area[0].set_value("Half a thought").run()
    click(click(click(app, "Next"), "Previous"), "Correct")
    assert app.text_area[0].value == "Half a thought"
    assert field(app, "button_group", NAMES["subdural"]).value is True


def test_a_failing_database_is_told_and_the_form_keeps_what_was_typed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = three(store)[0]
    app = opened_form(study, subdural=True)
    app.text_area[0].set_value("Worth keeping").run()
    works = Reviews.add

    def fails(*_: object, **__: object) -> None:
        raise StoreError("The database failed: there is no room left on the disk.")

    monkeypatch.setattr(Reviews, "add", fails)
    monkeypatch.setattr(Reviews, "of", fails)
    text = words(click(app, "Save"))
    assert "Not saved. The database failed: there is no room left on the disk." in text
    monkeypatch.undo()
    monkeypatch.setattr(Reviews, "add", works)
    assert app.text_area[0].value == "Worth keeping"
    click(app, "Save")
    assert [one.comment for one in store.reviews.of(study)] == ["Worth keeping"]


def test_of_two_readers_at_once_both_are_kept_and_the_second_is_told(store: Store) -> None:
    study = three(store)[0]
    ann, bob = as_reader(study, "Ann"), as_reader(study, "Bob")
    click(ann, "Agree and next")
    text = words(click(bob, "Agree and next"))
    assert "Ann reviewed this study while you had it open" in text
    assert "Nothing was overwritten" in text
    # The reader who has to be told something stays on the study.
    assert asked(bob) == study
    assert [one.reader for one in store.reviews.of(study)] == ["Ann", "Bob"]
    assert store.reviews.of(study)[1].based_on is None


def test_a_reader_is_told_of_another_before_saving_too(store: Store) -> None:
    study = three(store)[0]
    bob = opened_form(study, "Bob")
    ann = review(store, study, "Ann", labels={"any": False}, comment="Artefact").review
    text = words(choose(bob, NAMES["any"], True))
    assert "Ann reviewed this study while you had it open" in text
    assert "Any haemorrhage: no. Artefact. Nothing was overwritten" in text
    click(bob, "Save")
    assert store.reviews.of(study)[1].based_on == ann.id
    assert store.worklist.row(study).agreement == "conflict"


def test_the_history_is_newest_first_and_shows_words_as_words(store: Store) -> None:
    study = three(store)[0]
    review(store, study, "Ann", agree=True)
    review(store, study, "<b>Bob</b>", labels={"any": False}, comment="<script>alert(1)</script>")
    text = words(start(study))
    assert "&lt;b&gt;Bob&lt;/b&gt;" in text
    assert "&lt;script&gt;" in text
    assert text.index("Bob") < text.index("Ann")


def test_the_filters_of_the_list_hold_for_the_neighbours(store: Store) -> None:
    first, _, third = three(store)
    app = choose(start(), "Priority", ["likely", "negative"])
    app.query_params["study"] = str(first)
    assert "1 of 2 in the list" in words(app.run())
    assert asked(click(app, "Next")) == third


# ---- a study with several series -------------------------------------------------------------------------


def test_series_of_a_study_are_opened_and_another_may_speak(store: Store) -> None:
    thick, bone = (SeriesFacts(soft_tissue=soft, slice_thickness_mm=5.0) for soft in (True, False))
    for name, facts, score in (("thick", thick, 0.1), ("bone", bone, 0.9)):
        made = cases.study("A", score, series=name)
        assert made.volume is not None
        made = replace(made, volume=replace(made.volume, facts=facts))
        study = store.results.record(made, cases.content(name))
    app = as_reader(study)
    (series,) = (box for box in app.selectbox if box.label == "2 series in this study")
    assert "Not flagged" in words(app)
    assert "a bone kernel" in words(app)
    app = series.set_value(1).run()
    assert "FLAGGED" in words(app)
    app = click(app, "Let this series speak for the study")
    row = store.worklist.row(study)
    assert (row.priority, row.series_reason[:14]) == ("likely", "chosen by Ann ")
    assert "FLAGGED" in words(app)
    marked = review(store, study, "Bob", labels={"any": True}, marks={1: ["any"]}).review
    assert marked.series == row.series_id
