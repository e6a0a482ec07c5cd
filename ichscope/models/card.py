"""The model card: every number that defines a model, in one file beside its weights."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ichscope.errors import IchscopeError
from ichscope.labels import LABELS
from ichscope.models.card_parts import (
    CardOperatingPoint,
    Failure,
    Int8,
    Metrics,
    Parity,
    TrainingSource,
    from_plain,
    int8_from_plain,
    to_plain,
)

CARD_FILE = "card.json"
ENCODER_FILE = "encoder.onnx"
HEAD_FILE = "head.onnx"
# The encoder with 8-bit weights; a model may have it or not.
INT8_FILE = "encoder.int8.onnx"


class ModelError(IchscopeError):
    """A model folder that cannot be trusted or used; the message names file, expected and found."""


@dataclass(frozen=True)
class ModelCard:
    """What card.json holds.

    labels : label names in the order of the graph's outputs, each one of ichscope.labels.LABELS
    input_size : side of the encoder's input in pixels
    thresholds : per label, the probability from which a study is called positive, at the default point
    operating_points : the points on `any` to choose from; `default_point` names the one in force
    sha256 : per file of the folder
    default_reason : why that point is the default
    slice_thresholds : as thresholds, on the probability of a slice; empty in older cards
    encoder_weights : SHA-256 of the trained weights of the encoder: models with the same one have the same features
    int8 : of encoder.int8.onnx, where there is one: its hash, and what it changes on patients held back
    encoder_of : the model in the folder beside this one whose encoder it runs; "" with an encoder.onnx of its own
    decides : whether its word on any haemorrhage is the study's, and other models' are second opinions
    failures : synthetic studies that are judged wrongly, each with what `ichscope phantom` needs to make it
    """

    name: str
    version: str
    description: str
    labels: tuple[str, ...]
    input_size: int
    thresholds: dict[str, float]
    operating_points: tuple[CardOperatingPoint, ...]
    default_point: str
    sha256: dict[str, str]
    training_data: tuple[TrainingSource, ...] = ()
    metrics: Metrics = field(default_factory=Metrics)
    parity: Parity | None = None
    software: dict[str, str] = field(default_factory=dict)
    limits: list[str] = field(default_factory=list)
    default_reason: str = ""
    slice_thresholds: dict[str, float] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    encoder_weights: str = ""
    int8: Int8 | None = None
    encoder_of: str = ""
    decides: bool = False

    @classmethod
    def read(cls, folder: Path) -> ModelCard:
        """Read card.json of a model folder.

        Raises
        ------
        ModelError
            if the file is missing, is not a card, or contradicts itself
        """
        path = folder / CARD_FILE
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            card = cls(**{**raw, **_parts(raw)})
        except OSError as error:
            raise ModelError(f"{path}: expected a model card, found none ({error.strerror})") from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ModelError(f"{path}: expected a model card, found {error!r}") from None
        if problem := card._problem():
            raise ModelError(f"{path}: {problem}")
        return card

    def _problem(self) -> str:
        """What makes the card unusable, or ""; results go by label name, so labels must be right."""
        if unknown := [label for label in self.labels if label not in LABELS]:
            return f"expected labels among {', '.join(LABELS)}, found {unknown[0]!r}"
        if "any" not in self.labels:
            return f"expected the label 'any', found only {', '.join(self.labels)}"
        if missing := [label for label in self.labels if label not in self.thresholds]:
            return f"expected a threshold of every label, found none of {missing[0]!r}"
        limits = {**self.thresholds, **self.slice_thresholds, **{p.name: p.threshold for p in self.operating_points}}
        if wrong := [name for name, threshold in limits.items() if not _is_probability(threshold)]:
            return f"expected thresholds from 0 to 1, found {limits[wrong[0]]!r} of {wrong[0]!r}"
        names = [point.name for point in self.operating_points]
        if self.default_point not in names:
            return f"expected the default point among {', '.join(names)}, found {self.default_point!r}"
        # A card must not point out of the models' folder.
        if self.encoder_of != Path(self.encoder_of).name or self.encoder_of == "..":
            return f"expected the name of a model beside this one as encoder_of, found {self.encoder_of!r}"
        return ""

    def write(self, folder: Path) -> None:
        """Write card.json into a model folder."""
        values = to_plain(self)
        values |= {name: values[name] or {} for name in ("parity", "int8")}
        for name in ("encoder_of", "decides"):
            if not values[name]:
                del values[name]
        text = json.dumps(values, indent=2, ensure_ascii=False)
        (folder / CARD_FILE).write_text(text + "\n", encoding="utf-8")

    def verify(self, folder: Path) -> None:
        """Compare the files of the folder, and an encoder that lies beside it, with their hashes.

        Raises
        ------
        ModelError
            if a file is missing or differs from what the card says
        """
        for name, expected in self.sha256.items():
            _verify((self.encoder_folder(folder) if name == ENCODER_FILE else folder) / name, expected)

    def encoder_folder(self, folder: Path) -> Path:
        """Where the encoder lies: in the model's own folder, or in the one beside it that the card names."""
        return folder.absolute().parent / self.encoder_of if self.encoder_of else folder

    def encoder_card(self, folder: Path) -> ModelCard:
        """The card of the model that the encoder belongs to: this one, or that of the folder beside it.

        Raises
        ------
        ModelError
            if that is no card, or its encoder does not serve this model
        """
        if not self.encoder_of:
            return self
        other = ModelCard.read(self.encoder_folder(folder))
        if other.encoder_of or not shares_encoder_with(other, self):
            raise ModelError(
                f"{folder / CARD_FILE}: expected that {self.encoder_of} has an encoder of the same weights for all of"
                f" its labels, found another in {self.encoder_folder(folder) / CARD_FILE}"
            )
        return other

    def int8_file(self, folder: Path) -> Path | None:
        """The encoder with 8-bit weights, compared with its hash; None where the model has none, or it is not here.

        Raises
        ------
        ModelError
            if it differs from what the card says, or as encoder_card
        """
        path, int8 = self.encoder_folder(folder) / INT8_FILE, self.encoder_card(folder).int8
        if int8 is None or not path.is_file():
            return None
        _verify(path, int8.sha256)
        return path


def _parts(raw: dict[str, Any]) -> dict[str, Any]:
    """The values of card.json that are no plain ones in a card."""
    parity = raw.get("parity")
    return {
        "labels": tuple(raw["labels"]),
        "operating_points": tuple(from_plain(CardOperatingPoint, point) for point in raw["operating_points"]),
        "training_data": tuple(from_plain(TrainingSource, source) for source in raw.get("training_data", ())),
        "metrics": from_plain(Metrics, raw.get("metrics", {})),
        "parity": from_plain(Parity, parity) if parity else None,
        "failures": tuple(from_plain(Failure, failure) for failure in raw.get("failures", ())),
        "int8": int8_from_plain(raw.get("int8", {})),
    }


def shares_encoder_with(leader: ModelCard, other: ModelCard) -> bool:
    """Whether the encoder of one model serves another, too: the same weights, and evidence of all its labels.

    Cards say which weights an encoder was made from; `export` holds the files to them.
    """
    same = leader.encoder_weights == other.encoder_weights != ""
    return same and set(other.labels) <= set(leader.labels)


def _is_probability(value: object) -> bool:
    """Whether a value of card.json is a number from 0 to 1; Python's JSON takes NaN, too, which nothing reaches."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


def _verify(path: Path, expected: str) -> None:
    if not path.is_file():
        raise ModelError(f"{path}: expected a file with SHA-256 {expected[:12]}, found none")
    if (actual := file_sha256(path)) != expected:
        raise ModelError(f"{path}: expected SHA-256 {expected[:12]}, found {actual[:12]}; not loaded")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
