"""Parts of a model card, each a frozen dataclass, and how they stand in card.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

# Metrics of one label, by the names that `training.evaluate` gives them; what cannot be estimated is not there.
Figures = Mapping[str, Any]


def _optional(key: str = "") -> dict[str, Any]:
    """Say that a field is left out of the file where it is None; `key` is its name there, if that is another."""
    return {"optional": True, **({"key": key} if key else {})}


@dataclass(frozen=True)
class CardOperatingPoint:
    """A threshold on the study probability of `any`, with what it gave on patients that did not train.

    sensitivity_95, specificity_95 : ends of the 95 % intervals; None in older cards
    """

    name: str
    threshold: float
    sensitivity: float
    specificity: float
    sensitivity_95: list[float] | None = None
    specificity_95: list[float] | None = None


@dataclass(frozen=True)
class TrainingSource:
    """A collection that a model was trained or measured on, and what its licence allows."""

    name: str
    use: str
    patients: int
    slices: int
    licence: str
    citation: str


@dataclass(frozen=True)
class Metrics:
    """What was measured, by "collection level label" where it is figures; None where it was not.

    chosen_on : prevalence and patients behind operating points and calibration
    found_by_kind : sensitivity by collection and kind of bleed
    evidence : how often the evidence map peaks inside a known bleed
    unknown_hospitals : by hospital, figures on all of its patients, of runs that were made without any of them
    sources_told_apart : how well a linear probe tells two collections apart within a label, by features
    """

    cross_validation: Mapping[str, Figures] | None = field(default=None, metadata=_optional("cross-validation"))
    elsewhere: Mapping[str, Figures] | None = field(default=None, metadata=_optional())
    elsewhere_final_model: Mapping[str, Figures] | None = field(
        default=None, metadata=_optional("elsewhere, final model")
    )
    folds: Sequence[int] | None = field(default=None, metadata=_optional())
    ablations: Sequence[Figures] | None = field(default=None, metadata=_optional())
    chosen_on: Mapping[str, Any] | None = field(default=None, metadata=_optional("chosen on"))
    found_by_kind: Mapping[str, Mapping[str, Figures]] | None = field(default=None, metadata=_optional("found by kind"))
    evidence: Mapping[str, Any] | None = field(default=None, metadata=_optional())
    unknown_hospitals: Mapping[str, Mapping[str, Figures]] | None = field(
        default=None, metadata=_optional("unknown hospitals")
    )
    sources_told_apart: Sequence[Mapping[str, Any]] | None = field(
        default=None, metadata=_optional("sources told apart")
    )


@dataclass(frozen=True)
class Parity:
    """How far ONNX Runtime is from Keras: the largest difference of each output over studies of these lengths."""

    tolerance: float
    slices: Sequence[int]
    largest_difference: Mapping[str, float]
    weights_stored_as: str


@dataclass(frozen=True)
class AucChange:
    """An AUC with fp32 and with 8-bit weights; it `decides` where enough pairs stand behind it."""

    fp32: float
    int8: float
    change: float
    pairs: int
    decides: bool


@dataclass(frozen=True)
class Int8Measured:
    """What 8-bit weights change: the largest change of a probability by level, and AUCs by what they are of."""

    patients: int
    largest_change: Mapping[str, float] = field(metadata={"key": "largest change"})
    auc: Mapping[str, AucChange]


@dataclass(frozen=True)
class Int8:
    """The file of 8-bit weights.

    ranges : of every map, in the quantiser's own form: the same ranges give the same file
    """

    sha256: str
    ranges: Mapping[str, Any] | None = field(default=None, metadata=_optional())
    calibrated_on_patients: int | None = field(default=None, metadata=_optional("calibrated on patients"))
    measured: Int8Measured | None = field(default=None, metadata=_optional())


@dataclass(frozen=True)
class Failure:
    """A synthetic study that is judged wrongly, with what `ichscope phantom` needs to make it; ml of blood."""

    bleed: str | None
    seed: int
    slices: int
    ml: float
    probability: float


def from_plain(kind: type[Any], values: Mapping[str, Any]) -> Any:
    """Make a part of the values that card.json has of it.

    Raises
    ------
    TypeError
        if a value is missing, or one is there that the part does not know

    Examples
    --------
    >>> from_plain(Int8, {"sha256": "ab", "calibrated on patients": 8}).calibrated_on_patients
    8
    """
    names = {_key(part): part.name for part in fields(kind)}
    if unknown := [key for key in values if key not in names]:
        raise TypeError(f"{kind.__name__} has no {unknown[0]!r}")
    return kind(**{names[key]: value for key, value in values.items()})


def int8_from_plain(values: Mapping[str, Any]) -> Int8 | None:
    """Make the part of 8-bit weights; None of no values. Raises as from_plain."""
    if not values:
        return None
    known = dict(values)
    if measured := known.get("measured"):
        auc = {name: from_plain(AucChange, change) for name, change in measured["auc"].items()}
        known["measured"] = from_plain(Int8Measured, {**measured, "auc": auc})
    made: Int8 = from_plain(Int8, known)
    return made


def to_plain(value: Any) -> Any:
    """Turn parts into what card.json has of them, in the order of their fields.

    Examples
    --------
    >>> to_plain(Metrics(elsewhere={}, chosen_on={"prevalence": 0.4}))
    {'elsewhere': {}, 'chosen on': {'prevalence': 0.4}}
    """
    if is_dataclass(value):
        parts = ((part, getattr(value, part.name)) for part in fields(value))
        return {_key(p): to_plain(v) for p, v in parts if v is not None or not p.metadata.get("optional")}
    if isinstance(value, Mapping):
        return {key: to_plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(part) for part in value]
    return value


def _key(part: Any) -> str:
    key: str = part.metadata.get("key", part.name)
    return key
