"""When to raise an alert: a handful of named rules, each with a limit that users can set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ichscope.monitor.drift import ENOUGH
from ichscope.store import Adjustment

if TYPE_CHECKING:
    from ichscope.metrics import Estimate
    from ichscope.monitor.drift import Drift
    from ichscope.monitor.report import Monitored


@dataclass(frozen=True)
class Rule:
    """One limit: what it says, in which unit, and what it is unless somebody sets it; `low` and `high` bound it."""

    title: str
    unit: str
    default: float
    low: float
    high: float


RULES: Final[Mapping[str, Rule]] = {
    "false alarms": Rule("Chance of a false alarm among all comparisons", "", 0.05, 0.0001, 0.5),
    "psi": Rule("Stability index from which a shift counts", "", 0.1, 0.0, 10.0),
    "share": Rule("Change of a share that counts", "", 0.03, 0.0, 1.0),
    "not analysed": Rule("Highest share of studies not analysed", "", 0.2, 0.0, 1.0),
    "no result": Rule("Highest share of analysed studies without a result of one model", "", 0.05, 0.0, 1.0),
    "failures": Rule("Highest share of items of jobs that failed", "", 0.05, 0.0, 1.0),
    "overrides": Rule("Highest share of reviews that reject the models", "", 0.2, 0.0, 1.0),
    "latency": Rule("Longest time from arrival to result, 95th percentile", "s", 3600.0, 0.0, 1e9),
    "sensitivity": Rule("Lowest expected sensitivity (0: never an alert)", "", 0.0, 0.0, 1.0),
    "silence": Rule("Longest time without a new study", "days", 7.0, 0.0, 1e6),
}
Limits = Mapping[str, float]


@dataclass(frozen=True)
class Alert:
    """A rule that is broken, by what, and how far."""

    rule: str
    about: str
    text: str


def limits(set_by_users: Iterable[Adjustment] = ()) -> dict[str, float]:
    """Give the limits in force, from what users have set, the newest first."""
    newest: dict[str, float | None] = {}
    for one in set_by_users:
        newest.setdefault(one.name, one.value)
    return {name: value if (value := newest.get(name)) is not None else rule.default for name, rule in RULES.items()}


def problem(rule: str, value: float) -> str:
    """Why a limit cannot be, or ""."""
    bounds = RULES[rule]
    return "" if bounds.low <= value <= bounds.high else f"expected {bounds.low:g} to {bounds.high:g}, found {value:g}"


def alerts(found: Monitored, limit: Limits) -> tuple[Alert, ...]:
    """Tell which rules are broken."""
    broken = [_changed(one) for one in found.drifts if counts(one, limit)]
    broken += _above("not analysed", found.not_analysed, limit, "of the studies were not analysed")
    for name, unheard in found.unheard.items():
        broken += _above("no result", unheard, limit, f"of the analysed studies have no result of {name}", name)
    broken += _above("failures", found.failures, limit, "of the items of jobs failed")
    broken += _above("overrides", found.overrides, limit, "of the reviews reject what the models say")
    slowest = found.current_times.result_p95_s
    if slowest is not None and slowest > limit["latency"] and found.current_times.studies >= ENOUGH:
        broken.append(Alert("latency", "latency", f"5 % of the results took longer than {slowest:,.0f} s"))
    for one in found.expected:
        highest = one.sensitivity.high
        if highest is not None and highest < limit["sensitivity"]:
            text = f"expected sensitivity of {one.model} is {one.sensitivity.value:.3f}, at most {highest:.3f}"
            broken.append(Alert("sensitivity", one.model, text))
    if found.silent_days is not None and found.silent_days > limit["silence"]:
        broken.append(Alert("silence", "silence", f"no study has arrived for {found.silent_days:.1f} days"))
    return tuple(broken)


def counts(one: Drift, limit: Limits) -> bool:
    """Whether a change is more than chance, and large enough to matter."""
    if one.adjusted is None or one.adjusted >= limit["false alarms"]:
        return False
    if one.of == "share" and one.middle:
        return abs(one.middle[1] - one.middle[0]) >= limit["share"]
    return one.psi is not None and one.psi >= limit["psi"]


def _changed(one: Drift) -> Alert:
    before, now = one.written or ("", "")
    if one.of == "share":
        return Alert("share", one.name, f"{one.title}: {before} before, {now} now (p {_p(one)})")
    middle = f", median {before} before, {now} now" if one.middle else ""
    return Alert("psi", one.name, f"{one.title} has shifted{middle} (PSI {one.psi:.3f}, p {_p(one)})")


def _p(one: Drift) -> str:
    adjusted = one.adjusted or 0.0
    return "<0.001" if adjusted < 0.001 else f"{adjusted:.3f}"


def _above(rule: str, found: Estimate, limit: Limits, words: str, about: str = "") -> list[Alert]:
    """Only where even the lower end of the interval is too high."""
    if found.value is None or found.low is None or found.low <= limit[rule]:
        return []
    return [Alert(rule, about or rule, f"{100 * found.value:.1f} % {words}, at least {100 * found.low:.1f} %")]
