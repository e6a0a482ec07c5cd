"""metrics.json to read: Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ichscope.markdown import table, with_interval


def as_markdown(name: str, found: Mapping[str, Any]) -> str:
    """All of it, most asked for first."""
    parts = [f"# {name}", "## Operating points", _points(found["operating_points"])]
    for part, figures in found["measured"].items():
        if figures:
            parts += [f"## Measured: {part}", _measured(figures), _at_points(figures)]
    rows = [
        [source, label, one["n"], with_interval(one, "sensitivity", 2)]
        for source, labels in found["found_by_kind"].items()
        for label, one in labels.items()
    ]
    parts += ["## Flagged at the default point", table(["collection", "kind of bleed", "studies", "flagged"], rows)]
    if found["ablations"]:
        parts += ["## Ablations", _ablations(found["ablations"])]
    if found["final_shift"]:
        shift = ", ".join(f"{level} {value:+.2f}" for level, value in found["final_shift"].items())
        parts += ["## Final model against the folds", f"Calibrated logit of `any` on the same rows: {shift}."]
    return "\n\n".join(part for part in parts if part) + "\n"


def _points(found: Mapping[str, Any]) -> str:
    rows = [
        [
            one["name"],
            f"{one['threshold']:.3f}",
            with_interval(one, "sensitivity", 2),
            with_interval(one, "specificity", 2),
        ]
        for one in found["points"]
    ]
    counts = "; ".join(
        f"{name}: " + ", ".join(f"{count} {source}" for source, count in sources.items())
        for name, sources in found["patients"].items()
    )
    subtypes = ", ".join(
        f"{label} {value:.3f}" for label, value in found["thresholds"]["study"].items() if label != "any"
    )
    return "\n\n".join(
        [
            table(["point", "threshold on any", "sensitivity", "specificity"], rows),
            f"Default: {found['default']}. {found['reason']} Patients {counts}. Prevalence {found['prevalence']}."
            + (f" Thresholds of the subtypes (Youden): {subtypes}." if subtypes else ""),
        ]
    )


_COUNTS = {"n": "n", "positives": "positive", "positive_patients": "positive patients", "patients": "patients"}
_FIGURES = {"auc": "AUC", "ap": "AP", "log_loss": "log loss", "brier": "Brier", "ece": "ECE"}


def _measured(figures: Mapping[str, Any]) -> str:
    """Table of what has both classes."""
    rows = []
    for name, one in figures.items():
        if "log_loss" in one:
            cells = [with_interval(one, figure) for figure in _FIGURES]
            cells[2] += f", floor {one['log_loss_floor']:.3f}"
            rows.append([name, *(one.get(count, "") for count in _COUNTS), *cells])
    return table(["collection level label", *_COUNTS.values(), *_FIGURES.values()], rows)


def _at_points(figures: Mapping[str, Any]) -> str:
    rows = [
        [name, point, with_interval(at, "sensitivity", 2), with_interval(at, "specificity", 2)]
        for name, one in figures.items()
        for point, at in one.get("at", {}).items()
    ]
    return table(["collection level label", "threshold", "sensitivity", "specificity"], rows)


def _ablations(found: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [one["without"], len(one["folds"]), measure, auc["with"], auc["without"], with_interval(auc, "difference")]
        for one in found
        for measure, auc in one["auc"].items()
    ]
    return table(["without", "folds", "measure", "AUC whole", "AUC without", "difference"], rows)
