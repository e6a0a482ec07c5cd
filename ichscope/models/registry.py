"""The models of a folder, loaded once for the whole process."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from ichscope.models.card import CARD_FILE, ModelCard, ModelError, file_sha256
from ichscope.models.detector import Detector, leads


def default_models_folder() -> Path:
    """Where the models are: ICHSCOPE_MODELS, or models/ of the checkout."""
    return Path(os.environ.get("ICHSCOPE_MODELS") or Path(__file__).parents[2] / "models")


def load_detectors(
    models_folder: Path | None = None, names: Sequence[str] | None = None, provider: str = "auto"
) -> dict[str, Detector]:
    """Load the models of a folder, all or the named ones, checked against their cards.

    Raises
    ------
    ModelError
        if there is none, a named one is missing, or one cannot be trusted
    """
    folder = models_folder or default_models_folder()
    loaded: dict[str, Detector] = {}
    for group, folders in encoder_groups(folder, names).items():
        leader = Detector(folders[0], provider, followers=folders[1:])
        loaded[group[0]] = leader
        loaded |= {name: Detector(other, provider, leader) for name, other in zip(group[1:], folders[1:], strict=True)}
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
    found = sorted(path.parent.name for path in folder.glob(f"*/{CARD_FILE}"))
    missing = sorted(set(names or ()) - set(found))
    if missing or not found:
        expected = f"the model {missing[0]!r}" if missing else "at least one model"
        raise ModelError(f"{folder}: expected {expected}, found {', '.join(found) or 'none'}")
    cards = {name: ModelCard.read(folder / name) for name in found if not names or name in names}
    groups: dict[str, list[str]] = {}
    for name in sorted(cards, key=lambda name: -len(cards[name].labels)):
        leader = next((one for one in groups if leads(cards[one], cards[name])), name)
        groups.setdefault(leader, []).append(name)
    return {tuple(group): tuple(folder / name for name in group) for group in groups.values()}


def shared_detectors(
    models_folder: Path | None = None, names: Sequence[str] = (), provider: str = "auto"
) -> dict[str, Detector]:
    """Load models once for all of a process, and anew where a card has changed; as load_detectors.

    Raises
    ------
    ModelError
        as load_detectors
    """
    folder = models_folder or default_models_folder()
    cards = tuple(file_sha256(path) for path in sorted(folder.glob(f"*/{CARD_FILE}")))
    with _loading:
        return _shared_detectors(folder, tuple(names), provider, cards)


_loading = threading.Lock()


@lru_cache(maxsize=1)
def _shared_detectors(
    folder: Path, names: tuple[str, ...], provider: str, cards: tuple[str, ...]
) -> dict[str, Detector]:
    return load_detectors(folder, names, provider)
