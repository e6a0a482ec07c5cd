"""Tables of figures as HTML: numbers with their intervals, what to beware of below. Pure functions, no Streamlit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dashboard.text import table
from ichscope.evaluation.label_metrics import CHOSEN_HERE, OWN, EvaluatedPoint, LabelMetrics
from ichscope.metrics import AtThreshold, AucComparison, Estimate, PredictiveValues, Subgroup
from ichscope.reporting.figures.formatting import NO_VALUE, group_name, interval, label_name
from ichscope.reporting.notes import FLATTERS, NumberedNotes
from ichscope.reporting.report_tables import AT_THEIR_PREVALENCE


def _cell(estimate: Estimate, notes: NumberedNotes) -> str:
    """A value with its interval, and the number of what to beware of."""
    return interval(estimate) + notes.mark(estimate.reason)


def _below(notes: NumberedNotes, first: str = "") -> str:
    """What stands below a table."""
    return " ".join([*([first] if first else []), *(f"{line}." for line in notes.lines())])


def ranking(by_label: Mapping[str, LabelMetrics]) -> str:
    """How well each label is ranked and calibrated."""
    notes, rows = NumberedNotes(), []
    for label, of_label in by_label.items():
        counts = (f"{of_label.positives:,}", f"{of_label.negatives:,}", f"{of_label.unknown:,}")
        values = (of_label.auc, of_label.average_precision, of_label.brier, of_label.calibration_slope)
        rows.append((label_name(label), *counts, *(_cell(of_label, notes) for of_label in values)))
    columns = ("Label", "n+", "n-", "Unknown", "AUC", "Average precision", "Brier score", "Calibration slope")
    methods = dict.fromkeys(of_label.auc.method for of_label in by_label.values() if of_label.auc.method)
    told = f"Unknown: truth or probability missing. Intervals are 95 %; AUC by {' or '.join(methods)}."
    return table(columns, rows, _below(notes, told if methods else ""))


def own_points(by_label: Mapping[str, LabelMetrics]) -> str:
    """What each label's own threshold gives."""
    notes, rows = NumberedNotes(), []
    for label, of_label in by_label.items():
        at = own_point(of_label)
        if at is None:
            rows.append((label_name(label) + notes.mark("the model has no threshold"), *[NO_VALUE] * 9))
            continue
        counts = (at.confusion.tp, at.confusion.fn, at.confusion.fp, at.confusion.tn)
        shares = (at.sensitivity, at.specificity, at.ppv, at.npv)
        rows.append(
            (
                *(label_name(label), f"{at.threshold:.4g}", *(f"{count:,}" for count in counts)),
                *(_cell(of_label, notes) for of_label in shares),
            )
        )
    return table(
        ("Label", "Threshold", "TP", "FN", "FP", "TN", "Sensitivity", "Specificity", "PPV", "NPV"),
        rows,
        _below(notes, AT_THEIR_PREVALENCE),
    )


def own_point(label_metrics: LabelMetrics) -> AtThreshold | None:
    """What the model's own threshold gives."""
    return next((point.metrics for point in label_metrics.operating_points if point.chosen_on == OWN), None)


def operating_points(points: Sequence[EvaluatedPoint]) -> str:
    """Operating points of one label, each with the share of rows that it flags."""
    notes, rows = NumberedNotes(), []
    for point in points:
        name = point.name[0].upper() + point.name[1:]
        if point.metrics is None:
            rows.append((name + notes.mark(point.reason), *[NO_VALUE] * 6))
            continue
        mark = notes.mark(FLATTERS if point.chosen_on == CHOSEN_HERE else "")
        at = point.metrics
        shares = (at.sensitivity, at.specificity, at.ppv, at.npv, at.flagged)
        rows.append((name + mark, f"{at.threshold:.4g}", *(_cell(estimate, notes) for estimate in shares)))
    columns = ("Operating point", "Threshold", "Sensitivity", "Specificity", "PPV", "NPV", "Flagged")
    return table(columns, rows, _below(notes, AT_THEIR_PREVALENCE))


def at_threshold(at: AtThreshold, elsewhere: PredictiveValues) -> str:
    """What a threshold gives here, and PPV, NPV and workload where another share bleeds."""
    notes, c = NumberedNotes(), at.confusion
    there = f"at prevalence {100 * elsewhere.prevalence:.3g} %"
    rows = [
        ("Sensitivity", _cell(at.sensitivity, notes), f"{c.tp:,} of {c.tp + c.fn:,}"),
        ("Specificity", _cell(at.specificity, notes), f"{c.tn:,} of {c.tn + c.fp:,}"),
        ("PPV in these data", _cell(at.ppv, notes), f"{c.tp:,} of {c.tp + c.fp:,}"),
        ("NPV in these data", _cell(at.npv, notes), f"{c.tn:,} of {c.tn + c.fn:,}"),
        ("Flagged in these data", _cell(at.flagged, notes), f"{c.tp + c.fp:,} of {c.tp + c.fp + c.tn + c.fn:,}"),
        (f"PPV {there}", _cell(elsewhere.ppv, notes), ""),
        (f"NPV {there}", _cell(elsewhere.npv, notes), ""),
        (f"Flagged {there}", _cell(elsewhere.flagged, notes), ""),
    ]
    return table(("At this threshold", "Value (95 %)", "Rows"), rows, _below(notes))


def calibration(label_metrics: LabelMetrics) -> str:
    """Whether probabilities mean what they say."""
    notes = NumberedNotes()
    rows = [
        ("Brier score, 0 is best", _cell(label_metrics.brier, notes)),
        ("Expected calibration error, 0 is best", _cell(label_metrics.calibration_error, notes)),
        ("Calibration slope, 1 is ideal", _cell(label_metrics.calibration_slope, notes)),
        ("Calibration intercept, 0 is ideal", _cell(label_metrics.calibration_intercept, notes)),
    ]
    return table(("Calibration", "Value (95 %)"), rows, _below(notes))


def log_loss(model: Estimate, floor: Estimate) -> str:
    """Weighted log loss of six labels beside what it must beat."""
    notes = NumberedNotes()
    rows = [
        ("The model, 0 is best", _cell(model, notes)),
        ("Floor: each label's prevalence", _cell(floor, notes)),
    ]
    return table(("Weighted log loss, all six labels", "Value (95 %)"), rows, _below(notes))


def comparisons(first: str, second: str, by_label: Mapping[str, AucComparison]) -> str:
    """Two models, label by label, with the paired test."""
    notes, rows = NumberedNotes(), []
    for label, comparison in by_label.items():
        p = NO_VALUE if comparison.p is None else ("<0.0001" if comparison.p < 1e-4 else f"{comparison.p:.3g}")
        rows.append(
            (
                label_name(label),
                *(
                    _cell(comparison, notes)
                    for comparison in (comparison.first, comparison.second, comparison.difference)
                ),
                p,
            )
        )
    methods = dict.fromkeys(
        comparison.difference.method for comparison in by_label.values() if comparison.difference.method
    )
    test = (
        f"Difference: {first} minus {second}, {' or '.join(methods)}, on the rows that both cover." if methods else ""
    )
    columns = ("Label", f"AUC of {first}", f"AUC of {second}", "Difference", "p")
    return table(columns, rows, _below(notes, test))


def subgroups(overall: Subgroup, groups: Mapping[str, Sequence[Subgroup]]) -> str:
    """Subgroups with their numbers; those that are withheld keep their line."""
    notes, rows = NumberedNotes(), []
    named = [(group_name(by, group), group) for by, subgroups_ in groups.items() for group in subgroups_]
    for name, group in [("All", overall), *named]:
        positives = NO_VALUE if group.positives is None else f"{group.positives:,}"
        counts = (f"{group.rows:,}", f"{group.patients:,}", positives)
        shares = (group.auc, group.sensitivity, group.specificity)
        rows.append((name, *counts, *(_cell(estimate, notes) for estimate in shares)))
    return table(("Group", "n", "Patients", "n+", "AUC", "Sensitivity", "Specificity"), rows, _below(notes))
