"""metrics.json to read: Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ichscope.markdown import table, with_interval
from training.source_probe import as_table

_WANTED = "An AUC of .5 is what is wanted; near 1 the collections look quite different, and labels may give them away."


def as_markdown(name: str, metrics: Mapping[str, Any]) -> str:
    """All of it, most asked for first."""
    parts = [f"# {name}", "## Operating points", _points(metrics["operating_points"])]
    for part, measures in metrics["measured"].items():
        if measures:
            parts += [f"## Measured: {part}", _measured(measures), _at_points(measures)]
    for name, measures in metrics.get("unknown_hospitals", {}).items():
        parts += [f"## Measured: unknown hospital, by runs without {name}", _measured(measures), _at_points(measures)]
    if told := metrics.get("sources_told_apart"):
        parts += ["## Do features tell collections apart within a label?", as_table(told), _WANTED]
    rows = [
        [source, label, share["n"], with_interval(share, "sensitivity", 2)]
        for source, labels in metrics["found_by_kind"].items()
        for label, share in labels.items()
    ]
    parts += ["## Flagged at the default point", table(["collection", "kind of bleed", "studies", "flagged"], rows)]
    if metrics["ablations"]:
        parts += ["## Ablations", _ablations(metrics["ablations"])]
    if metrics["final_shift"]:
        shift = ", ".join(f"{level} {value:+.2f}" for level, value in metrics["final_shift"].items())
        parts += ["## Final model against the folds", f"Calibrated logit of `any` on the same rows: {shift}."]
    return "\n\n".join(part for part in parts if part) + "\n"


def _points(chosen: Mapping[str, Any]) -> str:
    rows = [
        [
            point["name"],
            f"{point['threshold']:.3f}",
            with_interval(point, "sensitivity", 2),
            with_interval(point, "specificity", 2),
        ]
        for point in chosen["points"]
    ]
    counts = "; ".join(
        f"{name}: " + ", ".join(f"{count} {source}" for source, count in sources.items())
        for name, sources in chosen["patients"].items()
    )
    subtypes = ", ".join(
        f"{label} {value:.3f}" for label, value in chosen["thresholds"]["study"].items() if label != "any"
    )
    return "\n\n".join(
        [
            table(["point", "threshold on any", "sensitivity", "specificity"], rows),
            f"Default: {chosen['default']}. {chosen['reason']} Patients {counts}. Prevalence {chosen['prevalence']}."
            + (f" Thresholds of the subtypes (Youden): {subtypes}." if subtypes else ""),
        ]
    )


_COUNTS = {"n": "n", "positives": "positive", "positive_patients": "positive patients", "patients": "patients"}
_METRICS = {"auc": "AUC", "ap": "AP", "log_loss": "log loss", "brier": "Brier", "ece": "ECE"}


def _measured(measures: Mapping[str, Any]) -> str:
    """Table of what has both classes."""
    rows = []
    for name, measure in measures.items():
        if "log_loss" in measure:
            cells = [with_interval(measure, metric) for metric in _METRICS]
            cells[2] += f", floor {measure['log_loss_floor']:.3f}"
            rows.append([name, *(measure.get(count, "") for count in _COUNTS), *cells])
    return table(["collection level label", *_COUNTS.values(), *_METRICS.values()], rows)


def _at_points(measures: Mapping[str, Any]) -> str:
    rows = [
        [name, point, with_interval(at, "sensitivity", 2), with_interval(at, "specificity", 2)]
        for name, measure in measures.items()
        for point, at in measure.get("at", {}).items()
    ]
    return table(["collection level label", "threshold", "sensitivity", "specificity"], rows)


def _ablations(compared: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [row["without"], len(row["folds"]), measure, auc["with"], auc["without"], with_interval(auc, "difference")]
        for row in compared
        for measure, auc in row["auc"].items()
    ]
    return table(["without", "folds", "measure", "AUC whole", "AUC without", "difference"], rows)
