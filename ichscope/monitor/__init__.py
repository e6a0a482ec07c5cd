"""Monitoring: whether what comes in, and what the models say of it, is still what it was."""

from ichscope.monitor.agreement import CLASSES, Class
from ichscope.monitor.chart import Chart, Point
from ichscope.monitor.drift import Bin, Drift
from ichscope.monitor.expected import ASSUMPTION, Expected
from ichscope.monitor.period_data import Times
from ichscope.monitor.periods import Period, default_periods
from ichscope.monitor.report import Monitored, MonitorError, arrival_days, monitor
from ichscope.monitor.rules import RULES, Alert, Rule, limits
from ichscope.monitor.tables import csv_tables

__all__ = [
    "ASSUMPTION",
    "CLASSES",
    "RULES",
    "Alert",
    "Bin",
    "Chart",
    "Class",
    "Drift",
    "Expected",
    "MonitorError",
    "Monitored",
    "Period",
    "Point",
    "Rule",
    "Times",
    "arrival_days",
    "csv_tables",
    "default_periods",
    "limits",
    "monitor",
]
