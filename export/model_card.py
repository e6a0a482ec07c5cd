"""The model card for people, made from card.json (headings after Mitchell et al., Model Cards, FAT* 2019, and CHAI)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ichscope.labels import DISPLAY_NAMES, LABELS
from ichscope.markdown import table, with_interval
from ichscope.models.card import ENCODER_FILE, ModelCard, ModelError
from ichscope.models.card_parts import CardOperatingPoint, Failure, Figures, TrainingSource
from training.splits import FOLDS

_BACKBONES = {"resnet50": "ResNet50", "mobilenetv2": "MobileNetV2", "inceptionv3": "InceptionV3"}
_HEADS = {
    "cranioscan": "a Transformer encoder over the slices of a study",
    "cerebroscan": "a bidirectional LSTM over the slices of a study",
}
# By number of labels: a collection may not tell all kinds.
_GIVEN = {1: "haemorrhage or normal", len(LABELS): "six haemorrhage labels"}
_LIMITS = (
    "For research and quality work. Not a medical device, not for diagnosis, not a replacement for a reader.",
    "{trained}; the figures below have wide intervals, and a "
    "model does worse at hospitals that it does not know. Measure it on your own studies before you rely on a number.",
    "Adults, axial CT of the head without contrast. Pictures (JPG, PNG) have no HU: results on them are weaker.",
    "Small, thin or isodense bleeds are missed; calcifications, bone edges and artefacts are taken for blood at times.",
    "Whether it does as well for every age, sex, scanner and slice thickness has not been measured: too few patients.",
    "The evidence map shows what moved the model. It is not an outline of a lesion.",
)
_NON_COMMERCIAL = "non-commercial"
_SYNTHETIC = "synthetic bleeds"
# Collections that are slices and not studies.
_SINGLE_SLICES = {"rsna-more", "rsna-sdh", "bhsd", "cpaisd", "pictures"}
# Of heads scanned in an emergency department, 6 to 15 % bleed.
_PREVALENCE = 0.10
_FEW_PATIENTS = 10
# What is known of models trained on all of RSNA 2019.
_FULL_SET = (
    (
        "RSNA 2019, 1st place (Wang et al., NeuroImage: Clinical 2021)",
        "weighted log loss 0.0438; slice AUC any .988, EDH .984, IPH .992, IVH .996, SAH .985, SDH .983; elsewhere any "
        ".964 (PhysioNet CT-ICH, 75 scans) and .949 (CQ500)",
    ),
    (
        "I. Pan's open model (MaxViT and GRU, split by patient)",
        "study AUC any .980, EDH .926, IPH .969, IVH .987, SAH .954, SDH .960",
    ),
    (
        "RSNA 2019, 2nd place",
        "weighted log loss 0.066 for single slices, 0.059 with an LSTM over the slices' features",
    ),
    ("always giving the prevalence of RSNA 2019", "weighted log loss 0.23, the floor"),
)


def limits(training_data: Sequence[Mapping[str, Any]], measured_on: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Say what a model is not good for, after what it was trained on and its operating points were measured on."""
    rows = [row for row in training_data if row["use"] == "training"]
    names = [row["name"] for row in rows if not row["name"].startswith(_SYNTHETIC)]
    synthetic = " and on synthetic bleeds" if len(names) < len(rows) else ""
    said = [limit.format(trained=f"Trained on patients of {', '.join(names)}{synthetic}") for limit in _LIMITS]
    collections = {name for counts in measured_on.values() for name in counts}
    if collections and collections <= _SINGLE_SLICES:
        said.append("Operating points were chosen on single slices: what they give on whole studies is not known.")
    return said


def description(config: Mapping[str, Any]) -> str:
    """Say in a sentence what a model is made of."""
    count = len(config["labels"])
    given = _GIVEN.get(count, f"{count} haemorrhage labels")
    return f"{_BACKBONES[config['backbone']]} slice encoder and {_HEADS[config['model']]}; {given}."


def readme(card: ModelCard) -> str:
    """Write the card as Markdown; every number of this model stands in card.json."""
    sections = {
        "Intended use and limits": _use(card),
        "Input and output": _inputs(card),
        "Training data and licences": _training_data(card),
        "Operating points": _operating_points(card),
        "How it was measured": _method(card),
        "Measured": _measured(card),
        "What helps": _ablations(card),
        "Do features tell collections apart?": _told_apart(card),
        "Evidence maps": _evidence(card),
        "Known failures": _failures(card),
        "What the full RSNA set should give": _full_set(),
        "Files and parity": _files(card),
        "8-bit weights": _int8(card),
    }
    parts = [f"# {card.name} {card.version}\n\n{card.description}"]
    return "\n\n".join(parts + [f"## {title}\n\n{text}" for title, text in sections.items() if text]) + "\n"


def _use(card: ModelCard) -> str:
    who = (
        "For radiologists and quality staff who want a second look at non-contrast head CT: which studies and slices "
        "are likely to show an intracranial haemorrhage. Somebody who can read the study must be able to overrule it."
    )
    return "\n".join([who, "", *(f"- {limit}" for limit in card.limits)])


def _inputs(card: ModelCard) -> str:
    names = ", ".join(DISPLAY_NAMES[label] for label in card.labels)
    return (
        f"In: slices of {card.input_size} x {card.input_size} pixels in HU (int16), cropped to the head by "
        "`ichscope.imaging.preprocess`. Out: calibrated probabilities by slice and study of: "
        f"{names}; an evidence map a slice."
    )


def _training_data(card: ModelCard) -> str:
    columns = ("name", "use", "patients", "slices", "licence", "citation")
    rows = [[getattr(source, name) for name in columns] for source in card.training_data]
    text = table(["collection", *columns[1:]], rows)
    # Each name once, in their order.
    bound = dict.fromkeys(
        source.name for source in card.training_data if _NON_COMMERCIAL in source.licence and _trains(source)
    )
    if bound:
        text += (
            f"\n\n**These weights were trained on data for non-commercial use only ({', '.join(bound)}): "
            "they may not be used commercially, whatever the licence of the program.**"
        )
    return text


def _trains(source: TrainingSource) -> bool:
    return "figures" not in source.use


# --- figures -------------------------------------------------------------------------------------------

_METHOD = f"""\
Cross-validation: {{folds}} were run, split by patient; every figure is of patients that the model giving it had not
seen, with calibration and thresholds fitted on the others of these folds (AUC and AP, which see the order alone, are of
logits before calibration, since all of the published model's go through the same). The published model is trained on
all patients; its calibration and thresholds come from these folds together.

Elsewhere: collections that no run trains on. "Elsewhere" is the mean over the models of the folds, "final model" is the
published one. Unknown hospital: all patients of one hospital, the mean over models that were trained without any of
them. Level "picture": a single slice given as if it were a study.

Implanted: synthetic bleeds and decoys in normal heads of the fold that was held back. PHE-SICH readers outlined one
kind of bleed only, so `any` has no negatives there, and `rsna-sdh` and `bhsd` have bleeds only: sensitivity alone.

Brackets are 95 % intervals from a bootstrap over patients; of sensitivity and specificity Wilson's, for the effective
number of patients. With fewer than {_FEW_PATIENTS} positive patients they are too narrow. The floor of the log loss is
that of always giving the prevalence; "all" weighs the labels as RSNA 2019 did."""


def _method(card: ModelCard) -> str:
    return _METHOD.format(folds=f"{len(card.metrics.folds or [])} of {FOLDS} folds")


def _operating_points(card: ModelCard) -> str:
    rows = [
        [
            f"**{point.name}**" if point.name == card.default_point else point.name,
            f"{point.threshold:.3f}",
            with_interval(vars(point), "sensitivity", 2),
            with_interval(vars(point), "specificity", 2),
            *_predictive(point),
        ]
        for point in card.operating_points
    ]
    at = f"at {_PREVALENCE:.0%} prevalence"
    header = ["point", "threshold on any", "sensitivity", "specificity", f"PPV {at}", f"NPV {at}"]
    subtypes = ", ".join(f"{label} {value:.3f}" for label, value in card.thresholds.items() if label != "any")
    text = f"{table(header, rows)}\n\nIn force: {card.default_point}. {card.default_reason}"
    if card.decides:
        text += " This model decides whether a study is flagged; others beside it are second opinions."
    if chosen := card.metrics.chosen_on:
        counts = "; ".join(
            f"{name}: " + ", ".join(f"{count} of {source}" for source, count in sources.items())
            for name, sources in chosen["patients"].items()
        )
        text += (
            f"\n\nPoints are on the probability of a whole study, from patients held out ({counts}). A collection "
            "counts by its patients, 30 at most; specificity is of real heads alone. ROC curves are smoothed; "
            "sensitivity and specificity are cross-fitted. Probabilities are calibrated to a prevalence of "
            f"{chosen['prevalence']:.0%} among studies: where fewer bleed, they are too high."
        )
    return text + (f"\n\nThresholds of the subtypes (Youden): {subtypes}." if subtypes else "")


def _predictive(point: CardOperatingPoint) -> list[str]:
    bleeding, normal = _PREVALENCE, 1 - _PREVALENCE
    caught, missed = bleeding * point.sensitivity, bleeding * (1 - point.sensitivity)
    alarms, left = normal * (1 - point.specificity), normal * point.specificity
    pairs = ((caught, alarms), (left, missed))
    return [f"{part / (part + other):.2f}" if part + other else "" for part, other in pairs]


_COUNTS = {"n": "n", "positives": "positive", "positive_patients": "positive patients", "patients": "patients"}
_FIGURES = {"auc": "AUC", "ap": "AP", "log_loss": "log loss", "brier": "Brier", "ece": "ECE"}


def _measured(card: ModelCard) -> str:
    parts = []
    measured = {
        "Cross-validation": card.metrics.cross_validation,
        "Elsewhere": card.metrics.elsewhere,
        "Elsewhere, final model": card.metrics.elsewhere_final_model,
        **{
            f"Unknown hospital: trained without {name}": figures
            for name, figures in (card.metrics.unknown_hospitals or {}).items()
        },
    }
    for part, figures in measured.items():
        if not figures:
            continue
        both = table(
            ["collection", "level", "label", *_COUNTS.values(), *_FIGURES.values()],
            [
                [*name.split(" "), *(of_label.get(count, "") for count in _COUNTS), *_cells(of_label)]
                for name, of_label in figures.items()
                if "log_loss" in of_label
            ],
        )
        shares = table(
            ["collection", "level", "label", "threshold", "sensitivity", "specificity"],
            [
                [*name.split(" "), point, with_interval(at, "sensitivity", 2), with_interval(at, "specificity", 2)]
                for name, of_label in figures.items()
                for point, at in of_label.get("at", {}).items()
                if point == card.default_point or not name.endswith(" any")
            ],
        )
        parts += [f"### {part}", both, shares]
    return "\n\n".join(part for part in parts if part)


def _cells(figures: Figures) -> list[str]:
    cells = {name: with_interval(figures, name) for name in _FIGURES}
    cells["log_loss"] += f"; floor {figures['log_loss_floor']:.3f}"
    return list(cells.values())


def _ablations(card: ModelCard) -> str:
    rows = [
        [left_out["without"], len(left_out["folds"]), name, f"{auc['with']:.3f}", f"{auc['without']:.3f}", _signed(auc)]
        for left_out in card.metrics.ablations or ()
        for name, auc in left_out["auc"].items()
    ]
    text = table(["left out of training", "folds", "measure", "AUC with", "AUC without", "difference"], rows)
    return text and f"AUC of the same held-out rows, the mean of the folds that were trained both ways.\n\n{text}"


def _told_apart(card: ModelCard) -> str:
    if not (told := card.metrics.sources_told_apart):
        return ""
    rows = [
        ["with a bleed" if pair["bleed"] else "without", *pair["collections"], *pair["slices"], f"{pair['auc']:.3f}"]
        for pair in told
    ]
    return (
        "Where two collections look different, labels may be learned from how they look. AUC of a linear probe on "
        "the features of held-out slices, within a label; .5 is what is wanted.\n\n"
        + table(["slices", "collection", "other collection", "n", "n of the other", "AUC of the probe"], rows)
    )


def _signed(auc: Mapping[str, Any]) -> str:
    ends = auc["difference_95"]
    return f"{auc['difference']:+.3f}" + (f" ({ends[0]:+.3f} to {ends[1]:+.3f})" if ends else "")


def _evidence(card: ModelCard) -> str:
    evidence = card.metrics.evidence
    if not evidence:
        return ""
    rows = [
        [where, label, share["detected"], with_interval(share, "inside", 2) or "not estimable"]
        for where in ("implants", "phantoms")
        for label, share in {"all labels": evidence[where], **evidence[where]["by_label"]}.items()
    ]
    return (
        "Of the slices on which a label was rightly detected, the share whose highest evidence for that label lies "
        f"inside the known bleed, widened by {evidence['tolerance_cells']} cell of the map (implants: by the fold that "
        "held the head back; phantoms: by the published model).\n\n"
        + table(["synthetic", "label", "detected slices", "peak inside the bleed"], rows)
    )


def _failures(card: ModelCard) -> str:
    parts = []
    kinds = [
        [source, label, flagged["n"], with_interval(flagged, "sensitivity", 2)]
        for source, labels in (card.metrics.found_by_kind or {}).items()
        for label, flagged in labels.items()
    ]
    if kinds:
        text = "Studies flagged at the default point, by the kind of bleed that they have (cross-validation):"
        parts += [text, table(["collection", "kind", "studies", "flagged"], kinds)]
    if by_bleed := (card.metrics.evidence or {}).get("phantoms", {}).get("flagged"):
        counts = ", ".join(f"{bleed} {count['flagged']} of {count['studies']}" for bleed, count in by_bleed.items())
        parts.append(f"Phantoms flagged by the published model, by bleed: {counts}.")
    if card.failures:
        rows = [
            [failure.bleed or "none", f"{failure.ml:.1f}", f"{failure.probability:.3f}", f"`{_command(failure)}`"]
            for failure in card.failures
        ]
        parts += [
            "Phantoms on the wrong side of the threshold, to look at:",
            table(["bleed", "ml", "probability of any", "make it with"], rows),
        ]
    return "\n\n".join(parts)


def _command(failure: Failure) -> str:
    bleed = f"--bleed {failure.bleed} " if failure.bleed else ""
    return f"ichscope phantom FOLDER {bleed}--seed {failure.seed} --slices {failure.slices}"


def _full_set() -> str:
    return (
        "The same program trains on all of RSNA 2019 (18,938 patients; `training/README.md` has the commands). Not "
        "measured here; what others reached with that set:\n\n" + table(["who", "what"], _FULL_SET)
    )


def _files(card: ModelCard) -> str:
    places = {ENCODER_FILE: f"../{card.encoder_of}/{ENCODER_FILE}"} if card.encoder_of else {}
    hashes = table(["file", "SHA-256"], [[places.get(name, name), f"`{sha}`"] for name, sha in card.sha256.items()])
    software = ", ".join(f"{name} {version}" for name, version in card.software.items())
    if (parity := card.parity) is None:
        return f"{hashes}\n\nMade with {software}."
    worst = ", ".join(f"{name} {value:.1e}" for name, value in parity.largest_difference.items())
    return (
        f"{hashes}\n\nWeights are stored in {parity.weights_stored_as} and computed in fp32. Largest difference"
        f" between Keras and ONNX Runtime (CPU, studies of {list(parity.slices)} slices): {worst};"
        f" allowed {parity.tolerance}. Made with {software}."
    )


def _int8(card: ModelCard) -> str:
    """What 8-bit weights change, where the model has them."""
    if card.int8 is None or (measured := card.int8.measured) is None:
        return ""
    rows = [
        [name, f"{auc.fp32:.4f}", f"{auc.int8:.4f}", f"{auc.change:+.4f}", str(auc.pairs)]
        for name, auc in measured.auc.items()
    ]
    worst = measured.largest_change
    return (
        f"`encoder.int8.onnx` (SHA-256 `{card.int8.sha256}`) is for processors that are faster with it; "
        "`python -m training.quantise` makes it from the ranges in `card.json`. Ranges come from "
        f"{card.int8.calibrated_on_patients} patients, the figures from {measured.patients} others, by which it "
        "was also chosen, of several ways, which layers keep fp32. A "
        f"probability changes by at most {worst['slice']:.3f} (slices) and {worst['study']:.3f} (studies). AUCs with "
        "more than 500 pairs of a positive and a negative may change by 0.002; with fewer, one pair alone is more."
        "\n\n" + table(["figure", "AUC in fp32", "with 8 bits", "change", "pairs"], rows)
    )


def main(arguments: list[str] | None = None) -> int:
    """Write README.md of a model folder anew from its card."""
    parser = argparse.ArgumentParser(description="Write README.md of a model folder from its card.")
    parser.add_argument("folder", type=Path, help="a model folder, such as models/cranioscan")
    options = parser.parse_args(arguments)
    try:
        card = ModelCard.read(options.folder)
    except ModelError as error:
        print(error, file=sys.stderr)
        return 1
    (options.folder / "README.md").write_text(readme(card), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
