"""What monitoring reads of the store, and what it makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ichscope.monitor import MonitorError, MonitoringPeriod, MonitoringReport, monitor
from ichscope.store import Store
from tests.support import monitor_builder as builder
from tests.support import results_builder as build
from tests.support.people import review, set_limit
from tests.support.store_cases import MORNING, add

DAY = date(2026, 3, 1)
NOW = builder.START + timedelta(days=84)


def test_days_and_periods_of_arrival(store: Store) -> None:
    add(store, "a", 0.9)
    add(store, "b", 0.1, hours=1)
    add(store, "c", hours=20)  # the next day in UTC
    add(store, "d", 0.9, hours=24)
    days = [(one.day, one.synthetic, one.studies, one.judged, one.flagged) for one in store.arrivals.days()]
    assert days == [(DAY, False, 2, 2, 1), (DAY + timedelta(days=1), False, 2, 1, 1)]
    assert store.arrivals.newest(False) == MORNING + timedelta(hours=24)
    assert store.arrivals.newest(True) is None
    first = MonitoringPeriod(DAY, DAY)
    found = store.arrivals.studies(first.since, first.until, False)
    assert (found.analysed.tolist(), found.model_any.tolist()) == ([1, 1], [1, 0])
    assert (len(found.sex), len(found.scanner), found.slices.tolist()) == (2, 2, [2, 2])
    assert np.isnan(found.reader_any).all()
    (results,) = store.arrivals.results(first.since, first.until, False)
    assert (results.model, results.version) == ("cranioscan", "1.0")
    assert sorted(results.probability.tolist()) == [0.1, 0.9]
    assert store.arrivals.studies(first.since, first.until, True).id.tolist() == []


def test_a_renewed_result_is_the_only_current_one(store: Store) -> None:
    study = add(store, "a", 0.9)
    store.results.rescore(study, build.result(build.model(along=(0.2,)), data=build.series(2)))
    period = MonitoringPeriod(DAY, DAY)
    (results,) = store.arrivals.results(period.since, period.until, False)
    assert (results.current.tolist(), results.probability.tolist()) == ([1], [pytest.approx(0.2)])


def test_reviews_count_by_the_week_of_the_newest(store: Store) -> None:
    studies = [add(store, name, 0.9) for name in "abc"]
    for study, agree, later in zip(studies, (True, False, None), (0, 0, 7), strict=True):
        review(store, study, "Ann", agree=agree, at=MORNING + timedelta(days=later))
    review(store, studies[0], "Ann", agree=True, at=MORNING + timedelta(days=1))
    weeks = [(one.week, one.agree, one.disagree) for one in store.arrivals.review_weeks(False)]
    # The first of March 2026 is a Sunday, the last day of its week.
    assert weeks == [(date(2026, 2, 23), 0, 1), (date(2026, 3, 2), 1, 0)]


def test_failures_of_a_period(store: Store) -> None:
    from datetime import UTC, datetime

    today = datetime.now(UTC).date()
    period = MonitoringPeriod(today, today)
    job = store.jobs.start("folder", "x")
    store.jobs.add_items(job, ["one", "two", "three"])
    first, second = store.jobs.claim(job, 2)
    store.jobs.fail(first.id, "gone")
    store.jobs.done(second.id, add(store, "a", 0.9))
    assert store.arrivals.ended_items(period.since, period.until) == (1, 2)
    yesterday = MonitoringPeriod(today - timedelta(days=1), today - timedelta(days=1))
    assert store.arrivals.ended_items(yesterday.since, yesterday.until) == (0, 0)


def test_without_a_study_there_is_nothing_to_look_at(store: Store) -> None:
    with pytest.raises(MonitorError, match="no study yet"):
        monitor(store)


@pytest.mark.parametrize("since", [None, DAY])
def test_studies_of_one_day_cannot_be_compared_but_their_silence_is_told(store: Store, since: date | None) -> None:
    for name in range(20):
        add(store, name, 0.9)
    found = monitor(store, since=since, now=MORNING + timedelta(days=8))
    assert found.current == MonitoringPeriod(DAY, DAY)
    assert all(one.reason.startswith("not estimable: 0 of 30 studies needed in the reference") for one in found.drifts)
    assert ["there is " in note for note in found.notes] == [True]
    assert [one.rule for one in found.alerts] == ["silence"]


def test_few_studies_give_reasons_in_the_place_of_figures(store: Store) -> None:
    for name in range(4):
        add(store, name, 0.9, hours=24 * name)
    found = monitor(store, now=MORNING + timedelta(days=3))
    assert all(one.reason.startswith("not estimable") for one in found.drifts)
    assert found.pair is None
    assert found.agreement == ()
    assert [one.auc.value for one in found.expected] == [None]
    assert found.overrides.value is None
    assert found.alerts == ()


# ---- some months ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store in which nothing changes."""
    store = Store.open(home=tmp_path_factory.mktemp("quiet"))
    builder.fill(store, 900, seed=1)
    yield store
    store.close()


def by_name(found: MonitoringReport) -> dict[str, Any]:
    return {one.name: one for one in found.drifts}


def test_nothing_is_alarmed_where_nothing_changes(quiet: Store) -> None:
    found = monitor(quiet, now=NOW)
    assert found.alerts == ()
    assert (found.reference, found.current) == (
        MonitoringPeriod(date(2026, 3, 2), date(2026, 3, 29)),
        MonitoringPeriod(date(2026, 4, 27), date(2026, 5, 24)),
    )
    assert found.pair == builder.MODELS
    assert not any(one.reason for one in found.drifts)
    assert sum(one.studies for one in found.agreement) == by_name(found)["models differ"].studies[1]
    assert found.current_times.result_median_s == pytest.approx(15, abs=5)
    assert found.current_times.compute_s["cranioscan"] == (0.3, 0.3)
    assert sum(one.agree + one.disagree for one in found.reviews) > 100


def test_a_quiet_time_and_a_slow_one_are_alarmed_by_limits_that_can_be_set(quiet: Store) -> None:
    assert [one.rule for one in monitor(quiet, now=NOW + timedelta(days=8)).alerts] == ["silence"]
    set_limit(quiet, "latency", 10.0, who="Ann", why="a stroke unit")
    set_limit(quiet, "sensitivity", 0.9, who="Ann", why="test")
    try:
        found = monitor(quiet, now=NOW).alerts
    finally:
        for rule in ("latency", "sensitivity"):
            set_limit(quiet, rule, None, who="Ann", why="back")
    assert {one.rule for one in found} == {"latency", "sensitivity"}
    assert monitor(quiet, now=NOW).alerts == ()


def test_a_period_without_studies_gives_reasons_and_tells_the_silence(quiet: Store) -> None:
    later = monitor(quiet, since=date(2026, 6, 8), now=NOW + timedelta(days=16))
    assert (later.studies[1], later.agreement[0].studies) == (0, 0)
    assert all(one.reason.startswith("not estimable") for one in later.drifts)
    assert [one.rule for one in later.alerts] == ["silence"]
    before = MonitoringPeriod(date(2025, 1, 1), date(2025, 1, 31))
    found = monitor(quiet, periods=(before, later.current), now=NOW)
    assert (found.studies, found.chart.points, found.pair, found.expected) == ((0, 0), (), None, ())


def drifted(facts: dict[str, NDArray[Any]], late: NDArray[np.bool_]) -> None:
    """Another scanner, and scores that rise."""
    facts["scanner"][late] = np.where(facts["sex"][late] == "F", "New Four", facts["scanner"][late])
    facts["cranioscan"][late] **= 0.3


def test_a_changed_scanner_and_shifted_scores_are_alarmed(store: Store) -> None:
    builder.fill(store, 500, seed=1, change=drifted)
    found = monitor(store, now=NOW)
    assert {"scanner", "score of cranioscan", "flagged", "models differ"} <= {one.about for one in found.alerts}
    assert not {"age", "sex", "kVp", "score of cerebroscan"} & {one.about for one in found.alerts}
    assert any(one.name == "others" or one.name == "New Four" for one in by_name(found)["scanner"].bins)


def silenced(facts: dict[str, NDArray[Any]], late: NDArray[np.bool_]) -> None:
    """One of two models fails on all late studies."""
    facts["cranioscan"][late] = np.nan


def test_a_model_that_stops_while_the_other_goes_on_is_alarmed(store: Store) -> None:
    builder.fill(store, 240, seed=1, change=silenced)
    found = monitor(store, now=NOW)
    assert [(one.rule, one.about) for one in found.alerts] == [("no result", "cranioscan")]
    assert found.alerts[0].text.startswith("97.7 % of the analysed studies have no result of cranioscan, at least")
    assert (found.missing_output_before["cranioscan"].value, found.missing_output["cerebroscan"].value) == (0, 0)
    set_limit(store, "no result", 1.0, who="Ann", why="taken out of service")
    assert monitor(store, now=NOW).alerts == ()


def test_items_that_fail_after_the_last_study_are_alarmed(quiet: Store) -> None:
    from datetime import UTC, datetime

    job = quiet.jobs.start("folder", "x")
    quiet.jobs.add_items(job, [f"file {i}" for i in range(40)])
    for item in quiet.jobs.claim(job, 40):
        quiet.jobs.fail(item.id, "gone")
    found = monitor(quiet, now=datetime.now(UTC) + timedelta(seconds=1))
    assert {one.rule: one.text for one in found.alerts}["failures"].startswith("100.0 % of the items of jobs failed")
    assert not any(one.rule == "failures" for one in monitor(quiet, now=NOW).alerts)


def test_the_studies_of_one_patient_that_are_not_analysed_count_as_one_word(store: Store) -> None:
    """Thirty failed studies of one patient among 100 are no more than one patient of 71."""
    from sqlalchemy import update

    from ichscope.store import tables

    for name in range(100):
        add(store, name, *(() if name < 30 else (0.1,)), hours=24 * (name % 2))
    with store.database.writing() as session:
        session.execute(update(tables.Study).where(tables.Study.status == "not analysed").values(patient_key="f" * 16))
    day = MonitoringPeriod(DAY, DAY + timedelta(days=1))
    found = monitor(store, periods=(day, day), now=MORNING).not_analysed
    assert (found.value, found.method) == (0.3, "Wilson, effective n")
    assert found.low is not None
    assert found.low < 0.2


def test_a_study_that_comes_in_meanwhile_does_no_harm(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in range(4):
        add(store, day, 0.9, hours=24 * day)
    read = store.arrivals.studies

    def then_another(*period: Any) -> Any:
        found = read(*period)
        add(store, str(period), 0.9, hours=73)
        return found

    monkeypatch.setattr(store.arrivals, "studies", then_another)
    assert monitor(store, now=NOW).studies == (2, 3)


def test_a_patient_counts_once_a_period(store: Store) -> None:
    builder.fill(store, 500, seed=1)
    before = monitor(store, now=NOW)
    from sqlalchemy import update

    from ichscope.store import tables

    with store.database.writing() as session:
        session.execute(update(tables.Study).where(tables.Study.id <= 20).values(patient_key="f" * 16))
    after = monitor(store, now=NOW)
    assert after.studies == before.studies
    assert by_name(before)["age"].studies[0] - by_name(after)["age"].studies[0] == 19


def test_synthetic_studies_are_looked_at_only_by_themselves(store: Store, tmp_path: Path) -> None:
    for day in range(3):
        add(store, f"real {day}", 0.9, hours=24 * day)
        store.results.record(
            build.result(build.model(), data=build.series(2)),
            f"{day:064x}",
            arrived_at=MORNING + timedelta(days=day),
            synthetic=True,
        )
    found = monitor(store, now=MORNING)
    assert (found.synthetic, sum(found.studies)) == (False, 3)
