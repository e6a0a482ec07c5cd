"""Comparisons of two periods: against SciPy and by hand, what too little gives, and how often chance alone alarms."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from scipy import stats

from ichscope.metrics.sample import known
from ichscope.monitor import Drift, DriftBin, MonitoringPeriod, default_periods, drift, limits
from ichscope.monitor import chart as charts
from ichscope.monitor.agreement import classes
from ichscope.monitor.expected import expected, expected_auc
from ichscope.monitor.rules import RULES, counts, problem
from ichscope.store import Adjustment, ArrivalDay
from tests.support import monitor_builder

DAY = date(2026, 3, 2)
FOUND = Drift("x", "input", "KS", (50, 50), psi=0.2, p=0.01)


def days(*studies: int, judged: int | None = None, flagged: int = 0) -> list[ArrivalDay]:
    """A day each, from DAY on; days without studies have no row."""
    each = enumerate(studies)
    return [
        ArrivalDay(DAY + timedelta(days=i), False, n, n if judged is None else judged, flagged) for i, n in each if n
    ]


# ---- periods -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "reference", "current"),
    [
        ([10] * 84, (0, 27), (56, 83)),
        ([1] * 40 + [10] * 60, (20, 47), (72, 99)),  # later, until 100 studies are in it
        ([1] * 84, (0, 27), (56, 83)),  # never enough: the first ones
        ([10] * 10, (0, 4), (5, 9)),
        ([10] * 11, (0, 5), (6, 10)),
        ([10, 10], (0, 0), (1, 1)),
    ],
)
def test_periods_by_default(given: list[int], reference: tuple[int, int], current: tuple[int, int]) -> None:
    found = default_periods(days(*given))
    assert found == tuple(MonitoringPeriod(*(DAY + timedelta(days=i) for i in one)) for one in (reference, current))


@pytest.mark.parametrize("given", [[], [10]])
def test_one_day_is_no_two_periods(given: list[int]) -> None:
    assert default_periods(days(*given)) is None


def test_the_current_period_may_begin_where_one_wants() -> None:
    found = default_periods(days(*[10] * 84), DAY + timedelta(days=80))
    assert found == (
        MonitoringPeriod(DAY, DAY + timedelta(days=27)),
        MonitoringPeriod(DAY + timedelta(days=80), DAY + timedelta(days=83)),
    )
    assert default_periods(days(*[10] * 84), DAY) is None
    later = default_periods(days(*[10] * 84), DAY + timedelta(days=90))
    assert later is not None
    assert later[1] == MonitoringPeriod(DAY + timedelta(days=90), DAY + timedelta(days=90))


# ---- comparisons ---------------------------------------------------------------------------------------


def test_numbers_are_compared_as_scipy_does_with_unknown_as_the_lowest() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=300), rng.normal(0.3, 1.2, 200)
    found = drift.numbers("x", "input", a, b)
    assert found.p == pytest.approx(stats.ks_2samp(a, b, method="asymp").pvalue)
    assert found.middle == (np.median(a), np.median(b))
    assert [one.reference for one in found.bins] == [30] * 10
    assert sum(one.current for one in found.bins) == 200
    b[:100] = np.nan
    lacking = drift.numbers("x", "input", a, b)
    assert lacking.p is not None
    assert lacking.p < 1e-6
    assert lacking.bins[-1] == DriftBin("not said", 0, 100)


def test_the_stability_index_by_hand() -> None:
    psi, chance = drift.stability([DriftBin("a", 60, 30), DriftBin("b", 40, 70)])
    p, q = 60.5 / 101, 30.5 / 101
    assert psi == pytest.approx((q - p) * np.log(q / p) + (p - q) * np.log((1 - q) / (1 - p)))
    assert chance == pytest.approx(1 / 100 + 1 / 100)


def test_the_stability_index_of_nothing_but_chance_is_what_it_says() -> None:
    rng = np.random.default_rng(0)
    found = [
        drift.stability([DriftBin("", *row) for row in zip(*rng.multinomial(400, [0.1] * 10, 2), strict=True)])
        for _ in range(400)
    ]
    assert np.mean([psi for psi, _ in found]) == pytest.approx(found[0][1], rel=0.1)


def test_rare_categories_are_put_together() -> None:
    found = drift.categories("x", {"A": 50, "B": 40, "C": 2, "": 3}, {"A": 60, "B": 30, "D": 6})
    assert found.bins == (DriftBin("A", 50, 60), DriftBin("B", 40, 30), DriftBin("others", 5, 6))
    expected_p = stats.chi2_contingency([[50, 60], [40, 30], [5, 6]], correction=False).pvalue
    assert found.p == pytest.approx(expected_p)


def test_what_is_still_rare_together_takes_the_rarest_common_one_in() -> None:
    found = drift.categories("x", {"A": 50, "B": 40, "C": 2}, {"A": 60, "B": 30})
    assert found.bins == (DriftBin("A", 50, 60), DriftBin("others", 42, 30))


def test_a_new_scanner_is_seen() -> None:
    found = drift.categories("scanner", {"A": 60, "B": 40}, {"A": 60, "New": 40})
    assert found.p is not None
    assert found.p < 1e-6


@pytest.mark.parametrize(
    "found",
    [
        drift.numbers("x", "input", np.zeros(29), np.zeros(500)),
        drift.numbers("x", "input", np.zeros(500), np.zeros(0)),
        drift.numbers("x", "input", np.full(50, np.nan), np.zeros(50)),
        drift.categories("x", {"A": 29}, {"A": 500}),
        drift.categories("x", {"A": 50}, {"A": 50}),
        drift.share("x", np.zeros(29), np.zeros(50)),
        drift.share("x", np.full(50, np.nan), np.zeros(50)),
        drift.worst("x", np.zeros(50), np.zeros(0), np.zeros(0)),
    ],
)
def test_too_little_gives_a_reason_and_no_number(found: Drift) -> None:
    assert found.reason.startswith("not estimable: ")
    assert (found.p, found.psi) == (None, None)
    (after,) = drift.holm([found])
    assert after.adjusted is None


def test_alike_numbers_do_not_differ() -> None:
    found = drift.numbers("x", "input", np.full(50, 3.0), np.full(60, 3.0))
    assert (found.p, found.psi) == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-9))


def test_shares_by_fisher_and_the_oddest_day_by_bonferroni() -> None:
    reference, current = np.repeat([1.0, 0.0, np.nan], [10, 90, 5]), np.repeat([1.0, 0.0], [30, 70])
    found = drift.share("x", reference, current)
    assert found.studies == (100, 100)
    assert found.middle == (0.1, 0.3)
    assert found.p == pytest.approx(stats.fisher_exact([[10, 30], [90, 70]]).pvalue)
    # The first day has all that are flagged.
    odd = drift.worst("x", reference, current, np.repeat([7.0, 8.0], [50, 50]))
    assert odd.middle == (0.1, 0.6)
    assert odd.studies == (100, 50)
    assert odd.p == pytest.approx(2 * stats.fisher_exact([[10, 30], [90, 20]]).pvalue)


def test_holm_by_hand() -> None:
    found = drift.holm([replace(FOUND, p=p) for p in (0.04, 0.01, None, 0.03)])
    assert [one.adjusted for one in found] == [pytest.approx(0.06), pytest.approx(0.03), None, pytest.approx(0.06)]


def compared(seed: int, shifted: bool = False) -> list[Drift]:
    """Everything that is compared, for two periods of about 200 studies."""
    facts = monitor_builder._facts(np.random.default_rng(seed), 400, 56)
    late = facts["day"] >= 28
    if shifted:
        facts["scanner"][late] = np.where(facts["scanner"][late] == "Other Three", "Maker Two", facts["scanner"][late])
        facts["cranioscan"][late] **= 0.4
    parts = [{name: values[chosen] for name, values in facts.items()} for chosen in (~late, late)]
    flags = [(part["cranioscan"] >= 0.5).astype(float) for part in parts]
    return [
        *(drift.numbers(name, "input", *(part[name].astype(float) for part in parts)) for name in ("age", "slices")),
        *(
            drift.categories(name, *(Counter(map(str, part[name])) for part in parts))
            for name in ("sex", "scanner", "kvp", "thickness")
        ),
        *(drift.numbers(name, "score", *(part[name] for part in parts)) for name in monitor_builder.MODELS),
        drift.share("flagged", *flags),
        drift.worst("oddest week", *flags, parts[1]["day"] // 7.0),
        drift.share("analysed", *(part["analysed"].astype(float) for part in parts)),
    ]


def test_chance_alone_alarms_in_no_more_than_one_of_twenty_periods() -> None:
    """Even where any size of change counts, by the promise of Holm's correction."""
    small = limits() | {"psi": 0.0, "share": 0.0}
    alarms = sum(any(counts(one, small) for one in drift.holm(compared(seed))) for seed in range(100))
    # With a chance of exactly 5 %, more than 11 of 100 come less than once in a hundred times.
    assert alarms <= stats.binom.ppf(0.99, 100, 0.05)
    assert alarms > 0, "no alarm at all: the tests would hardly find anything"


def test_a_drift_is_found() -> None:
    found = [{one.name for one in drift.holm(compared(seed, shifted=True)) if counts(one, limits())} for seed in (1, 2)]
    assert all({"scanner", "cranioscan", "flagged"} <= names for names in found)
    assert not any({"age", "sex", "cerebroscan"} & names for names in found)


# ---- the chart -----------------------------------------------------------------------------------------


def test_limits_leave_out_what_the_binomial_distribution_does() -> None:
    low, high = charts.limits(0.2, [10, 400])
    for n, a, b in zip((10, 400), low, high, strict=True):
        inside = stats.binom.cdf(round(b * n), n, 0.2) - stats.binom.cdf(round(a * n) - 1, n, 0.2)
        assert inside >= 1 - charts.OUTSIDE
    assert high[1] - low[1] == pytest.approx(6 * np.sqrt(0.2 * 0.8 / 400), rel=0.1)


def test_few_studies_a_day_are_shown_by_week_and_an_odd_one_stands_out() -> None:
    rows = days(*[10] * 28, flagged=1)
    rows[-1] = replace(rows[-1], judged=10, flagged=10)
    found = charts.flag_rate(rows, MonitoringPeriod(DAY, DAY + timedelta(days=13)))
    assert (found.unit, found.centre) == ("week", 0.1)
    assert [(one.start, one.studies, one.hits) for one in found.points][-1] == (DAY + timedelta(days=21), 70, 16)
    assert [one.outside for one in found.points] == [False, False, False, True]


def test_a_chart_needs_a_reference() -> None:
    found = charts.flag_rate(days(0, 30, flagged=1), MonitoringPeriod(DAY, DAY))
    assert (found.centre, found.points) == (None, ())
    assert found.reason.startswith("not estimable")


# ---- two models, and no labels -------------------------------------------------------------------------


def test_classes_of_agreement() -> None:
    nan = np.nan
    first = np.array([1, 1, 0, 0, 0, nan, 1.0])
    second = np.array([1, 0, 1, 0, 0, 1, nan])
    truth = np.array([1, 1, nan, 0, 0, 1, 1.0])
    flag, differ, clear = classes(first, second, truth, np.arange(7))
    assert [one.studies for one in (flag, differ, clear)] == [1, 2, 2]
    assert [one.share.value for one in (flag, differ, clear)] == [0.2, 0.4, 0.4]
    assert [(one.reviewed, one.positive.value) for one in (flag, differ, clear)] == [(1, 1.0), (1, 1.0), (2, 0.0)]
    assert "only 2 reviewed" in clear.positive.reason


def test_without_a_study_there_is_a_reason() -> None:
    nothing = np.full(5, np.nan)
    for one in classes(nothing, nothing, nothing, np.arange(5)):
        assert one.share.reason.startswith("not estimable")
        assert one.positive.reason.startswith("not estimable")


def test_expected_figures_are_those_of_all_ways_in_which_labels_may_fall() -> None:
    p = np.array([0.1, 0.4, 0.4, 0.8])
    wins = sum(p[i] * (1 - p[j]) * ((p[i] > p[j]) + 0.5 * (p[i] == p[j])) for i in range(4) for j in range(4) if i != j)
    pairs = sum(p[i] * (1 - p[j]) for i in range(4) for j in range(4) if i != j)
    assert expected_auc(known(np.zeros(4), p)).value == pytest.approx(wins / pairs)


def test_calibrated_probabilities_foretell_what_labels_then_show() -> None:
    facts = monitor_builder._facts(np.random.default_rng(0), 20_000, 10)
    p = 1 / (1 + np.exp(-np.random.default_rng(1).normal(-2, 2, 20_000)))
    truth = (np.random.default_rng(2).random(20_000) < p).astype(float)
    flagged = (p >= 0.3).astype(float)
    found = expected("m", p, flagged, truth, np.arange(20_000))
    assert found.sensitivity.value == pytest.approx(flagged[truth == 1].mean(), abs=0.02)
    assert found.specificity.value == pytest.approx(1 - flagged[truth == 0].mean(), abs=0.01)
    above = stats.mannwhitneyu(p[truth == 1], p[truth == 0]).statistic
    assert found.auc.value == pytest.approx(above / (truth.sum() * (1 - truth).sum()), abs=0.01)
    assert found.observed == pytest.approx(found.expected, rel=0.05)
    assert len(facts["age"]) == found.studies


def test_the_interval_of_an_expected_auc_covers_it() -> None:
    """95 % of samples of 200 studies, about: what the whole population would give lies in the interval."""
    rng = np.random.default_rng(0)
    everybody = 1 / (1 + np.exp(-rng.normal(-2, 2, 100_000)))
    whole = expected_auc(known(np.zeros(len(everybody)), everybody)).value
    hit = 0
    for _ in range(200):
        found = expected_auc(known(np.zeros(200), rng.choice(everybody, 200)))
        hit += found.low <= whole <= found.high
    assert 180 <= hit <= 198


def test_too_few_studies_promise_nothing() -> None:
    found = expected("m", np.full(29, 0.5), np.ones(29), np.full(29, np.nan), np.arange(29))
    assert {found.auc.reason, found.sensitivity.reason} == {"not estimable: 29 of 30 studies needed"}
    alike = expected("m", np.ones(40), np.ones(40), np.full(40, np.nan), np.arange(40))
    assert alike.specificity.reason.startswith("not estimable")
    assert alike.auc.reason.startswith("not estimable")


# ---- rules ---------------------------------------------------------------------------------------------


def limit(name: str, value: float | None, number: int = 1) -> Adjustment:
    return Adjustment(number, "alert", "", "", name, value, "Ann", "x", monitor_builder.START)


def test_the_newest_limit_counts_and_can_be_taken_back() -> None:
    assert limits() == {name: rule.default for name, rule in RULES.items()}
    assert limits([limit("psi", 0.3), limit("psi", 0.5)])["psi"] == 0.3
    assert limits([limit("psi", None), limit("psi", 0.5)])["psi"] == RULES["psi"].default
    assert limits([limit("latency", 0.0)])["latency"] == 0.0


def test_impossible_limits_have_a_reason() -> None:
    assert problem("share", 2.0) == "expected 0 to 1, found 2"
    assert problem("share", float("nan"))
    assert not problem("share", 0.5)


@pytest.mark.parametrize(
    ("one", "alarm"),
    [
        (replace(FOUND, adjusted=0.049), True),
        (replace(FOUND, adjusted=0.05), False),
        (replace(FOUND, adjusted=0.01, psi=0.099), False),
        (replace(FOUND, adjusted=None), False),
        (replace(FOUND, of="share", adjusted=0.01, psi=None, middle=(0.10, 0.14)), True),
        (replace(FOUND, of="share", adjusted=0.01, psi=None, middle=(0.14, 0.12)), False),
    ],
)
def test_an_alarm_wants_more_than_chance_and_enough_to_matter(one: Drift, alarm: bool) -> None:
    assert counts(one, limits()) is alarm
