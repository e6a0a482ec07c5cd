"""The models of a process: loaded once, and anew where a card has changed."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ichscope.models.card import CARD_FILE, ModelCard, ModelError, file_sha256, shares_encoder_with
from ichscope.models.detector import Detector
from ichscope.models.scheduler import EncoderScheduler

# Models of one card that stay loaded beside those in use: each holds some hundred MB.
_KEPT = 2


def default_models_folder() -> Path:
    """Where the models are: ICHSCOPE_MODELS, or models/ of the checkout."""
    return Path(os.environ.get("ICHSCOPE_MODELS") or Path(__file__).parents[2] / "models")


@dataclass(frozen=True)
class LoadedModels:
    """Models that run on one provider, by name."""

    detectors: Mapping[str, Detector]

    @property
    def cards(self) -> dict[str, ModelCard]:
        """The cards that these were loaded from, whatever their folder holds by now."""
        return {name: detector.card for name, detector in self.detectors.items()}


class Registry:
    """Loaded models, known by their folder, provider and the hashes of their cards. Their encoders take turns."""

    def __init__(self) -> None:
        self.scheduler = EncoderScheduler()
        self._lock = threading.Lock()
        self._loaded = lru_cache(_KEPT)(self._load)
        self._read = lru_cache(_KEPT)(_read_cards)

    def get(
        self, models_folder: Path | None = None, names: Sequence[str] | None = None, provider: str = "auto"
    ) -> LoadedModels:
        """Give the models of a folder, loaded at the first call and anew where a card has changed; as load_detectors.

        Raises
        ------
        ModelError
            as load_detectors
        """
        folder = (models_folder or default_models_folder()).resolve()
        with self._lock:
            return self._loaded(folder, tuple(names or ()), provider, _hashes(folder))

    def cards(self, models_folder: Path | None = None, names: Sequence[str] | None = None) -> Mapping[str, ModelCard]:
        """Give the cards that a folder holds now, all or the named ones, by name; nothing is loaded.

        Raises
        ------
        ModelError
            if one is no card
        """
        folder = (models_folder or default_models_folder()).resolve()
        with self._lock:
            return self._read(folder, tuple(names or ()), _hashes(folder))

    def _load(self, folder: Path, names: tuple[str, ...], provider: str, hashes: tuple[str, ...]) -> LoadedModels:
        return LoadedModels(load_detectors(folder, names, provider, self.scheduler))


def _hashes(folder: Path) -> tuple[str, ...]:
    return tuple(file_sha256(path) for path in sorted(folder.glob(f"*/{CARD_FILE}")))


def _read_cards(folder: Path, names: tuple[str, ...], hashes: tuple[str, ...]) -> Mapping[str, ModelCard]:
    folders = sorted(path.parent for path in folder.glob(f"*/{CARD_FILE}"))
    return {model.name: ModelCard.read(model) for model in folders if not names or model.name in names}


# The one of this process: pages, batches and commands share its models and its scheduler.
REGISTRY = Registry()


def load_detectors(
    models_folder: Path | None = None,
    names: Sequence[str] | None = None,
    provider: str = "auto",
    scheduler: EncoderScheduler | None = None,
) -> dict[str, Detector]:
    """Load the models of a folder, all or the named ones, checked against their cards; they take turns.

    Raises
    ------
    ModelError
        if there is none, a named one is missing, or one cannot be trusted
    """
    folder, scheduler = models_folder or default_models_folder(), scheduler or EncoderScheduler()
    loaded: dict[str, Detector] = {}
    for group, folders in encoder_groups(folder, names).items():
        leader = Detector(folders[0], provider, followers=folders[1:], scheduler=scheduler)
        loaded[group[0]] = leader
        for name, other in zip(group[1:], folders[1:], strict=True):
            loaded[name] = Detector(other, provider, leader, scheduler=scheduler)
    return dict(sorted(loaded.items()))


def encoder_groups(
    models_folder: Path | None = None, names: Sequence[str] | None = None
) -> dict[tuple[str, ...], tuple[Path, ...]]:
    """Put models together that one encoder serves, by name and with their folders; the one that leads comes first.

    Raises
    ------
    ModelError
        if there is none, a named one is missing, or a card cannot be read
    """
    folder = models_folder or default_models_folder()
    there = sorted(path.parent.name for path in folder.glob(f"*/{CARD_FILE}"))
    missing = sorted(set(names or ()) - set(there))
    if missing or not there:
        expected = f"the model {missing[0]!r}" if missing else "at least one model"
        raise ModelError(f"{folder}: expected {expected}, found {', '.join(there) or 'none'}")
    cards = {name: ModelCard.read(folder / name) for name in there if not names or name in names}
    groups: dict[str, list[str]] = {}
    for name in sorted(cards, key=lambda name: -len(cards[name].labels)):
        leader = next((first for first in groups if shares_encoder_with(cards[first], cards[name])), name)
        groups.setdefault(leader, []).append(name)
    return {tuple(group): tuple(folder / name for name in group) for group in groups.values()}
