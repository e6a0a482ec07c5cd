"""Figures of how good a model is: arrays in, dataclasses out.

Nothing here is ever nan; what cannot be estimated says why (`Estimate.reason`).
"""

from ichscope.metrics.calibration import (
    CalibrationBin,
    CalibrationLine,
    brier,
    calibration_curve,
    calibration_line,
    expected_calibration_error,
    log_loss_floor,
    weighted_log_loss,
)
from ichscope.metrics.curves import Band, DecisionCurve, PrCurve, RocCurve, decision_curve, pr_curve, roc_curve
from ichscope.metrics.estimate import Estimate
from ichscope.metrics.groups import JointConfusion, Rule, Subgroup, joint_confusion, study_score, study_truth, subgroups
from ichscope.metrics.points import (
    AtThreshold,
    Confusion,
    OperatingPoint,
    PredictiveValues,
    at_prevalence,
    at_threshold,
    operating_point_at_sensitivity,
    operating_point_at_specificity,
    operating_points,
    positives,
    youden,
)
from ichscope.metrics.ranking import AucComparison, average_precision, compare_auc, roc_auc

__all__ = [
    "AtThreshold",
    "AucComparison",
    "Band",
    "CalibrationBin",
    "CalibrationLine",
    "Confusion",
    "DecisionCurve",
    "Estimate",
    "JointConfusion",
    "OperatingPoint",
    "PrCurve",
    "PredictiveValues",
    "RocCurve",
    "Rule",
    "Subgroup",
    "at_prevalence",
    "at_threshold",
    "average_precision",
    "brier",
    "calibration_curve",
    "calibration_line",
    "compare_auc",
    "decision_curve",
    "expected_calibration_error",
    "joint_confusion",
    "log_loss_floor",
    "operating_point_at_sensitivity",
    "operating_point_at_specificity",
    "operating_points",
    "positives",
    "pr_curve",
    "roc_auc",
    "roc_curve",
    "study_score",
    "study_truth",
    "subgroups",
    "weighted_log_loss",
    "youden",
]
