"""The model card for people, made from card.json (headings after Mitchell et al., Model Cards, FAT* 2019)."""

from __future__ import annotations

from typing import Any

from ichscope.card import ModelCard
from ichscope.labels import DISPLAY_NAMES

CARDS = {
    "cranioscan": "ResNet50 slice encoder and Transformer encoder over the slices; six haemorrhage labels.",
    "cerebroscan": "MobileNetV2 applied to every slice and a bidirectional LSTM over them; haemorrhage or normal.",
}

_LIMITS = """\
- For research and quality work. Not a medical device, not for diagnosis, not a replacement for a reader.
- Trained on few patients of two hospitals and on synthetic bleeds; the figures below have wide intervals, and a
  model that is measured at home does worse elsewhere. Measure it on your own studies before you rely on any number.
- Adults, axial CT of the head without contrast. Pictures (JPG, PNG) have no HU: results on them are weaker.
- Small, thin or isodense bleeds are missed; calcifications, bone edges and artefacts are taken for blood at times.
- The evidence map shows what moved the model. It is not an outline of a lesion."""


def readme(card: ModelCard) -> str:
    """Write the card as Markdown; every number in it stands in card.json."""
    parts = [
        f"# {card.name} {card.version}\n\n{card.description}",
        _section("Intended use and limits", _LIMITS),
        _section("Input and output", _inputs(card)),
        _section("Training data", _training_data(card)),
        _section("Operating points", _operating_points(card)),
        _section("Measured", _measured(card)),
        _section("Files and parity", _files(card)),
    ]
    return "\n\n".join(parts) + "\n"


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}"


def _table(header: list[str], rows: list[list[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _inputs(card: ModelCard) -> str:
    names = ", ".join(DISPLAY_NAMES[label] for label in card.labels)
    return (
        f"In: slices of {card.input_size} x {card.input_size} pixels in HU (int16), cropped to the head by "
        f"`ichscope.preprocess`. Out: calibrated probabilities by slice and study of: {names}; an evidence map a slice."
    )


def _training_data(card: ModelCard) -> str:
    rows = [
        [one["name"], one["use"], one["patients"], one["slices"], one["licence"], one["citation"]]
        for one in card.training_data
    ]
    table = _table(["collection", "use", "patients", "slices", "licence", "citation"], rows)
    return f"{table}\n\nSome of these licences allow non-commercial use only; so do weights trained on them."


def _operating_points(card: ModelCard) -> str:
    rows = [
        [point.name, f"{point.threshold:.3f}", _number(point.sensitivity), _number(point.specificity)]
        for point in card.operating_points
    ]
    subtypes = ", ".join(f"{label} {value:.3f}" for label, value in card.thresholds.items() if label != "any")
    text = _table(["point", "threshold on any", "sensitivity", "specificity"], rows)
    text += (
        f"\n\nIn force: {card.default_point}. Chosen on validation patients and synthetic bleeds in their normal heads,"
    )
    text += " so these sensitivities are optimistic about unusual bleeds."
    return text + (f" Thresholds of the subtypes: {subtypes} (Youden)." if subtypes else "")


def _measured(card: ModelCard) -> str:
    rows = []
    for part, figures in card.metrics.items():
        for name, one in figures.items():
            source, level, label = name.split(" ")
            rows.append([part, source, level, label, one["n"], one["positives"], one["positive_patients"], *_auc(one)])
    header = ["part", "collection", "level", "label", "n", "positive", "positive patients", "AUC (95 %)", "AP", "Brier"]
    notes = (
        "Validation patients chose the calibration and thresholds; test patients and the RSNA slices (elsewhere) saw"
        " neither training nor tuning. Intervals: bootstrap over patients; with few positive patients they are rough."
        " PHE-SICH readers outlined one kind of bleed only, so `any` cannot be measured there.\n\n"
    )
    return notes + _table(header, rows)


def _auc(one: dict[str, Any]) -> list[str]:
    if one["auc"] is None:
        return [f"not estimable: {one['why']}", "", ""]
    interval = one["auc_95"]
    words = f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else " (too few patients for an interval)"
    return [f"{one['auc']:.3f}{words}", f"{one['ap']:.3f}", f"{one['brier']:.3f}"]


def _number(value: float) -> str:
    return "not estimable" if value != value else f"{value:.2f}"


def _files(card: ModelCard) -> str:
    worst = ", ".join(f"{name} {value:.1e}" for name, value in card.parity["largest_difference"].items())
    hashes = _table(["file", "SHA-256"], [[name, f"`{value}`"] for name, value in card.sha256.items()])
    software = ", ".join(f"{name} {version}" for name, version in card.software.items())
    return (
        f"{hashes}\n\nWeights are stored in {card.parity['weights_stored_as']} and computed in fp32. Largest difference"
        f" between Keras and ONNX Runtime (CPU, studies of {card.parity['slices']} slices): {worst};"
        f" allowed {card.parity['tolerance']}. Made with {software}."
    )
