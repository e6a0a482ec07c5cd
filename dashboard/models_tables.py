"""Tables of the Models page as HTML, and the model card made safe. Pure functions, no Streamlit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dashboard.text import table
from dashboard.times import when
from ichscope.access import named
from ichscope.models.card import ModelCard
from ichscope.reporting.figures.formatting import NO_VALUE, label_name
from ichscope.store import Adjustment


def facts(card: ModelCard, provider: str) -> str:
    """What a model is, and what it runs on here."""
    rows = [
        ("Runs on", provider or "not loaded"),
        ("Labels", ", ".join(label_name(label) for label in card.labels)),
        ("Input", f"slices of {card.input_size} x {card.input_size} pixels in HU"),
        *((f"SHA-256 of {name}", digest) for name, digest in card.sha256.items()),
        ("Made with", ", ".join(f"{name} {version}" for name, version in card.software.items()) or NO_VALUE),
    ]
    return table(("", ""), rows)


def points(card: ModelCard) -> str:
    """The operating points of a card, with what they gave on patients that did not train."""
    rows = [
        (
            f"{point.name} (default)" if point.name == card.default_point else point.name,
            f"{point.threshold:.4f}",
            _share(point.sensitivity, point.sensitivity_95),
            _share(point.specificity, point.specificity_95),
        )
        for point in card.operating_points
    ]
    return table(
        ("Operating point (any haemorrhage)", "Threshold", "Sensitivity", "Specificity"), rows, card.default_reason
    )


def _share(value: float, ends: Sequence[float] | None) -> str:
    return f"{value:.3f}" + (f" ({ends[0]:.3f}-{ends[1]:.3f})" if ends else "")


def in_force(card: ModelCard, own: Mapping[str, Adjustment]) -> str:
    """Which threshold counts for each label, and who set it."""
    rows = []
    for label in card.labels:
        values = (threshold(card, own, label), card.thresholds[label])
        change = own.get(label)
        rows.append((label_name(label), *(f"{value:.4f}" for value in values), _by(change) if change else "card"))
    return table(("Study threshold", "In force", "Card", "Set by"), rows)


def _by(change: Adjustment) -> str:
    who = named(change.who, change.signed)
    return f"{who} on {change.created_at:%Y-%m-%d}: {change.why} (no. {change.id})"


def threshold(card: ModelCard, own: Mapping[str, Adjustment], label: str) -> float:
    """The threshold of a label that counts: the user's, or else the card's."""
    change = own.get(label)
    return card.thresholds[label] if change is None or change.value is None else change.value


def history(changes: Iterable[Adjustment]) -> str:
    """Everything that was set, the newest first."""
    rows = [
        (
            str(change.id),
            when(change.created_at),
            named(change.who, change.signed),
            change.version,
            label_name(change.name),
            "back to the card" if change.value is None else f"{change.value:.4f}",
            change.why,
        )
        for change in changes
    ]
    return table(("No.", "When", "Who", "Version", "Label", "Threshold", "Why"), rows)


def safe(readme: str) -> str:
    r"""A card as Markdown that loads nothing: pictures become links, and no text becomes a formula.

    >>> safe("![x](http://y) costs $5")
    '[x](http://y) costs \\$5'
    """
    return readme.replace("![", "[").replace("$", "\\$")
