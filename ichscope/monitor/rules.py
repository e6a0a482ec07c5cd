"""When to raise an alert: a handful of named rules, each with a limit that users can set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ichscope.metrics import Estimate
from ichscope.monitor.data import Alert, AlertRule, Drift, MonitoringReport
from ichscope.monitor.drift import ENOUGH
from ichscope.store import Adjustment

RULES: Final[Mapping[str, AlertRule]] = {
    "false alarms": AlertRule("Chance of a false alarm among all comparisons", "", 0.05, 0.0001, 0.5),
    "psi": AlertRule("Stability index from which a shift counts", "", 0.1, 0.0, 10.0),
    "share": AlertRule("Change of a share that counts", "", 0.03, 0.0, 1.0),
    "not analysed": AlertRule("Highest share of studies not analysed", "", 0.2, 0.0, 1.0),
    "no result": AlertRule("Highest share of analysed studies without a result of one model", "", 0.05, 0.0, 1.0),
    "failures": AlertRule("Highest share of items of jobs that failed", "", 0.05, 0.0, 1.0),
    "overrides": AlertRule("Highest share of reviews that reject the models", "", 0.2, 0.0, 1.0),
    "latency": AlertRule("Longest time from arrival to result, 95th percentile", "s", 3600.0, 0.0, 1e9),
    "sensitivity": AlertRule("Lowest expected sensitivity (0: never an alert)", "", 0.0, 0.0, 1.0),
    "silence": AlertRule("Longest time without a new study", "days", 7.0, 0.0, 1e6),
}
Limits = Mapping[str, float]


def limits(set_by_users: Iterable[Adjustment] = ()) -> dict[str, float]:
    """Give the limits in force, from what users have set, the newest first."""
    newest: dict[str, float | None] = {}
    for adjustment in set_by_users:
        newest.setdefault(adjustment.name, adjustment.value)
    return {name: value if (value := newest.get(name)) is not None else rule.default for name, rule in RULES.items()}


def problem(rule: str, value: float) -> str:
    """Why a limit cannot be, or ""."""
    bounds = RULES[rule]
    return "" if bounds.low <= value <= bounds.high else f"expected {bounds.low:g} to {bounds.high:g}, found {value:g}"


def alerts(report: MonitoringReport, limit: Limits) -> tuple[Alert, ...]:
    """Tell which rules are broken."""
    broken = [_changed(drift) for drift in report.drifts if counts(drift, limit)]
    broken += _above("not analysed", report.not_analysed, limit, "of the studies were not analysed")
    for name, missing in report.missing_output.items():
        broken += _above("no result", missing, limit, f"of the analysed studies have no result of {name}", name)
    broken += _above("failures", report.failures, limit, "of the items of jobs failed")
    broken += _above("overrides", report.overrides, limit, "of the reviews reject what the models say")
    slowest = report.current_times.result_p95_s
    if slowest is not None and slowest > limit["latency"] and report.current_times.studies >= ENOUGH:
        broken.append(Alert("latency", "latency", f"5 % of the results took longer than {slowest:,.0f} s"))
    for performance in report.expected:
        highest = performance.sensitivity.high
        if highest is not None and highest < limit["sensitivity"]:
            model, value = performance.model, performance.sensitivity.value
            text = f"expected sensitivity of {model} is {value:.3f}, at most {highest:.3f}"
            broken.append(Alert("sensitivity", model, text))
    if report.silent_days is not None and report.silent_days > limit["silence"]:
        broken.append(Alert("silence", "silence", f"no study has arrived for {report.silent_days:.1f} days"))
    return tuple(broken)


def counts(drift: Drift, limit: Limits) -> bool:
    """Whether a change is more than chance, and large enough to matter."""
    if drift.adjusted is None or drift.adjusted >= limit["false alarms"]:
        return False
    if drift.of == "share" and drift.middle:
        return abs(drift.middle[1] - drift.middle[0]) >= limit["share"]
    return drift.psi is not None and drift.psi >= limit["psi"]


def _changed(drift: Drift) -> Alert:
    before, now = drift.written or ("", "")
    if drift.of == "share":
        return Alert("share", drift.name, f"{drift.title}: {before} before, {now} now (p {_p(drift)})")
    middle = f", median {before} before, {now} now" if drift.middle else ""
    return Alert("psi", drift.name, f"{drift.title} has shifted{middle} (PSI {drift.psi:.3f}, p {_p(drift)})")


def _p(drift: Drift) -> str:
    adjusted = drift.adjusted or 0.0
    return "<0.001" if adjusted < 0.001 else f"{adjusted:.3f}"


def _above(rule: str, estimate: Estimate, limit: Limits, words: str, about: str = "") -> list[Alert]:
    """Only where even the lower end of the interval is too high."""
    if estimate.value is None or estimate.low is None or estimate.low <= limit[rule]:
        return []
    return [Alert(rule, about or rule, f"{100 * estimate.value:.1f} % {words}, at least {100 * estimate.low:.1f} %")]
