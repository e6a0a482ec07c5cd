"""Figures of how good a model is: arrays in, dataclasses out. Nothing here is ever nan; what cannot be estimated
says why.
"""

from ichscope.metrics.calibration import (
    CalibrationLine,
    brier,
    calibration_line,
    expected_calibration_error,
    log_loss_floor,
    weighted_log_loss,
)
from ichscope.metrics.estimate import Estimate, wilson
from ichscope.metrics.points import (
    AtThreshold,
    Confusion,
    OperatingPoint,
    at_threshold,
    operating_point_at_sensitivity,
    operating_point_at_specificity,
    proportion,
    youden,
)
from ichscope.metrics.ranking import PrCurve, RocCurve, average_precision, pr_curve, roc_auc, roc_curve

__all__ = [
    "AtThreshold",
    "CalibrationLine",
    "Confusion",
    "Estimate",
    "OperatingPoint",
    "PrCurve",
    "RocCurve",
    "at_threshold",
    "average_precision",
    "brier",
    "calibration_line",
    "expected_calibration_error",
    "log_loss_floor",
    "operating_point_at_sensitivity",
    "operating_point_at_specificity",
    "pr_curve",
    "proportion",
    "roc_auc",
    "roc_curve",
    "weighted_log_loss",
    "wilson",
    "youden",
]
