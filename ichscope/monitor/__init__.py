"""Monitoring: whether what comes in, and what the models say of it, is still what it was."""

from ichscope.monitor.agreement import CLASSES
from ichscope.monitor.data import (
    AgreementClass,
    Alert,
    AlertRule,
    ChartPoint,
    ControlChart,
    Drift,
    DriftBin,
    ExpectedPerformance,
    MonitoringPeriod,
    MonitoringReport,
    PeriodTimes,
)
from ichscope.monitor.expected import ASSUMPTION
from ichscope.monitor.periods import default_periods
from ichscope.monitor.report import MonitorError, arrival_days, monitor
from ichscope.monitor.rules import RULES, limits
from ichscope.monitor.tables import csv_tables, to_json

__all__ = [
    "ASSUMPTION",
    "CLASSES",
    "RULES",
    "AgreementClass",
    "Alert",
    "AlertRule",
    "ChartPoint",
    "ControlChart",
    "Drift",
    "DriftBin",
    "ExpectedPerformance",
    "MonitorError",
    "MonitoringPeriod",
    "MonitoringReport",
    "PeriodTimes",
    "arrival_days",
    "csv_tables",
    "default_periods",
    "limits",
    "monitor",
    "to_json",
]
